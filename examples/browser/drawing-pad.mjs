// A canvas to draw on with mouse, finger or pen.

/** Width of a line, as a fraction of the canvas. Only for display: the model receives lines of another width. */
const LINE = 0.06;

/**
 * Lets the user draw strokes on `canvas`: lists of points from 0 to 1. Calls `onBegin` when a stroke begins. Calls `onChange`
 * at most once per frame of the screen, with all strokes and whether the last stroke is still being drawn.
 */
export function drawingPad(canvas, { onBegin, onChange }) {
  let strokes = [];
  let isDrawing = false;
  let frame = 0;

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    canvas.setPointerCapture(event.pointerId);
    strokes.push([pointOf(event)]);
    isDrawing = true;
    onBegin();
    changed();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!isDrawing || !canvas.hasPointerCapture(event.pointerId)) return;
    // A pen reports more points than the screen has frames.
    const events = event.getCoalescedEvents?.() ?? [];
    strokes.at(-1).push(...(events.length > 0 ? events : [event]).map(pointOf));
    changed();
  });
  canvas.addEventListener("lostpointercapture", () => {
    isDrawing = false;
    changed();
  });
  new ResizeObserver(draw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  function pointOf({ clientX, clientY }) {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    return { x: (clientX - left) / width, y: (clientY - top) / height };
  }

  function changed() {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => {
      draw();
      onChange(strokes, isDrawing);
    });
  }

  function draw() {
    const size = Math.round(canvas.clientWidth * devicePixelRatio);
    canvas.width = size;
    canvas.height = size;
    const context = canvas.getContext("2d");
    context.strokeStyle = getComputedStyle(canvas).color;
    context.lineWidth = LINE * size;
    context.lineCap = "round";
    context.lineJoin = "round";
    for (const stroke of strokes) {
      context.beginPath();
      context.moveTo(stroke[0].x * size, stroke[0].y * size);
      for (const { x, y } of stroke) context.lineTo(x * size, y * size);
      context.stroke();
    }
  }

  return {
    clear() {
      strokes = [];
      isDrawing = false;
      changed();
    },
  };
}
