import { deflateSync, gzipSync } from "node:zlib";
import { decodeContent } from "../../../src/call/decoding/content-encoding.js";
import { DECODING_TOOLS, decodingOf } from "../../../src/call/decoding/decoding.js";
import { lz4, lz4Frame } from "../../../src/compression/lz4.js";
import { snappy } from "../../../src/compression/snappy.js";
import { zstd } from "../../../src/compression/zstd.js";
import type { CompressionCodec } from "../../../src/index.js";
import type { Platform } from "../../../src/platform/contract.js";
import { platform } from "../../../src/platform/node/platform.js";
import { platform as webPlatform } from "../../../src/platform/web/platform.js";
import { type Bytes, fromHex, must, table, utf8 } from "../decoder.js";

// Compressed bodies, decompressed like those of responses.

const MAX_BYTES = 1 << 18;
const CODECS = [snappy, lz4Frame, zstd];

const PIECES = [
  "00",
  "01",
  "ff",
  "ffff",
  "fffffff000",
  "04224d18",
  "502a4d1800000000",
  "28b52ffd",
  "28b52ffd0058010000",
  "1f8b08",
  "789c",
  "0100ff",
  "0000",
  "00000080",
  "0100008000",
  "1f000100",
  "fe0100",
  "ff7f",
  "80808001",
  "ffffffff0f",
  "feffff",
  "0200fe",
].map(fromHex);

const WORDS = utf8(`${"EAS answers with what the model says. ".repeat(20)}${"\0".repeat(3000)}`);
/** Incompressible data, which each format stores in its own way. */
const NOISE = Uint8Array.from({ length: 400 }, (_, i) => (i * i * 31 + i * 17) >>> 3);
const CONTENTS: readonly Bytes[] = [WORDS, NOISE, utf8("a"), new Uint8Array(70_000)];

async function undo(
  body: Bytes,
  encoding: string,
  on: Platform = platform,
  always?: CompressionCodec,
  length?: number,
) {
  const headers = new Headers(length === undefined ? {} : { "x-lz4-original-length": String(length) });
  const contentEncoding = encoding === "" ? undefined : encoding;
  const decoded = await decodeContent(
    { status: 200, headers, body, contentEncoding },
    on,
    MAX_BYTES,
    decodingOf(always ?? CODECS, undefined),
    true,
    DECODING_TOOLS,
  );
  must(decoded.length <= MAX_BYTES, "the limit");
}

const compressed = async (codec: CompressionCodec): Promise<Bytes[]> =>
  Promise.all(CONTENTS.map(async (content) => new Uint8Array(await codec.compress(content))));

const SNAPPY = await compressed(snappy);
const BLOCKS = await compressed(lz4);
const FRAMES = await compressed(lz4Frame);
const ZSTD = await compressed(zstd);
const GZIP = CONTENTS.map((content): Bytes => new Uint8Array(gzipSync(content)));
const ZLIB = CONTENTS.map((content): Bytes => new Uint8Array(deflateSync(content)));

/** Buffers grow by doubling, and their content is copied once at the end. */
const LIMIT = MAX_BYTES * 4;

export const COMPRESSIONS = table({ pieces: PIECES, limit: LIMIT }, [
  { name: "snappy", samples: () => SNAPPY, decode: (body) => undo(body, "snappy") },
  { name: "lz4 block", samples: () => BLOCKS, decode: (body) => undo(body, "", platform, lz4) },
  {
    name: "lz4 block with its length",
    samples: () => [BLOCKS[0] as Bytes],
    decode: (body) => undo(body, "", platform, lz4, WORDS.length),
  },
  { name: "lz4 frame", samples: () => FRAMES, decode: (body) => undo(body, "lz4") },
  { name: "zstd", samples: () => ZSTD, decode: (body) => undo(body, "zstd") },
  { name: "gzip", samples: () => GZIP, decode: (body) => undo(body, "gzip") },
  { name: "zlib", samples: () => ZLIB, decode: (body) => undo(body, "deflate") },
  { name: "gzip by streams", samples: () => GZIP, decode: (body) => undo(body, "gzip", webPlatform) },
  { name: "zlib by streams", samples: () => ZLIB, decode: (body) => undo(body, "deflate", webPlatform) },
  {
    name: "zlib in gzip",
    samples: () => ZLIB.map((body): Bytes => new Uint8Array(gzipSync(body))),
    decode: (body) => undo(body, "deflate, gzip"),
  },
]);
