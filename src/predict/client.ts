import { forJson, forStreams } from "../call/build-plan.js";
import type { CallPlan, CallResult } from "../call/call-plan.js";
import { ClientCore } from "../call/client-core.js";
import { runCall } from "../call/run-call.js";
import {
  type CallOptions,
  type CloseOptions,
  type HeadersInput,
  LONG_TIMEOUT_MS,
  type Preset,
  type Token,
} from "../config/options.js";
import { type EndpointType, optionsOf, type PredictClientOptions, type Setting } from "../config/settings.js";
import { checkAuth, checkPreset, checkTimeout, UNSIGNED_AUTHS } from "../config/validate.js";
import { checkServiceName, endpointOf } from "../endpoint/parse-endpoint.js";
import type { Bytes, Compression, Decompression, PredictRequest } from "../formats/request.js";
import type { StringResponse } from "../formats/text/string-request.js";
import { argumentTypeError, show, showUrl } from "../util/argument-errors.js";
import { closeOnDispose } from "../util/async-dispose.js";
import { showAsText } from "../util/inspect.js";
import { checkOptionNames } from "../util/option-names.js";
import { clockNow } from "../util/timing/clock.js";
import type { CheckBody, ClientFetchOptions, LibraryOptions } from "./fetch/client-fetch.js";
import type { LibrarySend } from "./fetch/library-fetch.js";
import { PLACEHOLDER_KEY, serviceUrl, urlOrPlaceholder } from "./fetch/service-url.js";
import type { PredictInput, PredictOutput } from "./input/inputs.js";
import { serialize } from "./input/serialize.js";
import type { JsonOptions } from "./json/json-options.js";
import type { SchemaOutput, StandardSchema } from "./json/standard-schema.js";
import type { Diagnosis } from "./readiness/diagnose.js";
import type { Readiness, ReadyOptions } from "./readiness/ready.js";
import type { PredictSocket } from "./socket/socket.js";
import type { SocketOptions } from "./socket/socket-options.js";
import type { PredictStream } from "./stream/stream.js";
import { DEFAULT_IDLE_TIMEOUT_MS, type StreamOptions } from "./stream/stream-options.js";

/** The result of `PredictClient.predictDetailed`. */
export interface PredictResult<R> {
  /** The response, as `predict` returns it. */
  readonly response: R;
  /** The HTTP status. */
  readonly status: number;
  /** The response headers. */
  readonly headers: Headers;
  /** Scheme, host and port of the server that responded. */
  readonly endpoint: string;
  /** Number of attempts, including the successful attempt. */
  readonly attempts: number;
  /** Milliseconds from the start of the call to the last byte of the response. */
  readonly elapsed: number;
}

/**
 * Caches the stream module once it is loaded, because each `import()` costs about 1 µs and creates several promises.
 */
let lazy: typeof import("./lazy.js") | undefined;

/** Constructor options for an API library such as `openai`. They make the library call the client's service. */
export interface OpenAIOptions {
  /** Base URL of the API. */
  readonly baseURL: string;
  /** A placeholder, not a secret. The client replaces it with the real token. */
  readonly apiKey: string;
  /** Sends the library's requests with the client's authorization and connections. */
  readonly fetch: (input: string | URL | Request, init?: RequestInit) => Promise<Response>;
}

/**
 * A client for one EAS service. Setters apply to later calls. Calls in flight keep their settings.
 *
 * @example
 * const client = new PredictClient({ endpoint: "https://1234.cn-shanghai.pai-eas.aliyuncs.com", serviceName: "scorecard", token });
 * const scores = await client.json([{ fea1: 1, fea2: 2 }]);
 */
export class PredictClient {
  readonly #core: ClientCore;

  /** Creates a client without connecting. Throws a `TypeError` or `RangeError` for an invalid option. */
  constructor(options?: PredictClientOptions);
  /** Creates a client with the positional arguments of the official Python SDK. */
  constructor(endpoint?: string, serviceName?: string, customUrl?: string);
  constructor(first?: string | PredictClientOptions | ClientCore, serviceName?: string, customUrl?: string) {
    this.#core =
      first instanceof ClientCore
        ? first
        : ClientCore.of(optionsOf<PredictClientOptions>("PredictClient", first, { serviceName, customUrl }));
    closeOnDispose(this);
    showAsText(this);
  }

  /**
   * Validates the settings and loads the code that the first call needs. Calling it is optional. You may ignore its
   * promise, because the next call rejects with the same error.
   */
  init(): Promise<void> {
    return this.#core.init();
  }

  /** Sets the gateway; see the `endpoint` option. */
  setEndpoint(endpoint: string): this {
    return this.#set("endpoint", endpoint);
  }

  /** Sets the service: `"service"`, `"group.service"` or `"service/model"`. */
  setServiceName(serviceName: string): this {
    return this.#set("serviceName", checkServiceName(serviceName));
  }

  /** Sets how the service is reached: `ENDPOINT_TYPE_GATEWAY` (default) or `ENDPOINT_TYPE_DIRECT`. */
  setEndpointType(endpointType: EndpointType): this {
    return this.#set("endpointType", endpointType);
  }

  /**
   * Sets the service token, or a function that is called before each attempt and returns the token. With `null`, no
   * token is sent.
   */
  setToken(token: Token | null): this {
    return token === null ? this.#clear("token") : this.#set("token", token);
  }

  /** Sets the maximum number of retries after the first attempt. Default 5; 0 disables retries. */
  setRetryCount(retryCount: number): this {
    return this.#set("retryCount", retryCount);
  }

  /**
   * Sets the maximum number of requests in flight to one host. On Node, the limit also applies to connections. Default
   * 100; 6 in browsers and workerd. On Node, changing the limit cuts off open streams on the old connections. Other
   * calls in flight complete normally.
   */
  setMaxConnectionCount(maxConnectionCount: number): this {
    this.#core.setMaxConnectionCount(maxConnectionCount);
    return this;
  }

  /** Sets the timeout for one attempt, in milliseconds. Default 5,000. */
  setTimeout(timeout: number): this {
    return this.#set("timeout", timeout);
  }

  /** Sets timeouts and retry rules for one kind of service; see the `preset` option. */
  setPreset(preset: Preset): this {
    return this.#set("preset", preset);
  }

  /** Sets the `Content-Type` of all requests. Overrides the content type of the input. */
  setContentType(contentType: string): this {
    return this.#set("contentType", contentType);
  }

  /** Sets the path within the service for calls without a `path` option. */
  setRequestPath(path: string): this {
    return this.#set("requestPath", path);
  }

  /** Adds headers to all requests. Replaces headers with the same name. */
  addExtraHeaders(headers: HeadersInput): this {
    this.#core.addHeaders(headers);
    return this;
  }

  /** Sets the compression of all request bodies. `null` disables it. */
  setCompression(compression: Compression | null): this {
    return compression === null ? this.#clear("compression") : this.#set("compression", compression);
  }

  /**
   * Sets whether requests name their compression in a `Content-Encoding` header; see the `announceCompression` option.
   * Default false.
   */
  setAnnounceCompression(announceCompression: boolean): this {
    return this.#set("announceCompression", announceCompression);
  }

  /** Sets how response bodies are decompressed; see the `decompression` option. Default `"auto"`. */
  setDecompression(decompression: Decompression): this {
    return this.#set("decompression", decompression);
  }

  /**
   * Sends text. For the path `/v1/` and paths below it, the content type is `application/json`, which
   * OpenAI-compatible servers require. Resolves with the response body as text.
   */
  predict(text: string, call?: CallOptions): Promise<StringResponse>;
  /**
   * Sends a request object. Resolves with the response in the format of the request.
   *
   * @example
   * const request = new TFRequest().addFeed("image", [1, 784], "DT_FLOAT", pixels).addFetch("scores");
   * const { outputs } = await client.predict(request);
   */
  predict<R>(request: PredictRequest<R>, call?: CallOptions): Promise<R>;
  /**
   * Sends bytes. They are not copied, so do not change them until the promise settles. Resolves with the response body.
   */
  predict(bytes: Uint8Array | ArrayBuffer, call?: CallOptions): Promise<Bytes>;
  /**
   * Sends a plain object or an array as JSON. Also sends a `FormData`, `URLSearchParams` or `Blob`. `null` sends a GET
   * without a body. Resolves with text, or with bytes for a `Blob`. Rejects with a `TypeError` if JSON cannot represent
   * a value; the message contains the path of the first such value. If the input type is a union, the result type is
   * the union of the corresponding results.
   */
  // The overload for bytes does not include `Blob`: without DOM types, `Blob` is `any`, which would also match request
  // objects.
  predict<Q extends PredictInput>(input: Q, call?: CallOptions): Promise<PredictOutput<Q>>;
  predict(input: PredictInput, call?: CallOptions): Promise<unknown> {
    return this.#send(input, call, (request, { body }) => request.parseResponse(body));
  }

  /** Sends text as `predict` does. Resolves with the response, its status and headers, and the number of attempts. */
  predictDetailed(text: string, call?: CallOptions): Promise<PredictResult<StringResponse>>;
  /** Sends a request object as `predict` does. Resolves with the response and its metadata. */
  predictDetailed<R>(request: PredictRequest<R>, call?: CallOptions): Promise<PredictResult<R>>;
  /** Sends bytes as `predict` does. Resolves with the response and its metadata. */
  predictDetailed(bytes: Uint8Array | ArrayBuffer, call?: CallOptions): Promise<PredictResult<Bytes>>;
  /** Sends any other input as `predict` does. Resolves with the response and its metadata. */
  predictDetailed<Q extends PredictInput>(input: Q, call?: CallOptions): Promise<PredictResult<PredictOutput<Q>>>;
  predictDetailed(input: PredictInput, call?: CallOptions): Promise<PredictResult<unknown>> {
    return this.#send(
      input,
      call,
      (request, { response: { status, headers }, body, endpoint, attempts, startedAt }) => {
        const response = request.parseResponse(body);
        return { response, status, headers, endpoint, attempts, elapsed: clockNow() - startedAt };
      },
    );
  }

  /**
   * Sends `input` as `predict` does, with `Accept: application/json`, and parses the response as JSON. With a `schema`,
   * resolves with the schema's output, whose type is inferred. Does not accept text, because text would be encoded
   * twice.
   *
   * Rejects with `EasDecodeError` for a response that is not JSON, and with `EasSchemaError` for JSON that does not
   * match the schema.
   *
   * @example
   * const result = await client.json({ model: "bge-m3", input: ["a", "b"] }, { path: "/v1/embeddings", schema: Embeddings });
   */
  json<S extends StandardSchema>(
    input: object | null,
    call: JsonOptions<S> & { readonly schema: S },
  ): Promise<SchemaOutput<S>>;
  /**
   * Sends `input` as `predict` does, with `Accept: application/json`, and parses the response as JSON. The type `T` is not
   * checked. Rejects with `EasDecodeError` for a response that is not JSON.
   *
   * @example
   * const { data } = await client.json<{ data: unknown[] }>({ model: "bge-m3", input: ["a", "b"] }, { path: "/v1/embeddings" });
   */
  json<T = unknown>(input: object | null, call?: JsonOptions<undefined>): Promise<T>;
  json(input: object | null, call: JsonOptions = {}): Promise<unknown> {
    try {
      const pool = this.#core.openPool();
      const { schema, bigint, ...options } = call;
      const { plan, body } = serialize(jsonInput(input), options, forJson(this.#core.template()), this.#core.settings);
      const send = (plan: CallPlan) =>
        pool.track(async () => {
          const { callJson } = await import("./lazy.js");
          return callJson(pool, plan, body, { schema, bigint });
        });
      return this.#run(send, plan, call);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Sends `input` as `predict` does, and resolves as soon as the response headers are received. The body can be read
   * while it arrives. Read the stream to its end or call `cancel()`. An open stream occupies one of the client's
   * connections.
   *
   * Rejects with `EasHttpError` for a status other than success. The call is retried only if the service cannot have
   * started it. This is the case if nothing was sent, if the status is 429 or 450, or if the status is 503 with the text
   * `no healthy upstream`. The request is not signed unless `auth` is `"signature"`.
   *
   * @example
   * const stream = await client.stream({ model: "qwen3", messages, stream: true }, { path: "/v1/chat/completions" });
   * for await (const event of stream.events()) console.log(event.json());
   */
  stream(input: PredictInput | null, call: StreamOptions = {}): Promise<PredictStream> {
    try {
      const pool = this.#core.openPool();
      const { settings } = this.#core;
      const { preset = settings.preset ?? "default", ...rest } = call;
      const isLong = checkPreset(preset) === "long-running";
      const { idleTimeout = isLong ? LONG_TIMEOUT_MS : DEFAULT_IDLE_TIMEOUT_MS, ...options } = rest;
      checkTimeout("idleTimeout", idleTimeout);
      const template = forStreams(this.#core.template(), input === null ? "auto" : settings.auth, isLong);
      const { plan, body } = serialize(input, options, template, settings);
      const send = (plan: CallPlan) => {
        if (lazy !== undefined) return lazy.openPredictStream(pool, plan, body, idleTimeout);
        return pool.track(async () => {
          lazy = await import("./lazy.js");
          return lazy.openPredictStream(pool, plan, body, idleTimeout);
        });
      };
      return this.#run(send, plan, call);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Calls the service like the global `fetch`, with the client's authorization and connections. `input` is a path
   * within the service, or a URL below the service URL. Rejects with a `TypeError` for other URLs. The function is
   * bound to its client, so it can be passed to other code.
   *
   * Resolves for every status and does not follow redirects. By default, requests are not signed, retried or timed out;
   * `options` can enable retries and a timeout. If the body is a stream, it is sent as it is produced, except in
   * browsers, which buffer the whole stream first.
   *
   * @example
   * const response = await client.fetch("/v1/models");
   */
  readonly fetch = (
    input: string | URL | Request,
    init?: RequestInit,
    options?: ClientFetchOptions,
  ): Promise<Response> => this.#fetch(input, init, options);

  /** Implements `fetch`. `checkBody` checks the bodies of successful responses. */
  async #fetch(
    input: string | URL | Request,
    init: RequestInit = {},
    options: ClientFetchOptions = {},
    checkBody?: CheckBody,
  ): Promise<Response> {
    const pool = this.#core.openPool();
    const { settings } = this.#core;
    return pool.track(async () => {
      const { clientFetch } = await import("./lazy.js");
      return clientFetch(pool, settings, input, init, options, checkBody);
    });
  }

  /**
   * Returns options for the npm package `openai`, or for libraries with the same options, that make the library call
   * this service. The options contain the service's `/v1` URL, a `fetch` function and a placeholder key. The library
   * never receives the token. Each request uses the client's current settings. A hint is appended to the service's
   * error messages.
   *
   * @example
   * const openai = new OpenAI(client.openai());
   */
  openai(options: LibraryOptions = {}): OpenAIOptions {
    return this.#library("openai", (service) => `${service}/v1`, options);
  }

  /**
   * Returns options for the npm package `@anthropic-ai/sdk` that make the package call this service. The service
   * must support `/v1/messages`. See also `openai`.
   *
   * @example
   * const anthropic = new Anthropic(client.anthropic());
   */
  anthropic(options: LibraryOptions = {}): OpenAIOptions {
    return this.#library("anthropic", (service) => service, options);
  }

  #library(name: string, baseOf: (service: string) => string, options: LibraryOptions): OpenAIOptions {
    checkOptionNames(name, options, { auth: 1 });
    if (options.auth !== undefined) checkAuth(options.auth, UNSIGNED_AUTHS);
    const service = urlOrPlaceholder(() => serviceUrl(this.#core.template().plan));
    const send: LibrarySend = (...request) => this.#fetch(...request);
    const fetch: OpenAIOptions["fetch"] = async (input, init) =>
      (await import("./lazy.js")).libraryFetch(send, service, input, init, options);
    // Avoid a second "/v1", because a customUrl may already end with it.
    const base = this.#core.settings.customUrl === "" ? service : service.replace(/\/v1$/, "");
    return { baseURL: baseOf(base), apiKey: PLACEHOLDER_KEY, fetch };
  }

  /**
   * Returns a client for another service behind the same gateway. Both clients share connections, limits and the retry
   * budget. Closing one client also closes the other. The new client starts with this client's settings, including its
   * token unless `options.token` is set. Throws a `TypeError` if this client has a `customUrl` or a single service's
   * endpoint.
   *
   * @example
   * const ranking = client.service("ranking", { token: rankingToken });
   */
  service(serviceName: string, options: { readonly token?: Token | undefined } = {}): PredictClient {
    const { settings, pool } = this.#core;
    if (settings.customUrl !== "") {
      throw argumentTypeError(
        "ERR_EAS_ARG_SERVICE_NAME",
        "service() needs a client with an endpoint: a customUrl belongs to one service",
      );
    }
    checkOptionNames("service", options, { token: 1 });
    const { endpoint } = settings;
    const { origin = "", prefix = "", gateway, serviceName: own } = endpointOf({ endpoint }) ?? {};
    if (gateway !== undefined) {
      throw argumentTypeError(
        "ERR_EAS_ARG_SERVICE_NAME",
        `service(): the endpoint ${showUrl(endpoint)} leads to the service ${show(own)} only; set the endpoint to the gateway ${gateway}, or create another client`,
      );
    }
    // Drop the endpoint's path, because it may contain the name of this client's service.
    const core = new ClientCore(pool, { ...settings, endpoint: origin + prefix });
    const client = clientOf(core).setServiceName(serviceName);
    return "token" in options ? client.setToken(options.token as Token) : client;
  }

  /**
   * Sends one GET request to find out whether the service can be reached. If it cannot, the result explains why. Never
   * rejects.
   *
   * @example
   * const { ok, message } = await client.diagnose();
   * if (!ok) console.error(message);
   */
  async diagnose(call: Pick<CallOptions, "path" | "timeout" | "signal"> = {}): Promise<Diagnosis> {
    const { pool, settings } = this.#core;
    const { diagnose } = await import("./lazy.js");
    return diagnose(pool, settings, call);
  }

  /**
   * Waits until the service is ready, for example during a cold start. Sends GET requests at increasing intervals.
   * Rejects with `EasTimeoutError` after `timeout`. Rejects immediately for permanent errors, such as a wrong token.
   *
   * @example
   * await client.ready({ timeout: 300_000 });
   */
  async ready(options: ReadyOptions = {}): Promise<Readiness> {
    const { pool } = this.#core;
    const probe = this.#probe();
    const { ready } = await import("./lazy.js");
    return ready(pool, probe, options);
  }

  /**
   * Opens a WebSocket to a path within the service, with the client's authorization. Makes one attempt and rejects with
   * the same errors as a call. In browsers, which cannot send headers with a WebSocket, rejects with
   * `EasUnsupportedError` unless the client has the `dialWebSocket` option.
   *
   * @example
   * const socket = await client.connect("/ws");
   * socket.send("hello");
   * for await (const message of socket) console.log(message);
   */
  async connect(path?: string, options: SocketOptions = {}): Promise<PredictSocket> {
    const pool = this.#core.openPool();
    const { settings } = this.#core;
    return pool.track(async () => {
      const { connect } = await import("./lazy.js");
      return connect(pool, settings, path, options);
    });
  }

  /**
   * Closes the client. Waits for attempts in flight, or cancels them with `{ force: true }`. Cuts off streams and
   * sockets. Pending `ready()` calls and calls that are waiting for a retry reject with `EasNetworkError`. Later calls
   * reject with `EasClosedError`. A transport passed as the `transport` option stays open.
   */
  close(options?: CloseOptions): Promise<void> {
    return this.#core.pool.close(options);
  }

  /** Returns the service and the endpoint for logs, without the token or a query. */
  toString(): string {
    const { serviceName, customUrl, endpoint } = this.#core.settings;
    return `PredictClient { service: ${show(serviceName)}, endpoint: ${showUrl(customUrl || endpoint)} }`;
  }

  #set(...setting: Setting): this {
    this.#core.set(...setting);
    return this;
  }

  #clear(name: "token" | "compression"): this {
    this.#core.clear(name);
    return this;
  }

  /**
   * Returns a function that probes the service with the current settings. Later changes to the settings do not affect
   * it.
   */
  #probe(): (call: CallOptions) => Promise<number> {
    const { pool, settings } = this.#core;
    return async (call) => {
      const { probe } = await import("./lazy.js");
      pool.checkOpen();
      return probe(pool, settings, call);
    };
  }

  /** Runs a call. With `waitForReady`, waits until the service is ready. */
  #run<R>(
    send: (plan: CallPlan) => Promise<R>,
    plan: CallPlan,
    { waitForReady = plan.waitForReady }: CallOptions = {},
  ): Promise<R> {
    if (waitForReady === false) return send(plan);
    const { pool } = this.#core;
    const probe = this.#probe();
    const options = waitForReady === true ? {} : waitForReady;
    return import("./lazy.js").then(({ untilReady }) => untilReady(send, plan, pool, probe, options));
  }

  /**
   * Serializes and sends an input. Not an `async` function, because the input must be serialized before the function
   * returns.
   */
  #send<R>(
    input: PredictInput,
    call: CallOptions | undefined,
    read: (request: PredictRequest<unknown>, result: CallResult) => R,
  ): Promise<R> {
    try {
      const pool = this.#core.openPool();
      const { sendsChunks } = pool.transport;
      const { request, plan, body } = serialize(input, call, this.#core.template(), this.#core.settings, sendsChunks);
      return this.#run((plan) => runCall(pool, plan, body, (result) => read(request, result)), plan, call);
    } catch (error) {
      return Promise.reject(error);
    }
  }
}

/** Checks the input to `json`. Rejects text, because it would be encoded twice. */
function jsonInput(input: PredictInput): PredictInput {
  if (typeof input !== "string") return input;
  throw argumentTypeError(
    "ERR_EAS_ARG_REQUEST",
    "json takes the value itself, not its JSON text: pass the object, or JSON.parse(text)",
  );
}

/** Creates a client from an existing core, which the constructor's public overloads do not accept. */
// This function is outside the class because bundlers rename a class that refers to itself, and `console.log` would
// show the new name.
function clientOf(core: ClientCore): PredictClient {
  return new PredictClient(core as PredictClientOptions);
}
