// Computes 16-bit floats by their definition (IEEE 754-2019, 3.4): the number of a bit pattern, and the pattern nearest
// to a number. Slow and exact: all computation uses bigints, without rounding.

/** The number of bits of exponent and fraction. One more bit is the sign. */
export interface Format {
  readonly exponentBits: number;
  readonly fractionBits: number;
}

export const FLOAT16: Format = { exponentBits: 5, fractionBits: 10 };
export const BFLOAT16: Format = { exponentBits: 8, fractionBits: 7 };

export const biasOf = ({ exponentBits }: Format): number => 2 ** (exponentBits - 1) - 1;
/** Returns the pattern of infinity, which has all bits of the exponent. */
export const infinityOf = ({ exponentBits, fractionBits }: Format): number =>
  (2 ** exponentBits - 1) * 2 ** fractionBits;

/** Returns the number of a bit pattern, by the formula of the standard. */
export function numberOf(format: Format, bits: number): number {
  const sign = bits >= 0x8000 ? -1 : 1;
  const magnitude = bits % 0x8000;
  const fractions = 2 ** format.fractionBits;
  const exponent = Math.floor(magnitude / fractions);
  const fraction = magnitude % fractions;
  if (magnitude === infinityOf(format)) return sign * Number.POSITIVE_INFINITY;
  if (magnitude > infinityOf(format)) return Number.NaN;
  // An exponent of 0 has the scale of 1, without the implied first bit.
  const scale = 2 ** (Math.max(exponent, 1) - biasOf(format));
  return sign * scale * ((exponent === 0 ? 0 : 1) + fraction / fractions);
}

/** Returns a finite non-negative number as a multiple of 2^-1074, which every double is. */
function exact(value: number): bigint {
  const bits = new BigUint64Array(Float64Array.of(value).buffer)[0] as bigint;
  const exponent = bits >> 52n;
  const fraction = bits & (2n ** 52n - 1n);
  return exponent === 0n ? fraction : (fraction + 2n ** 52n) << (exponent - 1n);
}

const tables = new Map<Format, readonly bigint[]>();

/** Returns all non-negative numbers by bit pattern. Infinity is the number that would follow the last. */
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

/** Returns the pattern of the nearest number, ties to even. Not for NaN. */
export function nearest(format: Format, value: number): number {
  const sign = Object.is(Math.sign(value), -0) || value < 0 ? 0x8000 : 0;
  if (!Number.isFinite(value)) return sign + infinityOf(format);
  const wanted = exact(Math.abs(value));
  const table = tableOf(format);
  // The largest pattern whose number is not above the value.
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
