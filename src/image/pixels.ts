import { argumentRangeError, argumentTypeError, show } from "../util/argument-errors.js";
import { isBytes, typedArrayName } from "../util/realms.js";

/**
 * A decoded image in sRGB, with values from 0 to 255. Rows run from top to bottom and pixels from left to right. The
 * channels of each pixel are interleaved.
 */
export interface Pixels {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
  /**
   * Number of channels: 1 for gray, 3 for RGB, and 4 for RGBA, which is not premultiplied. Default: the number of bytes
   * per pixel in `data`.
   */
  readonly channels?: number | undefined;
}

/** Pixels of `stride` bytes each. A pixel starts with one channel (gray) or three channels (RGB). */
export interface Planes {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
  readonly stride: number;
  readonly count: 1 | 3;
}

/**
 * Checks an image and determines its number of channels. Throws a `TypeError` or `RangeError` whose message begins with
 * `of`.
 */
export function checkPixels(value: Pixels, of: string): Required<Pixels> {
  const { data, width, height, channels } = value;
  const colorSpace = (value as { colorSpace?: unknown }).colorSpace ?? "srgb";
  if (!isBytes(data) && typedArrayName(data) !== "Uint8ClampedArray") {
    throw argumentTypeError(
      "ERR_EAS_ARG_CONTENT",
      `${of}: data is ${show(data)}: it must be a Uint8Array or Uint8ClampedArray of decoded pixels, 0 to 255`,
    );
  }
  for (const [name, side] of Object.entries({ width, height })) {
    if (!Number.isSafeInteger(side) || side < 1) {
      throw argumentRangeError("ERR_EAS_ARG_SHAPE", `${of}: ${name} is ${show(side)}: it must be an integer above 0`);
    }
  }
  const found = channels ?? data.length / (width * height);
  if (![1, 3, 4].includes(found) || data.length !== width * height * found) {
    const ofChannels = channels === undefined ? "" : ` of ${show(channels)} channels`;
    throw argumentRangeError(
      "ERR_EAS_ARG_CONTENT",
      `${of}: ${data.length} bytes for ${width} x ${height} pixels${ofChannels}: there must be 1 (gray), 3 (RGB) or 4 (RGBA) for each pixel`,
    );
  }
  if (colorSpace !== "srgb") {
    throw argumentTypeError(
      "ERR_EAS_ARG_CONTENT",
      `${of}: its colorSpace is ${show(colorSpace)}: get it with getImageData(x, y, width, height, { colorSpace: "srgb" })`,
    );
  }
  return { data, width, height, channels: found };
}

/**
 * Returns the colors of an image blended over a background. Without a background, alpha is dropped. Copies the pixels
 * only if they change.
 */
export function colorsOf(image: Required<Pixels>, count: 1 | 3, background: readonly number[] | undefined): Planes {
  const { width, height, channels } = image;
  const isBlended = channels === 4 && background !== undefined;
  const data = isBlended ? blended(image.data, background) : image.data;
  const stride = isBlended ? 3 : (channels as number);
  if (count === 1) return { data: stride === 1 ? data : grayOf(data, stride), width, height, stride: 1, count };
  return stride === 1
    ? { data: tripled(data), width, height, stride: 3, count }
    : { data, width, height, stride, count };
}

function blended(data: Planes["data"], background: readonly number[]): Uint8Array {
  const colors = new Uint8Array((data.length / 4) * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    const alpha = data[from + 3] as number;
    for (let channel = 0; channel < 3; channel++) {
      const front = (data[from + channel] as number) * alpha;
      colors[to + channel] = Math.round((front + (background[channel] as number) * (255 - alpha)) / 255);
    }
  }
  return colors;
}

/** Returns the ITU-R 601 luma in 16-bit fixed point, rounded as Pillow's `convert("L")` does. */
export function luma(red: number, green: number, blue: number): number {
  return (red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16;
}

function grayOf(data: Planes["data"], stride: number): Uint8Array {
  const gray = new Uint8Array(data.length / stride);
  for (let from = 0, to = 0; to < gray.length; from += stride, to++) {
    gray[to] = luma(data[from] as number, data[from + 1] as number, data[from + 2] as number);
  }
  return gray;
}

function tripled(data: Planes["data"]): Uint8Array {
  const colors = new Uint8Array(data.length * 3);
  for (let i = 0; i < data.length; i++) colors.fill(data[i] as number, 3 * i, 3 * i + 3);
  return colors;
}
