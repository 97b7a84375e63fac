import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { xxHash32 } from "../../../src/compression/lz4/xxhash32.js";
import { lz4, lz4Frame } from "../../../src/compression/lz4.js";
import { snappy } from "../../../src/compression/snappy.js";
import { zstd } from "../../../src/compression/zstd.js";
import type { CompressionCodec } from "../../../src/index.js";
import { errorOf } from "../../support/calls.js";

const CODECS: readonly CompressionCodec[] = [snappy, lz4, lz4Frame, zstd];
const named = CODECS.map((codec) => [codec.name, codec] as const);

const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"));
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** Decompresses `bytes`. Always returns a promise, so that all codecs fail in the same way. */
async function undo(codec: CompressionCodec, bytes: Uint8Array, maxBytes = 1 << 20, headers = {}): Promise<Uint8Array> {
  return (codec.decompress as NonNullable<CompressionCodec["decompress"]>)(bytes, {
    maxBytes,
    headers: new Headers(headers),
  });
}

/** The expected bytes of independent implementations are below. */
const TEXT = new TextEncoder().encode(
  `${"EAS answers with what the model says: ".repeat(6)}${String.fromCharCode(...Array(64).keys())}${"\0".repeat(100)}`,
);
const WORDS = "45415320616e73776572732077697468207768617420746865206d6f64656c20736179733a20";
const UP_TO_64 = hexOf(Uint8Array.from({ length: 64 }, (_, i) => i));
const LZ4_BLOCK = `ff17${WORDS}2600abff32${UP_TO_64}0001004b500000000000`;
const OUR_LZ4_BLOCK = `ff17${WORDS}2600abff33${UP_TO_64}000002004a500000000000`;

/** The magic number of an LZ4 frame, its descriptor and the descriptor's checksum. */
function frameHead(descriptor: string): string {
  const bytes = bytesOf(descriptor);
  const checksum = (xxHash32(bytes, 0, bytes.length) >>> 8) & 0xff;
  return `04224d18${descriptor}${checksum.toString(16).padStart(2, "0")}`;
}

/** Created with python-snappy 0.7, python-lz4 4.4 (with liblz4), zstandard 0.25 and cramjam 2.14. */
const GOLDENS: readonly (readonly [string, CompressionCodec, string, Uint8Array])[] = [
  ["python-snappy, a block", snappy, `880398${WORDS}45fe2600fe2600f22600f043${UP_TO_64}00000000fe03007e0300`, TEXT],
  ["liblz4, a block", lz4, LZ4_BLOCK, TEXT],
  [
    "liblz4, a frame as Java writes it: 64 KiB, independent, both checksums",
    lz4Frame,
    `04224d187440bd77000000${LZ4_BLOCK}51b12cf500000000e503d9f6`,
    TEXT,
  ],
  [
    "cramjam, a frame with a checksum of its content",
    lz4Frame,
    `04224d185440ae77000000${LZ4_BLOCK}51b12cf500000000e503d9f6`,
    TEXT,
  ],
  [
    "liblz4, a frame of linked blocks that says its size",
    lz4Frame,
    `04224d18684098040000000000008685000000ff17${WORDS}2600abff32${UP_TO_64}000100500f6201ab0fbe00130f8801ffff1650000000000000000000`,
    Buffer.concat([TEXT, TEXT, TEXT]),
  ],
  ["libzstd, with a checksum", zstd, `28b52ffd6488009d03007406${WORDS}${UP_TO_64}00020001c0a5d1bb44a927acfcda27`, TEXT],
  ["libzstd, without its size", zstd, `28b52ffd00589d03007406${WORDS}${UP_TO_64}00020001c0a5d1bb44a927`, TEXT],
];

describe("decompresses bytes of other implementations", () => {
  test.each(GOLDENS)("%s", async (_, codec, hex, expected) => {
    expect(hexOf(await undo(codec, bytesOf(hex)))).toBe(hexOf(expected));
  });

  // python-snappy, liblz4 and libzstd have decompressed these bytes, and those of 400 other inputs. They must do so
  // again after a change.
  test.each([
    ["snappy", snappy, `880394${WORDS}fe2600fe2600f62600f042${UP_TO_64}000000fe0300820300`],
    ["lz4", lz4, OUR_LZ4_BLOCK],
    ["lz4-frame", lz4Frame, `04224d187440bd78000000${OUR_LZ4_BLOCK}beae748400000000e503d9f6`],
  ])("compresses to bytes that other implementations decompress: %s", async (_, codec, hex) => {
    expect(hexOf(await codec.compress(TEXT))).toBe(hex);
  });

  test("does not start an LZ4 match in the last twelve bytes, which liblz4 would reject", async () => {
    const text = "abcdefghij0123456789ABCDEFabcdefghij";
    expect(hexOf(await lz4.compress(Buffer.from(text)))).toBe(`f015${Buffer.from(text).toString("hex")}`);
  });

  test("either LZ4 codec decompresses both forms", async () => {
    for (const writer of [lz4, lz4Frame]) {
      for (const reader of [lz4, lz4Frame])
        expect(await undo(reader, await writer.compress(TEXT))).toEqual(new Uint8Array(TEXT));
    }
  });
});

/** Data that repeats at all distances, and random data. */
const data = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc
    .array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 400 })), {
      maxLength: 30,
    })
    .map((parts) => new Uint8Array(Buffer.concat(parts.flatMap(([part, times]) => Array(times).fill(part))))),
);

describe.each(named)("%s", (_, codec) => {
  test("decompresses what it compresses, into new memory", async () => {
    await fc.assert(
      fc.asyncProperty(data, fc.integer({ min: 0, max: 7 }), async (bytes, offset) => {
        // A view of a larger array, like a Node Buffer.
        const window = new Uint8Array(bytes.length + offset + 3).subarray(offset, offset + bytes.length);
        window.set(bytes);
        const packed = await codec.compress(window);
        const undone = await undo(codec, packed, Math.max(1, bytes.length));
        expect(Buffer.compare(undone, bytes)).toBe(0);
        expect(Buffer.compare(window, bytes)).toBe(0);
        for (const array of [packed, undone]) expect(array.buffer.byteLength).toBe(array.length);
      }),
      { numRuns: 60 },
    );
  });

  test("decompresses a megabyte of floats", async () => {
    const floats = Float32Array.from({ length: 1 << 18 }, (_, i) => Math.max(0, Math.sin(i * i)));
    const bytes = new Uint8Array(floats.buffer);
    const packed = await codec.compress(bytes);
    expect(packed.length).toBeLessThan(bytes.length);
    expect(Buffer.compare(await undo(codec, packed), bytes)).toBe(0);
  });

  test("throws a RangeError if the limit is one byte too low", async () => {
    const packed = await codec.compress(TEXT);
    expect((await undo(codec, packed, TEXT.length)).length).toBe(TEXT.length);
    for (const maxBytes of [TEXT.length - 1, 65, 1, 0]) {
      expect(await errorOf(undo(codec, packed, maxBytes))).toBeInstanceOf(RangeError);
    }
  });

  test("throws for every truncation", async () => {
    const packed = await codec.compress(TEXT);
    for (let length = 0; length < packed.length; length++) {
      // A raw block that is truncated after literals is a shorter valid block. Only the length in the header reveals
      // it.
      const headers = codec === lz4 ? { "x-lz4-original-length": `${TEXT.length}` } : {};
      const error = await errorOf(undo(codec, packed.subarray(0, length), 1 << 20, headers));
      expect(error, `${length} bytes`).toBeInstanceOf(Error);
      expect(error.message.length).toBeGreaterThan(10);
    }
  });

  test("throws or returns at most the limit for random bytes", async () => {
    const starts = [[], [0x04, 0x22, 0x4d, 0x18], [0x28, 0xb5, 0x2f, 0xfd]];
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...starts), fc.uint8Array({ maxLength: 200 }), async (start, bytes) => {
        const undone = await undo(codec, Uint8Array.of(...start, ...bytes), 10_000).catch((error: unknown) => error);
        if (undone instanceof Uint8Array) expect(undone.length).toBeLessThanOrEqual(10_000);
        else expect(undone).toBeInstanceOf(Error);
      }),
      { numRuns: 300 },
    );
  });

  test("throws or returns at most the limit for a damaged byte", async () => {
    const packed = await codec.compress(TEXT);
    await fc.assert(
      fc.asyncProperty(fc.nat(packed.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const damaged = packed.slice();
        damaged[at] = (damaged[at] as number) ^ flip;
        const undone = await undo(codec, damaged, 4096).catch((error: unknown) => error);
        if (undone instanceof Uint8Array) expect(undone.length).toBeLessThanOrEqual(4096);
        else expect(undone).toBeInstanceOf(Error);
      }),
      { numRuns: 200 },
    );
  });

  test("stops at the limit for a decompression bomb", async () => {
    const bomb = await codec.compress(new Uint8Array(32 << 20));
    const error = await errorOf(undo(codec, bomb, 1 << 20));
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message).toContain("1048576");
  });

  test("throws for an empty input", async () => {
    expect(await errorOf(undo(codec, new Uint8Array(0)))).toBeInstanceOf(Error);
  });
});

// Computed with python-xxhash and, as checksums in its frames, liblz4.
test.each([
  ["", 0x02cc5d05],
  ["a", 0x550d7456],
  ["abc", 0x32d153ff],
  ["Nobody inspects the spammish repetition", 0xe2293b2f],
])("xxHash32 of %j", (text, expected) => {
  const bytes = new TextEncoder().encode(`x${text}y`);
  expect(xxHash32(bytes, 1, bytes.length - 1)).toBe(expected);
});

describe("damage that checksums detect", () => {
  const frame = bytesOf((GOLDENS[2] as (typeof GOLDENS)[number])[2]);
  test.each([
    ["the header", 5, /unsupported version/],
    ["the header's checksum", 6, /header does not match/],
    ["a block", 60, /block of the LZ4 frame does not match/],
    ["a block's checksum", frame.length - 12, /block of the LZ4 frame does not match/],
    ["the content's checksum", frame.length - 1, /content of the LZ4 frame does not match/],
  ])("in %s of an LZ4 frame", async (_, at, message) => {
    const damaged = frame.slice();
    damaged[at] = (damaged[at] as number) ^ 1;
    expect((await errorOf(undo(lz4Frame, damaged))).message).toMatch(message);
  });

  test("anywhere in an LZ4 frame that we compressed", async () => {
    const packed = await lz4Frame.compress(TEXT);
    for (let at = 0; at < packed.length; at++) {
      const damaged = packed.slice();
      damaged[at] = (damaged[at] as number) ^ 0x10;
      expect(await errorOf(undo(lz4Frame, damaged)), `at ${at}`).toBeInstanceOf(Error);
    }
  });

  test("in zstd with a checksum", async () => {
    const damaged = bytesOf((GOLDENS[5] as (typeof GOLDENS)[number])[2]);
    damaged[20] = 0;
    expect(await errorOf(undo(zstd, damaged))).toBeInstanceOf(Error);
  });
});

describe("hostile streams", () => {
  const GIB_4 = "ffffffff";
  test.each<[string, CompressionCodec, string, Record<string, string>, RegExp]>([
    ["snappy: 4 GiB", snappy, "ffffffff0f00", {}, /more than/],
    ["snappy: more than 4 GiB", snappy, "ffffffff1f00", {}, /does not begin with its length/],
    ["snappy: a length that never ends", snappy, "80", {}, /does not begin with its length/],
    ["snappy: a length of six bytes", snappy, "808080808000", {}, /does not begin with its length/],
    ["snappy: 1 MB in six bytes", snappy, "c0843d000061", {}, /cannot hold that many/],
    ["snappy: a copy before the beginning", snappy, "08006115ff", {}, /corrupt/],
    ["snappy: a copy of distance 0", snappy, "0500610100", {}, /corrupt/],
    ["snappy: a literal of 4 GiB", snappy, `05fc${GIB_4}61`, {}, /corrupt|unsupported/],
    ["snappy: less than it says", snappy, "05006161", {}, /corrupt/],
    ["snappy: more than it says", snappy, "01046162", {}, /corrupt/],
    ["lz4: a match before the beginning", lz4, "10610200", {}, /2 bytes back/],
    ["lz4: a match of distance 0", lz4, "106100000061", {}, /0 bytes back/],
    ["lz4: literals that are not there", lz4, "f0ffffffffff00", {}, /within literals/],
    ["lz4: a length that never ends", lz4, "f0ffffff", {}, /within a length/],
    ["lz4: the beginning of a match at the end", lz4, "04", {}, /within a match/],
    ["lz4: a match at the end", lz4, "10610100", {}, /without its last literals/],
    ["lz4: the magic number of the old format", lz4, "02214c1803000000", {}, /bytes back/],
    ["lz4: 4 GiB beside it", lz4, "1061", { "X-LZ4-Original-Length": "4294967296" }, /more than 1048576 bytes/],
    ["lz4: 1 MB beside it", lz4, "1061", { "X-LZ4-Original-Length": "1000000" }, /cannot hold that many/],
    [
      "lz4: a byte too many beside it",
      lz4,
      "1061",
      { "X-LZ4-Original-Length": "2" },
      /is 2, and the LZ4 block holds 1/,
    ],
    [
      "lz4: a byte too few beside it",
      lz4,
      "206161",
      { "X-LZ4-Original-Length": "1" },
      /is 1, and the LZ4 block holds 2/,
    ],
    [
      "lz4: no number beside it",
      lz4,
      "1061",
      { "X-LZ4-Original-Length": "1e3" },
      /"1e3": it must be a number of bytes/,
    ],
    [
      "lz4: two numbers beside it",
      lz4,
      "1061",
      { "X-LZ4-Original-Length": "1, 1" },
      /"1, 1": it must be a number of bytes/,
    ],
    ["lz4 frame: only the magic number", lz4Frame, "04224d18", {}, /truncated/],
    ["lz4 frame: version 2", lz4Frame, "04224d18a440000000000000", {}, /unsupported version/],
    ["lz4 frame: blocks of 1 KiB", lz4Frame, "04224d186020000000000000", {}, /block size/],
    ["lz4 frame: a dictionary", lz4Frame, "04224d18614000000000000000000000", {}, /dictionary/],
    [
      "lz4 frame: 2^64 - 1 bytes",
      lz4Frame,
      `${frameHead("6840ffffffffffffffff")}00000000`,
      {},
      /more than 1048576 bytes/,
    ],
    [
      "lz4 frame: a byte less than it says",
      lz4Frame,
      `${frameHead("68400200000000000000")}010000806100000000`,
      {},
      /declares 2 bytes but holds 1/,
    ],
    ["lz4 frame: something behind it", lz4Frame, "04224d186040820000000011223344", {}, /after the LZ4 frame/],
    ["lz4 frame: a block of 2 GiB", lz4Frame, "04224d18604082ffffff7f", {}, /larger than its maximum block size/],
    [
      "lz4 frame: a stored block of 2 GiB",
      lz4Frame,
      "04224d18604082ffffffff",
      {},
      /larger than its maximum block size/,
    ],
    ["zstd: a dictionary", zstd, "28b52ffd210701010000", {}, /dictionary/],
    ["zstd: 2^64 - 1 bytes", zstd, "28b52ffde0ffffffffffffffff010000", {}, /cannot hold that many/],
    ["zstd: a reserved bit", zstd, "28b52ffd2800010000", {}, /unsupported version/],
    ["zstd: a reserved block", zstd, "28b52ffd2000070000", {}, /invalid block/],
    ["zstd: a block of 2 MiB", zstd, "28b52ffd2000faffff", {}, /invalid block/],
    ["zstd: something behind it", zstd, "28b52ffd2000010000ff", {}, /truncated/],
    ["zstd: some more behind it", zstd, "28b52ffd2000010000ffffffffff", {}, /after the zstd frame/],
    ["zstd: only what is to be skipped", zstd, "502a4d180100000000", {}, /no zstd frame/],
    ["zstd: no zstd", zstd, "1f8b0800", {}, /does not begin with a zstd frame/],
  ])("%s", async (_, codec, hex, headers, message) => {
    const error = await errorOf(undo(codec, bytesOf(hex), 1 << 20, headers));
    expect(error.message).toMatch(message);
  });

  test("zstd that declares 100 MB fails before memory is allocated", async () => {
    // 800 blocks of one byte each that are marked as compressed.
    const blocks = Array.from({ length: 800 }, (_, i) => (i === 799 ? "0d000000" : "0c000000")).join("");
    const error = await errorOf(undo(zstd, bytesOf(`28b52ffda000e1f505${blocks}`), 256 << 20));
    expect(error).toBeInstanceOf(Error);
  });

  test("zstd of very many frames", async () => {
    const frame = Buffer.from("28b52ffd2000010000", "hex");
    expect((await undo(zstd, Buffer.concat(Array(20).fill(frame)))).length).toBe(0);
    const error = await errorOf(undo(zstd, Buffer.concat(Array(1025).fill(frame))));
    expect(error.message).toContain("more than 1024");
  });

  test("reads consecutive frames, and skips skippable frames", async () => {
    const skipped = Buffer.from("532a4d1803000000abcdef", "hex");
    for (const codec of [lz4Frame, zstd]) {
      const frame = await codec.compress(TEXT);
      const all = new Uint8Array(Buffer.concat([frame, skipped, frame, skipped]));
      expect(Buffer.compare(await undo(codec, all, 2 * TEXT.length), Buffer.concat([TEXT, TEXT]))).toBe(0);
      expect(await errorOf(undo(codec, all, 2 * TEXT.length - 1))).toBeInstanceOf(RangeError);
    }
  });

  test("frames without their size share one limit", async () => {
    const zstdFrame = Buffer.from("28b52ffd005809000061", "hex");
    const lz4OfOne = Buffer.from(`${frameHead("6040")}010000806100000000`, "hex");
    for (const [codec, frame] of [
      [zstd, zstdFrame],
      [lz4Frame, lz4OfOne],
    ] as const) {
      expect(await undo(codec, Buffer.concat([frame, frame]), 2).then(hexOf)).toBe("6161");
      expect(await errorOf(undo(codec, Buffer.concat([frame, frame]), 1))).toBeInstanceOf(RangeError);
    }
  });

  test("rejects an LZ4 block that holds more than its frame allows", async () => {
    const big = await lz4.compress(new Uint8Array(70_000));
    const size = Buffer.alloc(4);
    size.writeUInt32LE(big.length);
    const frame = Buffer.concat([Buffer.from("04224d18604082", "hex"), size, big, Buffer.alloc(4)]);
    expect((await errorOf(undo(lz4Frame, frame))).message).toContain("exceeds the maximum block size");
  });

  test("an independent LZ4 block cannot refer to the block before it, and a linked block can", async () => {
    // Two blocks: "a" uncompressed; then no literals, four bytes at a distance of one, and no literals.
    const blocks = "01000080610400000000010000";
    const linked = bytesOf(`${frameHead("4040")}${blocks}00000000`);
    const independent = bytesOf(`${frameHead("6040")}${blocks}00000000`);
    expect((await errorOf(undo(lz4Frame, independent))).message).toMatch(/1 bytes back, but only 0 bytes precede it/);
    expect(await undo(lz4Frame, linked).then(hexOf)).toBe("6161616161");
  });
});
