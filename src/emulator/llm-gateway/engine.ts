import { platform } from "#platform";
import type { Bytes } from "../../formats/request.js";
import { joinChunks, totalLength } from "../../platform/chunks.js";
import { linkSignal, raceAbort, sleep, unlinkSignal } from "../../util/timing/abort.js";
import { breakBeforeHead, breakBody, breaksBody, isBrokenByFault, isEndedByFault, resetConnection } from "../faults.js";
import { Instance } from "../instances.js";
import { createResponse } from "../response.js";
import { runService } from "../services/run-service.js";
import type { EmulatorCall, EmulatorService } from "../services/service.js";

/**
 * Thrown when an engine does not send a complete response. `message` is the error message from the gateway's HTTP
 * client.
 */
export class EngineError extends Error {
  /** Whether a timeout of the gateway has expired. The gateway does not retry a request after a timeout. */
  readonly isTimeout: boolean;

  constructor(message: string, isTimeout = false) {
    super(message);
    this.isTimeout = isTimeout;
  }
}

/** An engine behind the gateway. */
export class Engine extends Instance {
  /** Number of calls and WebSockets in progress. */
  active = 0;
  /** Current weight in the smooth weighted round robin. */
  credit = 0;
  readonly #connections = new Set<AbortController>();

  /**
   * Opens a connection, whose signal aborts when the engine stops. Returns undefined if the engine is not listening.
   */
  connect(): AbortController | undefined {
    if (!this.isRunning) return undefined;
    const connection = new AbortController();
    this.#connections.add(connection);
    return connection;
  }

  /** Closes a connection that `connect` opened. */
  release(connection: AbortController): void {
    this.#connections.delete(connection);
  }

  override async stop(): Promise<void> {
    await super.stop();
    for (const connection of this.#connections) connection.abort(resetConnection());
    this.#connections.clear();
  }
}

/** A request to an engine. */
export interface EngineRequest extends Omit<EmulatorCall, "query" | "signal"> {
  /** The query string: `""`, or text that starts with `?`. */
  readonly search: string;
}

/** A response from an engine. Read its body to the end or call `discard()`. */
export interface EngineResponse {
  readonly status: number;
  readonly statusText: string;
  readonly headers: Headers;
  /** Yields the body. Throws an `EngineError` if the body is cut off. */
  readonly body: AsyncGenerator<Uint8Array>;
  /** Closes the connection without reading the body. */
  discard(): void;
}

/** Limits of a call to an engine. */
export interface EngineLimits {
  /** Maximum time to wait for the response headers, in milliseconds. */
  readonly headerTimeout: number;
}

/** Maximum size of the chunks that the gateway reads. */
const READ_BYTES = 8192;
const MAX_HEADER_BYTES = 10_485_760;
const MAX_REDIRECTS = 10;
const MAX_BODY_BYTES = 256 * 1024 * 1024;
/** The range from which Linux assigns local ports. */
const FIRST_PORT = 32_768;
const PORTS = 28_232;

/** The gateway's HTTP client for engines. */
export class EngineClient {
  readonly #service: EmulatorService;
  readonly #limits: EngineLimits;
  readonly #log: (call: EmulatorCall) => void;
  #ports = 0;

  constructor(service: EmulatorService, limits: EngineLimits, log: (call: EmulatorCall) => void) {
    this.#service = service;
    this.#limits = limits;
    this.#log = log;
  }

  /**
   * Sends a request and follows redirects. If the connection breaks before the response headers, the request is retried up to
   * `retries` times. Aborting `life` closes the connection to the engine. Rejects with an `EngineError`.
   */
  async send(engine: Engine, request: EngineRequest, life: AbortSignal, retries: number): Promise<EngineResponse> {
    for (let retry = 0; ; retry++) {
      try {
        return await this.#follow(engine, request, life);
      } catch (error) {
        if (!(error instanceof EngineError) || error.isTimeout || retry >= retries || life.aborted) throw error;
      }
    }
  }

  async #follow(engine: Engine, first: EngineRequest, life: AbortSignal): Promise<EngineResponse> {
    const operation = first.method.slice(0, 1) + first.method.slice(1).toLowerCase();
    let request = first;
    for (let sent = 1; ; sent++) {
      const url = urlOf(engine, request);
      const response = await this.#exchange(engine, request, life).catch((error: EngineError) => {
        throw new EngineError(`${operation} "${url}": ${error.message}`, error.isTimeout);
      });
      const location = [301, 302, 303, 307, 308].includes(response.status) ? response.headers.get("location") : null;
      if (location === null) return response;
      response.discard();
      if (sent >= MAX_REDIRECTS) {
        throw new EngineError(`${operation} "${location}": stopped after ${MAX_REDIRECTS} redirects`);
      }
      const target = new URL(location, url);
      if (target.origin !== engine.origin) {
        const at = `${target.hostname}:${target.port || 80}`;
        throw new EngineError(`${operation} "${target}": dial tcp ${at}: connect: connection refused`);
      }
      request = redirected(request, response.status, target);
    }
  }

  async #exchange(engine: Engine, request: EngineRequest, life: AbortSignal): Promise<EngineResponse> {
    const address = `${engine.ip}:${engine.port}`;
    const connection = engine.connect();
    if (connection === undefined) throw new EngineError(`dial tcp ${address}: connect: connection refused`);
    const local = FIRST_PORT + (this.#ports++ % PORTS);
    const explain = (error: unknown, atEnd: string): EngineError => {
      if (error instanceof EngineError) return error;
      if (isEndedByFault(error)) return new EngineError(atEnd);
      if (life.aborted && !isBrokenByFault(error)) return new EngineError("context canceled");
      return new EngineError(`read tcp 127.0.0.1:${local}->${address}: read: connection reset by peer`);
    };
    let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
    /** Closes the connection, which aborts the call in the engine. */
    const close = (reason?: unknown) => {
      unlinkSignal(life, target);
      engine.release(connection);
      connection.abort(reason);
      void reader?.cancel().catch(() => {});
    };
    const target = { abort: close };
    linkSignal(life, target);
    // As Go's HTTP client does, request gzip and decompress the response unless the caller sets `Accept-Encoding`.
    const headers = new Headers(request.headers);
    const isTransparent = !headers.has("accept-encoding") && request.method !== "HEAD";
    if (isTransparent) headers.set("accept-encoding", "gzip");
    try {
      const response = await withLimit(
        raceAbort(this.#respond(engine, { ...request, headers }, connection.signal), connection.signal),
        this.#limits.headerTimeout,
        "net/http: timeout awaiting response headers",
      );
      checkHeaderSize(response.headers);
      reader = response.body?.getReader();
      const { status, statusText } = response;
      const received = new Headers(response.headers);
      let body = readChunks(reader, connection.signal, close, (error) => explain(error, "unexpected EOF"));
      if (isTransparent && received.get("content-encoding") === "gzip") {
        received.delete("content-encoding");
        received.delete("content-length");
        body = decompressed(body);
      }
      return { status, statusText, headers: received, body: splitChunks(body), discard: close };
    } catch (error) {
      close(error);
      throw explain(error, "EOF");
    }
  }

  async #respond(engine: Engine, request: EngineRequest, signal: AbortSignal): Promise<Response> {
    const { search, ...rest } = request;
    const call: EmulatorCall = { ...rest, query: new URLSearchParams(search), signal };
    this.#log(call);
    const fault = engine.takeFault(request.service);
    await breakBeforeHead(fault, signal);
    if (fault?.status !== undefined) return createResponse(fault.status, fault.body ?? "", fault.headers);
    const methods = this.#service.methods ?? ["POST"];
    if (!methods.includes(request.method))
      return createResponse(405, "method not allowed", { allow: methods.join(", ") });
    const response = await runService(this.#service, call);
    return breaksBody(fault) ? await breakBody(response, fault) : response;
  }
}

function urlOf({ origin }: Engine, { path, search }: EngineRequest): string {
  return `${origin}${path || "/"}${search}`;
}

function redirected(request: EngineRequest, status: number, { pathname, search }: URL): EngineRequest {
  const next = { ...request, path: pathname, search };
  if (status >= 307 || request.method === "HEAD") return next;
  return { ...next, method: "GET", body: new Uint8Array() };
}

function checkHeaderSize(headers: Headers): void {
  let size = 0;
  for (const [name, value] of headers) size += name.length + value.length + 4;
  if (size <= MAX_HEADER_BYTES) return;
  throw new EngineError(
    `net/http: HTTP/1.x transport connection broken: net/http: server response headers exceeded ${MAX_HEADER_BYTES} bytes; aborted`,
  );
}

async function* readChunks(
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined,
  signal: AbortSignal,
  close: () => void,
  explain: (error: unknown) => EngineError,
): AsyncGenerator<Uint8Array> {
  try {
    for (;;) {
      const next = reader && (await raceAbort(reader.read(), signal));
      if (next === undefined || next.done) return;
      yield next.value;
    }
  } catch (error) {
    throw explain(error);
  } finally {
    close();
  }
}

/**
 * Decompresses a body after all of it has been received. The real gateway decompresses while it receives, but not every
 * runtime supports streaming gzip.
 */
async function* decompressed(chunks: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  const whole: Uint8Array[] = [];
  for await (const chunk of chunks) whole.push(chunk);
  let bytes: Bytes;
  try {
    bytes = await platform.inflate("gzip", joinChunks(whole, totalLength(whole)), MAX_BODY_BYTES);
  } catch {
    throw new EngineError("gzip: invalid header");
  }
  yield bytes;
}

async function* splitChunks(chunks: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += READ_BYTES) yield chunk.subarray(at, at + READ_BYTES);
  }
}

/** Rejects with an `EngineError` after `milliseconds`. */
export async function withLimit<T>(work: Promise<T>, milliseconds: number, message: string): Promise<T> {
  const limit = sleep(milliseconds);
  const passed = limit.done.then(
    () => {
      throw new EngineError(message, true);
    },
    () => work,
  );
  try {
    return await Promise.race([work, passed]);
  } finally {
    limit.cancel(undefined);
  }
}
