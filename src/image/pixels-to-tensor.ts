import { argumentRangeError, argumentTypeError, show } from "../util/argument-errors.js";
import { fitInto } from "./fit.js";
import {
  type CheckedImageOptions,
  checkImageOptions,
  type ImageDType,
  type ImageOptions,
  type ImageTensor,
} from "./image-options.js";
import { checkPixels, colorsOf, luma, type Pixels } from "./pixels.js";
import { resize } from "./resize.js";

/**
 * Converts decoded pixels to a tensor `[1, 3, height, width]`, or a list of images to `[n, …]`. Works synchronously on
 * every runtime. Resizing matches Pillow and torchvision. The tensor does not share memory with the images. Throws a
 * `TypeError` or `RangeError` if an image or an option is not valid.
 *
 * @example
 * const { data, info } = await sharp(file).raw().toBuffer({ resolveWithObject: true });
 * request.addFeed("input", pixelsToTensor({ data, ...info }, { size: 224, fit: "cover" }));
 */
export function pixelsToTensor<D extends ImageDType = "DT_FLOAT">(
  pixels: Pixels | readonly Pixels[],
  options: ImageOptions<D> = {},
): ImageTensor<D> {
  const checked = checkImageOptions(options, "pixelsToTensor");
  const images = listOf(pixels, "pixelsToTensor");
  for (const [i, image] of images.entries()) {
    if (isPixels(image)) continue;
    throw argumentTypeError(
      "ERR_EAS_ARG_CONTENT",
      `pixelsToTensor: image ${i} is ${show(image)}: it must be { data, width, height }; imageToTensor takes other sources`,
    );
  }
  return toTensor(images, checked, "pixelsToTensor") as ImageTensor<D>;
}

/** Whether a value has the shape of a `Pixels` object. */
export function isPixels(value: unknown): value is Pixels {
  return typeof value === "object" && value !== null && "data" in value;
}

/** Returns one image or a list of images as a list. Throws a `RangeError` if the list is empty. */
export function listOf<T>(images: T | readonly T[], of: string): readonly T[] {
  const list = Array.isArray(images) ? (images as readonly T[]) : [images as T];
  if (list.length === 0)
    throw argumentRangeError("ERR_EAS_ARG_CONTENT", `${of}: the list of images is empty: pass at least one`);
  return list;
}

/** Creates the tensor for decoded images. */
export function toTensor(images: readonly Pixels[], options: CheckedImageOptions, of: string): ImageTensor<ImageDType> {
  const { channels, dtype, layout, tables } = options;
  const checked = images.map((image, i) => checkPixels(image, `${of}: image ${i}`));
  const { width, height } = options.size ?? (checked[0] as Required<Pixels>);
  const plane = width * height;
  const shape = layout === "NCHW" ? [channels, height, width] : [height, width, channels];
  const data = allocate(tables[0] as Float32Array, [images.length, ...shape], of);
  for (const [i, image] of checked.entries()) {
    const name = `${of}: image ${i}`;
    if (options.size === undefined && (image.width !== width || image.height !== height)) {
      throw argumentRangeError(
        "ERR_EAS_ARG_SHAPE",
        `${name} is ${image.width} x ${image.height} and image 0 is ${width} x ${height}: set the option size to resize all of them`,
      );
    }
    const values = pixelsAt({ width, height }, image, options, name);
    write(values, data.subarray(i * channels * plane, (i + 1) * channels * plane), options);
  }
  return { dtype, shape: [images.length, ...shape], data };
}

/** Allocates an array of the table's type for all values of a shape. */
function allocate(table: Float32Array, shape: readonly number[], of: string): Float32Array<ArrayBuffer> {
  const Values = table.constructor as Float32ArrayConstructor;
  try {
    return new Values(shape.reduce((product, side) => product * side));
  } catch (cause) {
    const error = argumentRangeError("ERR_EAS_ARG_SHAPE", `${of}: cannot allocate ${shape.join(" x ")} values`);
    throw Object.assign(error, { cause });
  }
}

/** Returns an image at the requested size, with interleaved channels. */
function pixelsAt(
  size: { width: number; height: number },
  image: Required<Pixels>,
  options: CheckedImageOptions,
  of: string,
): Uint8ClampedArray {
  const { channels, background } = options;
  const { resized, window, left, top } = fitInto(image, size, options, of);
  const part = resize(colorsOf(image, channels, background), resized, window);
  if (window.width === size.width && window.height === size.height) return part;
  const [red, green, blue] = (background ?? [0, 0, 0]) as [number, number, number];
  const beside = channels === 1 ? [luma(red, green, blue)] : [red, green, blue];
  const whole = Uint8ClampedArray.from(
    { length: size.width * size.height * channels },
    (_, i) => beside[i % channels]!,
  );
  const length = window.width * channels;
  for (let y = 0; y < window.height; y++) {
    whole.set(part.subarray(y * length, (y + 1) * length), ((top + y) * size.width + left) * channels);
  }
  return whole;
}

/** Writes the values of an image to their positions in the tensor. */
function write(
  pixels: Uint8ClampedArray,
  data: Float32Array,
  { layout, channels, order, tables }: CheckedImageOptions,
) {
  const plane = pixels.length / channels;
  const [step, apart] = layout === "NCHW" ? [1, plane] : [channels, 1];
  for (let channel = 0; channel < channels; channel++) {
    const table = tables[channel] as Float32Array;
    let from = order[channel] as number;
    let to = channel * apart;
    for (let i = 0; i < plane; i++, from += channels, to += step) data[to] = table[pixels[from] as number] as number;
  }
}
