import { compress, decompress } from "@stablelib/snappy";
import type { Bytes, CompressionCodec } from "../formats/request.js";

/** A copy gives at most 64 bytes for each 3 that it takes. */
const MAX_PER_BYTE: number = 64 / 3;

/**
 * Snappy as one raw block: what the official SDKs send and what a service with `metadata.rpc.decompressor: snappy` takes. Not
 * the framing format of files.
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

/** The length that a block begins with. Read here, since the library takes one that never ends for 0. */
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
