/** A point of a drawing, from 0 to 1. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

// The model was trained with "Optical Recognition of Handwritten Digits" of the UCI. Its bitmaps have 32×32 dots, and a
// digit fills the height. A pixel counts the dots of a block of 4×4, so its ink is 0 to 16.
const BITMAP = 32;
const BLOCK = 4;
const SIZE = BITMAP / BLOCK;
/** Maximum width. Nearly all of the data leave the outermost columns empty. */
const MAX_WIDTH = 22;
/** Number of dots with ink. It is nearly the same for all ten digits of the data. */
const INK = 360;
/** Minimum and maximum pen width in dots that give this amount of ink: thin for an 8, thick for a 1. */
const PENS = [2.5, 12] as const;

/** Returns the 64 pixels of a drawing, row by row; undefined for an empty drawing. */
export function imageOf(strokes: readonly (readonly Point[])[]): Float32Array | undefined {
  const points = strokes.flat();
  if (points.length === 0) return undefined;
  let [thin, thick]: [number, number] = [...PENS];
  let bitmap = new Uint8Array();
  for (let i = 0; i < 8; i++) {
    const pen = (thin + thick) / 2;
    bitmap = draw(strokes, placement(points, pen), pen);
    if (bitmap.reduce((sum, dot) => sum + dot, 0) > INK) thick = pen;
    else thin = pen;
  }
  const image = new Float32Array(SIZE * SIZE);
  bitmap.forEach((dot, i) => {
    const [x, y] = [i % BITMAP, Math.floor(i / BITMAP)];
    const pixel = Math.floor(y / BLOCK) * SIZE + Math.floor(x / BLOCK);
    image[pixel] = (image[pixel] as number) + dot;
  });
  return image;
}

/** Returns how to move and scale a drawing, so that it fills the height of the bitmap and is centered. */
function placement(points: readonly Point[], pen: number): (point: Point) => Point {
  const xs = points.map(({ x }) => x);
  const ys = points.map(({ y }) => y);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  // A single point has no size.
  const scaleY = (BITMAP - pen) / Math.max(bottom - top, Number.EPSILON);
  const scaleX = Math.min((MAX_WIDTH - pen) / Math.max(right - left, Number.EPSILON), scaleY);
  return ({ x, y }) => ({
    x: (x - (left + right) / 2) * scaleX + BITMAP / 2,
    y: (y - (top + bottom) / 2) * scaleY + BITMAP / 2,
  });
}

/** Returns the dots, 0 or 1, whose center a round pen of this width touches. */
function draw(
  strokes: readonly (readonly Point[])[],
  place: (point: Point) => Point,
  pen: number,
): Uint8Array<ArrayBuffer> {
  const bitmap = new Uint8Array(BITMAP * BITMAP);
  const reach = pen / 2;
  const low = (a: number, b: number) => Math.max(0, Math.floor(Math.min(a, b) - reach));
  const high = (a: number, b: number) => Math.min(BITMAP - 1, Math.ceil(Math.max(a, b) + reach));
  for (const stroke of strokes) {
    let from: Point | undefined;
    for (const to of stroke.map(place)) {
      from ??= to;
      for (let y = low(from.y, to.y); y <= high(from.y, to.y); y++) {
        for (let x = low(from.x, to.x); x <= high(from.x, to.x); x++) {
          if (distance({ x: x + 0.5, y: y + 0.5 }, from, to) <= reach) bitmap[y * BITMAP + x] = 1;
        }
      }
      from = to;
    }
  }
  return bitmap;
}

/** Returns the distance from a point to the line between two other points. */
function distance({ x, y }: Point, from: Point, to: Point): number {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = dx * dx + dy * dy;
  const part = length === 0 ? 0 : Math.min(1, Math.max(0, ((x - from.x) * dx + (y - from.y) * dy) / length));
  return Math.hypot(x - from.x - part * dx, y - from.y - part * dy);
}
