import { h, setAttributes, svg } from "./dom.js";

const WIDTH = 300;
const HEIGHT = 80;
/** Number of samples that a chart shows: two minutes. */
const MAX_SAMPLES = 120;

/** A line of a chart. `key` selects its color. */
export interface Series {
  readonly key: string;
  readonly label: string;
}

/** A chart of the last two minutes, with a legend that shows the latest values. */
export class LineChart {
  readonly element: HTMLElement;
  readonly #name: string;
  readonly #series: readonly Series[];
  readonly #samples: number[][] = [];
  readonly #svg: SVGSVGElement;
  readonly #lines: readonly SVGPathElement[];
  readonly #values: readonly HTMLElement[];
  readonly #scale = h("span", { class: "scale", "aria-hidden": "true" });

  constructor(name: string, series: readonly Series[]) {
    this.#name = name;
    this.#series = series;
    this.#lines = series.map(({ key }) => svg("path", { class: `line ${key}` }));
    this.#values = series.map(() => h("dd", {}, "0"));
    this.#svg = svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": name },
      svg("line", { x1: 0, x2: WIDTH, y1: HEIGHT - 1, y2: HEIGHT - 1, class: "axis" }),
      ...this.#lines,
    );
    const legend = series.map(({ key, label }, i) =>
      h("div", {}, h("dt", { class: `key ${key}` }, label), this.#values[i] as HTMLElement),
    );
    this.element = h("div", { class: "chart" }, this.#scale, this.#svg, h("dl", { class: "facts" }, ...legend));
  }

  /** Adds one sample: a value for each series. */
  add(values: readonly number[]): void {
    this.#samples.push([...values]);
    if (this.#samples.length > MAX_SAMPLES) this.#samples.shift();
    const highest = Math.max(1, ...this.#samples.flat());
    for (const [i, line] of this.#lines.entries()) line.setAttribute("d", this.#path(i, highest));
    for (const [i, value] of this.#values.entries()) value.textContent = String(values[i] ?? 0);
    this.#scale.textContent = String(highest);
    const now = this.#series.map(({ label }, i) => `${label} ${values[i] ?? 0}`).join(", ");
    setAttributes(this.#svg, { "aria-label": `${this.#name}: ${now}; maximum of two minutes ${highest}` });
  }

  #path(series: number, highest: number): string {
    const step = WIDTH / (MAX_SAMPLES - 1);
    const start = WIDTH - (this.#samples.length - 1) * step;
    return this.#samples
      .map((values, i) => {
        const y = HEIGHT - 2 - ((values[series] ?? 0) / highest) * (HEIGHT - 6);
        return `${i === 0 ? "M" : "L"}${(start + i * step).toFixed(1)} ${y.toFixed(1)}`;
      })
      .join("");
  }
}
