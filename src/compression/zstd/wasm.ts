import { EasUnsupportedError } from "../../errors.js";
import type { Bytes } from "../../formats/request.js";
import type { ZstdFrame } from "./frames.js";

/** What is used of @bokuweb/zstd-wasm's module, by the names that its build gives; its own loader wants a file or a URL. */
interface ZstdExports {
  /** The memory. */
  readonly f: WebAssembly.Memory;
  /** The constructors, to be called first. */
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

/** zstd's own default. */
const LEVEL = 3;
/** ZSTD_error_dstSize_tooSmall, as a function returns it. */
const TARGET_TOO_SMALL = -70;
const PAGE = 65_536;
/** What is taken at first for a frame that does not say its size. */
const FIRST_CAPACITY = 1 << 20;
const MAX_MEMORY = 2 ** 31;

let compiled: Promise<WebAssembly.Module> | undefined;

/** Compiled once. Loaded apart, since it is large and most runtimes have a zstd of their own. */
function compile(): Promise<WebAssembly.Module> {
  compiled ??= (async () => {
    try {
      const { ZSTD_WASM_GZIP } = await import("./wasm-binary.js");
      const packed = Uint8Array.from(atob(ZSTD_WASM_GZIP), (character) => character.charCodeAt(0));
      const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
      return await WebAssembly.compile(await new Response(unpacked).arrayBuffer());
    } catch (cause) {
      throw new EasUnsupportedError(
        "zstd needs a runtime that has it (Node 22.15 and later, Deno, Bun, workerd with the compatibility flag nodejs_compat) " +
          "or may compile WebAssembly (a page's Content-Security-Policy must allow 'wasm-unsafe-eval'): turn that on, or use gzip",
        { cause },
      );
    }
  })();
  return compiled;
}

/** An instance at rest. Memory only grows, so one that has grown far is let go, and one that failed as well. */
let idle: ZstdExports | undefined;
const MAX_IDLE_MEMORY = 32 << 20;

async function instantiate(): Promise<ZstdExports> {
  const module = await compile();
  const stop = (): never => {
    throw new Error("the zstd module aborted");
  };
  // exit, keepalive, abort, timers, and the growth of the memory, by the names of the build.
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

/** Works on `bytes` in an instance's memory. `work` is not asynchronous: no two calls are ever in one instance. */
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

/** The memory of an instance, and what one call has taken of it. */
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

  /** As it is now: it is another one as soon as the memory grows. */
  view(): Uint8Array {
    return new Uint8Array(this.zstd.f.buffer);
  }

  copyOf(at: number, length: number): Bytes {
    return this.view().slice(at, at + length) as Bytes;
  }
}

/** One frame. */
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

/** What a frame holds, at most `maxBytes`. */
export function decompressByWasm(bytes: Uint8Array, frame: ZstdFrame, maxBytes: number): Promise<Bytes> {
  const { start, end, contentSize, mostBytes } = frame;
  return withInstance(bytes.subarray(start, end), (memory, source) => {
    const { zstd } = memory;
    const most = Math.min(maxBytes, contentSize ?? mostBytes);
    for (let capacity = Math.min(most, contentSize ?? FIRST_CAPACITY); ; capacity = Math.min(most, capacity * 4)) {
      const target = memory.allocate(capacity);
      const length = zstd.r(target, capacity, source, end - start);
      if (!zstd.h(length)) return memory.copyOf(target, length);
      if (length !== TARGET_TOO_SMALL) throw new Error(`the zstd frame is corrupt (code ${length})`);
      if (capacity === most) {
        if (most < maxBytes) throw new Error("the zstd frame holds more bytes than it declares");
        throw new RangeError(`more than ${maxBytes} bytes`);
      }
      memory.freeLast();
    }
  });
}
