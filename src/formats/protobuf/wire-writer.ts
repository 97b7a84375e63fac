import type { Bytes } from "../request.js";
import { LENGTH_DELIMITED } from "./wire.js";

/**
 * Minimum size in bytes of an array that is sent without a copy. Copying a smaller array takes less time than sending
 * another chunk.
 */
export const MIN_CHUNK_BYTES = 65_536;

/** Writes a message into a buffer whose size was computed in advance, so that the buffer never has to grow. */
export class WireWriter {
  readonly bytes: Bytes;
  position = 0;
  private readonly chunks: Bytes[] | undefined;
  private chunkStart = 0;

  /**
   * If `chunks` is given, the caller's large arrays are appended to it without a copy, and `size` is the total size of
   * all other bytes.
   */
  constructor(size: number, chunks?: Bytes[]) {
    this.bytes = new Uint8Array(size);
    this.chunks = chunks;
  }

  tag(field: number, wireType: number): void {
    this.varint(field * 8 + wireType);
  }

  /** Writes a non-negative safe integer as a varint. */
  varint(value: number): void {
    const { bytes } = this;
    let rest = value;
    while (rest >= 128) {
      bytes[this.position++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    bytes[this.position++] = rest;
  }

  /**
   * Writes a signed 32-bit integer as a varint. A negative integer takes ten bytes, because protobuf extends its sign
   * to 64 bits.
   */
  int32(value: number): void {
    if (value >= 0) return this.varint(value);
    const { bytes } = this;
    let at = this.position;
    bytes[at++] = (value & 127) | 128;
    bytes[at++] = ((value >>> 7) & 127) | 128;
    bytes[at++] = ((value >>> 14) & 127) | 128;
    bytes[at++] = ((value >>> 21) & 127) | 128;
    bytes[at++] = ((value >>> 28) & 15) | 240;
    bytes[at++] = 255;
    bytes[at++] = 255;
    bytes[at++] = 255;
    bytes[at++] = 255;
    bytes[at++] = 1;
    this.position = at;
  }

  /** Writes bytes or ASCII text. */
  raw(content: Uint8Array | string): void {
    if (typeof content === "string") {
      for (let i = 0; i < content.length; i++) this.bytes[this.position++] = content.charCodeAt(i);
    } else {
      this.bytes.set(content, this.position);
      this.position += content.length;
    }
  }

  /** Writes the caller's memory. Memory that is not copied must not change until it is sent. */
  memory(bytes: Bytes): void {
    if (this.chunks === undefined || bytes.length < MIN_CHUNK_BYTES) return this.raw(bytes);
    this.endChunk();
    this.chunks.push(bytes);
  }

  /** Appends a chunk with the bytes that were written since the last chunk. */
  endChunk(): void {
    if (this.position > this.chunkStart) this.chunks?.push(this.bytes.subarray(this.chunkStart, this.position));
    this.chunkStart = this.position;
  }

  /** Writes a field's tag, length and bytes. */
  delimited(field: number, bytes: Uint8Array): void {
    this.tag(field, LENGTH_DELIMITED);
    this.varint(bytes.length);
    this.raw(bytes);
  }
}
