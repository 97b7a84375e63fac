import { EasUnsupportedError } from "../../errors.js";
import type { Bytes } from "../../formats/request.js";
import type { ZstdFrame } from "./frames.js";

/**
 * The exports of @bokuweb/zstd-wasm's module that are used here, under their minified names. The package's own loader
 * is not used because it needs a file or a URL.
 */
interface ZstdExports {
  /** The instance's memory. */
  readonly f: WebAssembly.Memory;
  /** Runs the constructors. Must be called first. */
  g(): void;
  /** ZSTD_isError */
  h(code: number): number;
  /** ZSTD_compressBound */
  i(length: number): number;
  /** ZSTD_compress */
  m(target: number, capacity: number, source: number, length: number, level: number): number;
  /** ZSTD_decompress */
  r(target: number, capacity: number, source: number, length: number): number;
  /** malloc */
  s(length: number): number;
  /** free */
  t(at: number): void;
}

/** The default zstd compression level. */
const LEVEL = 3;
/** The error code ZSTD_error_dstSize_tooSmall. */
const TARGET_TOO_SMALL = -70;
const PAGE = 65_536;
/** Initial capacity in bytes for a frame that does not declare its content size. */
const FIRST_CAPACITY = 1 << 20;
const MAX_MEMORY = 2 ** 31;

let compiled: Promise<WebAssembly.Module> | undefined;

/**
 * Compiles the module once. The binary is a separate chunk, because it is large and most runtimes have their own zstd.
 */
function compile(): Promise<WebAssembly.Module> {
  compiled ??= (async () => {
    try {
      const { ZSTD_WASM_GZIP } = await import("./wasm-binary.js");
      const packed = Uint8Array.from(atob(ZSTD_WASM_GZIP), (character) => character.charCodeAt(0));
      const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
      return await WebAssembly.compile(await new Response(unpacked).arrayBuffer());
    } catch (cause) {
      throw new EasUnsupportedError(
        "zstd requires a runtime with built-in zstd (Node 22.15 and later, Deno, Bun, workerd with the compatibility flag nodejs_compat) " +
          "or one that may compile WebAssembly (a page's Content-Security-Policy must allow 'wasm-unsafe-eval'): enable one of them, or use gzip",
        { cause },
      );
    }
  })();
  return compiled;
}

/**
 * An idle instance for the next call. An instance's memory never shrinks, so instances with a large memory are
 * discarded, as are those that failed.
 */
let idle: ZstdExports | undefined;
const MAX_IDLE_MEMORY = 32 << 20;

async function instantiate(): Promise<ZstdExports> {
  const module = await compile();
  const stop = (): never => {
    throw new Error("the zstd module aborted");
  };
  // The imports have minified names. In order, they are: exit, keepalive, abort, timers and memory growth.
  const imports = { a: { a: stop, b: () => {}, c: stop, d: () => 0, e: (length: number) => grow(length >>> 0) } };
  const zstd = (await WebAssembly.instantiate(module, imports)).exports as unknown as ZstdExports;
  const grow = (length: number): number => {
    if (length > MAX_MEMORY) return 0;
    try {
      zstd.f.grow(Math.ceil((length - zstd.f.buffer.byteLength) / PAGE));
      return 1;
    } catch {
      return 0;
    }
  };
  zstd.g();
  return zstd;
}

/**
 * Copies `bytes` into the memory of an instance and runs `work`. `work` must be synchronous, so that two calls never
 * share an instance.
 */
async function withInstance(bytes: Uint8Array, work: (memory: Memory, source: number) => Bytes): Promise<Bytes> {
  const taken = idle;
  idle = undefined;
  const zstd = taken ?? (await instantiate());
  const memory = new Memory(zstd);
  const source = memory.allocate(bytes.length);
  memory.view().set(bytes, source);
  const result = work(memory, source);
  memory.freeAll();
  if (memory.view().length <= MAX_IDLE_MEMORY) idle = zstd;
  return result;
}

/** An instance's memory and the allocations made for one call. */
class Memory {
  readonly zstd: ZstdExports;
  readonly #taken: number[] = [];

  constructor(zstd: ZstdExports) {
    this.zstd = zstd;
  }

  allocate(length: number): number {
    const at = this.zstd.s(Math.max(length, 1)) >>> 0;
    if (at === 0) throw new Error(`cannot allocate ${length} bytes for zstd`);
    this.#taken.push(at);
    return at;
  }

  freeLast(): void {
    this.zstd.t(this.#taken.pop() as number);
  }

  freeAll(): void {
    while (this.#taken.length > 0) this.freeLast();
  }

  /** Returns a new view, because the buffer is replaced when the memory grows. */
  view(): Uint8Array {
    return new Uint8Array(this.zstd.f.buffer);
  }

  copyOf(at: number, length: number): Bytes {
    return this.view().slice(at, at + length) as Bytes;
  }
}

/** Compresses to one frame. */
export function compressByWasm(bytes: Uint8Array): Promise<Bytes> {
  return withInstance(bytes, (memory, source) => {
    const { zstd } = memory;
    const capacity = zstd.i(bytes.length);
    const target = memory.allocate(capacity);
    const length = zstd.m(target, capacity, source, bytes.length, LEVEL);
    if (zstd.h(length)) throw new Error(`zstd compression failed (code ${length})`);
    return memory.copyOf(target, length);
  });
}

/** Decompresses a frame to at most `maxBytes` bytes. */
export function decompressByWasm(bytes: Uint8Array, frame: ZstdFrame, maxBytes: number): Promise<Bytes> {
  const { start, end, contentSize, maxContentBytes } = frame;
  return withInstance(bytes.subarray(start, end), (memory, source) => {
    const { zstd } = memory;
    const max = Math.min(maxBytes, contentSize ?? maxContentBytes);
    for (let capacity = Math.min(max, contentSize ?? FIRST_CAPACITY); ; capacity = Math.min(max, capacity * 4)) {
      const target = memory.allocate(capacity);
      const length = zstd.r(target, capacity, source, end - start);
      if (!zstd.h(length)) return memory.copyOf(target, length);
      if (length !== TARGET_TOO_SMALL) throw new Error(`the zstd frame is corrupt (code ${length})`);
      if (capacity === max) {
        if (max < maxBytes) throw new Error("the zstd frame contains more bytes than it declares");
        throw new RangeError(`more than ${maxBytes} bytes`);
      }
      memory.freeLast();
    }
  });
}
