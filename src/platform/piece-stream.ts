import type { Bytes } from "../formats/request.js";

/** The source of a stream. */
export interface PieceSource {
  /** Resolves with the next chunk, or with undefined at the end. Only one read can be pending. */
  read(): Promise<Bytes | undefined>;
  cancel(reason: unknown): void | Promise<void>;
  /** Returns the error if the stream failed. Chunks that were read before the failure are still delivered. */
  failure?(): Error | undefined;
  /** Registers a function that makes the stream fail immediately, even while there is no pending read. */
  onFail?(fail: (error: unknown) => void): void;
}

/** Reads a stream like `ReadableStreamDefaultReader`. */
export interface PieceStreamReader {
  read(): Promise<Bytes | undefined>;
  cancel(reason?: unknown): Promise<void>;
  /** Rejects when the stream fails. */
  readonly closed: Promise<unknown>;
}

/** The sources of streams that this package created. */
const sources = /* @__PURE__ */ new WeakMap<ReadableStream, QueuedSource>();

/** Creates a stream that reads ahead of its consumer by up to `aheadBytes` bytes. */
export function chunkStream(source: PieceSource, aheadBytes: number): ReadableStream<Bytes> {
  const queued = new QueuedSource(source);
  // Some edge runtimes do not have ByteLengthQueuingStrategy. An empty chunk counts as one byte, so that the stream
  // reads it.
  const strategy = { highWaterMark: aheadBytes, size: ({ length }: Bytes) => Math.max(1, length) };
  const stream = new ReadableStream<Bytes>(queued, strategy);
  if (source.failure === undefined) sources.set(stream, queued);
  return stream;
}

/**
 * Locks a stream and reads it. If `chunkStream` created the stream, its source is read directly, because two queued
 * streams in series would double a relay's work.
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
  /** The pending read for the stream's queue. */
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
      // A direct reader has started in the meantime and will receive this chunk.
      if (this.#isDirect) return;
      this.#pulled = undefined;
      if (piece !== undefined) return controller.enqueue(piece);
      this.#failure ??= this.#source.failure?.();
      // Delay the error until the queue is empty, because an error would discard the queue. The stream pulls again
      // after each read.
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

  /** Reads the source directly. First, `viaStream` reads the chunks that are already in the stream's queue. */
  readDirectly(viaStream: () => Promise<Bytes | undefined>): Promise<Bytes | undefined> {
    this.#isDirect = true;
    if (this.#isOver || this.#controller?.desiredSize !== this.#highWaterMark) return viaStream();
    const pulled = this.#pulled;
    this.#pulled = undefined;
    return pulled ?? this.#source.read();
  }
}
