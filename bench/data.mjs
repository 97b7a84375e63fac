// The data of the cases: the same numbers in every process and every run.

/** Elements of a 1 × 224 × 224 × 3 image, the tensor of most figures. */
export const ELEMENTS = 150_528;
export const SHAPE = [1, 224, 224, 3];
export const SIGNATURE = "serving_default";
export const INPUT = "image";
export const OUTPUT = "logits";
export const TOKEN = "NDFkODY1MjFhYWFhYmJiYmNjY2NkZGRk";

/**
 * Services of bench/calls/server.mjs: one for each body size, which responds with as many bytes, and one that
 * reports requests.
 */
export const SMALL = "small";
export const CHECK = "check";
/** Elements of the tensors of the other services. */
export const TENSOR_ELEMENTS = { tensor64k: 16_384, tensor600k: ELEMENTS, tensor8m: 2_097_152 };
/** The service whose calls wait until the server is asked to respond. */
export const HELD = "held";
/** Prefix of services with a size: a response of that many bytes, or of a tensor with that many elements. */
export const SIZED = "bytes";
export const SIZED_TENSOR = "floats";

/** Returns seeded numbers in [0, 1) (mulberry32). */
export function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function floats(seed, length = ELEMENTS) {
  const next = random(seed);
  return Float32Array.from({ length }, () => next() * 2 - 1);
}

/** 1 KB that is not text. */
export function kilobyte(seed) {
  const next = random(seed);
  return Uint8Array.from({ length: 1024 }, () => next() * 256);
}
