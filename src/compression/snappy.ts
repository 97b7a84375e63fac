import { compress, decompress } from "@stablelib/snappy";
import type { Bytes, CompressionCodec } from "../formats/request.js";

/** Maximum expansion: three input bytes can represent a copy of at most 64 bytes. */
const MAX_PER_BYTE: number = 64 / 3;

/**
 * Compresses to one raw Snappy block, as the official SDKs do. A service with `metadata.rpc.decompressor: snappy`
 * expects this format. It is not the Snappy framing format, which is used for files.
 *
 * @example
 * import { snappy } from "eas-prediction/compression/snappy";
 * client.setCompression(snappy);
 */
export const snappy: CompressionCodec = {
  name: "snappy",
  contentCodings: ["snappy"],
  compress: (bytes) => compress(bytes).slice(),
  decompress(bytes, { maxBytes }) {
    const length = originalLength(bytes);
    if (length > maxBytes) throw new RangeError(`more than ${maxBytes} bytes: the Snappy block declares ${length}`);
    if (length > bytes.length * MAX_PER_BYTE) {
      throw new Error(`the Snappy block declares ${length} bytes, and ${bytes.length} bytes cannot hold that many`);
    }
    return decompress(bytes, new Uint8Array(length)) as Bytes;
  },
};

/** Reads the length at the start of a block. Implemented here because the library reads an unterminated length as 0. */
function originalLength(bytes: Uint8Array): number {
  let length = 0;
  for (let i = 0; i < 5; i++) {
    const byte = bytes[i];
    if (byte === undefined) break;
    length += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) {
      if (length < 2 ** 32) return length;
      break;
    }
  }
  throw new Error("the Snappy block does not begin with its length");
}
