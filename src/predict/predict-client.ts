import { platform } from "#platform";
import { checkServiceName, gatewayTarget, parseEndpoint, type Target } from "../endpoint/gateway.js";
import { argumentRangeError, argumentTypeError, EasDecodeError, EasUnsupportedError, show } from "../errors.js";
import { resolveAuth } from "../http/auth.js";
import { type CallPlan, type CallResult, makeCall } from "../http/call.js";
import { Channel } from "../http/channel.js";
import { checkHeaders, checkHeaderValue, mergeHeaders } from "../http/headers.js";
import {
  type CallOptions,
  type ClientOptions,
  checkAuth,
  checkCompression,
  checkCount,
  checkTimeout,
  checkToken,
  DEFAULT_MAX_RESPONSE_BYTES,
  DEFAULT_RETRY_COUNT,
  DEFAULT_TIMEOUT_MS,
  DEFAULT_TOTAL_TIMEOUT_MS,
  type HeadersInput,
  SHARED_GATEWAY_MAX_REQUEST_BYTES,
  type Token,
} from "../http/options.js";
import { checkPath, suffixOf } from "../http/url.js";
import { fetchTransport } from "../platform/fetch-transport.js";
import type { HeaderPair } from "../platform/platform.js";
import type { Bytes, Compression, PredictRequest } from "../request.js";
import { type Diagnosis, diagnose } from "./diagnose.js";
import { StringRequest, type StringResponse } from "./string-request.js";

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

/** A successful prediction and what it took. */
export interface PredictResult<R> {
  readonly response: R;
  readonly status: number;
  readonly headers: Headers;
  /** Scheme, host and port that answered. */
  readonly endpoint: string;
  readonly attempts: number;
  /** Milliseconds from the call to the last byte. */
  readonly elapsed: number;
}

/** All that a client has been told, checked. Replaced as a whole, so that calls in flight keep theirs. */
interface Settings {
  readonly endpoint: string;
  readonly serviceName: string;
  readonly customUrl: string;
  readonly endpointType: EndpointType;
  readonly token: Token | undefined;
  readonly auth: ReturnType<typeof checkAuth>;
  readonly timeout: number;
  readonly totalTimeout: number;
  readonly retryCount: number;
  readonly retryOn: ClientOptions["retryOn"];
  readonly headers: readonly HeaderPair[];
  readonly contentType: string | undefined;
  readonly requestPath: string;
  readonly compression: Compression | undefined;
  readonly maxRequestBytes: number | undefined;
  readonly maxResponseBytes: number;
}

/** What all calls under the same settings have in common. */
interface Prepared {
  readonly target: Target;
  readonly plan: CallPlan;
  readonly maxRequestBytes: number;
}

const OCTET_STREAM = "application/octet-stream";

const INITIAL: Settings = {
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
  maxRequestBytes: undefined,
  maxResponseBytes: DEFAULT_MAX_RESPONSE_BYTES,
};

/**
 * Calls one EAS service. Setters apply to the next call; calls in flight keep what they began with.
 *
 * @example
 * const client = new PredictClient({ endpoint: "1234.cn-shanghai.pai-eas.aliyuncs.com", serviceName: "scorecard", token });
 * const answer = await client.predict('[{"fea1": 1, "fea2": 2}]');
 */
export class PredictClient {
  #settings: Settings = INITIAL;
  #channel: Channel;
  #prepared: Prepared | undefined;

  /** Throws a `TypeError` or `RangeError` for an option that cannot be right; nothing is connected yet. */
  constructor(options?: PredictClientOptions);
  /** As the official Python SDK has it. */
  constructor(endpoint?: string, serviceName?: string, customUrl?: string);
  constructor(first: string | PredictClientOptions = {}, serviceName?: string, customUrl?: string) {
    const options = typeof first === "string" ? { endpoint: first, serviceName, customUrl } : first;
    if (typeof options !== "object" || options === null) {
      throw argumentTypeError("ERR_EAS_ARG_OPTION", `PredictClient takes options or an endpoint, not ${show(options)}`);
    }
    this.#settings = checkOptions(options);
    this.#channel = new Channel(
      platform,
      checkCount("maxConnectionCount", options.maxConnectionCount ?? platform.connectionCount, 1),
      options.transport ?? (options.fetch && fetchTransport({ fetch: options.fetch })),
    );
    const { asyncDispose } = Symbol as { asyncDispose?: symbol };
    // Set here and not on the class: some runtimes have no such symbol, and a module must not act when it is loaded.
    if (asyncDispose) Object.defineProperty(this, asyncDispose, { value: () => this.close() });
  }

  /** Sets the gateway; see the option `endpoint`. */
  setEndpoint(endpoint: string): this {
    if (endpoint !== "") parseEndpoint(endpoint);
    return this.#set({ endpoint });
  }

  /** Sets the service. */
  setServiceName(serviceName: string): this {
    checkServiceName(serviceName);
    return this.#set({ serviceName });
  }

  /** Sets how the service is reached: `ENDPOINT_TYPE_GATEWAY` or `ENDPOINT_TYPE_DIRECT`. */
  setEndpointType(endpointType: EndpointType): this {
    return this.#set({ endpointType: checkEndpointType(endpointType) });
  }

  /** Sets the service token, or a function that gives one before each attempt. */
  setToken(token: Token): this {
    return this.#set({ token: checkToken(token) });
  }

  /** Sets the retries after the first attempt; 0 makes one attempt. Default 5. */
  setRetryCount(retryCount: number): this {
    return this.#set({ retryCount: checkCount("retryCount", retryCount, 0) });
  }

  /** Sets the requests in flight to one host and, on Node, the connections. Default 100; 6 in browsers and workerd. */
  setMaxConnectionCount(maxConnectionCount: number): this {
    this.#channel.connectionCount = checkCount("maxConnectionCount", maxConnectionCount, 1);
    return this;
  }

  /** Sets the milliseconds for one attempt. Default 5,000. */
  setTimeout(timeout: number): this {
    return this.#set({ timeout: checkTimeout("timeout", timeout) });
  }

  /** Sets the `Content-Type` of all requests. */
  setContentType(contentType: string): this {
    return this.#set({ contentType: checkHeaderValue("content-type", contentType) });
  }

  /** Sets the path behind the service for all requests. */
  setRequestPath(path: string): this {
    return this.#set({ requestPath: checkPath(path) });
  }

  /** Adds headers to all requests; one of the same name is replaced. */
  addExtraHeaders(headers: HeadersInput): this {
    return this.#set({ headers: mergeHeaders(this.#settings.headers, checkHeaders(headers)) });
  }

  /** Sets the compression of all request bodies; `null` for none. */
  setCompression(compression: Compression | null): this {
    return this.#set({ compression: compression === null ? undefined : checkCompression(compression) });
  }

  /**
   * Checks the settings and loads what the first call would load. Optional. Its promise may be dropped: what is wrong is
   * thrown by the next call too.
   */
  init(): Promise<void> {
    const ready = (async () => {
      this.#prepare();
      await this.#channel.transport.ready?.();
    })();
    ready.catch(() => {});
    return ready;
  }

  /** Sends text, answered with text. */
  predict(text: string, call?: CallOptions): Promise<StringResponse>;
  /** Sends bytes, which are copied, answered with bytes. */
  predict(bytes: Uint8Array, call?: CallOptions): Promise<Bytes>;
  /** Sends a request object, answered with what its format says. */
  predict<R>(request: PredictRequest<R>, call?: CallOptions): Promise<R>;
  predict(input: string | Uint8Array | PredictRequest<unknown>, call?: CallOptions): Promise<unknown> {
    try {
      const request = toRequest(input);
      return this.#send(request, call).then((result) => parse(request, result));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** As `predict`, with the status, the headers, who answered, and how long and how many attempts it took. */
  predictDetailed(text: string, call?: CallOptions): Promise<PredictResult<StringResponse>>;
  predictDetailed(bytes: Uint8Array, call?: CallOptions): Promise<PredictResult<Bytes>>;
  predictDetailed<R>(request: PredictRequest<R>, call?: CallOptions): Promise<PredictResult<R>>;
  async predictDetailed(
    input: string | Uint8Array | PredictRequest<unknown>,
    call?: CallOptions,
  ): Promise<PredictResult<unknown>> {
    const request = toRequest(input);
    const result = await this.#send(request, call);
    const { status, headers, endpoint, attempts, elapsed } = result;
    return { response: parse(request, result), status, headers, endpoint, attempts, elapsed };
  }

  /**
   * A client for another service behind the same gateway, over the same connections, limits and retry budget. It begins
   * with this client's settings and its token, unless it is given one of its own. Closing either closes both.
   */
  service(serviceName: string, options: { readonly token?: Token | undefined } = {}): PredictClient {
    if (this.#settings.customUrl !== "") {
      throw argumentTypeError(
        "ERR_EAS_ARG_SERVICE_NAME",
        "service() needs a client with an endpoint: a customUrl is one service's own",
      );
    }
    const client = new PredictClient();
    client.#settings = this.#settings;
    client.#channel = this.#channel;
    client.setServiceName(serviceName);
    return options.token === undefined ? client : client.setToken(options.token);
  }

  /** Finds out, with one GET, what stands between this client and its service, and says it in words. Never rejects. */
  diagnose(call: Pick<CallOptions, "path" | "timeout" | "signal"> = {}): Promise<Diagnosis> {
    return diagnose(platform, () =>
      makeCall(this.#openChannel(), {
        ...this.#planOf(this.#prepare(), null, undefined, { ...call, retryCount: 0 }),
        method: "GET",
        auth: this.#settings.auth === "bearer" ? "bearer" : "token",
      }),
    );
  }

  /** Lets calls in flight end and closes the connections; later calls reject. Connections given as an option stay open. */
  close(): Promise<void> {
    return this.#channel.close();
  }

  #set(change: Partial<Settings>): this {
    this.#settings = { ...this.#settings, ...change };
    this.#prepared = undefined;
    return this;
  }

  #openChannel(): Channel {
    if (this.#channel.closed) {
      throw argumentTypeError("ERR_EAS_ARG_REQUEST", "this client is closed: make a new one");
    }
    return this.#channel;
  }

  #prepare(): Prepared {
    this.#prepared ??= prepare(this.#settings);
    return this.#prepared;
  }

  #send(request: PredictRequest<unknown>, call: CallOptions | undefined): Promise<CallResult> {
    const channel = this.#openChannel();
    const prepared = this.#prepare();
    const compression = request.compression ?? this.#settings.compression;
    const body = request.toBinary();
    if (compression !== undefined) {
      return compress(checkCompression(compression), body).then((body) =>
        makeCall(channel, this.#planOf(prepared, body, request.contentType, call)),
      );
    }
    return makeCall(channel, this.#planOf(prepared, body, request.contentType, call));
  }

  #planOf(
    prepared: Prepared,
    body: Bytes | null,
    contentType: string | undefined,
    call: CallOptions | undefined,
  ): CallPlan {
    if (body !== null && body.length > prepared.maxRequestBytes) throw bodyTooLarge(body.length, prepared);
    let plan: CallPlan = { ...prepared.plan, body };
    if (contentType !== undefined && this.#settings.contentType === undefined) {
      plan = { ...plan, contentType, headers: mergeHeaders([["content-type", contentType]], plan.headers) };
    }
    return call === undefined ? plan : withCallOptions(plan, call);
  }
}

function checkOptions(options: PredictClientOptions): Settings {
  const optional = <T>(value: T | undefined, check: (value: T) => T): T | undefined =>
    value === undefined ? undefined : check(value);
  const { endpoint = "", serviceName = "", customUrl = "" } = options;
  if (endpoint) {
    const pasted = parseEndpoint(endpoint).serviceName;
    if (pasted !== undefined && serviceName !== "" && serviceName !== pasted) {
      throw argumentTypeError(
        "ERR_EAS_ARG_SERVICE_NAME",
        `serviceName is ${show(serviceName)}, but the endpoint names the service ${show(pasted)}: leave one of them out`,
      );
    }
  }
  if (serviceName !== "") checkServiceName(serviceName);
  return {
    endpoint,
    serviceName,
    customUrl,
    endpointType: checkEndpointType(options.endpointType ?? ENDPOINT_TYPE_GATEWAY),
    token: optional(options.token, checkToken),
    auth: checkAuth(options.auth ?? INITIAL.auth),
    timeout: checkTimeout("timeout", options.timeout ?? INITIAL.timeout),
    totalTimeout: checkTimeout("totalTimeout", options.totalTimeout ?? INITIAL.totalTimeout),
    retryCount: checkCount("retryCount", options.retryCount ?? INITIAL.retryCount, 0),
    retryOn: options.retryOn,
    headers: checkHeaders(options.headers ?? {}),
    contentType: optional(options.contentType, (value) => checkHeaderValue("content-type", value)),
    requestPath: checkPath(options.requestPath ?? ""),
    compression: optional(options.compression, checkCompression),
    maxRequestBytes: optional(options.maxRequestBytes, (value) => checkCount("maxRequestBytes", value, 0)),
    maxResponseBytes: checkCount("maxResponseBytes", options.maxResponseBytes ?? INITIAL.maxResponseBytes, 1),
  };
}

function checkEndpointType(value: EndpointType): EndpointType {
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

function prepare(settings: Settings): Prepared {
  if (settings.endpointType === ENDPOINT_TYPE_DIRECT) {
    throw new EasUnsupportedError("ENDPOINT_TYPE_DIRECT is not built into this version yet: use ENDPOINT_TYPE_GATEWAY");
  }
  const target = gatewayTarget(settings, platform.env);
  const auth = resolveAuth(settings.auth, platform, { ...target, method: "POST" });
  const contentType = settings.contentType ?? new Map(settings.headers).get("content-type") ?? OCTET_STREAM;
  const headers = mergeHeaders([["content-type", OCTET_STREAM]], settings.headers);
  return {
    target,
    plan: {
      kind: "predict",
      method: "POST",
      target,
      suffix: suffixOf(settings.requestPath, undefined),
      headers: checkOwnership(mergeHeaders(headers, [["content-type", contentType]]), settings.token, auth),
      contentType,
      body: null,
      auth,
      token: settings.token,
      timeout: settings.timeout,
      totalTimeout: settings.totalTimeout,
      retryCount: settings.retryCount,
      retryOn: settings.retryOn,
      signal: undefined,
      maxResponseBytes: settings.maxResponseBytes,
    },
    maxRequestBytes:
      settings.maxRequestBytes ??
      (target.isSharedGateway ? SHARED_GATEWAY_MAX_REQUEST_BYTES : Number.POSITIVE_INFINITY),
  };
}

function withCallOptions(plan: CallPlan, call: CallOptions): CallPlan {
  const { path, query, headers, timeout, totalTimeout, retryCount, retryOn, signal } = call;
  const added = headers === undefined ? [] : checkHeaders(headers);
  return {
    ...plan,
    suffix: path === undefined && query === undefined ? plan.suffix : suffixOf(path ?? plan.suffix.signed, query),
    headers:
      added.length === 0 ? plan.headers : checkOwnership(mergeHeaders(plan.headers, added), plan.token, plan.auth),
    contentType: new Map(added).get("content-type") ?? plan.contentType,
    timeout: timeout === undefined ? plan.timeout : checkTimeout("timeout", timeout),
    totalTimeout: totalTimeout === undefined ? plan.totalTimeout : checkTimeout("totalTimeout", totalTimeout),
    retryCount: retryCount === undefined ? plan.retryCount : checkCount("retryCount", retryCount, 0),
    retryOn: retryOn ?? plan.retryOn,
    signal,
  };
}

/** Refuses headers that the authorization sets itself: two of a kind would be sent, or one silently dropped. */
function checkOwnership(
  headers: readonly HeaderPair[],
  token: Token | undefined,
  auth: CallPlan["auth"],
): readonly HeaderPair[] {
  if (token === undefined || token === "") return headers;
  const owned = auth === "signature" ? ["authorization", "date", "content-md5"] : ["authorization"];
  for (const [name] of headers) {
    if (owned.includes(name)) {
      throw argumentTypeError(
        "ERR_EAS_ARG_HEADER",
        `header ${name} is set by the token (auth "${auth}"): leave out the header or the token`,
      );
    }
  }
  return headers;
}

/** The request object of whatever `predict` takes. */
function toRequest(input: string | Uint8Array | PredictRequest<unknown>): PredictRequest<unknown> {
  if (typeof input === "string") return new StringRequest(input);
  if (input instanceof Uint8Array) return { toBinary: () => new Uint8Array(input), parseResponse: (body) => body };
  if (typeof input?.toBinary === "function" && typeof input.parseResponse === "function") return input;
  throw argumentTypeError(
    "ERR_EAS_ARG_REQUEST",
    `predict takes a string, a Uint8Array or a request object with toBinary() and parseResponse(), not ${show(input)}`,
  );
}

function parse(request: PredictRequest<unknown>, { body, attempts }: CallResult): unknown {
  try {
    return request.parseResponse(body);
  } catch (error) {
    if (error instanceof EasDecodeError)
      Object.defineProperty(error, "attempts", { value: attempts, enumerable: true });
    throw error;
  }
}

async function compress(compression: Compression, body: Bytes): Promise<Bytes> {
  return typeof compression === "string" ? platform.deflate(compression, body) : compression.compress(body);
}

function bodyTooLarge(length: number, { target, maxRequestBytes }: Prepared): RangeError {
  const whose = target.isSharedGateway ? "the shared gateway takes no more" : "maxRequestBytes";
  return argumentRangeError(
    "ERR_EAS_ARG_BODY_SIZE",
    `the request body has ${length} bytes, and the limit is ${maxRequestBytes} (${whose}). Three ways down: ` +
      "send less at once or smaller values (an encoded image or UINT8 pixels in place of FLOAT); " +
      'compress it (setCompression("gzip"), with metadata.rpc.decompressor in the service\'s configuration); ' +
      "or put the data into object storage and send its URL. A dedicated gateway has a limit of its own: set maxRequestBytes",
  );
}
