import type { Bytes } from "../formats/request.js";

/** What a stream is made of. */
export interface PieceSource {
  /** Resolves with the next piece, or with undefined at the end. One read at a time. */
  read(): Promise<Bytes | undefined>;
  cancel(reason: unknown): void | Promise<void>;
  /** Returns why the end is a failure, if it is. What was read before it is delivered. */
  failure?(): Error | undefined;
  /** Takes a function that makes the stream fail at once, also while it is not read. */
  onFail?(fail: (error: unknown) => void): void;
}

/** Reads a stream, as `ReadableStreamDefaultReader` does. */
export interface PieceStreamReader {
  read(): Promise<Bytes | undefined>;
  cancel(reason?: unknown): Promise<void>;
  /** Rejects when the stream fails. */
  readonly closed: Promise<unknown>;
}

/** The streams of this package, each with its source. */
const sources = /* @__PURE__ */ new WeakMap<ReadableStream, QueuedSource>();

/** Creates a stream that reads up to `aheadBytes` before it is asked for them. */
export function chunkStream(source: PieceSource, aheadBytes: number): ReadableStream<Bytes> {
  const queued = new QueuedSource(source);
  // Not a ByteLengthQueuingStrategy, which some edge runtimes do not have. No piece weighs nothing, so that an empty one is seen.
  const strategy = { highWaterMark: aheadBytes, size: ({ length }: Bytes) => Math.max(1, length) };
  const stream = new ReadableStream<Bytes>(queued, strategy);
  if (source.failure === undefined) sources.set(stream, queued);
  return stream;
}

/**
 * Locks a stream and reads it. A stream that `chunkStream` made is read at its source: the queues of two streams, one behind the
 * other, cost as much as all other work of a relay.
 */
export function readPieces(stream: ReadableStream<Bytes>): PieceStreamReader {
  const reader = stream.getReader();
  const viaStream = () => reader.read().then(({ value }) => value);
  const source = sources.get(stream);
  return {
    read: source === undefined ? viaStream : () => source.readDirectly(viaStream),
    cancel: (reason) => reader.cancel(reason),
    closed: reader.closed,
  };
}

class QueuedSource {
  readonly #source: PieceSource;
  #controller: ReadableStreamDefaultController<Bytes> | undefined;
  #highWaterMark = 0;
  /** The read for the stream's queue that is under way. */
  #pulled: Promise<Bytes | undefined> | undefined;
  #failure: Error | undefined;
  #isDirect = false;
  #isOver = false;

  constructor(source: PieceSource) {
    this.#source = source;
  }

  start(controller: ReadableStreamDefaultController<Bytes>): void {
    this.#controller = controller;
    this.#highWaterMark = controller.desiredSize ?? 0;
    this.#source.onFail?.((error) => {
      this.#isOver = true;
      controller.error(error);
    });
  }

  async pull(controller: ReadableStreamDefaultController<Bytes>): Promise<void> {
    if (this.#isDirect) return;
    try {
      this.#pulled = this.#failure ? undefined : this.#source.read();
      const piece = await this.#pulled;
      // It belongs to the direct reader, which has begun meanwhile.
      if (this.#isDirect) return;
      this.#pulled = undefined;
      if (piece !== undefined) return controller.enqueue(piece);
      this.#failure ??= this.#source.failure?.();
      // An error discards what is queued. The stream pulls again after each read, until nothing is left.
      if (this.#failure !== undefined && controller.desiredSize !== this.#highWaterMark) return;
      this.#isOver = true;
      if (this.#failure !== undefined) controller.error(this.#failure);
      else controller.close();
    } catch (error) {
      this.#isOver = true;
      throw error;
    }
  }

  cancel(reason: unknown): void | Promise<void> {
    this.#isOver = true;
    return this.#source.cancel(reason);
  }

  /** `viaStream` reads what the stream has in its queue, and its end. */
  readDirectly(viaStream: () => Promise<Bytes | undefined>): Promise<Bytes | undefined> {
    this.#isDirect = true;
    if (this.#isOver || this.#controller?.desiredSize !== this.#highWaterMark) return viaStream();
    const pulled = this.#pulled;
    this.#pulled = undefined;
    return pulled ?? this.#source.read();
  }
}
