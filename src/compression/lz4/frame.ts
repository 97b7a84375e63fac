import type { Bytes } from "../../formats/request.js";
import { compressBlock, compressedBound, decompressBlock, newTable } from "./block.js";
import type { Output } from "./output.js";
import { xxHash32 } from "./xxhash32.js";

// The LZ4 frame format, version 1.6.4.

const MAGIC = 0x184d2204;
/** The first of the 16 magic numbers for skippable frames. */
const SKIPPABLE_MAGIC = 0x184d2a50;

/** Flags in the frame descriptor. */
const VERSION_1 = 0x40;
const VERSION_MASK = 0xc0;
const INDEPENDENT_BLOCKS = 0x20;
const BLOCK_CHECKSUMS = 0x10;
const CONTENT_SIZE = 0x08;
const CONTENT_CHECKSUM = 0x04;
const RESERVED = 0x02;
const DICTIONARY = 0x01;

/** The bit in a block's size that marks an uncompressed block. */
const STORED = 0x80000000;

/** The flags that the official Java SDK uses. */
const FLAGS: number = VERSION_1 | INDEPENDENT_BLOCKS | BLOCK_CHECKSUMS | CONTENT_CHECKSUM;
const BLOCK_SIZE_ID = 4;
const BLOCK_SIZE = 65_536;

/** Returns the maximum block size that a number in the descriptor represents. */
const blockSizeOf = (id: number): number => 1 << (8 + 2 * id);

/** Whether `bytes` start with a frame. */
export function isFrame(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && viewOf(bytes).getUint32(0, true) === MAGIC;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Compresses to one frame of independent 64 KiB blocks, with a checksum for each block and one for the content. */
export function compressFrame(input: Uint8Array): Bytes {
  const blocks = Math.ceil(input.length / BLOCK_SIZE);
  const output = new Uint8Array(15 + input.length + blocks * (8 + compressedBound(BLOCK_SIZE) - BLOCK_SIZE));
  const view = viewOf(output);
  view.setUint32(0, MAGIC, true);
  output[4] = FLAGS;
  output[5] = BLOCK_SIZE_ID << 4;
  output[6] = xxHash32(output, 4, 6) >>> 8;
  let at = 7;
  const table = newTable();
  for (let start = 0; start < input.length; start += BLOCK_SIZE) {
    const end = Math.min(start + BLOCK_SIZE, input.length);
    const data = at + 4;
    let dataEnd = compressBlock(input, start, end, output, data, table);
    const stored = dataEnd - data >= end - start;
    if (stored) {
      output.set(input.subarray(start, end), data);
      dataEnd = data + (end - start);
    }
    view.setUint32(at, (dataEnd - data + (stored ? STORED : 0)) >>> 0, true);
    view.setUint32(dataEnd, xxHash32(output, data, dataEnd), true);
    at = dataEnd + 4;
  }
  view.setUint32(at, 0, true);
  view.setUint32(at + 4, xxHash32(input, 0, input.length), true);
  return output.slice(0, at + 8);
}

/**
 * Appends the content of all frames in `input` to the output. Throws an `Error` if a frame is invalid, and a
 * `RangeError` if the output exceeds its limit.
 */
export function decompressFrames(input: Uint8Array, output: Output, maxBytes: number): void {
  const view = viewOf(input);
  for (let at = 0; at < input.length; ) {
    const magic = uint32(view, at);
    if (magic === MAGIC) {
      at = decompressFrame(input, at + 4, output, maxBytes);
    } else if ((magic & 0xfffffff0) === SKIPPABLE_MAGIC) {
      const size = uint32(view, at + 4);
      need(view, at + 8, size);
      at += 8 + size;
    } else {
      throw new Error("the data after the LZ4 frame is not an LZ4 frame");
    }
  }
}

/** Decompresses the frame whose descriptor starts at `start`, and returns its end. */
function decompressFrame(input: Uint8Array, start: number, output: Output, maxBytes: number): number {
  const view = viewOf(input);
  const frameStart = output.length;
  need(view, start, 3);
  const flags = input[start] as number;
  const blockSizes = input[start + 1] as number;
  const blockSizeId = blockSizes >>> 4;
  if ((flags & VERSION_MASK) !== VERSION_1 || (flags & RESERVED) !== 0 || (blockSizes & 0x0f) !== 0) {
    throw new Error("the LZ4 frame has an unsupported version");
  }
  if (blockSizeId < 4 || blockSizeId > 7) throw new Error("the LZ4 frame has an unknown block size");
  if ((flags & DICTIONARY) !== 0) throw new Error("the LZ4 frame needs a dictionary, which is not supported");
  const blockSize = blockSizeOf(blockSizeId);
  let at = start + 2;
  let contentSize: number | undefined;
  if ((flags & CONTENT_SIZE) !== 0) {
    need(view, at, 8);
    contentSize = Number(view.getBigUint64(at, true));
    at += 8;
  }
  need(view, at, 1);
  if (input[at] !== ((xxHash32(input, start, at) >>> 8) & 0xff)) {
    throw new Error("the LZ4 frame's header does not match its checksum");
  }
  at++;
  if (contentSize !== undefined && frameStart + contentSize > maxBytes) {
    throw new RangeError(`more than ${maxBytes} bytes: the LZ4 frame declares ${contentSize}`);
  }
  for (;;) {
    const word = uint32(view, at);
    at += 4;
    if (word === 0) break;
    const stored = word >= STORED;
    const end = at + (stored ? word - STORED : word);
    if (end - at > blockSize) throw new Error("the LZ4 frame has a block larger than its maximum block size");
    need(view, at, end - at);
    if ((flags & BLOCK_CHECKSUMS) !== 0) {
      if (uint32(view, end) !== xxHash32(input, at, end)) {
        throw new Error("a block of the LZ4 frame does not match its checksum");
      }
    }
    const blockStart = output.length;
    const independent = (flags & INDEPENDENT_BLOCKS) !== 0;
    const floor = independent ? blockStart : frameStart;
    if (stored) output.append(input, at, end);
    else decompressBlock(input, at, end, output, floor);
    if (output.length - blockStart > blockSize)
      throw new Error("a decompressed block of the LZ4 frame exceeds the maximum block size");
    at = (flags & BLOCK_CHECKSUMS) !== 0 ? end + 4 : end;
  }
  if (contentSize !== undefined && output.length - frameStart !== contentSize) {
    throw new Error(`the LZ4 frame declares ${contentSize} bytes but holds ${output.length - frameStart}`);
  }
  if ((flags & CONTENT_CHECKSUM) !== 0) {
    if (uint32(view, at) !== xxHash32(output.bytes, frameStart, output.length)) {
      throw new Error("the content of the LZ4 frame does not match its checksum");
    }
    at += 4;
  }
  return at;
}

/** Reads the unsigned number at `at`. Throws if it is truncated. */
function uint32(view: DataView, at: number): number {
  need(view, at, 4);
  return view.getUint32(at, true);
}

/** Throws if fewer than `count` bytes follow. */
function need(view: DataView, at: number, count: number): void {
  if (count > view.byteLength - at) throw new Error("the LZ4 frame is truncated");
}
