// 16-bit floats by their definition (IEEE 754-2019, 3.4): what a pattern of bits is worth, and which pattern is nearest
// to a number. Slow and exact: all on integers of any length, with nothing that rounds on the way.

/** How 16 bits are divided: one is the sign. */
export interface Format {
  readonly exponentBits: number;
  readonly fractionBits: number;
}

export const FLOAT16: Format = { exponentBits: 5, fractionBits: 10 };
export const BFLOAT16: Format = { exponentBits: 8, fractionBits: 7 };

export const biasOf = ({ exponentBits }: Format): number => 2 ** (exponentBits - 1) - 1;
/** The pattern of infinity: all bits of the exponent. */
export const infinityOf = ({ exponentBits, fractionBits }: Format): number =>
  (2 ** exponentBits - 1) * 2 ** fractionBits;

/** The number that a pattern stands for, by the formula of the standard. */
export function numberOf(format: Format, bits: number): number {
  const sign = bits >= 0x8000 ? -1 : 1;
  const magnitude = bits % 0x8000;
  const fractions = 2 ** format.fractionBits;
  const exponent = Math.floor(magnitude / fractions);
  const fraction = magnitude % fractions;
  if (magnitude === infinityOf(format)) return sign * Number.POSITIVE_INFINITY;
  if (magnitude > infinityOf(format)) return Number.NaN;
  // An exponent of 0 means the same scale as one of 1, without the first bit that is implied otherwise.
  const scale = 2 ** (Math.max(exponent, 1) - biasOf(format));
  return sign * scale * ((exponent === 0 ? 0 : 1) + fraction / fractions);
}

/** A finite number that is not negative, as a multiple of 2^-1074, of which every double is one. */
function exact(value: number): bigint {
  const bits = new BigUint64Array(Float64Array.of(value).buffer)[0] as bigint;
  const exponent = bits >> 52n;
  const fraction = bits & (2n ** 52n - 1n);
  return exponent === 0n ? fraction : (fraction + 2n ** 52n) << (exponent - 1n);
}

const tables = new Map<Format, readonly bigint[]>();

/** All numbers that are not negative, in order, at the place of their patterns; infinity as the number that would follow. */
function tableOf(format: Format): readonly bigint[] {
  const known = tables.get(format);
  if (known !== undefined) return known;
  const infinity = infinityOf(format);
  const table = Array.from({ length: infinity }, (_, bits) => exact(numberOf(format, bits)));
  const step = (table[infinity - 1] as bigint) - (table[infinity - 2] as bigint);
  table.push((table[infinity - 1] as bigint) + step);
  tables.set(format, table);
  return table;
}

/** The pattern of the number that is nearest; of two as near the even one. Not for NaN. */
export function nearest(format: Format, value: number): number {
  const sign = Object.is(Math.sign(value), -0) || value < 0 ? 0x8000 : 0;
  if (!Number.isFinite(value)) return sign + infinityOf(format);
  const wanted = exact(Math.abs(value));
  const table = tableOf(format);
  // The greatest that is not above.
  let below = 0;
  let above = table.length;
  while (above - below > 1) {
    const middle = (below + above) >> 1;
    if ((table[middle] as bigint) <= wanted) below = middle;
    else above = middle;
  }
  if (below === table.length - 1) return sign + below;
  const down = wanted - (table[below] as bigint);
  const up = (table[below + 1] as bigint) - wanted;
  const even = below % 2 === 0 ? below : below + 1;
  return sign + (down < up ? below : up < down ? below + 1 : even);
}
