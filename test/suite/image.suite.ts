import { TFRequest, tensor } from "eas-prediction";
import { heldOutDigits } from "eas-prediction/emulator/memory";
import { type ImageSource, imageToTensor, type Pixels, pixelsToTensor } from "eas-prediction/image";
import { demoClient } from "./clients.js";
import { expect, expectError, rejection } from "./expect.js";
import { test, testAbsence } from "./harness.js";

/** Four rows of five opaque pixels, all different. */
const PIXELS: Pixels & { data: Uint8ClampedArray<ArrayBuffer> } = {
  data: Uint8ClampedArray.from({ length: 80 }, (_, i) => (i % 4 === 3 ? 255 : (i * 37) % 251)),
  width: 5,
  height: 4,
};
const OPTIONS = { size: [3, 2], layout: "NHWC", dtype: "DT_UINT8" } as const;
const bytesOf = async (image: ImageSource) => Array.from((await imageToTensor(image, OPTIONS)).data);

/** Pillow's result for noise, copied from test/vectors/image. */
const NOISE = { seed: 0, width: 13, height: 7, channels: 3 };
const RESIZED = "dnNxY61eX4dlVn5vdY6RjYthaIZgb4F5aKCciqGAimdraod7cpOLibaFnJpkV4t4cIl8U3qnbrNtupI9";

test("images", "resizes raw pixels to the same bytes as Pillow", async () => {
  const { seed, width, height, channels } = NOISE;
  let state = seed;
  const data = Uint8Array.from({ length: width * height * channels }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  });
  const made = pixelsToTensor({ data, width, height }, { size: [4, 5], layout: "NHWC", dtype: "DT_UINT8" });
  expect(btoa(String.fromCharCode(...made.data))).to.equal(RESIZED);
});

test("images", "converts an image to a model's input", async (test) => {
  const { images, labels } = heldOutDigits;
  // Ink from 0 to 16, as from a scanner, at twice the size.
  const scans = images.slice(0, 20).map((ink) => {
    const data = Uint8Array.from(
      { length: 256 },
      (_, i) => ((ink[(i >> 5) * 8 + ((i & 15) >> 1)] as number) * 255) / 16,
    );
    return { data, width: 16, height: 16 };
  });
  const { data } = await imageToTensor(scans, { size: 8, color: "GRAY", scale: 16 / 255 });
  const request = new TFRequest().addFeed("images", tensor([20, 64], data)).addFetch("labels");
  const answer = await demoClient(test, "digits").predict(request);
  const right = answer.getNumbers("labels").filter((label, i) => label === labels[i]);
  expect(right.length).to.be.greaterThan(17);
});

test("canvas", "decodes ImageData, canvases, an ImageBitmap and a PNG to the same pixels", async () => {
  const expected = await bytesOf(PIXELS);
  const { data, width, height } = PIXELS;
  const imageData = new ImageData(data, width, height);
  const offscreen = new OffscreenCanvas(width, height);
  offscreen.getContext("2d")?.putImageData(imageData, 0, 0);
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d")?.putImageData(imageData, 0, 0);
  const bitmap = await createImageBitmap(imageData);
  const blob = await new Promise<Blob>((resolve) => canvas.toBlob((blob) => resolve(blob as Blob)));
  expect(blob.type).to.equal("image/png");
  const image = document.createElement("img");
  image.src = canvas.toDataURL();
  await image.decode();
  for (const source of [imageData, offscreen, canvas, bitmap, blob, image]) {
    expect(await bytesOf(source), source.constructor.name).to.deep.equal(expected);
  }
  // The bitmap still belongs to the caller and is not closed.
  expect(bitmap.width).to.equal(5);
  const { shape } = await imageToTensor([canvas, PIXELS, blob]);
  expect(shape).to.deep.equal([3, 3, 4, 5]);
});

test("canvas", "rotates a JPEG according to its EXIF orientation", async () => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 32, height: 16 });
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  context.fillRect(0, 0, 32, 16);
  context.fillStyle = "white";
  context.fillRect(0, 0, 16, 16);
  const blob = await new Promise<Blob>((resolve) => canvas.toBlob((blob) => resolve(blob as Blob), "image/jpeg", 1));
  // Orientation 6: the left side of the stored image is its top.
  const exif = [
    0xff,
    0xe1,
    0,
    34,
    ...[..."Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"].map((c) => c.charCodeAt(0)),
  ];
  const turned = new Blob([blob.slice(0, 2), Uint8Array.from(exif), blob.slice(2)], { type: "image/jpeg" });
  const { shape, data } = await imageToTensor(turned, { color: "GRAY", dtype: "DT_UINT8" });
  expect(shape).to.deep.equal([1, 1, 32, 16]);
  expect(data[0]).to.be.greaterThan(245);
  expect(data.at(-1)).to.be.lessThan(10);
});

test("canvas", "blends half-transparent pixels with the background", async () => {
  const canvas = new OffscreenCanvas(1, 1);
  const context = canvas.getContext("2d") as OffscreenCanvasRenderingContext2D;
  context.fillStyle = "rgba(255, 0, 0, 0.2)";
  context.fillRect(0, 0, 1, 1);
  const { data } = await imageToTensor(canvas, { background: [0, 0, 255], dtype: "DT_UINT8" });
  expect([...data]).to.deep.equal([51, 0, 204]);
});

test("canvas", "explains why an image cannot be read", async () => {
  const text = new Blob(["no image"], { type: "image/png" });
  const damaged = await rejection(imageToTensor(text));
  expectError(damaged, { name: "TypeError", code: "ERR_EAS_ARG_CONTENT" });
  expect(damaged.message).to.include('cannot decode 8 bytes of type "image/png"');
  const bitmap = await createImageBitmap(new ImageData(1, 1));
  bitmap.close();
  const closed = await rejection(imageToTensor(bitmap));
  expect(closed.message).to.include("empty, closed or not loaded yet");
  const foreign = await rejection(imageToTensor({ width: 1, height: 1 } as never));
  expect(foreign.message).to.include("it must be decoded pixels");
});

test("canvas", "refuses an image of another site with an error that says what to do", async (test) => {
  const image = document.createElement("img");
  // The image has another origin than the page.
  image.src = `${test.control}/picture`;
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  canvas.getContext("2d")?.drawImage(image, 0, 0);
  for (const source of [image, canvas]) {
    const error = await rejection(imageToTensor(source));
    expectError(error, { name: "TypeError", code: "ERR_EAS_ARG_CONTENT" });
    expect(error.message).to.include("crossOrigin");
  }
});

testAbsence("canvas", "a Blob is refused in words", async () => {
  const error = await rejection(imageToTensor(new Blob(["x"], { type: "image/png" }) as never));
  expectError(error, { name: "EasUnsupportedError", code: "ERR_EAS_UNSUPPORTED" });
  expect(error.message).to.include("only browsers can decode").and.to.include("{ data, width, height }");
});
