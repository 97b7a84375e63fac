import { EasUnsupportedError } from "../errors.js";
import { argumentTypeError, show } from "../util/argument-errors.js";
import { isBlob } from "../util/realms.js";
import { checkImageOptions, type ImageDType, type ImageOptions, type ImageTensor } from "./image-options.js";
import type { Pixels } from "./pixels.js";
import { isPixels, listOf, toTensor } from "./pixels-to-tensor.js";

/**
 * The types that the browser's `createImageBitmap` accepts: a `Blob`, a canvas, an `ImageBitmap`, an `<img>`. `never`
 * on other runtimes.
 */
export type DecodableImage = typeof globalThis extends {
  createImageBitmap: (image: infer Image, options?: never) => unknown;
}
  ? Image
  : never;

/** An image: decoded pixels or, in browsers, any source that the browser can decode. */
export type ImageSource = Pixels | DecodableImage;

/**
 * Converts an image to a tensor `[1, 3, height, width]`, or a list of images to `[n, …]`. Browsers and their workers
 * accept a `Blob` or `File`, rotated by its EXIF orientation, a canvas, an `ImageBitmap` or an `<img>`. Every runtime
 * accepts decoded pixels; `pixelsToTensor` converts them synchronously. Colors are sRGB. Resizing produces the same
 * result on all runtimes, and matches Pillow and torchvision. Do not change the sources until the promise settles.
 *
 * Rejects with `EasUnsupportedError` if the runtime cannot decode images, and with a `TypeError` or `RangeError` if a
 * source or an option is not valid.
 *
 * @example
 * const input = await imageToTensor(file, { size: 224, fit: "cover", mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] });
 * const response = await client.predict(new TorchRequest().addFeed(0, input));
 */
export async function imageToTensor<D extends ImageDType = "DT_FLOAT">(
  source: ImageSource | readonly ImageSource[],
  options: ImageOptions<D> = {},
): Promise<ImageTensor<D>> {
  const checked = checkImageOptions(options, "imageToTensor");
  const sources = listOf(source, "imageToTensor");
  const images = await Promise.all(
    sources.map((image, i) => (isPixels(image) ? image : decode(image, `imageToTensor: image ${i}`))),
  );
  return toTensor(images, checked, "imageToTensor") as ImageTensor<D>;
}

/**
 * Maximum number of pixels to draw at once. Limited because mobile browsers silently leave a canvas of more than 16
 * million pixels blank.
 */
const MAX_CANVAS_PIXELS = 4_194_304;

type Context = Pick<CanvasRenderingContext2D, "drawImage" | "clearRect" | "getImageData">;

/** Decodes an image with the browser. */
async function decode(source: unknown, of: string): Promise<Pixels> {
  const blob = isBlob(source) ? source : undefined;
  if (!("createImageBitmap" in globalThis) || !contextOf(1, 1)) throw blob ? cannotDecode(of) : unusable(of, source);
  let bitmap: ImageBitmap | undefined;
  try {
    bitmap = await createImageBitmap(source as Blob).catch(async (error) => {
      if (blob === undefined) throw error;
      // Decode a copy, because Firefox cannot decode some Blobs that consist of several parts.
      return createImageBitmap(new Blob([await blob.arrayBuffer()], blob));
    });
    return read(bitmap);
  } catch (error) {
    throw Object.assign(
      (error as Partial<Error>)?.name === "TypeError" ? unusable(of, source) : unreadable(of, source, error),
      {
        cause: error,
      },
    );
  } finally {
    bitmap?.close();
  }
}

function read(bitmap: ImageBitmap): Pixels {
  const { width, height } = bitmap;
  const rows = Math.max(1, Math.min(height, Math.floor(MAX_CANVAS_PIXELS / width)));
  const context = contextOf(width, rows);
  if (!context) throw new Error("the browser cannot create a canvas of this size");
  const data = new Uint8ClampedArray(width * height * 4);
  for (let top = 0; top < height; top += rows) {
    context.clearRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, -top);
    const count = Math.min(rows, height - top);
    data.set(context.getImageData(0, 0, width, count, { colorSpace: "srgb" }).data, top * width * 4);
  }
  return { data, width, height, channels: 4 };
}

/**
 * Returns a canvas context for reading pixels, or a nullish value if the runtime does not have a canvas that supports
 * drawing, as in Deno.
 */
function contextOf(width: number, height: number): Context | null | undefined {
  const { OffscreenCanvas, document } = globalThis as Partial<typeof globalThis>;
  const canvas =
    OffscreenCanvas === undefined
      ? document && Object.assign(document.createElement("canvas"), { width, height })
      : new OffscreenCanvas(width, height);
  // Set `willReadFrequently` to prevent rendering on the GPU, which rounds differently.
  return canvas?.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" }) as Context | null | undefined;
}

function cannotDecode(of: string): EasUnsupportedError {
  return new EasUnsupportedError(
    `${of} is a Blob, which only browsers can decode (createImageBitmap and a canvas): decode it with a library such as sharp, jpeg-js or pngjs, and pass { data, width, height }`,
  );
}

function unusable(of: string, source: unknown): TypeError {
  return argumentTypeError(
    "ERR_EAS_ARG_CONTENT",
    `${of} is ${show(source)}: it must be decoded pixels { data, width, height }, or in browsers a Blob, a canvas, an ImageBitmap or an <img>`,
  );
}

/**
 * Returns the error for an image that cannot be decoded. The browser's message comes last, because its wording differs
 * between browsers.
 */
function unreadable(of: string, source: unknown, error: unknown): TypeError {
  const { name, message } = error as Partial<Error>;
  const why =
    name === "SecurityError"
      ? 'it shows an image of another origin, which the page may not read: load it with crossOrigin = "anonymous" from a site that allows it, or fetch() it and pass the Blob'
      : isBlob(source)
        ? `the browser cannot decode ${source.size} bytes of type ${show(source.type)}: they are damaged, or the browser does not support the format`
        : "it is empty, closed or not loaded yet";
  return argumentTypeError("ERR_EAS_ARG_CONTENT", `${of} is ${show(source)}, and ${why} (${name}: ${message})`);
}
