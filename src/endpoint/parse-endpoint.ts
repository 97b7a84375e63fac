import { argumentTypeError, show, showUrl } from "../util/argument-errors.js";
import { easHost, isSameService } from "./host-names.js";
import { checkSegments, encodePath } from "./path.js";

/** Where a service's requests go. */
export interface Target {
  /** Scheme, host and port. */
  readonly origin: string;
  /** The service's own path, percent-encoded, without a query. */
  readonly path: string;
  /** A query that comes before the call's own: `""`, or text that begins with `?`. */
  readonly query: string;
  /** Path behind the service that the endpoint was pasted with: of calls that set no other. `""`, or text that begins with `/`. */
  readonly requestPath: string;
  /** What a signature names as the service's path: not encoded, without a prefix before `/api/predict/`. */
  readonly resource: string;
  /** Whether this is the standard form below `/api/predict/`. */
  readonly isPredict: boolean;
  /** Whether the host is the shared gateway, which takes bodies of 1 MiB at the most. */
  readonly isSharedGateway: boolean;
  /** Whether the host is a name of the cluster in which this process runs. */
  readonly isInternal?: boolean;
}

/** What names a service behind a gateway. */
export interface GatewayOptions {
  /** The gateway, in any form that people paste. */
  readonly endpoint?: string | undefined;
  readonly serviceName?: string | undefined;
  /** The whole URL of a service that is not below `/api/predict/`. */
  readonly customUrl?: string | undefined;
}

const PREDICT = "/api/predict";

/** Finds out where a service is; throws a `TypeError` that says what is missing or wrong. */
export function gatewayTarget(options: GatewayOptions, env: (name: string) => string | undefined): Target {
  if (options.customUrl !== undefined && options.customUrl !== "") return customTarget(options.customUrl);
  const endpoint = endpointOf(options);
  const serviceName = options.serviceName || endpoint?.serviceName || "";
  if (serviceName === "" && endpoint !== undefined) {
    throw argumentTypeError(
      "ERR_EAS_ARG_SERVICE_NAME",
      `serviceName is empty, and the endpoint ${showUrl(options.endpoint)} names no service: set serviceName, or customUrl for a server that is not behind an EAS gateway`,
    );
  }
  checkServiceName(serviceName);
  if (endpoint?.gateway !== undefined) return serviceHostTarget(endpoint, serviceName);
  const { origin, prefix, host, requestPath } = endpoint ?? inCluster(serviceName, env);
  return {
    origin,
    path: `${prefix}${PREDICT}/${encodePath(serviceName)}`,
    query: "",
    requestPath,
    resource: `${PREDICT}/${serviceName}`,
    isPredict: true,
    isSharedGateway: isSharedGateway(host),
    isInternal: endpoint === undefined,
  };
}

/** The target behind a host that leads to one service: what follows the service's name in `serviceName` is a path in it. */
function serviceHostTarget({ origin, host, requestPath }: ParsedEndpoint, serviceName: string): Target {
  const slash = serviceName.indexOf("/");
  const path = slash === -1 ? "/" : serviceName.slice(slash);
  return {
    origin,
    path: encodePath(path),
    query: "",
    requestPath,
    resource: path,
    isPredict: false,
    isSharedGateway: isSharedGateway(host),
  };
}

function isSharedGateway(host: string): boolean {
  return easHost(host)?.isShared === true;
}

/** What a service name must not have, and why. */
const NAME_FAULTS: readonly (readonly [RegExp, string])[] = [
  [/^$/, 'is empty: it must name the service, for example "scorecard", "group.scorecard" or "scorecard/v2"'],
  [/^\s|\s$/, "has spaces at its start or end: remove them"],
  [/[?#]/, 'has a "?" or "#": pass a query in the call option query'],
  [/\.\.|\\/, 'has ".." or a backslash, which would leave the service'],
  [/^\/|\/$|\/\//, "has an empty part before or after a /: remove that /"],
];

/** Checks a service name and returns it: `service`, `group.service` or `service/model`. */
export function checkServiceName(name: string): string {
  const why = typeof name === "string" ? NAME_FAULTS.find(([fault]) => fault.test(name))?.[1] : "is not a string";
  if (why) throw argumentTypeError("ERR_EAS_ARG_SERVICE_NAME", `serviceName ${showUrl(name)} ${why}`);
  checkSegments("ERR_EAS_ARG_SERVICE_NAME", "serviceName", name);
  return name;
}

/** The endpoint taken apart, if there is one; refuses one that names a service together with the name of another. */
export function endpointOf({ endpoint, serviceName }: GatewayOptions): ParsedEndpoint | undefined {
  if (!endpoint) return undefined;
  const parsed = parseEndpoint(endpoint);
  const { serviceName: named, gateway, requestPath } = parsed;
  if (named === undefined || !serviceName || serviceName === named) return parsed;
  // A model named "v1", which the endpoint alone would not tell from the interface below /v1.
  if (gateway === undefined && serviceName === named + requestPath) return { ...parsed, serviceName, requestPath: "" };
  if (gateway !== undefined && isSameService(firstSegment(serviceName), named)) return parsed;
  throw argumentTypeError(
    "ERR_EAS_ARG_SERVICE_NAME",
    `serviceName is ${show(serviceName)}, but the endpoint names the service ${show(named)}: leave one out`,
  );
}

/** An endpoint taken apart. */
export interface ParsedEndpoint {
  readonly origin: string;
  readonly host: string;
  /** Path before `/api/predict`, without a slash at its end. */
  readonly prefix: string;
  /** The service that the host or a pasted console URL names. */
  readonly serviceName: string | undefined;
  /** Path behind the service, percent-encoded: `""`, or text that begins with `/`. */
  readonly requestPath: string;
  /** Of a host that leads to one service and has no `/api/predict`: the host of its gateway. */
  readonly gateway?: string | undefined;
}

/**
 * Reads an endpoint as people paste it: with or without scheme, slash at the end, or the console's URL of a service, which may be
 * followed by a path in it, as in the base URL of an OpenAI client.
 */
export function parseEndpoint(text: string): ParsedEndpoint {
  const url = parseUrl("endpoint", text);
  if (url.search !== "") throw badUrl("endpoint", text, "has a query: pass it in the call option query");
  const { pathname, origin, hostname: host } = url;
  const [before, named] = splitAtPredict(text, pathname);
  const eas = easHost(host);
  if (eas === undefined) return { origin, host, prefix: before, ...serviceOf(text, named) };
  if (named !== undefined ? before !== "" : before !== "" && eas.service === undefined) {
    throw badUrl(
      "endpoint",
      text,
      `has the path ${show(before)}, and a gateway has only ${PREDICT}/<service>: pass other paths in the call option path`,
    );
  }
  if (eas.service === undefined) return { origin, host, prefix: "", ...serviceOf(text, named) };
  const first = decoded(text, firstSegment(named ?? ""));
  if (first !== "" && !isSameService(first, eas.service)) {
    throw badUrl(
      "endpoint",
      text,
      `names two services, ${show(eas.service)} by its host and ${show(first)} by its path: leave out the path, or use the host ${eas.gateway}`,
    );
  }
  const requestPath = named === undefined ? before : behindFirst(named);
  return { origin, host, prefix: "", serviceName: eas.service, requestPath, gateway: eas.gateway };
}

/** The path before `/api/predict`, and what follows it, both without slashes at their ends. */
function splitAtPredict(text: string, pathname: string): [before: string, named: string | undefined] {
  const parts = `${withoutSlashesBehind(pathname)}/`.split(`${PREDICT}/`);
  if (parts.length > 2) throw badUrl("endpoint", text, `has ${PREDICT}/ twice: name one service`);
  const [before, named] = parts.map(withoutSlashesBehind) as [string, string | undefined];
  return [before, named?.replace(/^\/+/, "")];
}

/** The service that follows `/api/predict/`, and the path behind it: all from `/v1`, where OpenAI's interface is. */
function serviceOf(text: string, named: string | undefined): Pick<ParsedEndpoint, "serviceName" | "requestPath"> {
  if (!named) return { serviceName: undefined, requestPath: "" };
  const behind = behindFirst(named);
  return /^\/v1(\/|$)/.test(behind)
    ? { serviceName: decoded(text, firstSegment(named)), requestPath: behind }
    : { serviceName: decoded(text, named), requestPath: "" };
}

function firstSegment(path: string): string {
  return path.split("/", 1)[0] as string;
}

function behindFirst(path: string): string {
  return path.slice(firstSegment(path).length);
}

function decoded(text: string, part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw badUrl("endpoint", text, 'has an invalid percent escape: write %25 for "%"');
  }
}

/** Checks an endpoint and returns it. */
export function checkEndpoint(text: string): string {
  parseEndpoint(text);
  return text;
}

/** Not by a regular expression, which would look at slashes in the middle again and again. */
function withoutSlashesBehind(path: string): string {
  let end = path.length;
  while (path[end - 1] === "/") end--;
  return path.slice(0, end);
}

/** Checks the whole URL of a service and returns it. */
export function checkCustomUrl(text: string): string {
  parseUrl("customUrl", text);
  return text;
}

function customTarget(text: string): Target {
  const url = parseUrl("customUrl", text);
  return {
    origin: url.origin,
    path: url.pathname,
    query: url.search,
    requestPath: "",
    resource: url.pathname,
    isPredict: false,
    isSharedGateway: isSharedGateway(url.hostname),
  };
}

/** Namespaces of Kubernetes itself. Services of EAS do not run in them. */
const KUBERNETES_OWN = /^(default|kube-.*)$/;

/**
 * Returns the namespace of the EAS instance in which this process runs. EAS sets both `NAMESPACE` and `POD_NAME`. `NAMESPACE`
 * alone is common in other clusters, where the name that is made from it would receive the token.
 */
export function easNamespace(env: (name: string) => string | undefined): string | undefined {
  const namespace = env("NAMESPACE");
  return namespace && env("POD_NAME") && !KUBERNETES_OWN.test(namespace) ? namespace : undefined;
}

/** Finds a service by the namespace of the EAS instance, as the official Python SDK does (gateway_endpoint.py). */
function inCluster(serviceName: string, env: (name: string) => string | undefined): ParsedEndpoint {
  const namespace = easNamespace(env);
  const host = `${firstSegment(serviceName).replaceAll("_", "-")}.${namespace}`;
  if (!namespace || !/^[A-Za-z0-9.-]+$/.test(host)) {
    const reason = namespace
      ? `NAMESPACE gives ${show(host)}, which is not a host name`
      : "an EAS instance has NAMESPACE and POD_NAME in its environment, and this process does not look like one";
    throw argumentTypeError(
      "ERR_EAS_ARG_ENDPOINT",
      'endpoint is empty: set it to the gateway, for example "https://1234567890.cn-shanghai.pai-eas.aliyuncs.com", or set ' +
        `customUrl. Only inside an EAS instance the endpoint may be left out: ${reason}`,
    );
  }
  return { origin: `http://${host.toLowerCase()}:8080`, host, prefix: "", serviceName: undefined, requestPath: "" };
}

function parseUrl(name: string, text: string): URL {
  if (typeof text !== "string") throw badUrl(name, "", `is ${show(text)}: it must be a string`);
  const trimmed = text.trim();
  // A URL parser drops some of them, and takes a backslash for a slash.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  if (/[\x00-\x1f\x7f\\]/.test(trimmed)) throw badUrl(name, text, "has a control character or a backslash: remove it");
  // It would read the scheme of the first as a host, and pass over the slashes of the second.
  if (/^https?:(?!\/\/[^/])\D/i.test(trimmed)) throw badUrl(name, text, 'must have "//" and a host after the scheme');
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(trimmed)?.[1]?.toLowerCase();
  if (scheme !== undefined && scheme !== "http" && scheme !== "https") {
    throw badUrl(name, text, "must begin with http:// or https://");
  }
  let url: URL;
  try {
    url = new URL(scheme === undefined ? `http://${trimmed}` : trimmed);
  } catch {
    throw badUrl(name, text, "is not a URL or a host name");
  }
  if (url.username !== "" || url.password !== "") {
    throw badUrl(name, text, "has a user name or password: set the token instead");
  }
  if (url.hash !== "") throw badUrl(name, text, 'has a "#", which is never sent: remove it');
  return url;
}

/** The text itself is shown only when it cannot hold a password, and without its query. */
function badUrl(name: string, text: string, why: string): TypeError {
  return argumentTypeError(
    "ERR_EAS_ARG_ENDPOINT",
    `${name} ${!text || text.includes("@") ? "" : `${showUrl(text)} `}${why}`,
  );
}
