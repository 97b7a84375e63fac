import { randomBits } from "../../models/random-bits.js";

/** An image with one byte per pixel: an index into a palette. */
export interface IndexedImage {
  readonly width: number;
  readonly height: number;
  /** Palette indexes by row, from top to bottom. */
  readonly pixels: Uint8Array;
  /** Three bytes for each color: red, green, blue. */
  readonly palette: Uint8Array;
}

/** Describes a picture. Equal descriptions produce equal pictures on every runtime. */
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

/**
 * Returns a function that maps a horizontal position, from 0 to 1, to the top of a hill in pixels. The hill is a sum of
 * triangle waves.
 */
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

/** Number of levels per color channel in a grid's palette: 0, 51, … 255. */
const LEVELS = 6;
const LEVEL_STEP = 51;

/** Arranges images of equal size in a grid, row by row. The colors are rounded to a palette of 216 colors. */
export function createGrid(images: readonly [IndexedImage, ...IndexedImage[]]): IndexedImage {
  const [{ width, height }] = images;
  const columns = Math.ceil(Math.sqrt(images.length));
  const rowCount = Math.ceil(images.length / columns);
  const pixels = new Uint8Array(width * columns * height * rowCount);
  for (const [i, image] of images.entries()) {
    const { palette } = image;
    const level = (at: number) => Math.round((palette[at] as number) / LEVEL_STEP);
    const rounded = Uint8Array.from({ length: palette.length / 3 }, (_, color) => {
      return (level(3 * color) * LEVELS + level(3 * color + 1)) * LEVELS + level(3 * color + 2);
    });
    const top = Math.floor(i / columns) * height;
    for (let y = 0; y < height; y++) {
      const target = (top + y) * width * columns + (i % columns) * width;
      for (let x = 0; x < width; x++) pixels[target + x] = rounded[image.pixels[y * width + x] as number] as number;
    }
  }
  const palette = Uint8Array.from({ length: 3 * LEVELS ** 3 }, (_, i) => {
    const color = Math.floor(i / 3);
    return (Math.floor(color / LEVELS ** (2 - (i % 3))) % LEVELS) * LEVEL_STEP;
  });
  return { width: width * columns, height: height * rowCount, pixels, palette };
}
