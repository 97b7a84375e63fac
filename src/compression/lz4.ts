import type { Bytes, CompressionCodec, DecompressionLimits } from "../formats/request.js";
import { compressBlock, compressedBound, decompressBlock, decompressedBound, newTable } from "./lz4/block.js";
import { compressFrame, decompressFrames, isFrame } from "./lz4/frame.js";
import { Output } from "./lz4/output.js";

const ORIGINAL_LENGTH = "x-lz4-original-length";
/** What is taken at first where the length is not known. */
const FIRST_CAPACITY = 65_536;

/**
 * LZ4 as one raw block without any length: the official Java SDK's `LZ4`. A service that takes it must know or guess how
 * large the body was: `lz4Frame` is the better choice where the service takes frames.
 *
 * Decompresses both forms. A block's length is what the header `X-LZ4-Original-Length` says, or else whatever comes out.
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
 * LZ4 as one frame of independent 64 KiB blocks, with a checksum of each block and one of the content: the official Java
 * SDK's `LZ4Frame`. Decompresses both forms; checksums in a frame are verified.
 */
export const lz4Frame: CompressionCodec = {
  name: "lz4-frame",
  contentCodings: ["lz4"],
  compress: compressFrame,
  decompress,
};

/**
 * The first bytes tell the two apart. As a block, a frame's magic number would begin with a match (04: no literals) 19,746
 * bytes back (22 4D), where nothing is yet: no block begins so.
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
