import { platform } from "#platform";
import type { Bytes } from "../../../formats/request.js";
import type { IndexedImage } from "./picture.js";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const BIT_DEPTH = 8;
const COLOR_TYPE_PALETTE = 3;

/**
 * Encodes an image as PNG. The encoding is lossless, but the compressed bytes may differ between runtimes.
 *
 * @param texts - Text chunks by keyword. Characters outside ASCII are escaped as in JSON.
 */
export async function encodePng(image: IndexedImage, texts: Readonly<Record<string, string>> = {}): Promise<Bytes> {
  const { width, height, pixels, palette } = image;
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([BIT_DEPTH, COLOR_TYPE_PALETTE], 8);
  // Each row starts with its filter type; 0 means no filter.
  const rows = new Uint8Array((width + 1) * height);
  for (let y = 0; y < height; y++) rows.set(pixels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const chunks = [
    createChunk("IHDR", header),
    createChunk("PLTE", palette),
    ...Object.entries(texts).map(([name, text]) => createChunk("tEXt", encodeAscii(`${name}\0${escapeText(text)}`))),
    createChunk("IDAT", await platform.deflate("zlib", rows)),
    createChunk("IEND", new Uint8Array(0)),
  ];
  const png = new Uint8Array(SIGNATURE.length + chunks.reduce((sum, { length }) => sum + length, 0));
  png.set(SIGNATURE);
  let at = SIGNATURE.length;
  for (const chunk of chunks) {
    png.set(chunk, at);
    at += chunk.length;
  }
  return png;
}

function createChunk(type: string, data: Uint8Array): Uint8Array {
  const chunk = new Uint8Array(12 + data.length);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, data.length);
  chunk.set(encodeAscii(type), 4);
  chunk.set(data, 8);
  view.setUint32(8 + data.length, crc32(chunk.subarray(4, 8 + data.length)));
  return chunk;
}

const CRC_TABLE = /* @__PURE__ */ Uint32Array.from({ length: 256 }, (_, value) => {
  let crc = value;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ byte) & 0xff] as number);
  return ~crc >>> 0;
}

function escapeText(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function encodeAscii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
