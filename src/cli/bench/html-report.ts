import type { BenchReport } from "./report.js";
import { showTime } from "./time.js";

const WIDTH = 720;
const HEIGHT = 220;
const MARGIN = { left: 56, bottom: 28, top: 10 };
const BARS = 40;
/** Maximum number of points in the chart over time. In longer runs, each point covers several seconds. */
const MAX_POINTS = 300;

const STYLE = `
:root { color-scheme: light dark; --text: #1a1a1a; --back: #fff; --line: #ccc; --bar: #2563eb; --bad: #dc2626; }
@media (prefers-color-scheme: dark) { :root { --text: #eee; --back: #161616; --line: #444; --bar: #60a5fa; --bad: #f87171; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); max-width: 760px; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; } th, td { text-align: right; padding: .2rem .8rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
svg { width: 100%; height: auto; } svg text { fill: var(--text); font-size: 12px; } .axis { stroke: var(--line); }
.bar { fill: var(--bar); } .bad { fill: var(--bad); }`;

/** Returns the results as an HTML page without scripts or external files. */
export function htmlReport(report: BenchReport, { version, date }: { version: string; date: Date }): string {
  const { requests, chat, capacity } = report;
  const failed = Object.entries(report.errors);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Load test of ${escaped(report.target)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Load test of ${escaped(report.target)}</h1>
<p>${escaped(report.load)}, ${(report.elapsed / 1_000).toFixed(1)} s, ${escaped(date.toISOString())}, eas-prediction ${escaped(version)}</p>
<p><strong>${requests.completed}</strong> completed, <strong>${requests.failed}</strong> failed, <strong>${requests.skipped}</strong> not sent, <strong>${requests.perSecond.toFixed(1)}</strong> per second</p>
${capacity === undefined ? "" : `<p>${escaped(capacity.text)}</p>`}
<h2>Latency</h2>
${percentileTable([
  ["from the intended start", report.latency],
  ["from the real start", report.service],
  ...(chat === undefined ? [] : ([["to the first token", chat.firstToken]] as const)),
])}
${chat === undefined ? "" : `<p>${chat.tokens} tokens, ${chat.tokensPerSecond.toFixed(1)} per second in total, ${chat.tokensPerSecondOfOne.toFixed(1)} within a response</p>`}
<h2>Distribution</h2>
${latencyChart(report)}
<h2>Over time</h2>
${timeChart(report)}
${
  failed.length === 0
    ? ""
    : `<h2>Errors</h2>\n${table(
        ["error", "count"],
        failed.map(([kind, count]) => [kind, String(count)]),
      )}`
}
</body>
</html>
`;
}

function percentileTable(rows: readonly (readonly [string, Readonly<Record<string, number>>])[]): string {
  const keys = ["p50", "p90", "p95", "p99", "p99.9", "max"];
  return table(
    ["", ...keys],
    rows.map(([title, values]) => [title, ...keys.map((key) => showTime(values[key] ?? 0))]),
  );
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (row: readonly string[], tag: string) =>
    row.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join("");
  return `<table><thead><tr>${cells(head, "th")}</tr></thead><tbody>${rows.map((row) => `<tr>${cells(row, "td")}</tr>`).join("")}</tbody></table>`;
}

function latencyChart({ histogram }: BenchReport): string {
  const ranges = histogram.ranges(BARS);
  const bars = ranges.map(({ to, count }) => ({
    label: showTime(to),
    title: `at most ${showTime(to)}: ${count}`,
    count,
    bad: 0,
  }));
  return chart("Number of requests by latency", bars, 8);
}

function timeChart({ seconds }: BenchReport): string {
  const size = Math.max(1, Math.ceil(seconds.length / MAX_POINTS));
  const bars = Array.from({ length: Math.ceil(seconds.length / size) }, (_, i) => {
    const part = seconds.slice(i * size, (i + 1) * size);
    const count = part.reduce((sum, { completed }) => sum + completed, 0);
    const bad = part.reduce((sum, { failed }) => sum + failed, 0);
    const label = `${i * size} s`;
    return { label, title: `${label}: ${count} completed, ${bad} failed`, count, bad };
  });
  return chart(`Number of requests in ${size === 1 ? "each second" : `${size} seconds`}`, bars, 10);
}

interface Bar {
  readonly label: string;
  readonly title: string;
  readonly count: number;
  /** Failed requests, drawn on top of the others. */
  readonly bad: number;
}

/** Draws bars with about `labels` labels. */
function chart(title: string, bars: readonly Bar[], labels: number): string {
  const most = Math.max(1, ...bars.map(({ count, bad }) => count + bad));
  const plotHeight = HEIGHT - MARGIN.bottom - MARGIN.top;
  const step = (WIDTH - MARGIN.left) / Math.max(1, bars.length);
  const every = Math.max(1, Math.ceil(bars.length / labels));
  const drawn = bars.map(({ label, title, count, bad }, i) => {
    const x = MARGIN.left + i * step;
    const height = (count / most) * plotHeight;
    const badHeight = (bad / most) * plotHeight;
    const base = MARGIN.top + plotHeight;
    const text = i % every === 0 ? `<text x="${n(x)}" y="${HEIGHT - 8}">${escaped(label)}</text>` : "";
    const rectangle = (kind: string, y: number, height: number) =>
      height === 0
        ? ""
        : `<rect class="${kind}" x="${n(x)}" y="${n(y)}" width="${n(Math.max(0.5, step - 1))}" height="${n(height)}"/>`;
    return `<g><title>${escaped(title)}</title>${rectangle("bar", base - height, height)}${rectangle("bad", base - height - badHeight, badHeight)}</g>${text}`;
  });
  const axis = `<line class="axis" x1="${MARGIN.left}" y1="${MARGIN.top + plotHeight}" x2="${WIDTH}" y2="${MARGIN.top + plotHeight}"/>`;
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(title)}"><text x="0" y="${MARGIN.top + 10}">${most}</text>${axis}${drawn.join("")}</svg>`;
}

function n(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** Escapes text for HTML, in elements and in quoted attributes. */
function escaped(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return text.replace(/[&<>"']/g, (character) => entities[character] as string);
}
