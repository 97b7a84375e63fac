// The charts of bench/charts: on two logarithmic scales, where a straight line of slope 1 is linear growth. Drawn without a
// browser, and the same of the same figures; on no ground of their own and in colours that can be
// read on white and on black. Dashed: linear growth to the last point.

import { mkdirSync, writeFileSync } from "node:fs";
import { parse, resetSVGDefIds, View } from "vega";

const FOLDER = new URL("../charts/", import.meta.url);
const GREY = "#808080";
const BLUE = "#3d8bfd";

/** Writes `file` in the folder, of points { x, y }; `title` says what y is, and `x` what x is. */
export async function drawChart(file, { title, x, points }) {
  const shown = points.filter(({ y }) => y > 0);
  resetSVGDefIds();
  const svg = await new View(parse(specification({ title, x, points: shown })), { renderer: "none" }).toSVG();
  const path = new URL(file, FOLDER);
  mkdirSync(new URL(".", path), { recursive: true });
  writeFileSync(path, `${svg}\n`);
}

function specification({ title, x, points }) {
  const scale = (name, range, nice) => {
    const all = points.map((point) => point[name]);
    return { name, type: "log", domain: [Math.min(...all), Math.max(...all)], range, nice };
  };
  const axis = (orient, name, title) => ({
    orient,
    scale: name,
    title,
    // 0.1, 100, 10k, 1M.
    encode: {
      labels: {
        update: { text: { signal: "datum.value < 1 ? format(datum.value, '~g') : format(datum.value, '~s')" } },
      },
    },
    // Powers of ten alone.
    values: Array.from({ length: 31 }, (_, i) => 10 ** (i - 15)),
    grid: true,
    gridColor: GREY,
    gridOpacity: 0.25,
    domainColor: GREY,
    tickColor: GREY,
    labelColor: GREY,
    titleColor: GREY,
    labelFont: "sans-serif",
    titleFont: "sans-serif",
  });
  const at = (name) => ({ scale: name, field: name });
  const place = { x: at("x"), y: at("y") };
  return {
    width: 420,
    height: 260,
    padding: 8,
    background: null,
    title: { text: title, color: GREY, font: "sans-serif", fontSize: 14, anchor: "start" },
    data: [
      { name: "points", values: points },
      { name: "linear", values: linear(points) },
    ],
    scales: [scale("x", "width", false), scale("y", "height", true)],
    axes: [axis("bottom", "x", x), axis("left", "y")],
    marks: [
      {
        type: "line",
        from: { data: "linear" },
        clip: true,
        encode: { enter: { ...place, stroke: { value: GREY }, strokeDash: { value: [4, 4] } } },
      },
      {
        type: "line",
        from: { data: "points" },
        encode: { enter: { ...place, stroke: { value: BLUE }, strokeWidth: { value: 2 } } },
      },
      {
        type: "symbol",
        from: { data: "points" },
        encode: { enter: { ...place, fill: { value: BLUE }, size: { value: 36 } } },
      },
    ],
  };
}

/** What would be linear growth to the last point. */
function linear(points) {
  const last = points.at(-1);
  return points.map(({ x }) => ({ x, y: (last.y * x) / last.x }));
}
