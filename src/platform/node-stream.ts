import type { Dispatcher } from "undici";
import type { Bytes } from "../request.js";
import { joinChunks, totalLength } from "./chunks.js";
import { toHeaders } from "./node-raw-headers.js";
import {
  type ByteStream,
  type Exchange,
  type StreamedResponse,
  type StreamRequest,
  TransportError,
} from "./platform.js";

/** Bytes that may wait to be read before the server is held back. */
const HIGH_WATER_BYTES = 262_144;
/** What a chunk weighs beside its bytes, so that very small ones cannot fill the memory. */
const CHUNK_BYTES = 256;
/** Bytes that may wait of an answer whose server cannot be held back. */
const MOST_BYTES = 64 * 1024 * 1024;

/** Who waits for the next piece. */
interface Reader {
  readonly resolve: (piece: Bytes | undefined) => void;
  readonly reject: (reason: unknown) => void;
}

/** undici's handler, in its older form, for one exchange whose body is read piece by piece. */
export class StreamedExchange implements Dispatcher.DispatchHandler, Exchange, StreamedResponse {
  status = 0;
  headers: Headers = new Headers();
  contentEncoding: string | undefined = undefined;
  private readonly request: StreamRequest;
  private readonly resolve: (response: StreamedResponse) => void;
  private readonly reject: (reason: unknown) => void;
  private readonly open: Set<StreamedExchange>;
  private readonly onAbort = () => this.cancel(this.request.signal.reason);
  private abort: ((reason: Error) => void) | undefined = undefined;
  private resume: (() => void) | undefined = undefined;
  private canHold = false;
  /** Bytes of a stated length that are still to come. */
  private missing = Number.NaN;
  private chunks: Buffer[] = [];
  private weight = 0;
  private reader: Reader | undefined = undefined;
  private outcome: { readonly failed: boolean; readonly reason?: unknown } | undefined = undefined;
  /** Whether the reader knows the outcome, so that nothing changes it any more. */
  private over = false;

  /** Is a member of `open` until undici has done with it. */
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
    // Streams are few, so that the signal's price is no matter, and a caller may have nothing else to end one by.
    request.signal.addEventListener("abort", this.onAbort, { once: true });
  }

  cancel(reason: unknown): void {
    if (this.over) return;
    this.over = true;
    this.chunks = [];
    this.outcome = { failed: true, reason };
    this.finish();
    this.reject(reason);
    // Without effect when the server has ended: the connection is another exchange's then.
    this.abort?.(new Error("cancelled"));
  }

  read(): Promise<Bytes | undefined> {
    if (this.reader !== undefined) return Promise.reject(new Error("a read waits already: one at a time"));
    if (this.chunks.length > 0) {
      const piece = own(this.chunks);
      this.chunks = [];
      this.weight = 0;
      // May hand over more before it returns; without effect when undici does not wait.
      this.resume?.();
      return Promise.resolve(piece);
    }
    return new Promise((resolve, reject) => {
      this.reader = { resolve, reject };
      this.tell();
    });
  }

  onConnect(abort: (reason?: Error) => void): void {
    // What waits for its connection cannot be taken back; it is given up here, before a byte is written. Not by `abort`,
    // which would take the connection with it.
    if (this.over) throw new Error("cancelled");
    this.abort = abort;
    this.request.phase = "headers";
  }

  onHeaders(status: number, raw: Buffer[], resume: () => void): boolean {
    if (status < 200) return true;
    this.status = status;
    const headers = toHeaders(raw);
    this.headers = headers;
    this.contentEncoding = headers.get("content-encoding")?.trim().toLowerCase() || undefined;
    this.missing = Number(headers.get("content-length") ?? Number.NaN);
    this.canHold = staysOpen(headers);
    this.resume = resume;
    this.request.phase = "body";
    this.resolve(this);
    return true;
  }

  onData(chunk: Buffer): boolean {
    // A parser that goes on may have nothing to say yet.
    if (chunk.length === 0) return true;
    this.missing -= chunk.length;
    const { reader } = this;
    if (reader !== undefined) {
      this.reader = undefined;
      reader.resolve(own([chunk]));
      return true;
    }
    this.chunks.push(chunk);
    this.weight += chunk.length + CHUNK_BYTES;
    // Never at the last byte: a server that closes then would be taken for one that broke off.
    if (this.canHold) return this.weight < HIGH_WATER_BYTES || this.missing === 0;
    if (this.weight > MOST_BYTES) {
      this.fail(`more than ${MOST_BYTES} bytes wait to be read, of an answer that cannot be held back`);
    }
    return true;
  }

  onComplete(): void {
    this.outcome ??= { failed: false };
    this.finish();
  }

  onError(error: Error): void {
    const reason = failureOf(error, this.abort !== undefined);
    this.outcome ??= { failed: true, reason };
    this.finish();
    this.reject(reason);
  }

  private fail(message: string): void {
    this.outcome = { failed: true, reason: new TransportError(message, { sent: "maybe" }) };
    this.abort?.(new Error(message));
  }

  private finish(): void {
    this.open.delete(this);
    // The connection's next answer is another exchange's, which must not be let go from here.
    this.resume = undefined;
    this.tell();
    // What still waits to be read may be cancelled; without a head there is nobody who reads.
    if (this.over || this.status === 0) this.request.signal.removeEventListener("abort", this.onAbort);
  }

  /** Tells the reader the outcome, if there are both. */
  private tell(): void {
    const { reader, outcome } = this;
    if (reader === undefined || outcome === undefined) return;
    this.reader = undefined;
    this.over = true;
    this.request.signal.removeEventListener("abort", this.onAbort);
    if (outcome.failed) reader.reject(outcome.reason);
    else reader.resolve(undefined);
  }
}

/** A body as undici takes it: a stream as what can be iterated. */
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

/** A transport's word for an error of undici's. */
export function failureOf(error: Error, connected: boolean): TransportError {
  const { code } = error as { code?: string };
  return new TransportError(error.message, {
    sent: connected ? "maybe" : "no",
    cause: error,
    final: code === "UND_ERR_INVALID_ARG" || code === "UND_ERR_CLOSED" || code === "UND_ERR_DESTROYED",
  });
}

/**
 * Whether the connection outlives the answer. Only then may undici be told to wait: up to its 7th version the process
 * dies when the server ends a connection that was to end, while we wait (github.com/nodejs/undici/issues/5360). Handlers
 * are not told the version: an HTTP/1.0 server that states a length and breaks off within the body can still do it.
 */
function staysOpen(headers: Headers): boolean {
  for (const name of ["connection", "proxy-connection"]) {
    if (/(^|[\s,])close($|[\s,])/i.test(headers.get(name) ?? "")) return false;
  }
  return headers.has("content-length") || /chunked\s*$/i.test(headers.get("transfer-encoding") ?? "");
}

/** The chunks as one piece. Most are views of a larger network read, or of memory that Node shares out. */
function own(chunks: readonly Buffer[]): Bytes {
  const [chunk] = chunks as [Buffer];
  // The whole of its memory: undici has let go of it, and nobody else has it.
  if (chunks.length === 1 && chunk.length === chunk.buffer.byteLength)
    return new Uint8Array(chunk.buffer as ArrayBuffer);
  return joinChunks(chunks, totalLength(chunks));
}
