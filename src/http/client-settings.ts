import {
  checkCustomUrl,
  checkServiceConflict,
  checkServiceName,
  gatewayTarget,
  parseEndpoint,
  type Target,
} from "../endpoint/gateway.js";
import { argumentRangeError, argumentTypeError, EasUnsupportedError, show } from "../errors.js";
import type { HeaderPair, Platform } from "../platform/platform.js";
import type { Compression, Decompression } from "../request.js";
import { fixedHeaders, resolveAuth } from "./auth.js";
import type { CallPlan } from "./call-plan.js";
import { decodingOf } from "./content-encoding.js";
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
/** Requests go straight to the instances, inside a VPC. Not built yet: calls reject with `EasUnsupportedError`. */
export const ENDPOINT_TYPE_DIRECT = "DIRECT";

/** How a client reaches its service. */
export type EndpointType = typeof ENDPOINT_TYPE_GATEWAY | typeof ENDPOINT_TYPE_DIRECT;

/** Options of a `PredictClient`. */
export interface PredictClientOptions extends ClientOptions {
  /**
   * The gateway, as the console shows it: with or without scheme and slash at the end, or the whole URL of a service with
   * `/api/predict/<service>`. Without one, the environment variable `NAMESPACE` finds the service inside a cluster.
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
export interface Settings {
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

export const INITIAL_SETTINGS: Settings = {
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
};

/** Refuses what is no options object; a URL or a request would be taken for one without any option. */
export function checkOptionsOf(client: string, options: unknown): void {
  const isOptions = typeof options === "object" && options !== null;
  if (!isOptions || options instanceof URL || options instanceof Request) {
    throw argumentTypeError(
      "ERR_EAS_ARG_OPTION",
      `${client} takes options or an endpoint as text, not ${show(options)}`,
    );
  }
}

/** Checks all options of a client. */
export function checkOptions(options: PredictClientOptions): Settings {
  const optional = <T>(value: T | undefined, check: (value: T) => T): T | undefined =>
    value === undefined ? undefined : check(value);
  // Defaults stand for what is left out only: a null, as from a form or a file, is refused below.
  const {
    endpoint = "",
    serviceName = "",
    customUrl = "",
    endpointType = INITIAL_SETTINGS.endpointType,
    auth = INITIAL_SETTINGS.auth,
    timeout = INITIAL_SETTINGS.timeout,
    totalTimeout = INITIAL_SETTINGS.totalTimeout,
    retryCount = INITIAL_SETTINGS.retryCount,
    headers = [],
    requestPath = "",
    decompression = INITIAL_SETTINGS.decompression,
    maxResponseBytes = INITIAL_SETTINGS.maxResponseBytes,
  } = options;
  if (endpoint !== "") checkServiceConflict(parseEndpoint(endpoint), serviceName);
  if (serviceName !== "") checkServiceName(serviceName);
  return {
    endpoint,
    serviceName,
    customUrl: customUrl === "" ? "" : checkCustomUrl(customUrl),
    endpointType: checkEndpointType(endpointType),
    token: optional(options.token, checkToken),
    auth: checkAuth(auth),
    timeout: checkTimeout("timeout", timeout),
    totalTimeout: checkTimeout("totalTimeout", totalTimeout),
    retryCount: checkCount("retryCount", retryCount, 0),
    retryOn: optional(options.retryOn, (value) => checkFunction("retryOn", value)),
    headers: checkHeaders(headers),
    contentType: optional(options.contentType, (value) => checkHeaderValue("content-type", value)),
    requestPath: checkPath(requestPath),
    compression: optional(options.compression, checkCompression),
    decompression: checkDecompression(decompression),
    maxRequestBytes: optional(options.maxRequestBytes, (value) => checkLimit("maxRequestBytes", value, 0)),
    maxResponseBytes: checkLimit("maxResponseBytes", maxResponseBytes, 1),
  };
}

/** Checks an endpoint type and returns it. */
export function checkEndpointType(value: EndpointType): EndpointType {
  if ((value as string) === "VIPSERVER") {
    throw new EasUnsupportedError(
      "endpointType VIPSERVER works inside Alibaba's own network only and is not part of this SDK: use ENDPOINT_TYPE_GATEWAY or ENDPOINT_TYPE_DIRECT",
    );
  }
  if (value !== ENDPOINT_TYPE_GATEWAY && value !== ENDPOINT_TYPE_DIRECT) {
    throw argumentTypeError(
      "ERR_EAS_ARG_OPTION",
      `endpointType is ${show(value)}: it must be ENDPOINT_TYPE_GATEWAY or ENDPOINT_TYPE_DIRECT`,
    );
  }
  return value;
}

/**
 * Works out what all calls under `settings` have in common; throws for what cannot work together. `contentType` is sent
 * where neither the settings nor a request say one; without it none is.
 */
export function prepare(settings: Settings, platform: Platform, defaultContentType?: string): Prepared {
  if (settings.endpointType === ENDPOINT_TYPE_DIRECT) {
    throw new EasUnsupportedError("ENDPOINT_TYPE_DIRECT is not built into this version yet: use ENDPOINT_TYPE_GATEWAY");
  }
  const target = gatewayTarget(settings, platform.env);
  const auth = resolveAuth(settings.auth, platform, { ...target, method: "POST" });
  const ownContentType = settings.contentType ?? new Map(settings.headers).get("content-type");
  const contentType = ownContentType ?? defaultContentType;
  const base =
    contentType === undefined ? settings.headers : mergeHeaders(settings.headers, [["content-type", contentType]]);
  const { droppedHeaders } = platform;
  const headers = checkSettable(base, { token: settings.token, auth, droppedHeaders });
  const suffix = suffixOf(settings.requestPath, undefined);
  return {
    target,
    hasContentType: ownContentType !== undefined,
    plan: {
      kind: "predict",
      isHeld: false,
      method: "POST",
      target,
      suffix,
      ...pathsOf(target, suffix),
      headers,
      fixedHeaders: fixedHeaders(headers, auth, settings.token),
      contentType: contentType ?? "",
      droppedHeaders,
      auth,
      token: settings.token,
      timeout: settings.timeout,
      totalTimeout: settings.totalTimeout,
      retryCount: settings.retryCount,
      retryOn: settings.retryOn,
      signal: undefined,
      maxResponseBytes: settings.maxResponseBytes,
      decoding: decodingOf(settings.decompression, settings.compression),
    },
    maxRequestBytes:
      settings.maxRequestBytes ??
      (target.isSharedGateway ? SHARED_GATEWAY_MAX_REQUEST_BYTES : Number.POSITIVE_INFINITY),
  };
}

function pathsOf({ path, query, resource }: Target, { wire, signed }: Suffix): Pick<CallPlan, "path" | "resource"> {
  return { path: joinPath(path, query, wire), resource: joinPath(resource, query, signed) };
}

/** A plan with the options of one call above it. */
export function withCallOptions(plan: CallPlan, call: CallOptions): CallPlan {
  const { path, query, headers, timeout, totalTimeout, retryCount, retryOn, signal } = call;
  const suffix = path === undefined && query === undefined ? plan.suffix : suffixOf(path ?? plan.suffix.signed, query);
  return {
    ...(headers === undefined ? plan : withHeaders(plan, checkHeaders(headers))),
    suffix,
    ...pathsOf(plan.target, suffix),
    timeout: timeout === undefined ? plan.timeout : checkTimeout("timeout", timeout),
    totalTimeout: totalTimeout === undefined ? plan.totalTimeout : checkTimeout("totalTimeout", totalTimeout),
    retryCount: retryCount === undefined ? plan.retryCount : checkCount("retryCount", retryCount, 0),
    retryOn: retryOn === undefined ? plan.retryOn : checkFunction("retryOn", retryOn),
    signal: signal === undefined ? undefined : checkSignal(signal),
  };
}

/** A plan with more headers, which stand above those that it has. */
export function withHeaders(plan: CallPlan, added: readonly HeaderPair[]): CallPlan {
  const headers = checkSettable(mergeHeaders(plan.headers, added), plan);
  return {
    ...plan,
    headers,
    fixedHeaders: fixedHeaders(headers, plan.auth, plan.token),
    contentType: new Map(headers).get("content-type") ?? "",
  };
}

/** Refuses headers that the runtime or the authorization sets itself: they would be silently dropped, or sent twice. */
function checkSettable(
  headers: readonly HeaderPair[],
  { token, auth, droppedHeaders }: Pick<CallPlan, "token" | "auth" | "droppedHeaders">,
): readonly HeaderPair[] {
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
  return headers;
}

/** The error for a body over the limit. */
export function bodyTooLarge(length: number, { target, maxRequestBytes }: Prepared): RangeError {
  const whose = target.isSharedGateway ? "the shared gateway takes no more" : "maxRequestBytes";
  return argumentRangeError(
    "ERR_EAS_ARG_BODY_SIZE",
    `the request body has ${length} bytes, and the limit is ${maxRequestBytes} (${whose}). Three ways down: ` +
      "send less at once or smaller values (an encoded image or UINT8 pixels in place of FLOAT); " +
      'compress it (setCompression("gzip"), with metadata.rpc.decompressor in the service\'s configuration); ' +
      "or put the data into object storage and send its URL. A dedicated gateway has a limit of its own: set maxRequestBytes",
  );
}
