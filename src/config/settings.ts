import { directRoute, type Route } from "../endpoint/direct-route.js";
import type { Balancer, DirectOptions, DiscoveryOptions } from "../endpoint/endpoint-source.js";
import {
  checkCustomUrl,
  checkEndpoint,
  checkServiceName,
  endpointOf,
  parseEndpoint,
} from "../endpoint/parse-endpoint.js";
import { EasUnsupportedError } from "../errors.js";
import type { Compression, Decompression } from "../formats/request.js";
import type { HeaderPair, WebSocketDialer } from "../platform/contract.js";
import type { AddressTools, ClientEnvironment, EnvironmentOptions } from "../platform/environment-contract.js";
import { argumentTypeError, optionError, show } from "../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../util/option-names.js";
import { tagOf } from "../util/realms.js";
import { checkHeaders, checkHeaderValue } from "./headers.js";
import { type CallHooks, type CallLogger, checkHooks, checkLogger, type Warner } from "./hooks.js";
import {
  type Auth,
  type ClientOptions,
  DEFAULT_MAX_RESPONSE_BYTES,
  DEFAULT_RETRY_COUNT,
  type Preset,
  type Token,
} from "./options.js";
import { checkPath } from "./url.js";
import {
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
  checkTokenText,
} from "./validate.js";

/** Sends requests through the gateway. This is the default `endpointType`. */
export const ENDPOINT_TYPE_GATEWAY = "GATEWAY";
/** Sends requests directly to the instances that discovery lists. Works only inside a VPC. */
export const ENDPOINT_TYPE_DIRECT = "DIRECT";

/** Route to a service: through the gateway, or directly to its instances. */
export type EndpointType = typeof ENDPOINT_TYPE_GATEWAY | typeof ENDPOINT_TYPE_DIRECT;

/** Options for a `PredictClient`. */
export interface PredictClientOptions extends ClientOptions {
  /**
   * Address from the console, with or without a scheme and a trailing slash. Can be one of the following:
   * - the host of a gateway;
   * - the URL of a service, with `/api/predict/<service>`;
   * - the host of a service, `<service>.<gateway>.<region>.pai-eas.aliyuncs.com`, which makes `serviceName`
   *   unnecessary;
   * - for `ENDPOINT_TYPE_DIRECT`, the region's discovery service, `pai-eas-vpc.<region>.aliyuncs.com`.
   *
   * A path after the service name, such as `/v1`, becomes the default path for calls. Inside an EAS instance,
   * `endpoint` is optional: `serviceName` is sufficient if the environment variables `NAMESPACE` and `POD_NAME` are
   * set.
   */
  readonly endpoint?: string | undefined;
  /** Name of the service: `"service"`, `"group.service"` or `"service/model"`. */
  readonly serviceName?: string | undefined;
  /** Full URL of a server that is not behind an EAS gateway. Overrides `endpoint` and `serviceName`. */
  readonly customUrl?: string | undefined;
  /** Route to the service. Default `ENDPOINT_TYPE_GATEWAY`. */
  readonly endpointType?: EndpointType | undefined;
  /** `Content-Type` of all requests. Overrides the content type of the input. */
  readonly contentType?: string | undefined;
  /**
   * Path within the service for calls without a `path` option. Default: the path after the service name in `endpoint`.
   */
  readonly requestPath?: string | undefined;
  /**
   * Timeouts and retry rules for one kind of service. Other options of this client or of a call override the preset.
   * Default: no preset, except for some calls to `PredictClient.json`.
   */
  readonly preset?: Preset | undefined;
  /**
   * Logger that receives one message per call, for example `console`. Default: a warning on `console` when a token is
   * sent unencrypted. `null` disables that warning.
   */
  readonly logger?: CallLogger | null | undefined;
  /** Opens WebSockets for `connect` instead of the runtime. */
  readonly dialWebSocket?: WebSocketDialer | undefined;
}

/**
 * The checked options of a client. Each change replaces the whole object, so that calls in flight keep their settings.
 */
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
  readonly onSet?: EnvironmentOptions["onSet"];
}

/** The settings that a caller can set. */
type CheckedSettings = Omit<Settings, "onSet">;

/** Content type used when neither the client nor the request sets one. */
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
  endpointSource: undefined,
  discovery: undefined,
  balancer: undefined,
  hedgeAfter: undefined,
};

/**
 * Returns the options for a client created with an options object, or with an endpoint and options. Throws a
 * `TypeError` for other values, such as a `URL` or a `Request`, which would otherwise be treated as an empty options
 * object.
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
      `${client} accepts an options object or an endpoint string, not ${show(first)}`,
    );
  }
  return first;
}

/** The name of a setting and its new value. */
export type Setting = {
  [K in keyof CheckedSettings]: [name: K, value: NonNullable<PredictClientOptions[K]>];
}[keyof CheckedSettings];

type AnyCheck = (name: string, value: unknown) => unknown;

/**
 * The function that checks each setting. An empty endpoint, service name or URL is accepted because it may be set later
 * with a setter.
 */
export const CHECKS: {
  readonly [K in keyof CheckedSettings]: (name: K, value: NonNullable<PredictClientOptions[K]>) => Settings[K];
} = {
  endpoint: (_, value) => (value === "" ? "" : checkEndpoint(value)),
  serviceName: (_, value) => (value === "" ? "" : checkServiceName(value)),
  customUrl: (_, value) => (value === "" ? "" : checkCustomUrl(value)),
  endpointType: (_, value) => checkEndpointType(value),
  token: (_, value: Token | null) => (value === null ? undefined : checkToken(value)),
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
  endpointSource: checkFunction,
  discovery: (_, value) => checkDiscovery(value),
  balancer: (_, value) => checkBalancer(value),
  hedgeAfter: (name, value) => (value === "p95" ? value : checkTimeout(name, value)),
};

/** Logger that discards warnings. Used for `logger: null`. */
const SILENT: Warner = { warn: () => {} };

/** Names of all `PredictClient` options: the settings, and the options that only the constructor reads. */
export const CLIENT_OPTIONS: OptionNames<PredictClientOptions> = {
  ...CHECKS,
  transport: 1,
  fetch: 1,
  maxConnectionCount: 1,
};

/** Functions that the environment's options are checked with. */
export const ADDRESS_TOOLS: AddressTools = {
  parseEndpoint,
  endpointOf: (options) => endpointOf(options),
  checkServiceName,
  checkCustomUrl,
  checkTokenText,
};

/**
 * Checks the values of all options of a client and returns its settings. Options that are left out are taken from
 * `environment`, if the runtime has one. Throws a `TypeError` or `RangeError`.
 */
export function checkOptions(given: PredictClientOptions, environment: ClientEnvironment | undefined): Settings {
  // `token: undefined` usually comes from an unset environment variable. Without a token, the service would respond
  // with 401.
  if ("token" in given && given.token !== null) checkToken(given.token as Token);
  const found = environment?.options(given, ADDRESS_TOOLS);
  const options = { ...given, ...found };
  const settings: Record<string, unknown> = { ...INITIAL_SETTINGS, logger: environment?.logger(), onSet: found?.onSet };
  for (const [name, check] of Object.entries(CHECKS) as [keyof CheckedSettings, AnyCheck][]) {
    const value = options[name];
    // Only undefined selects the default. Null, for example from a form or a file, fails most checks.
    if (value !== undefined) settings[name] = check(name, value);
  }
  const checked = settings as unknown as Settings;
  endpointOf(checked);
  return checked;
}

/** Checks a new value of one setting and returns the changed settings. */
export function withSetting(settings: Settings, [name, value]: Setting): Settings {
  const checked = (CHECKS[name] as AnyCheck)(name, value);
  return { ...settings, [name]: checked, ...settings.onSet?.(name, value) };
}

function checkDiscovery(value: DiscoveryOptions): DiscoveryOptions {
  if (typeof value !== "object" || value === null) {
    throw optionError("discovery", value, "be an object, such as { interval: 3000 }");
  }
  checkOptionNames("discovery", value, { path: 1, internal: 1, interval: 1, timeout: 1 });
  const { path, internal, interval, timeout } = value;
  if (!["auto", "exported-apis", "service-discovery", undefined].includes(path)) {
    throw optionError("discovery.path", path, 'be "auto", "exported-apis" or "service-discovery"');
  }
  if (internal !== undefined) checkBoolean("discovery.internal", internal);
  if (interval !== undefined) checkTimeout("discovery.interval", interval);
  if (timeout !== undefined) checkTimeout("discovery.timeout", timeout);
  return { path, internal, interval, timeout };
}

function checkBalancer(value: Balancer): Balancer {
  if (value === "weighted-round-robin" || value === "least-inflight") return value;
  throw optionError("balancer", value, 'be "weighted-round-robin" or "least-inflight"');
}

/**
 * Returns the route to a service's instances, or undefined for a service behind a gateway. Throws a `TypeError` if an
 * option for direct connections is set for a service behind a gateway. If such an option were ignored, the call would
 * go to the wrong server or would not be hedged.
 */
export function routeOf(settings: Settings): Route | undefined {
  if (settings.endpointType === ENDPOINT_TYPE_DIRECT) return directRoute(settings);
  const misplaced = (["endpointSource", "hedgeAfter"] as const).find((name) => settings[name] !== undefined);
  if (misplaced === undefined) return undefined;
  throw argumentTypeError("ERR_EAS_ARG_OPTION", `${misplaced} needs endpointType: ENDPOINT_TYPE_DIRECT`);
}

function checkEndpointType(value: EndpointType): EndpointType {
  if (value === ENDPOINT_TYPE_GATEWAY || value === ENDPOINT_TYPE_DIRECT) return value;
  const right = "ENDPOINT_TYPE_GATEWAY or ENDPOINT_TYPE_DIRECT";
  if (value === "VIPSERVER") {
    throw new EasUnsupportedError(`endpointType VIPSERVER works only inside Alibaba's internal network: use ${right}`);
  }
  throw optionError("endpointType", value, `be ${right}`);
}
