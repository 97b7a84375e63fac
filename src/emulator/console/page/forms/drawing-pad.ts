import { h } from "../dom.js";
import type { Point } from "./digit-image.js";

/** Size of the canvas in pixels of its own. */
const SIZE = 400;
const LINE = 26;
/** Distance that one press of an arrow key moves the pen. */
const STEP = 0.05;
const ARROWS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-STEP, 0],
  ArrowRight: [STEP, 0],
  ArrowUp: [0, -STEP],
  ArrowDown: [0, STEP],
};

/** A canvas to draw on with mouse, finger, pen or keyboard. */
export interface DrawingPad {
  readonly canvas: HTMLCanvasElement;
  /** Removes all strokes. */
  clear(): void;
}

/** Creates a drawing pad. `onChange` is called with all strokes, at the end of each stroke and after `clear()`. */
export function createDrawingPad(onChange: (strokes: readonly (readonly Point[])[]) => void): DrawingPad {
  const canvas = h("canvas", {
    width: SIZE,
    height: SIZE,
    tabindex: 0,
    role: "application",
    "aria-label": "Drawing area. With the keyboard: arrow keys move the pen, Space lowers and lifts it.",
  });
  let strokes: Point[][] = [];
  let isDrawing = false;
  /** Position of the pen that the keyboard moves; undefined when the keyboard is not in use. */
  let pen: Point | undefined;

  function begin(point: Point): void {
    strokes.push([point]);
    isDrawing = true;
    paint();
  }
  function extend(point: Point): void {
    strokes.at(-1)?.push(point);
    paint();
  }
  function end(): void {
    if (!isDrawing) return;
    isDrawing = false;
    paint();
    onChange(strokes);
  }
  function pointOf({ clientX, clientY }: PointerEvent): Point {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    return { x: (clientX - left) / width, y: (clientY - top) / height };
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    canvas.setPointerCapture(event.pointerId);
    pen = undefined;
    begin(pointOf(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (isDrawing && pen === undefined) extend(pointOf(event));
  });
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("keydown", (event) => {
    const move = ARROWS[event.key];
    if (move === undefined && event.key !== " ") return;
    event.preventDefault();
    pen ??= { x: 0.5, y: 0.5 };
    if (move !== undefined) {
      pen = { x: clamp(pen.x + move[0]), y: clamp(pen.y + move[1]) };
      if (isDrawing) extend(pen);
      else paint();
    } else if (isDrawing) end();
    else begin(pen);
  });
  canvas.addEventListener("blur", () => {
    end();
    pen = undefined;
    paint();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);

  function paint(): void {
    const context = canvas.getContext("2d");
    if (context === null) return;
    context.clearRect(0, 0, SIZE, SIZE);
    context.strokeStyle = getComputedStyle(canvas).color;
    context.lineWidth = LINE;
    context.lineCap = "round";
    context.lineJoin = "round";
    for (const stroke of strokes) {
      context.beginPath();
      const [first] = stroke;
      if (first !== undefined) context.moveTo(first.x * SIZE, first.y * SIZE);
      for (const { x, y } of stroke) context.lineTo(x * SIZE, y * SIZE);
      context.stroke();
    }
    if (pen === undefined) return;
    context.beginPath();
    context.lineWidth = 3;
    context.arc(pen.x * SIZE, pen.y * SIZE, LINE / 2 + 4, 0, 2 * Math.PI);
    context.stroke();
  }

  return {
    canvas,
    clear() {
      strokes = [];
      isDrawing = false;
      pen = undefined;
      paint();
      onChange(strokes);
    },
  };
}

function clamp(value: number): number {
  return Math.min(1, Math.max(0, value));
}
