import type { Dispatcher } from "undici";
import type { Bytes } from "../request.js";
import { copyChunks, joinChunks, pushChunk, totalLength } from "./chunks.js";
import { makeAgent, type NodeTransportOptions } from "./node-agent.js";
import { HashThreads } from "./node-hash-threads.js";
import { decimal, isNamed, toHeaders } from "./node-raw-headers.js";
import { bodyOf, failureOf, StreamedExchange } from "./node-stream.js";
import {
  type Exchange,
  type HeaderPair,
  isSuccess,
  MOST_ERROR_BYTES,
  responseTooLarge,
  type StreamedResponse,
  type StreamRequest,
  type Transport,
  TransportError,
  type TransportRequest,
  type TransportResponse,
} from "./platform.js";

export type { NodeTransportOptions } from "./node-agent.js";

/** Memory that is taken at once when a server states a length; of larger bodies an eighth must have come. */
const AT_ONCE_BYTES = 1_048_576;
const EIGHTH = 8;

/**
 * A transport with a real connection pool, by undici's `Agent.dispatch`. undici is loaded by the first `send`, or by
 * `ready`. Never hands an agent to the global `fetch`: the two may be of different undici versions. `close` waits for what
 * is being sent, and breaks off the streams.
 */
export function nodeTransport(options: NodeTransportOptions = {}): Transport {
  let agent: Dispatcher | undefined;
  let loading: Promise<Dispatcher> | undefined;
  let closed = false;
  const streams = new Set<StreamedExchange>();
  const hashThreads = HashThreads.of(options.hashThreads ?? 0);
  // Nearly all requests of a client have the very same headers, so the last ones are kept in undici's form.
  let lastHeaders: readonly HeaderPair[] = [];
  let lastFlat: string[] = [];

  function load(): Promise<Dispatcher> {
    loading ??= makeAgent(options).then((made) => {
      agent = made;
      return made;
    });
    return loading;
  }

  function dispatch<Answer, R extends StreamRequest>(
    agent: Dispatcher,
    request: R,
    begin: Begin<Answer, R>,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (request.headers !== lastHeaders) {
        lastHeaders = request.headers;
        // A loop, since `flat` takes twenty times as long, and signed headers are new in each request.
        lastFlat = [];
        for (const [name, value] of request.headers) lastFlat.push(name, value);
      }
      const { pieces } = request;
      agent.dispatch(
        {
          origin: request.origin,
          path: request.path,
          method: request.method as Dispatcher.HttpMethod,
          headers: pieces === undefined ? lastFlat : [...lastFlat, "content-length", String(totalLength(pieces))],
          body: pieces === undefined ? bodyOf(request.body) : (pieces as never),
        },
        begin(request, resolve, reject),
      );
    });
  }

  function exchange<Answer, R extends StreamRequest>(request: R, begin: Begin<Answer, R>): Promise<Answer> {
    if (agent) return dispatch(agent, request, begin);
    // What was closed before its first use has no agent that says so.
    if (closed) return Promise.reject(new TransportError("the transport was closed", { sent: "no", final: true }));
    return load().then((agent) => {
      if (request.signal.aborted) throw request.signal.reason;
      // Loading undici is no part of the attempt's time.
      request.onDispatch();
      return dispatch(agent, request, begin);
    });
  }

  const beginSend: Begin<TransportResponse, TransportRequest> = (request, resolve, reject) =>
    new DispatchedExchange(request, resolve, reject);
  const beginStream: Begin<StreamedResponse, StreamRequest> = (request, resolve, reject) =>
    new StreamedExchange(request, resolve, reject, streams);

  return {
    md5: hashThreads?.md5,
    sendsPieces: true,
    send: (request) => exchange(request, beginSend),
    async stream(request) {
      // undici would make a connection for it first.
      if (request.signal.aborted) throw request.signal.reason;
      return exchange(request, beginStream);
    },
    async ready() {
      await load();
    },
    async close() {
      if (closed) return;
      closed = true;
      await hashThreads?.close();
      if (!loading) return;
      const agent = await loading;
      // undici waits for what is under way, and a stream need have no end.
      const reason = new TransportError("the transport was closed", { sent: "maybe", final: true });
      for (const stream of streams) stream.cancel(reason);
      await agent.close();
    },
  };
}

/** Makes undici's handler for one exchange. */
type Begin<Answer, R extends StreamRequest> = (
  request: R,
  resolve: (answer: Answer) => void,
  reject: (reason: unknown) => void,
) => Dispatcher.DispatchHandler;

/**
 * undici's handler for one exchange, in its older form: that one hands over raw header bytes, which are then parsed
 * only for who looks at them.
 */
class DispatchedExchange implements Dispatcher.DispatchHandler, Exchange {
  private readonly request: TransportRequest;
  private readonly resolve: (response: TransportResponse) => void;
  private readonly reject: (reason: unknown) => void;
  private abort: ((reason: Error) => void) | undefined = undefined;
  private cancelled = false;
  private status = 0;
  private headers: Buffer[] = [];
  private contentEncoding: string | undefined = undefined;
  private body: Bytes | undefined = undefined;
  private chunks: Uint8Array[] | undefined = undefined;
  private length = 0;
  /** The length that the server stated; 0 when it stated none. */
  private stated = 0;
  private mostBytes = 0;

  constructor(
    request: TransportRequest,
    resolve: (response: TransportResponse) => void,
    reject: (reason: unknown) => void,
  ) {
    this.request = request;
    this.resolve = resolve;
    this.reject = reject;
    request.exchange = this;
    request.phase = "connect";
  }

  cancel(reason: unknown): void {
    this.cancelled = true;
    this.reject(reason);
    this.abort?.(new Error("cancelled"));
  }

  onConnect(abort: (reason?: Error) => void): void {
    // A request that waits for its connection cannot be taken back; it is given up here, before a byte is written. Not by
    // `abort`, which would take the connection with it.
    if (this.cancelled) throw new Error("cancelled");
    this.abort = abort;
    this.request.phase = "headers";
  }

  onHeaders(status: number, headers: Buffer[]): boolean {
    if (status < 200) return true;
    this.status = status;
    this.headers = headers;
    this.request.phase = "body";
    const { maxResponseBytes } = this.request;
    this.mostBytes = isSuccess(status) ? maxResponseBytes : Math.min(maxResponseBytes, MOST_ERROR_BYTES);
    for (let i = 0; i + 1 < headers.length; i += 2) {
      const name = headers[i] as Buffer;
      if (name.length === 14 && isNamed(name, "content-length")) {
        this.stated = decimal(headers[i + 1] as Buffer);
        if (this.stated <= this.mostBytes) this.makeRoom();
        else if (isSuccess(status)) this.tooLarge();
      } else if (name.length === 16 && isNamed(name, "content-encoding")) {
        this.contentEncoding = (headers[i + 1] as Buffer).toString("latin1").trim().toLowerCase() || undefined;
      }
    }
    return true;
  }

  onData(chunk: Buffer): boolean {
    const offset = this.length;
    this.length += chunk.length;
    if (this.body) {
      this.body.set(chunk, offset);
    } else if (this.length > this.mostBytes && isSuccess(this.status)) {
      this.tooLarge();
    } else {
      this.chunks ??= [];
      pushChunk(this.chunks, chunk);
      if (this.length > this.mostBytes) this.cutOff();
      else if (this.stated > 0 && this.stated <= this.mostBytes) this.makeRoom();
    }
    return true;
  }

  /** Takes the memory for a body of a stated length, unless so little of it has come that it may be a lie. */
  private makeRoom(): void {
    if (this.stated > Math.max(AT_ONCE_BYTES, this.length * EIGHTH) || this.stated === 0) return;
    this.body = new Uint8Array(this.stated);
    copyChunks(this.chunks ?? [], this.body);
    this.chunks = undefined;
  }

  onComplete(): void {
    // A 204 or 304 may have a length and no body.
    const body =
      this.body?.length === this.length ? this.body : joinChunks(this.chunks ?? [], this.chunks ? this.length : 0);
    this.resolve(new DispatchedResponse(this.status, this.headers, body, this.contentEncoding));
  }

  onError(error: Error): void {
    if (this.cancelled) return;
    this.reject(failureOf(error, this.abort !== undefined));
  }

  /** Of an error the beginning is enough; there may be no end. */
  private cutOff(): void {
    const body = joinChunks(this.chunks ?? [], this.length).slice(0, this.mostBytes);
    this.resolve(new DispatchedResponse(this.status, this.headers, body, this.contentEncoding));
    this.cancel(undefined);
  }

  private tooLarge(): void {
    this.cancel(responseTooLarge(this.request.maxResponseBytes));
  }
}

class DispatchedResponse implements TransportResponse {
  readonly status: number;
  readonly body: Bytes;
  readonly contentEncoding: string | undefined;
  readonly #raw: Buffer[];

  constructor(status: number, raw: Buffer[], body: Bytes, contentEncoding: string | undefined) {
    this.status = status;
    this.#raw = raw;
    this.body = body;
    this.contentEncoding = contentEncoding;
  }

  get headers(): Headers {
    return toHeaders(this.#raw);
  }
}
