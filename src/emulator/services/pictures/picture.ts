import { randomBits } from "../../models/random-bits.js";

/** An image with one byte for each pixel: an index into a palette. */
export interface IndexedImage {
  readonly width: number;
  readonly height: number;
  /** Palette indexes by row, from top to bottom. */
  readonly pixels: Uint8Array;
  /** Three bytes for each color: red, green, blue. */
  readonly palette: Uint8Array;
}

/** Describes a picture. Equal descriptions give equal pictures on every runtime. */
export interface PictureRequest {
  readonly seed: number;
  readonly prompt: string;
  /** Width and height in pixels: integers of at least 1. */
  readonly width: number;
  readonly height: number;
}

const SKY_COLORS = 48;
const HILLS = 3;
const SUN = SKY_COLORS;
const FIRST_HILL = SKY_COLORS + 1;

/** Draws a landscape with a sky, a sun and hills. The seed and the prompt determine its colors and shapes. */
export function drawPicture({ seed, prompt, width, height }: PictureRequest): IndexedImage {
  const bits = randomBits(`${seed}\n${prompt}`);
  // Only exact operations are used, because `Math.sin` differs between JavaScript engines.
  const random = () => bits() / 2 ** 32;
  const palette = createPalette(random);
  const sun = { x: random() * width, y: (0.1 + random() * 0.4) * height, radius: (0.06 + random() * 0.1) * height };
  const hills = Array.from({ length: HILLS }, (_, i) => createHill(random, 0.5 + i * 0.15, height));
  const pixels = new Uint8Array(width * height);
  const tops = hills.map((heightAt) => Array.from({ length: width }, (_, x) => heightAt(x / width)));
  for (let y = 0; y < height; y++) {
    const row = y * width;
    pixels.fill(Math.floor((y * SKY_COLORS) / height), row, row + width);
    const halfSquared = sun.radius ** 2 - (y - sun.y) ** 2;
    const half = halfSquared > 0 ? Math.sqrt(halfSquared) : 0;
    if (half > 0) pixels.fill(SUN, row + Math.max(0, Math.ceil(sun.x - half)), row + Math.min(width, sun.x + half));
    for (const [i, top] of tops.entries()) {
      for (let x = 0; x < width; x++) if (y >= (top[x] as number)) pixels[row + x] = FIRST_HILL + i;
    }
  }
  return { width, height, pixels, palette };
}

function createPalette(random: () => number): Uint8Array {
  const color = (min: number, max: number) => [0, 1, 2].map(() => min + random() * (max - min));
  const top = color(20, 160);
  const horizon = color(150, 255);
  const mix = (share: number) => top.map((value, i) => value + ((horizon[i] as number) - value) * share);
  const sky = Array.from({ length: SKY_COLORS }, (_, i) => mix(i / (SKY_COLORS - 1)));
  const ground = color(20, 130);
  const hills = Array.from({ length: HILLS }, (_, i) => ground.map((value) => value / (1 + i * 0.5)));
  return Uint8Array.from([...sky, color(215, 255), ...hills].flat(), Math.round);
}

/** Returns a function from a horizontal position, 0 to 1, to the top of a hill in pixels. The hill is a sum of triangle waves. */
function createHill(random: () => number, level: number, height: number): (at: number) => number {
  const waves = Array.from({ length: 4 }, (_, i) => {
    return { frequency: (i + 1) * (0.5 + random()), phase: random(), amplitude: 0.2 / (i + 1) ** 2 };
  });
  return (at) => {
    let top = level;
    for (const { frequency, phase, amplitude } of waves) {
      const position = at * frequency + phase;
      top += amplitude * (Math.abs(2 * (position - Math.floor(position)) - 1) - 0.5);
    }
    return top * height;
  };
}
