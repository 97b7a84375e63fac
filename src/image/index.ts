/**
 * Functions that convert images to model input. Images are decoded, resized and normalized in the same way on every
 * runtime. The result is a `Tensor` for a request's `addFeed` method.
 */
export type { ImageColor, ImageDType, ImageFit, ImageLayout, ImageOptions, ImageTensor } from "./image-options.js";
export { type DecodableImage, type ImageSource, imageToTensor } from "./image-to-tensor.js";
export type { Pixels } from "./pixels.js";
export { pixelsToTensor } from "./pixels-to-tensor.js";
