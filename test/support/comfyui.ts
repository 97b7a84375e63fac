import { inflateSync } from "node:zlib";

/** ComfyUI's text-to-image example in the API format. */
export function textToImage(changes: { seed?: number; steps?: number; text?: string; side?: number } = {}): any {
  const { seed = 1, steps = 3, text = "a lighthouse", side = 64 } = changes;
  return {
    "3": {
      class_type: "KSampler",
      inputs: {
        model: ["4", 0],
        seed,
        steps,
        cfg: 8,
        sampler_name: "euler",
        scheduler: "normal",
        positive: ["6", 0],
        negative: ["7", 0],
        latent_image: ["5", 0],
        denoise: 1,
      },
    },
    "4": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "v1-5-pruned-emaonly.safetensors" } },
    "5": { class_type: "EmptyLatentImage", inputs: { width: side, height: side, batch_size: 1 } },
    "6": { class_type: "CLIPTextEncode", inputs: { text, clip: ["4", 1] } },
    "7": { class_type: "CLIPTextEncode", inputs: { text: "blurry", clip: ["4", 1] } },
    "8": { class_type: "VAEDecode", inputs: { samples: ["3", 0], vae: ["4", 2] } },
    "9": { class_type: "SaveImage", inputs: { images: ["8", 0], filename_prefix: "ComfyUI" } },
  };
}

/** Decodes a PNG with a palette: an independent reader, which checks the structure of all chunks. */
export function readPng(png: Uint8Array) {
  const bytes = Buffer.from(png);
  if (bytes.subarray(0, 8).toString("latin1") !== "\x89PNG\r\n\x1a\n") throw new Error("not a PNG");
  const chunks = new Map<string, Buffer>();
  for (let at = 8; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    const end = at + 8 + length;
    if (crc32(bytes.subarray(at + 4, end)) !== bytes.readUInt32BE(end)) throw new Error("wrong checksum");
    chunks.set(bytes.subarray(at + 4, at + 8).toString("latin1"), bytes.subarray(at + 8, end));
    at = end + 4;
  }
  const header = chunks.get("IHDR")!;
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const rows = inflateSync(chunks.get("IDAT")!);
  const palette = chunks.get("PLTE")!;
  const text = chunks.get("tEXt")?.toString("latin1");
  if (rows.length !== (width + 1) * height) throw new Error(`${rows.length} bytes for ${width} x ${height} pixels`);
  const used = new Set(rows.filter((_, i) => i % (width + 1) > 0));
  if (Math.max(...used) * 3 >= palette.length) throw new Error("a pixel has no color");
  return { width, height, rows, palette, text, colors: used.size };
}

/** CRC-32 bit by bit, because `zlib.crc32` does not exist in Node 20. */
function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
