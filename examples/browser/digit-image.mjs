// Converts strokes to the form of the training data, "Optical Recognition of Handwritten Digits" of the UCI. Its bitmaps have
// 32×32 dots, and a digit fills the height. A pixel counts the dots of a block of 4×4, so its ink is 0 to 16.
const BITMAP = 32;
const BLOCK = 4;
const SIZE = BITMAP / BLOCK;

/** Maximum width. Wider digits are compressed, because nearly all of the data leave the outermost columns empty. */
const MAX_WIDTH = 22;
/** Number of dots with ink. It is nearly the same for all ten digits of the data. */
const INK = 360;
/** Minimum and maximum pen width in dots that give this amount of ink: thin for an 8, thick for a 1, as in the data. */
const PENS = [2.5, 12];

/**
 * Returns the image of a drawing: 64 numbers from 0 to 16, row by row. A stroke is a list of points, `{ x, y }`, in any unit.
 * Returns undefined for an empty drawing.
 */
export function imageOf(strokes) {
  const points = strokes.flat();
  if (points.length === 0) return undefined;
  let [thin, thick] = PENS;
  let bitmap;
  for (let i = 0; i < 8; i++) {
    const pen = (thin + thick) / 2;
    bitmap = draw(strokes, placed(points, pen), pen);
    if (bitmap.reduce((sum, dot) => sum + dot) > INK) thick = pen;
    else thin = pen;
  }
  return countBlocks(bitmap);
}

/** Returns how to move and scale a drawing, so that it fills the height of the bitmap and is centered. */
function placed(points, pen) {
  const [left, right] = rangeOf(points.map(({ x }) => x));
  const [top, bottom] = rangeOf(points.map(({ y }) => y));
  // A single point has no size.
  const scaleY = (BITMAP - pen) / Math.max(bottom - top, Number.EPSILON);
  const scaleX = Math.min((MAX_WIDTH - pen) / Math.max(right - left, Number.EPSILON), scaleY);
  const middle = { x: (left + right) / 2, y: (top + bottom) / 2 };
  return ({ x, y }) => ({ x: (x - middle.x) * scaleX + BITMAP / 2, y: (y - middle.y) * scaleY + BITMAP / 2 });
}

function rangeOf(numbers) {
  return numbers.reduce(
    ([least, most], number) => [Math.min(least, number), Math.max(most, number)],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  );
}

/** Returns the dots, 0 or 1, whose center a round pen of this width touches. */
function draw(strokes, place, pen) {
  const bitmap = new Uint8Array(BITMAP * BITMAP);
  const reach = pen / 2;
  for (const stroke of strokes) {
    const line = stroke.map(place);
    line.forEach((to, i) => {
      const from = line[Math.max(i - 1, 0)];
      const least = (a, b) => Math.max(0, Math.floor(Math.min(a, b) - reach));
      const most = (a, b) => Math.min(BITMAP - 1, Math.ceil(Math.max(a, b) + reach));
      for (let y = least(from.y, to.y); y <= most(from.y, to.y); y++) {
        for (let x = least(from.x, to.x); x <= most(from.x, to.x); x++) {
          if (distance({ x: x + 0.5, y: y + 0.5 }, from, to) <= reach) bitmap[y * BITMAP + x] = 1;
        }
      }
    });
  }
  return bitmap;
}

/** Returns the distance from a point to the line between two other points. */
function distance({ x, y }, from, to) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = dx * dx + dy * dy;
  const part = length === 0 ? 0 : Math.min(1, Math.max(0, ((x - from.x) * dx + (y - from.y) * dy) / length));
  return Math.hypot(x - from.x - part * dx, y - from.y - part * dy);
}

function countBlocks(bitmap) {
  const image = Array(SIZE * SIZE).fill(0);
  bitmap.forEach((dot, i) => {
    const [x, y] = [i % BITMAP, Math.floor(i / BITMAP)];
    image[Math.floor(y / BLOCK) * SIZE + Math.floor(x / BLOCK)] += dot;
  });
  return image;
}
