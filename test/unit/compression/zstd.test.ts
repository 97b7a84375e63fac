import { readFileSync, writeFileSync } from "node:fs";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterEach, describe, expect, test, vi } from "vitest";
import { ZSTD_WASM_GZIP } from "../../../src/compression/zstd/wasm-binary.js";
import { zstd } from "../../../src/compression/zstd.js";
import { EasUnsupportedError } from "../../../src/index.js";
import { errorOf } from "../../support/calls.js";

const TEXT = new TextEncoder().encode("zstandard ".repeat(100));
const limits = (maxBytes = 1 << 20) => ({ maxBytes, headers: new Headers() });
const undo = async (bytes: Uint8Array, maxBytes?: number) => zstd.decompress?.(bytes, limits(maxBytes));

const { getBuiltinModule } = process;
afterEach(() => {
  Object.assign(process, { getBuiltinModule });
  vi.unstubAllGlobals();
});

/** Replaces the node:zlib that the codec finds. */
function pretendZlib(zlib: unknown): void {
  Object.assign(process, { getBuiltinModule: () => zlib });
}

test("the WebAssembly in src/ equals that of the package", () => {
  const wasm = readFileSync("node_modules/@bokuweb/zstd-wasm/dist/esm/zstd.wasm");
  const file = "src/compression/zstd/wasm-binary.ts";
  if (process.env.UPDATE_ZSTD_WASM) {
    const text = readFileSync(file, "utf8").replace(
      /"[\w+/=]*"/,
      `"${gzipSync(wasm, { level: 9 }).toString("base64")}"`,
    );
    writeFileSync(file, text);
  }
  expect(gunzipSync(Buffer.from(ZSTD_WASM_GZIP, "base64")).equals(wasm)).toBe(true);
  const { version } = JSON.parse(readFileSync("node_modules/@bokuweb/zstd-wasm/package.json", "utf8"));
  expect(readFileSync(file, "utf8")).toContain(`zstd-wasm ${version},`);
});

describe("with WebAssembly", () => {
  test("parallel calls do not share memory", async () => {
    pretendZlib({});
    const bodies = Array.from({ length: 20 }, (_, i) => new Uint8Array(1000 * i).fill(i));
    const packed = await Promise.all(bodies.map((body) => zstd.compress(body)));
    const undone = await Promise.all(packed.map((bytes) => undo(bytes)));
    expect(undone).toEqual(bodies);
  });

  test("input that is larger than the retained memory", async () => {
    pretendZlib({});
    const large = new Uint8Array(40 << 20).fill(7);
    const packed = await zstd.compress(large);
    expect(Buffer.compare((await undo(packed, large.length)) as Uint8Array, large)).toBe(0);
    expect(Buffer.compare((await undo(await zstd.compress(TEXT))) as Uint8Array, TEXT)).toBe(0);
  });

  test("works after a failure", async () => {
    pretendZlib({});
    const damaged = Uint8Array.from(await zstd.compress(TEXT));
    damaged.fill(0xff, 10);
    damaged.set((await zstd.compress(TEXT)).subarray(0, 9));
    for (let i = 0; i < 5; i++) expect(await errorOf(undo(damaged))).toBeInstanceOf(Error);
    expect(Buffer.compare((await undo(await zstd.compress(TEXT))) as Uint8Array, TEXT)).toBe(0);
  });

  test("a large frame without its size", async () => {
    pretendZlib({});
    // 100 blocks that repeat a byte 131,072 times. Only the window size is declared.
    const blocks = Array.from({ length: 100 }, (_, i) => [i === 99 ? 3 : 2, 0, 0x10, 0x61]).flat();
    const frame = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, ...blocks);
    expect((await undo(frame, 1e8))?.length).toBe(13_107_200);
    expect(await errorOf(undo(frame, 13_107_199))).toBeInstanceOf(RangeError);
  });

  test("explains what to do if WebAssembly cannot be compiled", async () => {
    pretendZlib(undefined);
    vi.resetModules();
    vi.stubGlobal("WebAssembly", {
      compile: () => Promise.reject(new Error("Wasm code generation disallowed by embedder")),
    });
    const fresh = (await import("../../../src/compression/zstd.js")).zstd;
    for (const act of [
      () => fresh.compress(TEXT),
      async () => fresh.decompress?.(Uint8Array.from(await frame), limits()),
    ]) {
      const error = await errorOf(Promise.resolve(act()));
      expect(error).toBeInstanceOf(EasUnsupportedError);
      expect(error.message).toMatch(/nodejs_compat.*wasm-unsafe-eval/);
      expect((error.cause as Error).message).toContain("disallowed");
    }
  });
});

const frame = Promise.resolve(zstd.compress(TEXT));

describe("with the runtime's zstd", () => {
  /** A fake node:zlib that keeps its arguments. */
  const fakeZlib = (undone: Uint8Array) => ({
    zstdCompress: (_: Uint8Array, done: (error: null, bytes: Uint8Array) => void) => done(null, Buffer.from("packed")),
    zstdDecompressSync: vi.fn((_: Uint8Array, __: { maxOutputLength: number }) => undone),
  });

  test("is preferred, with a limit that every runtime accepts", async () => {
    const packed = await frame;
    const zlib = fakeZlib(Buffer.from(TEXT));
    pretendZlib(zlib);
    expect(new TextDecoder().decode(await zstd.compress(TEXT))).toBe("packed");
    expect(await undo(packed, Number.POSITIVE_INFINITY)).toEqual(TEXT);
    expect(zlib.zstdDecompressSync.mock.calls[0]?.[1]).toEqual({ maxOutputLength: 133_072 });
    expect(await errorOf(undo(packed, 999))).toBeInstanceOf(RangeError);
    expect(zlib.zstdDecompressSync).toHaveBeenCalledTimes(1);
  });

  test("output that is truncated or too long is an error", async () => {
    const packed = await frame;
    pretendZlib(fakeZlib(TEXT.subarray(0, 500)));
    expect((await errorOf(undo(packed))).message).toContain("declares 1000 bytes but holds 500");
    pretendZlib({
      ...fakeZlib(TEXT),
      zstdDecompressSync: () => {
        throw new RangeError("too large");
      },
    });
    const lie = await errorOf(undo(packed));
    expect(lie).not.toBeInstanceOf(RangeError);
    expect(lie.message).toContain("more bytes than it declares");
    // Without a content size: RFC 8878, a frame with one block of "a".
    const silent = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0x09, 0x00, 0x00, 0x61);
    pretendZlib(fakeZlib(new Uint8Array(50)));
    expect(await errorOf(undo(silent, 49))).toBeInstanceOf(RangeError);
  });

  test("is not called for a truncated stream, of which Deno and Bun would return a part", async () => {
    const packed = await frame;
    const zlib = fakeZlib(new Uint8Array(0));
    pretendZlib(zlib);
    for (let length = 0; length < packed.length; length++) {
      expect(await errorOf(undo(packed.subarray(0, length)))).toBeInstanceOf(Error);
    }
    expect(zlib.zstdDecompressSync).not.toHaveBeenCalled();
  });
});
