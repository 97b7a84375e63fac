import type { Transform } from "node:stream";
import type { Redaction } from "../redaction.js";

/**
 * Searches a compressed body for secrets, which cannot be replaced in compressed data. The body is decompressed chunk
 * by chunk, so that memory does not grow with its size.
 */
export class CompressedCheck {
  readonly #decompressor: Transform;
  readonly #closed: Promise<void>;
  #hasSecret = false;

  /** Returns a check for a `Content-Encoding`; undefined for encodings that Node cannot decompress. */
  static async create(encoding: string | undefined, redaction: Redaction): Promise<CompressedCheck | undefined> {
    if (encoding === undefined) return undefined;
    const zlib = await import("node:zlib");
    const create = {
      gzip: zlib.createGunzip,
      "x-gzip": zlib.createGunzip,
      deflate: zlib.createInflate,
      br: zlib.createBrotliDecompress,
      // Node before 22.15 does not support zstd.
      zstd: (zlib as { createZstdDecompress?: () => unknown }).createZstdDecompress,
    }[encoding.trim().toLowerCase()];
    return create && new CompressedCheck(create() as unknown as Transform, redaction);
  }

  private constructor(decompressor: Transform, redaction: Redaction) {
    this.#decompressor = decompressor;
    const search = redaction.search(() => {
      this.#hasSecret = true;
    });
    decompressor.on("data", (chunk: Uint8Array) => search.push(chunk));
    // A damaged body is recorded unchanged.
    decompressor.on("error", () => {});
    this.#closed = new Promise((resolve) => decompressor.once("close", resolve));
  }

  /** Searches the next chunk. */
  async write(chunk: Uint8Array): Promise<void> {
    const decompressor = this.#decompressor;
    if (decompressor.destroyed || decompressor.write(chunk)) return;
    const drained = new Promise<void>((resolve) => decompressor.once("drain", resolve));
    await Promise.race([drained, this.#closed]);
  }

  /** Resolves with whether the body contains a secret. */
  async end(): Promise<boolean> {
    this.#decompressor.end();
    await this.#closed;
    return this.#hasSecret;
  }
}
