import { forJson, forStreams } from "../call/build-request.js";
import { makeCall } from "../call/make-call.js";
import type { CallPlan, CallResult } from "../call/request.js";
import { PredictSettings } from "../call/service-client.js";
import {
  type CallOptions,
  type CloseOptions,
  checkAuth,
  checkPreset,
  checkTimeout,
  LONG_TIMEOUT_MS,
  type Token,
  UNSIGNED_AUTHS,
} from "../config/options.js";
import { optionsOf, type PredictClientOptions } from "../config/settings.js";
import { endpointOf } from "../endpoint/parse-endpoint.js";
import type { Bytes, PredictRequest } from "../formats/request.js";
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

/** What libraries for a model's API need to call the service of a client. */
export interface OpenAIOptions {
  readonly baseURL: string;
  /** A placeholder, not a secret: the client sends its token in its place. */
  readonly apiKey: string;
  readonly fetch: (input: string | URL | Request, init?: RequestInit) => Promise<Response>;
}

/**
 * Calls one EAS service. Setters apply to the next call; calls in flight keep what they began with.
 *
 * @example
 * const client = new PredictClient({ endpoint: "https://1234.cn-shanghai.pai-eas.aliyuncs.com", serviceName: "scorecard", token });
 * const scores = await client.json([{ fea1: 1, fea2: 2 }]);
 */
export class PredictClient extends PredictSettings {
  /** Throws a `TypeError` or `RangeError` for an option that cannot be right; nothing is connected yet. */
  constructor(options?: PredictClientOptions);
  /** As the official Python SDK has it. */
  constructor(endpoint?: string, serviceName?: string, customUrl?: string);
  constructor(first?: string | PredictClientOptions, serviceName?: string, customUrl?: string) {
    super(optionsOf<PredictClientOptions>("PredictClient", first, { serviceName, customUrl }));
    closeOnDispose(this);
    showAsText(this);
  }

  /**
   * Checks the settings and loads what the first call would load. Optional. Its promise may be dropped: what is wrong is
   * thrown by the next call too.
   */
  init(): Promise<void> {
    const ready = (async () => {
      const { plan } = this.prepare();
      await this.openChannel().ready(plan);
    })();
    ready.catch(() => {});
    return ready;
  }

  /** Sends text, as `application/json` at or below a path `/v1/`; resolves with text. */
  predict(text: string, call?: CallOptions): Promise<StringResponse>;
  /** Sends a request object; resolves with the response of its format. */
  predict<R>(request: PredictRequest<R>, call?: CallOptions): Promise<R>;
  /** Sends bytes; resolves with bytes. They are not copied: do not change them until the promise has settled. */
  predict(bytes: Uint8Array | ArrayBuffer, call?: CallOptions): Promise<Bytes>;
  /**
   * Sends a plain object or array as JSON, a `FormData` or a `URLSearchParams`; `null` sends a GET without a body. Resolves with
   * text, whose `json()` parses it. Rejects with a `TypeError` that names the place of a value that JSON cannot hold. Sends a
   * `Blob` with its own content type, and resolves with bytes. Where the input may have one of several types, the type of the
   * answer follows from each of them.
   */
  // `Blob` stands here and not with the bytes: to a compiler without types of the web it is `any`, which request objects match.
  predict<Q extends PredictInput>(input: Q, call?: CallOptions): Promise<PredictOutput<Q>>;
  predict(input: PredictInput, call?: CallOptions): Promise<unknown> {
    return this.#send(input, call, (request, { body }) => request.parseResponse(body));
  }

  /** As `predict`, with the status, the headers, who answered, and how long and how many attempts it took. */
  predictDetailed(text: string, call?: CallOptions): Promise<PredictResult<StringResponse>>;
  predictDetailed<R>(request: PredictRequest<R>, call?: CallOptions): Promise<PredictResult<R>>;
  predictDetailed(bytes: Uint8Array | ArrayBuffer, call?: CallOptions): Promise<PredictResult<Bytes>>;
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
   * Sends as `predict` does and resolves with the answer, parsed of JSON. With a `schema` it resolves with what the schema
   * returns, whose type is inferred; otherwise the caller states the type. Asks for JSON by the header `Accept`.
   *
   * Rejects with `EasDecodeError` for an answer that is not JSON, and with `EasSchemaError` for one that does not fit the
   * schema. Takes no text, which would be encoded twice: pass the value itself.
   *
   * @example
   * const { data } = await client.json<{ data: unknown[] }>({ model: "bge-m3", input: ["a", "b"] }, { path: "/v1/embeddings" });
   */
  json<S extends StandardSchema>(
    input: object | null,
    call: JsonOptions<S> & { readonly schema: S },
  ): Promise<SchemaOutput<S>>;
  json<T = unknown>(input: object | null, call?: JsonOptions<undefined>): Promise<T>;
  json(input: object | null, call: JsonOptions = {}): Promise<unknown> {
    try {
      const channel = this.openChannel();
      const { schema, bigint, ...options } = call;
      const { plan, body } = serialize(jsonInput(input), options, forJson(this.prepare()), this.currentSettings());
      const make = (plan: CallPlan) =>
        channel.during(async () => {
          const { callJson } = await import("./lazy.js");
          return callJson(channel, plan, body, { schema, bigint });
        });
      return this.#make(make, plan, call);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Sends as `predict` does, and resolves when the head of the answer is there; its body is read while it comes. `null` sends a
   * GET without a body. Rejects for a status that is no success. It is repeated only when it was certainly not begun (never
   * sent, 429, 450, 503 `no healthy upstream`), and never once the answer has begun. Not signed, unless `auth` is
   * `"signature"`. Who does not read the stream must `cancel` it: until its end it holds one of the client's connections.
   */
  stream(input: PredictInput | null, call: StreamOptions = {}): Promise<PredictStream> {
    try {
      const channel = this.openChannel();
      const { preset = this.currentSettings().preset ?? "default", ...more } = call;
      const isLong = checkPreset(preset) === "long-running";
      const { idleTimeout = isLong ? LONG_TIMEOUT_MS : DEFAULT_IDLE_TIMEOUT_MS, ...options } = more;
      checkTimeout("idleTimeout", idleTimeout);
      const prepared = forStreams(this.prepare(), input === null ? "auto" : this.currentSettings().auth);
      const { plan, body } = serialize(input, options, prepared, this.currentSettings());
      const make = (plan: CallPlan) =>
        channel.during(async () => {
          const { openPredictStream } = await import("./lazy.js");
          return openPredictStream(channel, plan, body, idleTimeout);
        });
      return this.#make(make, { ...plan, waitForReady: isLong }, call);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * `fetch` for this client's service, with its authorization and connections, for other libraries: `input` is a path behind the
   * service, or a whole URL below it; every other place is refused with a `TypeError`. Resolves for every status, follows no
   * redirect, and is neither signed nor repeated, nor has it a time, unless `options` say so. A body that is a stream is sent as
   * it comes; browsers read it whole before. May be handed on without its client.
   */
  readonly fetch = (
    input: string | URL | Request,
    init?: RequestInit,
    options?: ClientFetchOptions,
  ): Promise<Response> => this.#fetch(input, init, options);

  /** `checkBody` checks the body of a successful answer. */
  async #fetch(
    input: string | URL | Request,
    init: RequestInit = {},
    options: ClientFetchOptions = {},
    checkBody?: CheckBody,
  ): Promise<Response> {
    const channel = this.openChannel();
    const settings = this.currentSettings();
    return channel.during(async () => {
      const { clientFetch } = await import("./lazy.js");
      return clientFetch(channel, settings, input, init, options, checkBody);
    });
  }

  /**
   * Returns what the npm package `openai`, and others with the same options, need to call an OpenAI-compatible service: the URL
   * of its `/v1`, a `fetch`, and a placeholder as the key. The token stays with the client. The client may be configured later:
   * each request goes where the client's settings point then. Messages of errors end with a hint.
   *
   * @example
   * const openai = new OpenAI(client.openai());
   */
  openai(options: LibraryOptions = {}): OpenAIOptions {
    return this.#library("openai", (service) => `${service}/v1`, options);
  }

  /**
   * Returns what the npm package `@anthropic-ai/sdk` needs to call a service that has `/v1/messages`, as `openai` does for its
   * package.
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
    const service = urlOrPlaceholder(() => serviceUrl(this.prepare().plan));
    const send: LibrarySend = (...request) => this.#fetch(...request);
    const fetch: OpenAIOptions["fetch"] = async (input, init) =>
      (await import("./lazy.js")).libraryFetch(send, service, input, init, options);
    // A customUrl may end with it.
    const base = this.currentSettings().customUrl === "" ? service : service.replace(/\/v1$/, "");
    return { baseURL: baseOf(base), apiKey: PLACEHOLDER_KEY, fetch };
  }

  /**
   * A client for another service behind the same gateway, over the same connections, limits and retry budget. It begins
   * with this client's settings and its token, unless it is given one of its own. Closing either closes both.
   */
  service(serviceName: string, options: { readonly token?: Token | undefined } = {}): PredictClient {
    if (this.currentSettings().customUrl !== "") {
      throw argumentTypeError(
        "ERR_EAS_ARG_SERVICE_NAME",
        "service() needs a client with an endpoint: a customUrl belongs to one service",
      );
    }
    checkOptionNames("service", options, { token: 1 });
    const client = emptyClient();
    // Without the service that a pasted URL names.
    const { endpoint } = this.currentSettings();
    const { origin = "", prefix = "", gateway, serviceName: own } = endpointOf({ endpoint }) ?? {};
    if (gateway !== undefined) {
      throw argumentTypeError(
        "ERR_EAS_ARG_SERVICE_NAME",
        `service(): the endpoint ${showUrl(endpoint)} leads to the service ${show(own)} only; set the endpoint to the gateway ${gateway}, or create another client`,
      );
    }
    client.become({ ...this.currentSettings(), endpoint: origin + prefix }, this.currentChannel());
    client.setServiceName(serviceName);
    return "token" in options ? client.setToken(options.token as Token) : client;
  }

  /** Sends one GET request and explains why the service cannot be reached, if it cannot. Never rejects. */
  async diagnose(call: Pick<CallOptions, "path" | "timeout" | "signal"> = {}): Promise<Diagnosis> {
    const channel = this.currentChannel();
    const settings = this.currentSettings();
    const { diagnose } = await import("./lazy.js");
    return diagnose(channel, settings, call);
  }

  /**
   * Waits out a cold start: asks by GET, ever more seldom, until the service is there, and resolves with what it took. Rejects
   * with an `EasTimeoutError` when the time is over, and at once with what is no matter of waiting, such as a wrong token.
   */
  async ready(options: ReadyOptions = {}): Promise<Readiness> {
    const channel = this.currentChannel();
    const ask = this.#prober();
    const { ready } = await import("./lazy.js");
    return ready(channel, ask, options);
  }

  /**
   * Opens a WebSocket to the service, at a path behind it, with this client's authorization. One attempt; rejects as a call does.
   * Not in browsers, which send no headers with a WebSocket: with `EasUnsupportedError`, unless there is a `dialWebSocket`.
   */
  async connect(path?: string, options: SocketOptions = {}): Promise<PredictSocket> {
    const channel = this.openChannel();
    const settings = this.currentSettings();
    return channel.during(async () => {
      const { connect } = await import("./lazy.js");
      return connect(channel, settings, path, options);
    });
  }

  /**
   * Lets attempts in flight end, ends waits for a retry and for `ready()`, cuts off streams and sockets, and closes the
   * connections. Calls that waited reject with an `EasNetworkError`, later calls with a `TypeError`. With `{ force: true }` attempts
   * in flight are cancelled as well. Connections given as an option stay open.
   */
  close(options?: CloseOptions): Promise<void> {
    return this.currentChannel().close(options);
  }

  /** Asks the service as it is set now, whatever is set later. */
  #prober(): (call: CallOptions) => Promise<number> {
    const channel = this.currentChannel();
    const settings = this.currentSettings();
    return async (call) => {
      const { probe } = await import("./lazy.js");
      channel.checkOpen();
      return probe(channel, settings, call);
    };
  }

  /** Makes a call, and waits for the service if the caller wants that. */
  #make<R>(
    make: (plan: CallPlan) => Promise<R>,
    plan: CallPlan,
    { waitForReady = plan.waitForReady }: CallOptions = {},
  ): Promise<R> {
    if (waitForReady === false) return make(plan);
    const channel = this.currentChannel();
    const ask = this.#prober();
    const options = waitForReady === true ? {} : waitForReady;
    return import("./lazy.js").then(({ untilReady }) => untilReady(make, plan, channel, ask, options));
  }

  /** Serializes and sends. Not an `async` function, so that all is serialized before it returns. */
  #send<R>(
    input: PredictInput,
    call: CallOptions | undefined,
    read: (request: PredictRequest<unknown>, result: CallResult) => R,
  ): Promise<R> {
    try {
      const channel = this.openChannel();
      const { sendsChunks } = channel.transport;
      const { request, plan, body } = serialize(input, call, this.prepare(), this.currentSettings(), sendsChunks);
      return this.#make((plan) => makeCall(channel, plan, body, (result) => read(request, result)), plan, call);
    } catch (error) {
      return Promise.reject(error);
    }
  }
}

/** The input of `json`. Text is refused: as JSON it would be encoded twice. */
function jsonInput(input: PredictInput): PredictInput {
  if (typeof input !== "string") return input;
  throw argumentTypeError(
    "ERR_EAS_ARG_REQUEST",
    "json takes the value itself, not its JSON text: pass the object, or JSON.parse(text); predict(text) sends text",
  );
}

// Apart, since a class that names itself is renamed by bundlers, and console.log would show the other name.
function emptyClient(): PredictClient {
  return new PredictClient();
}
