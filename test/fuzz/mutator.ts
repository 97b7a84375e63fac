import type { Bytes, Decoder } from "./decoder.js";
import { Random } from "./random.js";

/** Varints of large values: 2^31, 2^32 + 1, 2^53 + 1, 2^63, 2^64 - 1, and more than ten bytes. */
const HUGE = [
  "8080808008",
  "8180808010",
  "8180808080808010",
  "80808080808080808001",
  "ffffffffffffffffff01",
  "ff".repeat(11),
];
/** Bytes that begin, end or extend a value in most formats. */
const BYTES = [0x00, 0x01, 0x0a, 0x0d, 0x22, 0x5c, 0x7f, 0x80, 0xc0, 0xfe, 0xff];

const LONGEST = 65_536;

/** Creates inputs for a decoder. The same seed and number give the same input. */
export class Mutator {
  readonly #decoder: Decoder;
  readonly #samples: readonly Bytes[];
  readonly #seed: number;

  constructor(decoder: Decoder, seed: number) {
    this.#decoder = decoder;
    this.#samples = decoder.samples(seed);
    this.#seed = seed;
  }

  get samples(): readonly Bytes[] {
    return this.#samples;
  }

  /** Returns the input of a run. */
  input(run: number): Bytes {
    const random = new Random(`${this.#seed}/${this.#decoder.name}/${run}`);
    let bytes: Bytes;
    if (random.once(8)) bytes = this.#random(random);
    else if (this.#decoder.around && random.once(4)) return this.#nested(this.#decoder.around, random);
    else bytes = Uint8Array.from(random.pick(this.#samples));
    for (let changes = random.between(1, 4); changes > 0; changes--) bytes = this.#changed(bytes, random);
    return bytes.slice(0, LONGEST);
  }

  /** Inserts a token where the decoder reaches it, often the same token many times. */
  #nested(around: readonly (readonly [Bytes, Bytes])[], random: Random): Bytes {
    const [before, after] = random.pick(around);
    const [open, close] = random.pick(around);
    const depth = random.pick([0, 0, 1, 2, 200, Math.floor(LONGEST / (open.length + close.length + 1))]);
    const inner = random.once(2) ? random.pick(this.#decoder.pieces) : this.#random(random).subarray(0, 40);
    return joined([before, ...Array(depth).fill(open), inner, ...Array(depth).fill(close), after]);
  }

  #random(random: Random): Bytes {
    if (random.once(2)) return Uint8Array.from(random.list(300, () => random.between(0, 255)));
    return joined(random.list(40, () => random.pick(this.#decoder.pieces)));
  }

  #changed(bytes: Bytes, random: Random): Bytes {
    const at = random.between(0, bytes.length);
    const end = random.between(at, Math.min(bytes.length, at + random.pick([1, 4, 64, bytes.length])));
    const put = (...parts: readonly Uint8Array[]) => joined([bytes.subarray(0, at), ...parts]);
    switch (random.between(0, 9)) {
      case 0:
        return bytes.slice(0, at);
      case 1:
        return put(bytes.subarray(end));
      case 2:
        // Repeats a part once or many times.
        return put(...Array(random.pick([1, 2, 50])).fill(bytes.subarray(at, end)), bytes.subarray(at));
      case 3: {
        // Joins the beginning of this input and the end of another.
        const other = random.pick(this.#samples);
        return put(other.subarray(random.between(0, other.length)));
      }
      case 4:
        return put(random.pick(this.#decoder.pieces), bytes.subarray(random.once(2) ? at : end));
      case 5:
        // Replaces a byte by a wrong length.
        return put(
          new Uint8Array(Buffer.from(random.pick(HUGE), "hex")),
          bytes.subarray(Math.min(bytes.length, at + 1)),
        );
      case 6:
        // Nests the same token deeply.
        return put(...Array(random.pick([10, 120, 5000])).fill(random.pick(this.#decoder.pieces)), bytes.subarray(at));
      case 7:
        return put(Uint8Array.from(random.list(8, () => random.between(0, 255))), bytes.subarray(at));
      case 8: {
        const replaced = bytes.slice();
        if (at < bytes.length) replaced[at] = random.pick(BYTES);
        return replaced;
      }
      default: {
        const flipped = bytes.slice();
        if (at < bytes.length) (flipped[at] as number) ^= 1 << random.between(0, 7);
        return flipped;
      }
    }
  }
}

/** Joins parts, up to the maximum length of inputs. */
export function joined(parts: readonly Uint8Array[]): Bytes {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const whole = new Uint8Array(Math.min(length, LONGEST * 2));
  let at = 0;
  for (const part of parts) {
    whole.set(part.subarray(0, whole.length - at), at);
    at = Math.min(whole.length, at + part.length);
  }
  return whole;
}

/** Shrinks an input by leaving parts out, as long as the result is the same. */
export async function smaller(input: Bytes, isSame: (input: Bytes) => Promise<boolean>): Promise<Bytes> {
  let best = input;
  let tries = 300;
  for (let part = Math.ceil(best.length / 2); part >= 1 && tries > 0; part = part === 1 ? 0 : Math.ceil(part / 2)) {
    for (let at = 0; at < best.length && tries > 0; ) {
      const shorter = joined([best.subarray(0, at), best.subarray(at + part)]);
      tries--;
      if (await isSame(shorter)) best = shorter;
      else at += part;
    }
  }
  return best;
}
