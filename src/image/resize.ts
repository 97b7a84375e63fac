import type { Planes } from "./pixels.js";

/** A part of an image, in pixels. */
export interface Window {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Number of fraction bits in a weight, chosen so that 255 times a weight of 1 fits into a signed 32-bit integer. */
const FRACTION_BITS = 22;
const HALF = 1 << (FRACTION_BITS - 1);

/** The source samples that contribute to each output sample, with their weights in fixed point. */
interface Taps {
  readonly first: number;
  readonly weights: Int32Array;
}

/**
 * Resizes an image and returns a window of the result with interleaved channels. The filter is bilinear with
 * antialiasing: where the image shrinks, every source pixel contributes. Rows are resized and rounded to 8 bits first,
 * and columns afterwards. The result is bit-identical to Pillow's `resize(size, BILINEAR)` and to torchvision on Pillow
 * images. Pillow 13 resizes columns first if an image grows in width and shrinks in height. In that case, values can
 * differ by one level.
 */
export function resize(image: Planes, size: { width: number; height: number }, window: Window): Uint8ClampedArray {
  const { count } = image;
  const across = tapsOf(image.width, size.width, window.left, window.width);
  const down = tapsOf(image.height, size.height, window.top, window.height);
  const top = (down[0] as Taps).first;
  const { first, weights } = down[down.length - 1] as Taps;
  // Clamp values, because rounded weights can add up to more than 1.
  const rows = new Uint8ClampedArray((first + weights.length - top) * window.width * count);
  (count === 1 ? resizeGrayRows : resizeColorRows)(image, top, across, rows);
  return resizeColumns(rows, window.width * count, top, down);
}

/** Computes the weights for the output samples starting at `start`. */
function tapsOf(from: number, to: number, start: number, length: number): Taps[] {
  const step = from / to;
  const reach = Math.max(step, 1);
  return Array.from({ length }, (_, i) => {
    const center = (start + i + 0.5) * step;
    const first = Math.max(0, Math.floor(center - reach + 0.5));
    const end = Math.min(from, Math.floor(center + reach + 0.5));
    const shares = Array.from({ length: end - first }, (_, k) =>
      Math.max(0, 1 - Math.abs((first + k - center + 0.5) * (1 / reach))),
    );
    const sum = shares.reduce((sum, share) => sum + share, 0);
    return { first, weights: Int32Array.from(shares, (share) => (share / sum) * (1 << FRACTION_BITS) + 0.5) };
  });
}

function resizeColorRows({ data, width, stride }: Planes, top: number, taps: readonly Taps[], rows: Uint8ClampedArray) {
  for (let at = 0, row = top * width * stride; at < rows.length; row += width * stride) {
    for (let x = 0; x < taps.length; x++) {
      const { first, weights } = taps[x] as Taps;
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      for (let k = 0, i = row + first * stride; k < weights.length; k++, i += stride) {
        const weight = weights[k] as number;
        red += Math.imul(data[i] as number, weight);
        green += Math.imul(data[i + 1] as number, weight);
        blue += Math.imul(data[i + 2] as number, weight);
      }
      rows[at++] = red >> FRACTION_BITS;
      rows[at++] = green >> FRACTION_BITS;
      rows[at++] = blue >> FRACTION_BITS;
    }
  }
}

function resizeGrayRows({ data, width, stride }: Planes, top: number, taps: readonly Taps[], rows: Uint8ClampedArray) {
  for (let at = 0, row = top * width * stride; at < rows.length; row += width * stride) {
    for (let x = 0; x < taps.length; x++) {
      const { first, weights } = taps[x] as Taps;
      let gray = HALF;
      for (let k = 0; k < weights.length; k++) gray += Math.imul(data[row + first + k] as number, weights[k] as number);
      rows[at++] = gray >> FRACTION_BITS;
    }
  }
}

/** Resizes columns. The first row in `rows` is the row `top` of the source. */
function resizeColumns(rows: Uint8ClampedArray, length: number, top: number, taps: readonly Taps[]): Uint8ClampedArray {
  const result = new Uint8ClampedArray(taps.length * length);
  const sums = new Int32Array(length);
  for (const [y, { first, weights }] of taps.entries()) {
    sums.fill(HALF);
    for (let k = 0; k < weights.length; k++) {
      const weight = weights[k] as number;
      const row = (first + k - top) * length;
      for (let i = 0; i < length; i++) sums[i] = (sums[i] as number) + Math.imul(rows[row + i] as number, weight);
    }
    for (let i = 0; i < length; i++) result[y * length + i] = (sums[i] as number) >> FRACTION_BITS;
  }
  return result;
}
