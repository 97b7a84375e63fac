import type { Bytes } from "../request.js";
import { LENGTH_DELIMITED } from "./wire.js";

/** Memory of fewer bytes is copied even where pieces are made: that costs less than to send one more. */
export const MIN_PIECE_BYTES = 65_536;

/** Writes into an array whose size was computed before, so that nothing is ever joined or copied again. */
export class WireWriter {
  readonly bytes: Bytes;
  position = 0;
  private readonly pieces: Bytes[] | undefined;
  private pieceStart = 0;

  /** With `pieces`, large memory stands among them as it is, and `size` is that of all the rest. */
  constructor(size: number, pieces?: Bytes[]) {
    this.bytes = new Uint8Array(size);
    this.pieces = pieces;
  }

  tag(field: number, wireType: number): void {
    this.varint(field * 8 + wireType);
  }

  /** A non-negative safe integer. */
  varint(value: number): void {
    const { bytes } = this;
    let rest = value;
    while (rest >= 128) {
      bytes[this.position++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    bytes[this.position++] = rest;
  }

  /** A signed 32-bit integer; negative ones take ten bytes, as protobuf extends their sign to 64 bits. */
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

  /** Bytes, or a text of ASCII. */
  raw(content: Uint8Array | string): void {
    if (typeof content === "string") {
      for (let i = 0; i < content.length; i++) this.bytes[this.position++] = content.charCodeAt(i);
    } else {
      this.bytes.set(content, this.position);
      this.position += content.length;
    }
  }

  /** Bytes that are not going to change while they are sent, if the caller has promised that. */
  memory(bytes: Bytes): void {
    if (this.pieces === undefined || bytes.length < MIN_PIECE_BYTES) return this.raw(bytes);
    this.endPiece();
    this.pieces.push(bytes);
  }

  /** Makes a piece of what was written since the last one. */
  endPiece(): void {
    if (this.position > this.pieceStart) this.pieces?.push(this.bytes.subarray(this.pieceStart, this.position));
    this.pieceStart = this.position;
  }

  /** Tag, length and bytes of a field. */
  delimited(field: number, bytes: Uint8Array): void {
    this.tag(field, LENGTH_DELIMITED);
    this.varint(bytes.length);
    this.raw(bytes);
  }
}
