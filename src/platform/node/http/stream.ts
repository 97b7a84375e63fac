import type { Dispatcher } from "undici";
import type { Bytes } from "../../../formats/request.js";
import { joinChunks, totalLength } from "../../chunks.js";
import {
  type ByteStream,
  type Exchange,
  type StreamedResponse,
  type StreamRequest,
  TransportError,
} from "../../contract.js";
import { failureOf, type Progress } from "../errors.js";
import { Connection } from "./connection.js";
import { bodyHeaders, hasBody, isBodiless, isDelimited, rawHeadersOf, toHeaders } from "./raw-headers.js";

/** Number of unread bytes above which reading from the server is paused. */
const HIGH_WATER_BYTES = 262_144;
/** Estimated memory overhead per chunk, in bytes. Counted so that tiny chunks cannot exhaust memory. */
const CHUNK_BYTES = 256;
/**
 * Approximate size to which waiting chunks are joined, in bytes. Kept small because the time that the `openai` package
 * takes is quadratic in the number of events in a chunk.
 */
const PIECE_BYTES = 16_384;
/** Maximum number of unread bytes on a connection that cannot be paused. */
const MAX_BYTES = 64 * 1024 * 1024;

/** A pending read. */
interface Reader {
  readonly isBorrowed: boolean;
  readonly resolve: (piece: Bytes | undefined) => void;
  readonly reject: (reason: unknown) => void;
}

/** undici's handler for an exchange whose body is read in chunks. */
export class StreamedExchange implements Dispatcher.DispatchHandler, Exchange, StreamedResponse {
  status = 0;
  headers: Headers = new Headers();
  contentEncoding: string | undefined = undefined;
  isUndelimited = false;
  private readonly request: StreamRequest;
  private readonly resolve: (response: StreamedResponse) => void;
  private readonly reject: (reason: unknown) => void;
  private readonly open: Set<StreamedExchange>;
  private readonly onAbort = () => this.cancel(this.request.signal.reason);
  private controller: Dispatcher.DispatchController | undefined = undefined;
  private connection: Connection | undefined = undefined;
  private isBodiless = false;
  private chunks: Buffer[] = [];
  private weight = 0;
  private reader: Reader | undefined = undefined;
  private outcome: { readonly failed: boolean; readonly reason?: unknown } | undefined = undefined;
  /** Whether the reader has received the final outcome. */
  private over = false;

  /** Adds the exchange to `open` until undici has finished it. */
  constructor(
    request: StreamRequest,
    resolve: (response: StreamedResponse) => void,
    reject: (reason: unknown) => void,
    open: Set<StreamedExchange>,
  ) {
    this.request = request;
    this.resolve = resolve;
    this.reject = reject;
    this.open = open;
    open.add(this);
    request.exchange = this;
    request.phase = "connect";
    // Use the signal only if the client might not see this `exchange`, because creating a signal takes 5 µs.
    if (request.self !== request) request.signal.addEventListener("abort", this.onAbort, { once: true });
  }

  cancel(reason: unknown): void {
    if (this.over) return;
    this.over = true;
    this.chunks = [];
    this.outcome = { failed: true, reason };
    this.finish();
    this.reject(reason);
    // Aborting has no effect once the response has ended, because the connection may then belong to another exchange.
    this.controller?.abort(new Error("cancelled"));
  }

  read(isBorrowed = false): Promise<Bytes | undefined> {
    if (this.reader !== undefined) return Promise.reject(new Error("a read is already pending: read one at a time"));
    if (this.chunks.length > 0) {
      const piece = pieceOf(this.takeSome(), isBorrowed);
      // Call `release` last, because more bytes can arrive before it returns.
      if (this.weight < HIGH_WATER_BYTES) this.connection?.release();
      return Promise.resolve(piece);
    }
    return new Promise((resolve, reject) => {
      this.reader = { isBorrowed, resolve, reject };
      this.tell();
    });
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // A request that is waiting for a connection cannot be withdrawn, so it is rejected here, before any byte is
    // written. Calling `abort` instead would also close the connection.
    if (this.over) throw new Error("cancelled");
    this.controller = controller;
    this.request.phase = "headers";
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (status < 200) return;
    const raw = rawHeadersOf(controller);
    const found = bodyHeaders(raw);
    this.status = status;
    this.headers = toHeaders(raw);
    this.contentEncoding = found.contentEncoding;
    this.connection = Connection.parsing;
    this.isBodiless = isBodiless(this.request.method, status);
    this.isUndelimited = !this.isBodiless && !isDelimited(found);
    this.request.phase = "body";
    this.resolve(this);
    // Close the connection if the server announces a body for a response that must not have one. If the server sent
    // that body, it would be parsed as the next response.
    if (this.isBodiless && hasBody(found)) this.connection?.drop();
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const { reader } = this;
    if (reader !== undefined) {
      this.reader = undefined;
      reader.resolve(pieceOf([chunk], reader.isBorrowed));
      return;
    }
    this.chunks.push(chunk);
    this.weight += chunk.length + CHUNK_BYTES;
    if (this.connection !== undefined) {
      if (this.weight >= HIGH_WATER_BYTES) this.connection.hold();
    } else if (this.weight > MAX_BYTES) {
      this.fail(`more than ${MAX_BYTES} received bytes are unread, and the connection cannot be paused`);
    }
  }

  onResponseEnd(): void {
    const error = this.isUndelimited ? this.connection?.error : undefined;
    this.outcome ??=
      error === undefined ? { failed: false } : { failed: true, reason: failureOf(error, this.progress) };
    this.finish();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    // A response without a body is complete as soon as its headers have arrived.
    if (this.isBodiless) {
      this.onResponseEnd();
      return;
    }
    const reason = failureOf(error, this.progress);
    this.outcome ??= { failed: true, reason };
    this.finish();
    this.reject(reason);
  }

  /** Removes chunks from the queue until their total size is at least `PIECE_BYTES`, or until the queue is empty. */
  private takeSome(): Buffer[] {
    let length = 0;
    let count = 0;
    while (length < PIECE_BYTES && count < this.chunks.length) length += (this.chunks[count++] as Buffer).length;
    this.weight -= length + count * CHUNK_BYTES;
    if (count < this.chunks.length) return this.chunks.splice(0, count);
    const all = this.chunks;
    this.chunks = [];
    return all;
  }

  private get progress(): Progress {
    return { isSent: this.controller !== undefined, hasHead: this.status !== 0 };
  }

  private fail(message: string): void {
    this.outcome = { failed: true, reason: new TransportError(message, { sent: "maybe" }) };
    this.controller?.abort(new Error(message));
  }

  private finish(): void {
    this.open.delete(this);
    // The next response on the connection belongs to another exchange.
    this.connection?.free();
    this.connection = undefined;
    this.tell();
    // Keep listening to the signal while there are chunks to read, because the read can be canceled. Before the headers
    // arrive, there is no reader.
    if (this.over || this.status === 0) this.unlisten();
  }

  private unlisten(): void {
    const { request } = this;
    if (request.self !== request) request.signal.removeEventListener("abort", this.onAbort);
  }

  /** Passes the outcome of the exchange to the pending read, if any. */
  private tell(): void {
    const { reader, outcome } = this;
    if (reader === undefined || outcome === undefined) return;
    this.reader = undefined;
    this.over = true;
    this.unlisten();
    if (outcome.failed) reader.reject(outcome.reason);
    else reader.resolve(undefined);
  }
}

/** Converts a body to a form that undici accepts. A stream becomes an async iterable. */
export function bodyOf(body: StreamRequest["body"]): Uint8Array | null {
  return body !== null && "getReader" in body ? (piecesOf(body) as never) : body;
}

async function* piecesOf(stream: ByteStream): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  let ended = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      ended = done;
      if (done) return;
      yield value;
    }
  } finally {
    if (!ended) void reader.cancel().catch(() => {});
  }
}

/**
 * Joins chunks. Unless `isBorrowed` is true, the result has its own memory, because most chunks are views of pooled
 * memory or of a larger network read.
 */
function pieceOf(chunks: readonly Buffer[], isBorrowed: boolean): Bytes {
  const [chunk] = chunks as [Buffer];
  if (chunks.length === 1) {
    if (isBorrowed) return chunk as Bytes;
    // No copy is needed: the chunk covers all of its memory, and undici no longer uses it.
    if (chunk.length === chunk.buffer.byteLength) return new Uint8Array(chunk.buffer as ArrayBuffer);
  }
  return joinChunks(chunks, totalLength(chunks));
}
