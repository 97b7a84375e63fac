// Random values for both clients. A seed determines all values, so that failures can be reproduced.
import { base64 } from "./values.mjs";

/** A random number generator (mulberry32), seeded by any text. */
export class Random {
  #state = 0x9e3779b9;

  constructor(seed) {
    for (const character of seed) this.#state = Math.imul(this.#state ^ character.codePointAt(0), 0x01000193);
    for (let i = 0; i < 8; i++) this.bits();
  }

  /** 32 random bits. */
  bits() {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** Returns an integer from `min` to `max`. */
  between(min, max) {
    return min + Math.floor((this.bits() / 2 ** 32) * (max - min + 1));
  }

  /** Returns true with probability 1 / `n`. */
  once(n) {
    return this.between(1, n) === 1;
  }

  pick(list) {
    return list[this.between(0, list.length - 1)];
  }

  /** Returns a list of at most `max` results of `make`. */
  list(max, make) {
    return Array.from({ length: this.between(0, max) }, make);
  }
}

const CHARACTERS = [
  ..." aZ09_-/:.,\"'\\%+&=?#<>\n\t\0\u007f\u00e9\u00df\u4e2d\u6587\u0444\u200d\ufeff\ufffd\u{1f600}\u{10ffff}e\u0301",
];
/** Texts that code often handles wrongly. */
const TRICKY = ["", "__proto__", "constructor", "toString", "0", "-1", "a".repeat(200), "null", " x "];

export function text(random) {
  if (random.once(8)) return random.pick(TRICKY);
  return Array.from({ length: random.between(1, 12) }, () => random.pick(CHARACTERS)).join("");
}

/** Returns at most `most` different texts. They also differ without surrounding spaces, which Blade ignores. */
export function names(random, most, least = 0) {
  const found = new Map();
  const count = random.between(least, most);
  while (found.size < count) {
    const name = text(random);
    if (!found.has(name.trim())) found.set(name.trim(), name);
  }
  return [...found.values()];
}

/** Returns names that are not empty. */
export function fullNames(random, most, least = 0) {
  return names(random, most, least).map((name, i) => (name.trim() === "" ? `n${i}` : name));
}

export function bytes(random, most = 20) {
  return Uint8Array.from({ length: random.between(0, most) }, () => random.between(0, 255));
}

/** Returns an integer in a range of bigints, more often at the limits of varint lengths. */
export function integer(random, least, greatest) {
  for (;;) {
    const bits = random.between(0, 64);
    const wide = (BigInt(random.bits()) << 32n) | BigInt(random.bits());
    const size = random.pick([1n << BigInt(bits), (1n << BigInt(bits)) - 1n, BigInt.asUintN(bits, wide)]);
    const value = random.pick([size, -size, least, greatest, 0n]);
    if (value >= least && value <= greatest) return value;
  }
}

export const INT32 = [-(2n ** 31n), 2n ** 31n - 1n];
export const INT64 = [-(2n ** 63n), 2n ** 63n - 1n];

export const int32 = (random) => Number(integer(random, ...INT32));

/** Zeros, infinities, the usual NaN and NaNs with other bits, minimum and maximum, with both signs. */
const FLOATS = [0, 0x7f800000, 0x7fc00000, 0x7fc12345, 1, 0x007fffff, 0x00800000, 0x7f7fffff, 0x3f800000];
const DOUBLE_HIGHS = [0, 0x7ff00000, 0x7ff80000, 0x7ff81234, 0x000fffff, 0x00100000, 0x7fefffff, 0x3ff00000];

/** Returns the bytes of random floats, without signaling NaNs, which Python makes quiet (see python-faults.mjs). */
export function floats(random, length) {
  const memory = new Uint32Array(length).map(() => {
    const sign = random.pick([0, 0x80000000]);
    if (random.once(3)) return random.pick(FLOATS) | sign;
    // Numbers of the range that models receive.
    if (random.once(2)) return new Uint32Array(Float32Array.of(random.between(-1000, 1000) / 64).buffer)[0];
    const any = random.bits();
    return (any & 0x7f800000) === 0x7f800000 ? any | 0x00400000 : any;
  });
  return new Float32Array(memory.buffer);
}

/** Returns the bytes of random doubles, likewise. */
export function doubles(random, length) {
  const memory = new Uint32Array(length * 2);
  for (let i = 0; i < memory.length; i += 2) {
    const edge = random.once(3);
    const high = edge ? random.pick(DOUBLE_HIGHS) | random.pick([0, 0x80000000]) : random.bits();
    memory[i] = edge ? random.pick([0, 1, 0xffffffff]) : random.bits();
    memory[i + 1] = (high & 0x7ff00000) === 0x7ff00000 && !isInfinity(high, memory[i]) ? high | 0x00080000 : high;
  }
  return new Float64Array(memory.buffer);
}

const isInfinity = (high, low) => (high & 0x000fffff) === 0 && low === 0;

/** Returns a shape with few elements, sometimes with many or none. */
export function shape(random, leastRank = 0) {
  if (random.once(10)) return [random.between(100, 400)];
  const most = random.once(6) ? 0 : 1;
  return Array.from({ length: random.between(leastRank, 4) }, () => random.between(most, 4));
}

const INTEGER_RANGES = {
  DT_INT8: [-128n, 127n],
  DT_QINT8: [-128n, 127n],
  DT_UINT8: [0n, 255n],
  DT_QUINT8: [0n, 255n],
  DT_INT16: [-(2n ** 15n), 2n ** 15n - 1n],
  DT_QINT16: [-(2n ** 15n), 2n ** 15n - 1n],
  DT_UINT16: [0n, 2n ** 16n - 1n],
  DT_QUINT16: [0n, 2n ** 16n - 1n],
  DT_INT32: INT32,
  DT_QINT32: INT32,
  DT_INT64: INT64,
  DT_UINT32: [0n, 2n ** 32n - 1n],
  DT_UINT64: [0n, 2n ** 64n - 1n],
};

/** Returns tagged values of a dtype. */
export function content(random, dtype, length) {
  const range = INTEGER_RANGES[dtype];
  if (range !== undefined) return { ints: Array.from({ length }, () => String(integer(random, ...range))) };
  switch (dtype) {
    case "DT_DOUBLE":
      return { doubles: base64(doubles(random, length)) };
    case "DT_COMPLEX128":
      return { doubles: base64(doubles(random, 2 * length)) };
    case "DT_COMPLEX64":
      return { floats: base64(floats(random, 2 * length)) };
    case "DT_BOOL":
      return Array.from({ length }, () => random.once(2));
    case "DT_STRING":
      return {
        bytesList: Array.from({ length }, () => base64(random.once(2) ? bytes(random) : Buffer.from(text(random)))),
      };
    default:
      return { floats: base64(floats(random, length)) };
  }
}

/** Returns shape, dtype and tagged values of a random tensor. */
export function tensor(random, dtypes, leastRank = 0) {
  const dtype = random.pick(dtypes);
  const dims = shape(random, leastRank);
  return { shape: dims, dtype, values: content(random, dtype, elementsOf(dims)) };
}

/** Returns the number of elements of a shape. */
export const elementsOf = (dims) => dims.reduce((product, size) => product * size, 1);
