import type { DirectOptions } from "../endpoint/endpoint-source.js";
import { checkCustomUrl, checkEndpoint, checkServiceName, endpointOf } from "../endpoint/parse-endpoint.js";
import { EasUnsupportedError } from "../errors.js";
import type { Compression, Decompression } from "../formats/request.js";
import type { HeaderPair, WebSocketDialer } from "../platform/contract.js";
import { argumentTypeError, optionError, show } from "../util/argument-errors.js";
import type { OptionNames } from "../util/option-names.js";
import { tagOf } from "../util/realms.js";
import { DIRECT_CHECKS, NO_DIRECT_OPTIONS } from "./direct-options.js";
import { checkHeaders, checkHeaderValue } from "./headers.js";
import { type CallHooks, type CallLogger, checkHooks, checkLogger, type Warner } from "./hooks.js";
import {
  type Auth,
  type ClientOptions,
  checkAuth,
  checkBoolean,
  checkCompression,
  checkCount,
  checkDecompression,
  checkFunction,
  checkLimit,
  checkPreset,
  checkTimeout,
  checkToken,
  DEFAULT_MAX_RESPONSE_BYTES,
  DEFAULT_RETRY_COUNT,
  type Preset,
  type Token,
} from "./options.js";
import { checkPath } from "./url.js";

/** Requests go through the gateway. The default. */
export const ENDPOINT_TYPE_GATEWAY = "GATEWAY";
/** Requests go straight to the instances, which discovery names; inside a VPC. */
export const ENDPOINT_TYPE_DIRECT = "DIRECT";

/** How a client reaches its service. */
export type EndpointType = typeof ENDPOINT_TYPE_GATEWAY | typeof ENDPOINT_TYPE_DIRECT;

/** Options of a `PredictClient`. */
export interface PredictClientOptions extends ClientOptions {
  /**
   * The gateway or the service, as the console shows it, with or without scheme and slash at the end: a gateway; a service's URL with
   * `/api/predict/<service>`; or the host of a service, `<service>.<gateway>.<region>.pai-eas.aliyuncs.com`, which needs no
   * `serviceName`. A path behind the service, such as `/v1`, is the path of calls that set none. Inside an EAS instance, where the
   * environment has `NAMESPACE` and `POD_NAME`, it may be left out: the service is found by its name. For `ENDPOINT_TYPE_DIRECT`
   * the region's discovery, `pai-eas-vpc.<region>.aliyuncs.com`.
   */
  readonly endpoint?: string | undefined;
  /** The service: `"service"`, `"group.service"` or `"service/model"`. */
  readonly serviceName?: string | undefined;
  /** The whole URL of a server that is not behind an EAS gateway. Overrides `endpoint` and `serviceName`. */
  readonly customUrl?: string | undefined;
  /** Default `ENDPOINT_TYPE_GATEWAY`. */
  readonly endpointType?: EndpointType | undefined;
  /** `Content-Type` of all requests. Overrides that of the input. */
  readonly contentType?: string | undefined;
  /** Path behind the service, for calls that set none. Default: the path behind the service in `endpoint`. */
  readonly requestPath?: string | undefined;
  /**
   * Timeouts and retries for a kind of service; the options of this client and of a call override it. Default: none, but see
   * `PredictClient.json`.
   */
  readonly preset?: Preset | undefined;
  /**
   * Receives a line for each call, such as `console`. Default: only a warning about a token that is sent unencrypted, on `console`.
   * `null` turns that off too.
   */
  readonly logger?: CallLogger | null | undefined;
  /** Opens the WebSockets of `connect`, in place of the runtime's own. */
  readonly dialWebSocket?: WebSocketDialer | undefined;
}

/** All that a client has been told, checked. Replaced as a whole, so that calls in flight keep theirs. */
export interface Settings extends Required<DirectOptions> {
  readonly endpoint: string;
  readonly serviceName: string;
  readonly customUrl: string;
  readonly endpointType: EndpointType;
  readonly token: Token | undefined;
  readonly auth: Auth;
  readonly preset: Preset | undefined;
  readonly timeout: number | undefined;
  readonly totalTimeout: number | undefined;
  readonly retryCount: number;
  readonly retryOn: ClientOptions["retryOn"];
  readonly headers: readonly HeaderPair[];
  readonly contentType: string | undefined;
  readonly requestPath: string;
  readonly compression: Compression | undefined;
  readonly announceCompression: boolean;
  readonly decompression: Decompression;
  readonly maxRequestBytes: number | undefined;
  readonly maxResponseBytes: number;
  readonly zeroCopy: boolean;
  readonly hooks: readonly CallHooks[] | undefined;
  readonly logger: CallLogger | Warner | undefined;
  readonly dialWebSocket: WebSocketDialer | undefined;
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
  preset: undefined,
  timeout: undefined,
  totalTimeout: undefined,
  retryCount: DEFAULT_RETRY_COUNT,
  retryOn: undefined,
  headers: [],
  contentType: undefined,
  requestPath: "",
  compression: undefined,
  announceCompression: false,
  decompression: "auto",
  maxRequestBytes: undefined,
  maxResponseBytes: DEFAULT_MAX_RESPONSE_BYTES,
  zeroCopy: false,
  hooks: undefined,
  logger: undefined,
  dialWebSocket: undefined,
  ...NO_DIRECT_OPTIONS,
};

/**
 * The options of a client, which may have come by position. Refuses what is no options object; a URL or a request would be
 * taken for one without any option.
 */
export function optionsOf<O extends { readonly endpoint?: string | undefined }>(
  client: string,
  first: string | O | undefined,
  more: O,
): O {
  if (first === undefined || typeof first === "string") return { ...more, endpoint: first };
  const isOptions = typeof first === "object" && first !== null;
  if (!isOptions || ["URL", "Request"].includes(tagOf(first))) {
    throw argumentTypeError(
      "ERR_EAS_ARG_OPTION",
      `${client} takes an options object or an endpoint string, not ${show(first)}`,
    );
  }
  return first;
}

/** An option's name and what it may be set to. */
export type Setting = {
  [K in keyof Settings]: [name: K, value: NonNullable<PredictClientOptions[K]>];
}[keyof Settings];

type AnyCheck = (name: string, value: unknown) => unknown;

/** How each option is checked. An empty endpoint, service name or URL is one that is yet to be set. */
export const CHECKS: {
  readonly [K in keyof Settings]: (name: K, value: NonNullable<PredictClientOptions[K]>) => Settings[K];
} = {
  endpoint: (_, value) => (value === "" ? "" : checkEndpoint(value)),
  serviceName: (_, value) => (value === "" ? "" : checkServiceName(value)),
  customUrl: (_, value) => (value === "" ? "" : checkCustomUrl(value)),
  endpointType: (_, value) => checkEndpointType(value),
  token: (_, value) => checkToken(value),
  auth: (_, value) => checkAuth(value),
  preset: (_, value) => checkPreset(value),
  timeout: checkTimeout,
  totalTimeout: checkTimeout,
  retryCount: (name, value) => checkCount(name, value, 0),
  retryOn: checkFunction,
  headers: (_, value) => checkHeaders(value),
  contentType: (_, value) => checkHeaderValue("content-type", value),
  requestPath: (_, value) => checkPath(value),
  compression: (_, value) => checkCompression(value),
  announceCompression: checkBoolean,
  decompression: (_, value) => checkDecompression(value),
  maxRequestBytes: (name, value) => checkLimit(name, value, 0),
  maxResponseBytes: (name, value) => checkLimit(name, value, 1),
  zeroCopy: checkBoolean,
  hooks: (_, value) => checkHooks(value),
  logger: (_, value: CallLogger | null) => (value === null ? SILENT : checkLogger(value)),
  dialWebSocket: checkFunction,
  ...DIRECT_CHECKS,
};

const SILENT: Warner = { warn: () => {} };

/** The options of a `PredictClient`: its settings, and what only the constructor reads. */
export const CLIENT_OPTIONS: OptionNames<PredictClientOptions> = {
  ...CHECKS,
  transport: 1,
  fetch: 1,
  maxConnectionCount: 1,
};

/** Checks the values of all options of a client. */
export function checkOptions(options: PredictClientOptions): Settings {
  // An environment variable that is not set: without a token, the service would answer 401.
  if ("token" in options) checkToken(options.token as Token);
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
  throw optionError("endpointType", value, `be ${right}`);
}
