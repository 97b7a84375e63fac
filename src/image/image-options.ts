import type { Bytes } from "../formats/request.js";
import type { Float32Values, Float64Values } from "../formats/tensor/dtype.js";
import { fromFloat16, toFloat16 } from "../formats/tensor/float16.js";
import type { Tensor } from "../formats/tensor/tensor.js";
import { argumentRangeError, argumentTypeError, show } from "../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../util/option-names.js";

/**
 * The order of the dimensions. `"NCHW"` stores one plane per channel, as PyTorch and ONNX models expect. `"NHWC"`
 * interleaves the channels of each pixel, as TensorFlow models expect.
 */
export type ImageLayout = "NCHW" | "NHWC";

/** The channels of the tensor, in order. Gray is the ITU-R 601 luma. */
export type ImageColor = "RGB" | "BGR" | "GRAY";

/**
 * Method for fitting an image to a size with a different aspect ratio. `"fill"` stretches the image. `"cover"` scales it to
 * cover the size and crops the center. `"contain"` scales it to fit within the size and centers it on the background.
 */
export type ImageFit = "fill" | "cover" | "contain";

interface ValuesByDType {
  DT_FLOAT: Float32Values;
  DT_DOUBLE: Float64Values;
  DT_HALF: Float32Values;
  DT_UINT8: Bytes;
}

/** The dtypes of an image tensor. */
export type ImageDType = keyof ValuesByDType;

/** A tensor of one or more images: `[n, channels, height, width]` or `[n, height, width, channels]`. */
export type ImageTensor<D extends ImageDType = "DT_FLOAT"> = Tensor<D, ValuesByDType[D]>;

/** Options for `imageToTensor` and `pixelsToTensor`. */
export interface ImageOptions<D extends ImageDType = "DT_FLOAT"> {
  /**
   * `[height, width]` in pixels, or one number for both, from 1 to 65,535. Default: the size of the image, which must
   * be the same for all images.
   */
  readonly size?: number | readonly [height: number, width: number] | undefined;
  /** Method for fitting images with a different aspect ratio. Default `"fill"`. */
  readonly fit?: ImageFit | undefined;
  /**
   * With `fit: "cover"`: length of the shorter side before the center crop, in pixels. `{ size: 224, fit: "cover",
   * shorterSide: 256 }` is equivalent to torchvision's `Resize(256), CenterCrop(224)`. Default: the smallest length
   * that covers the size.
   */
  readonly shorterSide?: number | undefined;
  /** The order of the dimensions. Default `"NCHW"`. */
  readonly layout?: ImageLayout | undefined;
  /** The channels. Default `"RGB"`. */
  readonly color?: ImageColor | undefined;
  /**
   * The background color: red, green and blue, each from 0 to 255. Used behind transparent pixels and around an image
   * with `fit: "contain"`. Default: alpha is dropped, as Pillow's `convert("RGB")` does, and the color around an image
   * is black.
   */
  readonly background?: readonly [red: number, green: number, blue: number] | undefined;
  /**
   * Factor by which each value from 0 to 255 is multiplied before `mean` and `std` are applied. Default 1/255. Caffe
   * models usually need 1.
   */
  readonly scale?: number | undefined;
  /**
   * Value that is subtracted after `scale` is applied: a single number, or one per channel in the order of `color`.
   * Default 0.
   */
  readonly mean?: number | readonly number[] | undefined;
  /** Divisor applied after `mean`: a single number, or one per channel. Must not be 0. Default 1. */
  readonly std?: number | readonly number[] | undefined;
  /**
   * The tensor's dtype. Default `"DT_FLOAT"`. `"DT_UINT8"` keeps the values 0 to 255 and needs a quarter of the memory.
   * `"DT_HALF"` values are rounded to half precision and stored as floats, as the TF and Torch formats expect. For
   * ONNX, pass `toFloat16(data)`.
   */
  readonly dtype?: D | undefined;
}

const IMAGE_OPTIONS: OptionNames<ImageOptions> = {
  size: 1,
  fit: 1,
  shorterSide: 1,
  layout: 1,
  color: 1,
  background: 1,
  scale: 1,
  mean: 1,
  std: 1,
  dtype: 1,
};

/** The validated options. */
export interface CheckedImageOptions {
  readonly size: { readonly width: number; readonly height: number } | undefined;
  readonly fit: ImageFit;
  readonly shorterSide: number | undefined;
  readonly layout: ImageLayout;
  readonly background: readonly number[] | undefined;
  readonly dtype: ImageDType;
  readonly channels: 1 | 3;
  /** The index of the source image channel for each tensor channel. */
  readonly order: readonly number[];
  /** One lookup table per tensor channel, with the results for the values 0 to 255. */
  readonly tables: readonly ValuesByDType[ImageDType][];
}

const ORDERS: Readonly<Record<ImageColor, readonly number[]>> = { RGB: [0, 1, 2], BGR: [2, 1, 0], GRAY: [0] };
const FITS: readonly ImageFit[] = ["fill", "cover", "contain"];
const LAYOUTS: readonly ImageLayout[] = ["NCHW", "NHWC"];

/** Converts the 256 values to a dtype. */
const ROUNDED: Readonly<Record<ImageDType, (values: readonly number[]) => ValuesByDType[ImageDType]>> = {
  DT_FLOAT: (values) => Float32Array.from(values),
  DT_DOUBLE: (values) => Float64Array.from(values),
  DT_HALF: (values) => fromFloat16(toFloat16(values)),
  DT_UINT8: (values) => Uint8Array.from(values),
};

/** Maximum side length in pixels, the same as for a JPEG. */
const MAX_PIXELS = 65_535;

/** Checks the options and computes the tables. Throws a `TypeError` or `RangeError` whose message begins with `of`. */
export function checkImageOptions(options: ImageOptions<ImageDType>, of: string): CheckedImageOptions {
  if (typeof options !== "object" || options === null) {
    throw argumentTypeError("ERR_EAS_ARG_OPTION", `${of} accepts options such as { size: 224 }, not ${show(options)}`);
  }
  checkOptionNames(of, options, IMAGE_OPTIONS);
  const { size, shorterSide, background } = options;
  const fit = checkOneOf(of, "fit", options.fit ?? "fill", FITS);
  const order = ORDERS[checkOneOf(of, "color", options.color ?? "RGB", Object.keys(ORDERS) as ImageColor[])];
  if (size === undefined && fit !== "fill") {
    throw argumentTypeError("ERR_EAS_ARG_OPTION", `${of}: fit "${fit}" needs the option size`);
  }
  if (shorterSide !== undefined && fit !== "cover") {
    throw argumentTypeError("ERR_EAS_ARG_OPTION", `${of}: shorterSide works only with fit: "cover"`);
  }
  const dtype = checkOneOf(of, "dtype", options.dtype ?? "DT_FLOAT", Object.keys(ROUNDED) as ImageDType[]);
  return {
    size: size === undefined ? undefined : checkSize(of, size),
    fit,
    shorterSide: shorterSide === undefined ? undefined : checkSide(of, "shorterSide", shorterSide),
    layout: checkOneOf(of, "layout", options.layout ?? "NCHW", LAYOUTS),
    background: background === undefined ? undefined : checkBackground(of, background),
    dtype,
    channels: order.length as 1 | 3,
    order,
    tables: tablesOf(of, options, dtype, order.length),
  };
}

function checkOneOf<T extends string>(of: string, name: string, value: T, all: readonly T[]): T {
  if (all.includes(value)) return value;
  throw argumentTypeError(
    "ERR_EAS_ARG_OPTION",
    `${of}: ${name} is ${show(value)}: it must be one of ${all.join(", ")}`,
  );
}

function checkSize(of: string, size: number | readonly number[]): { width: number; height: number } {
  const [height, width, ...more] = Array.isArray(size) ? (size as number[]) : [size as number, size as number];
  if (more.length > 0 || width === undefined) {
    throw argumentTypeError(
      "ERR_EAS_ARG_OPTION",
      `${of}: size is ${showNumbers(size)}: it must be [height, width] or one number for both`,
    );
  }
  return { height: checkSide(of, "size", height as number), width: checkSide(of, "size", width) };
}

function checkSide(of: string, name: string, value: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= MAX_PIXELS) return value;
  throw argumentRangeError(
    "ERR_EAS_ARG_OPTION",
    `${of}: ${name} is ${show(value)}: it must be an integer number of pixels from 1 to ${MAX_PIXELS}`,
  );
}

function checkBackground(of: string, background: readonly number[]): readonly number[] {
  const isByte = (value: unknown) => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 255;
  if (Array.isArray(background) && background.length === 3 && background.every(isByte)) return [...background];
  throw argumentRangeError(
    "ERR_EAS_ARG_OPTION",
    `${of}: background is ${showNumbers(background)}: it must be [red, green, blue], integers from 0 to 255`,
  );
}

const showNumbers = (value: unknown): string =>
  Array.isArray(value) ? `[${value.slice(0, 5).map(show).join(", ")}${value.length > 5 ? ", …" : ""}]` : show(value);

function tablesOf(of: string, { scale, mean, std }: ImageOptions<ImageDType>, dtype: ImageDType, channels: number) {
  if (dtype === "DT_UINT8") {
    for (const [name, value] of Object.entries({ scale, mean, std })) {
      if (value === undefined) continue;
      throw argumentTypeError(
        "ERR_EAS_ARG_OPTION",
        `${of}: ${name} does not apply to DT_UINT8, which keeps the values 0 to 255: leave out ${name}, or use DT_FLOAT`,
      );
    }
  }
  const factor = checkNumbers(of, "scale", scale ?? (dtype === "DT_UINT8" ? 1 : 1 / 255), 1)[0] as number;
  const means = checkNumbers(of, "mean", mean ?? 0, channels);
  const stds = checkNumbers(of, "std", std ?? 1, channels);
  if (stds.includes(0))
    throw argumentRangeError(
      "ERR_EAS_ARG_OPTION",
      `${of}: std is ${showNumbers(std)}: it must not be 0, because values are divided by it`,
    );
  return means.map((mean, channel) => {
    const values = Array.from({ length: 256 }, (_, value) => (value * factor - mean) / (stds[channel] as number));
    const table = ROUNDED[dtype](values);
    if (table.every(Number.isFinite)) return table;
    throw argumentRangeError(
      "ERR_EAS_ARG_OPTION",
      `${of}: scale, mean and std give values outside the range of ${dtype}`,
    );
  });
}

/** Checks an option and returns one number per channel. A single number applies to all channels. */
function checkNumbers(
  of: string,
  name: string,
  value: number | readonly number[],
  channels: number,
): readonly number[] {
  const numbers = Array.isArray(value) ? [...(value as number[])] : new Array<number>(channels).fill(value as number);
  if (numbers.length === channels && numbers.every((number) => Number.isFinite(number))) return numbers;
  const right = channels === 1 ? "a finite number" : `a finite number, or ${channels} of them, one for each channel`;
  throw argumentRangeError("ERR_EAS_ARG_OPTION", `${of}: ${name} is ${showNumbers(value)}: it must be ${right}`);
}
