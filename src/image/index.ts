/**
 * Images as a model's input: decoded, resized and normalised on every runtime in the same way, as a `Tensor` that a
 * request's `addFeed` takes.
 */
export type { ImageColor, ImageDType, ImageFit, ImageLayout, ImageOptions, ImageTensor } from "./image-options.js";
export { type DecodableImage, type ImageSource, imageToTensor } from "./image-to-tensor.js";
export type { Pixels } from "./pixels.js";
export { pixelsToTensor } from "./pixels-to-tensor.js";
