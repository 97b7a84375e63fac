import type { Tensor } from "eas-prediction";
import {
  type ImageColor,
  type ImageDType,
  type ImageFit,
  type ImageLayout,
  type Pixels,
  pixelsToTensor,
} from "eas-prediction/image";
import { decode as decodeJpeg } from "jpeg-js";
import { PNG } from "pngjs";
import { usageError } from "../exit-codes.js";

/** Options for all images of a request. */
export interface ImageFlags {
  readonly scale?: number;
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  readonly layout?: ImageLayout;
  readonly color?: "RGB" | "BGR";
  readonly fit?: ImageFit;
}

/** Maximum memory in megabytes for decoding a JPEG. */
const MAX_MEMORY_MB = 2_048;

/** Whether the bytes start as a PNG or a JPEG does. */
export function isImage(bytes: Uint8Array): boolean {
  return isPng(bytes) || isJpeg(bytes);
}

function isPng(bytes: Uint8Array): boolean {
  return [0x89, 0x50, 0x4e, 0x47].every((byte, i) => bytes[i] === byte);
}

function isJpeg(bytes: Uint8Array): boolean {
  return [0xff, 0xd8, 0xff].every((byte, i) => bytes[i] === byte);
}

/** Decodes a PNG or a JPEG. Throws a usage error if the file is damaged. The orientation in EXIF is ignored, as in Pillow. */
function decodeImage(bytes: Uint8Array, file: string): Required<Pixels> {
  try {
    const { data, width, height } = isPng(bytes)
      ? PNG.sync.read(Buffer.from(bytes))
      : decodeJpeg(bytes, { useTArray: true, maxMemoryUsageInMB: MAX_MEMORY_MB, maxResolutionInMP: MAX_MEMORY_MB });
    return { data, width, height, channels: 4 };
  } catch (cause) {
    throw usageError(`${file} cannot be decoded as ${isPng(bytes) ? "a PNG" : "a JPEG"}: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/**
 * Converts an image to a tensor. A shape of one dimension above 1, such as `[1, 64]`, takes all pixels of the image. Other
 * shapes state the size, such as `[1, 3, 224, 224]`. Throws a usage error with both sizes if the image does not fit and
 * `--fit` is absent.
 */
export function imageTensor(
  bytes: Uint8Array,
  file: string,
  { shape, dtype, flags }: { shape?: readonly number[]; dtype: string; flags: ImageFlags },
): Tensor {
  const pixels = decodeImage(bytes, file);
  const { width, height, channels, layout } = areaOf(shape, pixels, file, flags);
  if (flags.fit === undefined && (width !== pixels.width || height !== pixels.height)) {
    throw wrongSize(file, pixels, `the shape [${shape?.join(", ")}] needs ${width} x ${height}`);
  }
  const { scale, mean, std, fit } = flags;
  const { data, shape: own } = pixelsToTensor(pixels, {
    size: [height, width],
    color: channels === 1 ? "GRAY" : ((flags.color ?? "RGB") as ImageColor),
    dtype: dtype as ImageDType,
    layout,
    ...(fit !== undefined && { fit }),
    ...(scale !== undefined && { scale }),
    ...(mean !== undefined && { mean: single(mean) }),
    ...(std !== undefined && { std: single(std) }),
  });
  return { dtype: dtype as ImageDType, shape: shape ?? own, data };
}

/** A list of one value applies to all channels. */
function single(values: readonly number[]): number | readonly number[] {
  return values.length === 1 ? (values[0] as number) : values;
}

interface Area {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  readonly layout: ImageLayout;
}

/** Returns the size and the channels that a shape requires. */
function areaOf(
  shape: readonly number[] | undefined,
  { width, height }: Pixels,
  file: string,
  { layout = "NCHW", layout: wanted, fit }: ImageFlags,
): Area {
  if (shape === undefined) return { width, height, channels: 3, layout };
  const start = shape.findIndex((size) => size !== 1);
  const rest = start === -1 ? [1] : shape.slice(start);
  if (rest.length === 1) return flatArea(rest[0] as number, { width, height }, file, layout, fit);
  if (rest.length === 2) return { height: rest[0] as number, width: rest[1] as number, channels: 1, layout };
  const [first, second, third] = rest as [number, number, number];
  if (rest.length === 3) {
    if (isChannels(first) && wanted !== "NHWC")
      return { height: second, width: third, channels: first, layout: "NCHW" };
    if (isChannels(third) && wanted !== "NCHW")
      return { height: first, width: second, channels: third, layout: "NHWC" };
  }
  throw usageError(
    `${file}: the shape [${shape.join(", ")}] is not that of an image: use [1, 3, height, width], [1, height, width, 3], or 1 instead of 3 for gray`,
  );
}

function isChannels(size: number): size is 1 | 3 {
  return size === 1 || size === 3;
}

/** Returns the size for a shape that only states the number of values. With `--fit`, the image becomes a square. */
function flatArea(
  values: number,
  { width, height }: { width: number; height: number },
  file: string,
  layout: ImageLayout,
  fit: ImageFit | undefined,
): Area {
  const pixels = width * height;
  if (values === pixels) return { width, height, channels: 1, layout };
  if (values === 3 * pixels) return { width, height, channels: 3, layout };
  for (const channels of [1, 3] as const) {
    const side = Math.sqrt(values / channels);
    if (fit !== undefined && Number.isInteger(side)) return { width: side, height: side, channels, layout };
  }
  throw wrongSize(
    file,
    { width, height },
    `the shape needs ${values} values, and the image has ${pixels} in gray or ${3 * pixels} in color`,
  );
}

function wrongSize(file: string, { width, height }: { width: number; height: number }, problem: string): Error {
  return usageError(
    `${file} is ${width} x ${height} pixels, but ${problem}: resize the image, or add --fit fill, --fit cover or --fit contain`,
  );
}
