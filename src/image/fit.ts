import { argumentRangeError } from "../util/argument-errors.js";
import type { CheckedImageOptions } from "./image-options.js";
import type { Window } from "./resize.js";

interface Size {
  readonly width: number;
  readonly height: number;
}

/** The steps that resize and crop an image to a requested size. */
export interface Fitted {
  /** The size to which the whole image is resized. */
  readonly resized: Size;
  /** The part of the resized image that is kept. */
  readonly window: Window;
  /** Position of the window in the result. The rest of the result is background. */
  readonly left: number;
  readonly top: number;
}

/** Computes how an image is resized and cropped. The error message begins with `of`. */
export function fitInto(image: Size, size: Size, { fit, shorterSide }: CheckedImageOptions, of: string): Fitted {
  const whole = { left: 0, top: 0 };
  if (fit === "fill") return { resized: size, window: { ...whole, ...size }, ...whole };
  if (fit === "contain") {
    const scale = Math.min(size.width / image.width, size.height / image.height);
    const resized = {
      width: Math.max(1, Math.round(image.width * scale)),
      height: Math.max(1, Math.round(image.height * scale)),
    };
    const at = { left: (size.width - resized.width) >> 1, top: (size.height - resized.height) >> 1 };
    return { resized, window: { ...whole, ...resized }, ...at };
  }
  const resized = covering(image, size, shorterSide);
  if (resized.width < size.width || resized.height < size.height) {
    throw argumentRangeError(
      "ERR_EAS_ARG_OPTION",
      `${of}: shorterSide ${shorterSide} gives ${resized.width} x ${resized.height} pixels, less than the size ${size.width} x ${size.height} (width x height): raise shorterSide or lower size`,
    );
  }
  const window = { left: middle(resized.width - size.width), top: middle(resized.height - size.height), ...size };
  return { resized, window, ...whole };
}

/**
 * Returns the size of an image that covers `size`. The longer side is rounded down to whole pixels, as torchvision's
 * `Resize` does.
 */
function covering({ width, height }: Size, size: Size, shorterSide: number | undefined): Size {
  const wanted = shorterSide === undefined ? size : { width: shorterSide, height: shorterSide };
  return width * wanted.height >= wanted.width * height
    ? { width: Math.floor((wanted.height * width) / height), height: wanted.height }
    : { width: wanted.width, height: Math.floor((wanted.width * height) / width) };
}

/** Returns half of the excess length, rounded to even, as torchvision's `CenterCrop` does. */
function middle(surplus: number): number {
  const half = Math.floor(surplus / 2);
  return surplus % 2 === 1 && half % 2 === 1 ? half + 1 : half;
}
