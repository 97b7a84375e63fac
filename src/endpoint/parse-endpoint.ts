import { argumentTypeError, show, showUrl } from "../util/argument-errors.js";
import { easHost, isSameService } from "./host-names.js";
import { checkSegments, encodePath } from "./path.js";

/** The address of a service. */
export interface Target {
  /** Scheme, host and port. */
  readonly origin: string;
  /** The service's own path, percent-encoded, without a query. */
  readonly path: string;
  /** The service's own query, which precedes the call's query. Either `""` or text that begins with `?`. */
  readonly query: string;
  /**
   * Path within the service, taken from the endpoint. Used as the default path for calls. Either `""` or text that
   * begins with `/`.
   */
  readonly requestPath: string;
  /** The path to sign. Not percent-encoded and without any prefix before `/api/predict/`. */
  readonly resource: string;
  /** Whether the path is below `/api/predict/`. */
  readonly isPredict: boolean;
  /** Whether the host is the shared gateway, which accepts bodies up to 1 MiB. */
  readonly isSharedGateway: boolean;
  /** Whether the host name belongs to the cluster in which this process runs. */
  readonly isInternal?: boolean;
}

/** Options that identify a service behind a gateway. */
export interface GatewayOptions {
  /** The gateway, with or without a scheme, or a service URL from the console. */
  readonly endpoint?: string | undefined;
  readonly serviceName?: string | undefined;
  /** The complete URL of a service whose path does not begin with `/api/predict/`. */
  readonly customUrl?: string | undefined;
}

const PREDICT = "/api/predict";

/** Returns a service's address. Throws a `TypeError` for missing, invalid or contradictory options. */
export function gatewayTarget(options: GatewayOptions, env: (name: string) => string | undefined): Target {
  if (options.customUrl !== undefined && options.customUrl !== "") return customTarget(options.customUrl);
  const endpoint = endpointOf(options);
  const serviceName = options.serviceName || endpoint?.serviceName || "";
  if (serviceName === "" && endpoint !== undefined) {
    throw argumentTypeError(
      "ERR_EAS_ARG_SERVICE_NAME",
      `serviceName is empty, and the endpoint ${showUrl(options.endpoint)} does not contain one: set serviceName (or the variable EAS_SERVICE_NAME), or customUrl for a server that is not behind an EAS gateway`,
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

/**
 * Returns the target for an endpoint that is a single service's host. The part of `serviceName` after the first `/` is
 * a path within the service.
 */
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

/** Patterns that a service name must not match, each with the text that completes the error message. */
const NAME_FAULTS: readonly (readonly [RegExp, string])[] = [
  [/^$/, 'is empty: set it to the name of the service, for example "scorecard", "group.scorecard" or "scorecard/v2"'],
  [/^\s|\s$/, "has spaces at its start or end: remove them"],
  [/[?#]/, 'has a "?" or "#": pass a query in the query option of the call'],
  [/\.\.|\\/, 'has ".." or a backslash, which would leave the service'],
  [/^\/|\/$|\/\//, "has an empty part before or after a /: remove that /"],
];

/**
 * Returns a valid service name unchanged: `service`, `group.service` or `service/model`. Throws a `TypeError` for
 * any other text.
 */
export function checkServiceName(name: string): string {
  const why = typeof name === "string" ? NAME_FAULTS.find(([fault]) => fault.test(name))?.[1] : "is not a string";
  if (why) throw argumentTypeError("ERR_EAS_ARG_SERVICE_NAME", `serviceName ${showUrl(name)} ${why}`);
  checkSegments("ERR_EAS_ARG_SERVICE_NAME", "serviceName", name);
  return name;
}

/**
 * Parses the endpoint, if there is one. Throws a `TypeError` if the endpoint names a service other than `serviceName`.
 */
export function endpointOf({ endpoint, serviceName }: GatewayOptions): ParsedEndpoint | undefined {
  if (!endpoint) return undefined;
  const parsed = parseEndpoint(endpoint);
  const { serviceName: named, gateway, requestPath } = parsed;
  if (named === undefined || !serviceName || serviceName === named) return parsed;
  // A model can be named "v1". Without `serviceName`, the path to such a model looks like the OpenAI API under /v1.
  if (gateway === undefined && serviceName === named + requestPath) return { ...parsed, serviceName, requestPath: "" };
  if (gateway !== undefined && isSameService(firstSegment(serviceName), named)) return parsed;
  throw argumentTypeError(
    "ERR_EAS_ARG_SERVICE_NAME",
    `serviceName is ${show(serviceName)}, but the endpoint names the service ${show(named)}: leave one out`,
  );
}

/** The parts of an endpoint. */
export interface ParsedEndpoint {
  readonly origin: string;
  readonly host: string;
  /** Path before `/api/predict`, without a trailing slash. */
  readonly prefix: string;
  /** The service named by the host or the path. */
  readonly serviceName: string | undefined;
  /** Path within the service, percent-encoded: `""`, or text that begins with `/`. */
  readonly requestPath: string;
  /** The gateway's host, if the endpoint is the host of a single service. */
  readonly gateway?: string | undefined;
}

/**
 * Parses an endpoint. Accepts a host or URL, with or without a scheme and a trailing slash. Also accepts a service URL
 * from the console, optionally followed by a path within the service, as in an OpenAI client's base URL. Throws a
 * `TypeError` for any other text.
 */
export function parseEndpoint(text: string): ParsedEndpoint {
  const url = parseUrl("endpoint", text);
  if (url.search !== "") throw badUrl("endpoint", text, "has a query: pass it in the query option of the call");
  const { pathname, origin, hostname: host } = url;
  const [before, named] = splitAtPredict(text, pathname);
  const eas = easHost(host);
  if (eas === undefined) return { origin, host, prefix: before, ...serviceOf(text, named) };
  if (named !== undefined ? before !== "" : before !== "" && eas.service === undefined) {
    throw badUrl(
      "endpoint",
      text,
      `has the path ${show(before)}, but a gateway has only ${PREDICT}/<service>: pass other paths in the path option of the call`,
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

/** Splits a path into the parts before and after `/api/predict/`, without trailing slashes. */
function splitAtPredict(text: string, pathname: string): [before: string, named: string | undefined] {
  const parts = `${withoutSlashesBehind(pathname)}/`.split(`${PREDICT}/`);
  if (parts.length > 2) throw badUrl("endpoint", text, `has ${PREDICT}/ twice: name one service`);
  const [before, named] = parts.map(withoutSlashesBehind) as [string, string | undefined];
  return [before, named?.replace(/^\/+/, "")];
}

/**
 * Splits the part after `/api/predict/` into the service name and the path within the service. Only `/v1` and the text
 * after it are recognized as such a path.
 */
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

/** Returns a valid endpoint unchanged. Throws a `TypeError` for an invalid endpoint. */
export function checkEndpoint(text: string): string {
  parseEndpoint(text);
  return text;
}

/**
 * Removes trailing slashes. Does not use a regular expression, which would take quadratic time for text with many
 * slashes in the middle.
 */
function withoutSlashesBehind(path: string): string {
  let end = path.length;
  while (path[end - 1] === "/") end--;
  return path.slice(0, end);
}

/** Returns a valid `customUrl` unchanged. Throws a `TypeError` for an invalid URL. */
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

/** Matches Kubernetes' own namespaces, in which EAS services do not run. */
const KUBERNETES_OWN = /^(default|kube-.*)$/;

/**
 * Returns the namespace of the EAS instance in which this process runs, or undefined outside of EAS. Requires both
 * `NAMESPACE` and `POD_NAME`, which EAS sets. Other clusters often set only `NAMESPACE`; there, the token would be sent
 * to a host name built from that variable.
 */
export function easNamespace(env: (name: string) => string | undefined): string | undefined {
  const namespace = env("NAMESPACE");
  return namespace && env("POD_NAME") && !KUBERNETES_OWN.test(namespace) ? namespace : undefined;
}

/** Returns the address of a service in the same cluster, as the official Python SDK does (gateway_endpoint.py). */
function inCluster(serviceName: string, env: (name: string) => string | undefined): ParsedEndpoint {
  const namespace = easNamespace(env);
  const host = `${firstSegment(serviceName).replaceAll("_", "-")}.${namespace}`;
  if (!namespace || !/^[A-Za-z0-9.-]+$/.test(host)) {
    const reason = namespace
      ? `NAMESPACE leads to ${show(host)}, which is not a valid host name`
      : "an EAS instance has the environment variables NAMESPACE and POD_NAME, but this process does not";
    throw argumentTypeError(
      "ERR_EAS_ARG_ENDPOINT",
      'endpoint is empty: set it (or the variable EAS_ENDPOINT) to the gateway, for example "https://1234567890.cn-shanghai.pai-eas.aliyuncs.com", or set ' +
        `customUrl. The endpoint may be left out only inside an EAS instance: ${reason}`,
    );
  }
  return { origin: `http://${host.toLowerCase()}:8080`, host, prefix: "", serviceName: undefined, requestPath: "" };
}

function parseUrl(name: string, text: string): URL {
  if (typeof text !== "string") throw badUrl(name, "", `is ${show(text)}: it must be a string`);
  const trimmed = text.trim();
  // URL parsers drop some control characters and treat a backslash as a slash, so reject both.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the expression rejects control characters
  if (/[\x00-\x1f\x7f\\]/.test(trimmed))
    throw badUrl(name, text, "contains a control character or a backslash: remove it");
  // Reject these forms because URL parsers would treat "https" in "https:8080" as a host, and would ignore the third
  // slash in "https:///host".
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

/**
 * Creates the error for an invalid URL. The message contains the URL without its query, or omits the URL if it may
 * contain a password.
 */
function badUrl(name: string, text: string, why: string): TypeError {
  return argumentTypeError(
    "ERR_EAS_ARG_ENDPOINT",
    `${name} ${!text || text.includes("@") ? "" : `${showUrl(text)} `}${why}`,
  );
}
