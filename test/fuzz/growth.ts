import type { Bytes, Decoder } from "./decoder.js";

const FACTOR = 8;
/** Maximum factor of time for eight times the input. Quadratic time would be 64. */
const MAX_RATIO = 28;
/** Milliseconds below which times are noise. */
const NOISE_MS = 20;
/** Milliseconds that no linear decoder needs. */
const MUCH_MS = 1000;
const TRIES = 3;
/** Milliseconds below which the next size is measured, since even quadratic time is then short. */
const LITTLE_MS = 0.25;
const FIRST_SIZE = 4096;
const LAST_SIZE = 4096 * FACTOR ** 3;

/** Inputs that repeat one token: bytes, tokens of the format, and whole samples. */
export function* repeatable(decoder: Decoder, samples: readonly Bytes[]): Generator<(size: number) => Bytes> {
  const nothing = new Uint8Array(0);
  const units = [...decoder.pieces, ...samples.slice(0, 2)].filter((unit) => unit.length > 0);
  for (const [before, after] of decoder.around ?? [[nothing, nothing]]) {
    for (const unit of units) yield (size) => repeated(before, unit, after, size);
    for (const [open, close] of decoder.around ?? []) {
      if (open.length > 0 && close.length > 0) yield (size) => nested(before, open, close, after, size);
    }
  }
}

function nested(before: Bytes, open: Bytes, close: Bytes, after: Bytes, size: number): Bytes {
  const half = size / 2;
  const inner = repeated(new Uint8Array(0), close, after, (half * close.length) / open.length);
  return repeated(before, open, inner, half);
}

function repeated(before: Bytes, unit: Bytes, after: Bytes, size: number): Bytes {
  const count = Math.ceil(size / unit.length);
  const bytes = new Uint8Array(before.length + count * unit.length + after.length);
  bytes.set(before);
  for (let i = 0; i < count; i++) bytes.set(unit, before.length + i * unit.length);
  bytes.set(after, before.length + count * unit.length);
  return bytes;
}

/**
 * Returns a description of inputs whose time grows faster than their size; undefined if there are none. The limit is
 * loose: it finds quadratic time, which must occur twice in a row, because creating many objects at once is slow as
 * well.
 */
export async function superLinear(
  read: (input: Bytes) => Promise<void>,
  make: (size: number) => Bytes,
): Promise<string | undefined> {
  const times: string[] = [];
  let before = await fastest(read, make(FIRST_SIZE));
  for (let size = FIRST_SIZE * FACTOR, suspected = 0; size <= LAST_SIZE; size *= FACTOR) {
    const time = await fastest(read, make(size));
    times.push(`${size} bytes took ${time.toFixed(1)} ms`);
    suspected = time > NOISE_MS && time > MAX_RATIO * before ? suspected + 1 : 0;
    if (suspected === 2 || (suspected === 1 && time > MUCH_MS)) return times.join(", ");
    if (suspected === 0 && (time < LITTLE_MS || size > FIRST_SIZE * FACTOR)) return undefined;
    before = time;
  }
  return undefined;
}

async function fastest(read: (input: Bytes) => Promise<void>, input: Bytes): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < TRIES && least > NOISE_MS / 100; i++) {
    const startedAt = performance.now();
    const cpuBefore = process.cpuUsage();
    await read(input);
    const { user, system } = process.cpuUsage(cpuBefore);
    // The minimum of wall time and CPU time: wall time includes waiting for the processor on a busy machine, and CPU
    // time includes other threads.
    least = Math.min(least, performance.now() - startedAt, (user + system) / 1000);
  }
  return least;
}
