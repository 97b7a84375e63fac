import type { DirectOptions } from "../endpoint/endpoint-source.js";
import {
  checkCustomUrl,
  checkEndpoint,
  checkServiceName,
  endpointOf,
  gatewayTarget,
  type Target,
} from "../endpoint/gateway.js";
import { argumentRangeError, argumentTypeError, EasUnsupportedError, show } from "../errors.js";
import type { HeaderPair, Platform } from "../platform/platform.js";
import type { Compression, Decompression } from "../request.js";
import { fixedHeaders, resolveAuth } from "./auth.js";
import type { CallPlan } from "./call-plan.js";
import { decodingOf } from "./content-encoding.js";
import { DIRECT_CHECKS, NO_DIRECT_OPTIONS, routeOf } from "./direct-options.js";
import { checkHeaders, checkHeaderValue, mergeHeaders } from "./headers.js";
import {
  type Auth,
  type CallOptions,
  type ClientOptions,
  checkAuth,
  checkCompression,
  checkCount,
  checkDecompression,
  checkFunction,
  checkLimit,
  checkSignal,
  checkTimeout,
  checkToken,
  DEFAULT_MAX_RESPONSE_BYTES,
  DEFAULT_RETRY_COUNT,
  DEFAULT_TIMEOUT_MS,
  DEFAULT_TOTAL_TIMEOUT_MS,
  SHARED_GATEWAY_MAX_REQUEST_BYTES,
  type Token,
} from "./options.js";
import { checkPath, joinPath, type Suffix, suffixOf } from "./url.js";

/** Requests go through the gateway. The default. */
export const ENDPOINT_TYPE_GATEWAY = "GATEWAY";
/** Requests go straight to the instances, which discovery names; inside a VPC. */
export const ENDPOINT_TYPE_DIRECT = "DIRECT";

/** How a client reaches its service. */
export type EndpointType = typeof ENDPOINT_TYPE_GATEWAY | typeof ENDPOINT_TYPE_DIRECT;

/** Options of a `PredictClient`. */
export interface PredictClientOptions extends ClientOptions {
  /**
   * The gateway, as the console shows it: with or without scheme and slash at the end, or the whole URL of a service with
   * `/api/predict/<service>`. Without one, the environment variable `NAMESPACE` finds the service inside a cluster. For
   * `ENDPOINT_TYPE_DIRECT` the region's discovery, `pai-eas-vpc.<region>.aliyuncs.com`.
   */
  readonly endpoint?: string | undefined;
  /** The service: `"service"`, `"group.service"` or `"service/model"`. */
  readonly serviceName?: string | undefined;
  /** The whole URL of a service that is not below `/api/predict/`, such as one with a web page of its own. */
  readonly customUrl?: string | undefined;
  /** Default `ENDPOINT_TYPE_GATEWAY`. */
  readonly endpointType?: EndpointType | undefined;
  /** `Content-Type` of all requests, above what the request itself says. */
  readonly contentType?: string | undefined;
  /** Path behind the service for all requests. */
  readonly requestPath?: string | undefined;
}

/** All that a client has been told, checked. Replaced as a whole, so that calls in flight keep theirs. */
export interface Settings extends Required<DirectOptions> {
  readonly endpoint: string;
  readonly serviceName: string;
  readonly customUrl: string;
  readonly endpointType: EndpointType;
  readonly token: Token | undefined;
  readonly auth: Auth;
  readonly timeout: number;
  readonly totalTimeout: number;
  readonly retryCount: number;
  readonly retryOn: ClientOptions["retryOn"];
  readonly headers: readonly HeaderPair[];
  readonly contentType: string | undefined;
  readonly requestPath: string;
  readonly compression: Compression | undefined;
  readonly decompression: Decompression;
  readonly maxRequestBytes: number | undefined;
  readonly maxResponseBytes: number;
}

/** What all calls under the same settings have in common. */
export interface Prepared {
  readonly target: Target;
  readonly plan: CallPlan;
  /** Whether the client says the content type, so that requests do not. */
  readonly hasContentType: boolean;
  readonly maxRequestBytes: number;
}

/** What bytes are, when nobody says what they are. */
export const OCTET_STREAM = "application/octet-stream";

const INITIAL_SETTINGS: Settings = {
  endpoint: "",
  serviceName: "",
  customUrl: "",
  endpointType: ENDPOINT_TYPE_GATEWAY,
  token: undefined,
  auth: "auto",
  timeout: DEFAULT_TIMEOUT_MS,
  totalTimeout: DEFAULT_TOTAL_TIMEOUT_MS,
  retryCount: DEFAULT_RETRY_COUNT,
  retryOn: undefined,
  headers: [],
  contentType: undefined,
  requestPath: "",
  compression: undefined,
  decompression: "auto",
  maxRequestBytes: undefined,
  maxResponseBytes: DEFAULT_MAX_RESPONSE_BYTES,
  ...NO_DIRECT_OPTIONS,
};

/**
 * The options of a client, which may have come by position. Refuses what is no options object; a URL or a request would be
 * taken for one without any option.
 */
export function optionsOf<O extends PredictClientOptions>(client: string, first: string | O | undefined, more: O): O {
  if (first === undefined || typeof first === "string") return { ...more, endpoint: first };
  const isOptions = typeof first === "object" && first !== null;
  if (!isOptions || first instanceof URL || first instanceof Request) {
    throw argumentTypeError("ERR_EAS_ARG_OPTION", `${client} takes options or an endpoint as text, not ${show(first)}`);
  }
  return first;
}

/** An option's name and what it may be set to. */
export type Setting = {
  [K in keyof Settings]: [name: K, value: NonNullable<PredictClientOptions[K]>];
}[keyof Settings];

type AnyCheck = (name: string, value: unknown) => unknown;

/** How each option is checked. An empty endpoint, service name or URL is one that is yet to be set. */
const CHECKS: {
  readonly [K in keyof Settings]: (name: K, value: NonNullable<PredictClientOptions[K]>) => Settings[K];
} = {
  endpoint: (_, value) => (value === "" ? "" : checkEndpoint(value)),
  serviceName: (_, value) => (value === "" ? "" : checkServiceName(value)),
  customUrl: (_, value) => (value === "" ? "" : checkCustomUrl(value)),
  endpointType: (_, value) => checkEndpointType(value),
  token: (_, value) => checkToken(value),
  auth: (_, value) => checkAuth(value),
  timeout: checkTimeout,
  totalTimeout: checkTimeout,
  retryCount: (name, value) => checkCount(name, value, 0),
  retryOn: checkFunction,
  headers: (_, value) => checkHeaders(value),
  contentType: (_, value) => checkHeaderValue("content-type", value),
  requestPath: (_, value) => checkPath(value),
  compression: (_, value) => checkCompression(value),
  decompression: (_, value) => checkDecompression(value),
  maxRequestBytes: (name, value) => checkLimit(name, value, 0),
  maxResponseBytes: (name, value) => checkLimit(name, value, 1),
  ...DIRECT_CHECKS,
};

/** Checks all options of a client. */
export function checkOptions(options: PredictClientOptions): Settings {
  const settings: Record<string, unknown> = { ...INITIAL_SETTINGS };
  for (const [name, check] of Object.entries(CHECKS) as [keyof Settings, AnyCheck][]) {
    const value = options[name];
    // Defaults stand for what is left out only: a null, as from a form or a file, is refused.
    if (value !== undefined) settings[name] = check(name, value);
  }
  const checked = settings as unknown as Settings;
  endpointOf(checked);
  return checked;
}

/** The settings with one of them changed; checks it. */
export function withSetting(settings: Settings, [name, value]: Setting): Settings {
  return { ...settings, [name]: (CHECKS[name] as AnyCheck)(name, value) };
}

function checkEndpointType(value: EndpointType): EndpointType {
  if (value === ENDPOINT_TYPE_GATEWAY || value === ENDPOINT_TYPE_DIRECT) return value;
  const right = "ENDPOINT_TYPE_GATEWAY or ENDPOINT_TYPE_DIRECT";
  if (value === "VIPSERVER") {
    throw new EasUnsupportedError(`endpointType VIPSERVER works inside Alibaba's own network only: use ${right}`);
  }
  throw argumentTypeError("ERR_EAS_ARG_OPTION", `endpointType is ${show(value)}: it must be ${right}`);
}

/**
 * Works out what all calls under `settings` have in common; throws for what cannot work together. `contentType` is sent
 * where neither the settings nor a request say one; without it none is.
 */
export function prepare(settings: Settings, platform: Platform, defaultContentType?: string): Prepared {
  const route = routeOf(settings);
  const target = route?.target ?? gatewayTarget(settings, platform.env);
  const auth = resolveAuth(settings.auth, platform, { ...target, method: "POST" });
  const ownContentType = settings.contentType ?? new Map(settings.headers).get("content-type");
  const contentType = ownContentType ?? defaultContentType;
  const headers =
    contentType === undefined ? settings.headers : mergeHeaders(settings.headers, [["content-type", contentType]]);
  const { droppedHeaders } = platform;
  const suffix = suffixOf(settings.requestPath, undefined);
  const { isSharedGateway } = target;
  return {
    target,
    hasContentType: ownContentType !== undefined,
    plan: {
      ...settings,
      kind: "predict",
      isHeld: false,
      method: "POST",
      target,
      route,
      suffix,
      ...pathsOf(target, suffix),
      ...planHeaders(headers, { token: settings.token, auth, droppedHeaders }),
      droppedHeaders,
      auth,
      signal: undefined,
      decoding: decodingOf(settings.decompression, settings.compression),
    },
    maxRequestBytes: settings.maxRequestBytes ?? (isSharedGateway ? SHARED_GATEWAY_MAX_REQUEST_BYTES : Infinity),
  };
}

function pathsOf({ path, query, resource }: Target, { wire, signed }: Suffix): Pick<CallPlan, "path" | "resource"> {
  return { path: joinPath(path, query, wire), resource: joinPath(resource, query, signed) };
}

/** A plan with the options of one call above it. */
export function withCallOptions(plan: CallPlan, call: CallOptions): CallPlan {
  const { path, query, headers, signal } = call;
  const suffix = path === undefined && query === undefined ? plan.suffix : suffixOf(path ?? plan.suffix.signed, query);
  const checked = <K extends "timeout" | "totalTimeout" | "retryCount" | "retryOn">(name: K) => {
    const value = call[name];
    return value === undefined ? plan[name] : CHECKS[name](name, value);
  };
  return {
    ...(headers === undefined ? plan : withHeaders(plan, checkHeaders(headers))),
    suffix,
    ...pathsOf(plan.target, suffix),
    timeout: checked("timeout"),
    totalTimeout: checked("totalTimeout"),
    retryCount: checked("retryCount"),
    retryOn: checked("retryOn"),
    signal: signal === undefined ? undefined : checkSignal(signal),
  };
}

/** A plan with more headers, which stand above those that it has. */
export function withHeaders(plan: CallPlan, added: readonly HeaderPair[]): CallPlan {
  return { ...plan, ...planHeaders(mergeHeaders(plan.headers, added), plan) };
}

/**
 * What a plan says of its headers. Refuses those that the runtime or the authorization sets itself: they would be silently
 * dropped, or sent twice.
 */
function planHeaders(
  headers: readonly HeaderPair[],
  { token, auth, droppedHeaders }: Pick<CallPlan, "token" | "auth" | "droppedHeaders">,
): Pick<CallPlan, "headers" | "fixedHeaders" | "contentType"> {
  const owned = !token ? [] : auth === "signature" ? ["authorization", "date", "content-md5"] : ["authorization"];
  for (const [name] of headers) {
    if (droppedHeaders?.test(name)) {
      throw argumentTypeError("ERR_EAS_ARG_HEADER", `header ${name} cannot be set: browsers drop it silently`);
    }
    if (owned.includes(name)) {
      throw argumentTypeError(
        "ERR_EAS_ARG_HEADER",
        `header ${name} is set by the token (auth "${auth}"): leave out the header or the token`,
      );
    }
  }
  return {
    headers,
    fixedHeaders: fixedHeaders(headers, auth, token),
    contentType: new Map(headers).get("content-type") ?? "",
  };
}

/** The error for a body over the limit. */
export function bodyTooLarge(length: number, { target, maxRequestBytes }: Prepared): RangeError {
  const whose = target.isSharedGateway ? "the shared gateway takes no more" : "maxRequestBytes";
  return argumentRangeError(
    "ERR_EAS_ARG_BODY_SIZE",
    `the request body has ${length} bytes, and the limit is ${maxRequestBytes} (${whose}): send less or smaller values ` +
      "(an encoded image, UINT8 in place of FLOAT); compress it (setCompression, with metadata.rpc.decompressor in the " +
      "service's configuration); or send the URL of an object storage. For a dedicated gateway, set maxRequestBytes",
  );
}
