/**
 * Images as the input of a model: decoded, resized and normalized in the same way on every runtime, as a `Tensor` for
 * the `addFeed` of a request.
 */
export type { ImageColor, ImageDType, ImageFit, ImageLayout, ImageOptions, ImageTensor } from "./image-options.js";
export { type DecodableImage, type ImageSource, imageToTensor } from "./image-to-tensor.js";
export type { Pixels } from "./pixels.js";
export { pixelsToTensor } from "./pixels-to-tensor.js";
