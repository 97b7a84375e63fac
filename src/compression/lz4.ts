import type { Bytes, CompressionCodec, DecompressionLimits } from "../formats/request.js";
import { compressBlock, compressedBound, decompressBlock, decompressedBound, newTable } from "./lz4/block.js";
import { compressFrame, decompressFrames, isFrame } from "./lz4/frame.js";
import { Output } from "./lz4/output.js";

const ORIGINAL_LENGTH = "x-lz4-original-length";
/** Initial capacity in bytes if the length is not known. */
const FIRST_CAPACITY = 65_536;

/**
 * Compresses to one raw LZ4 block without its length, as the official Java SDK's `LZ4` does. The service must know or
 * guess the body's length, so prefer `lz4Frame` if the service supports frames.
 *
 * Decompresses both blocks and frames. A block's length is taken from the `X-LZ4-Original-Length` response header, if
 * present.
 *
 * @example
 * import { lz4 } from "eas-prediction/compression/lz4";
 * client.setCompression(lz4);
 */
export const lz4: CompressionCodec = {
  name: "lz4",
  contentCodings: ["lz4"],
  compress(bytes) {
    const output = new Uint8Array(compressedBound(bytes.length));
    return output.slice(0, compressBlock(bytes, 0, bytes.length, output, 0, newTable()));
  },
  decompress,
};

/**
 * Compresses to one LZ4 frame, as the official Java SDK's `LZ4Frame` does. The frame contains independent 64 KiB
 * blocks, a checksum for each block, and one for the content. Decompresses both blocks and frames, and verifies the
 * checksums of a frame.
 *
 * @example
 * import { lz4Frame } from "eas-prediction/compression/lz4";
 * client.setCompression(lz4Frame);
 */
export const lz4Frame: CompressionCodec = {
  name: "lz4-frame",
  contentCodings: ["lz4"],
  compress: compressFrame,
  decompress,
};

/**
 * The first bytes distinguish a frame from a block, because no block starts with a frame's magic number. In a block,
 * these bytes would be a match without literals (04) at a distance of 19,746 bytes (22 4D), which would begin before
 * the start of the data.
 */
function decompress(bytes: Uint8Array, { maxBytes, headers }: DecompressionLimits): Bytes {
  if (isFrame(bytes)) {
    const output = new Output(Math.min(FIRST_CAPACITY, maxBytes), maxBytes);
    decompressFrames(bytes, output, maxBytes);
    return output.finish();
  }
  const length = originalLength(headers);
  if (length === undefined) {
    const output = new Output(Math.min(FIRST_CAPACITY, maxBytes), maxBytes);
    decompressBlock(bytes, 0, bytes.length, output, 0);
    return output.finish();
  }
  if (length > maxBytes) throw new RangeError(`more than ${maxBytes} bytes: ${ORIGINAL_LENGTH} is ${length}`);
  if (length > decompressedBound(bytes.length)) {
    throw new Error(`${ORIGINAL_LENGTH} is ${length}, and ${bytes.length} bytes of LZ4 cannot hold that many`);
  }
  const output = new Output(length, maxBytes);
  decompressBlock(bytes, 0, bytes.length, output, 0);
  if (output.length !== length) {
    throw new Error(`${ORIGINAL_LENGTH} is ${length}, and the LZ4 block holds ${output.length} bytes`);
  }
  return output.finish();
}

function originalLength(headers: Headers): number | undefined {
  const text = headers.get(ORIGINAL_LENGTH);
  if (text === null) return undefined;
  if (!/^\d{1,15}$/.test(text))
    throw new Error(`${ORIGINAL_LENGTH} is ${JSON.stringify(text)}: it must be a number of bytes`);
  return Number(text);
}
