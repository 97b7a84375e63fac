// From strokes to what the digits model was trained with: "Optical Recognition of Handwritten Digits" of the UCI has
// bitmaps of 32×32, in which a digit fills the height, counted in blocks of 4×4. So the ink of a pixel is 0 to 16.
const BITMAP = 32;
const BLOCK = 4;
const SIZE = BITMAP / BLOCK;

/** Wider digits are squeezed: nearly all of the data leave the outermost columns empty. */
const MAX_WIDTH = 22;
/** Dots of ink: the data's ten digits have nearly the same number, as each was written with its own pen and then scaled. */
const INK = 360;
/** Pens, in dots, between which one gives that much ink: thin for an 8, thick for a 1, as in the data. */
const PENS = [2.5, 12];

/**
 * The image of a drawing, 64 numbers from 0 to 16, row by row. A stroke is a list of points, `{ x, y }`, in any unit.
 * Undefined when nothing is drawn.
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

/** How a drawing is moved and scaled, so that it fills the height of the bitmap and is in the middle. */
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

/** The dots, 0 or 1, whose middle a round pen of this width touches. */
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

/** From a point to the line between two others. */
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
