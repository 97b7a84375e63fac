// Writes the table of runtimes and features in docs/runtimes.md from the last reports of the suite. With --check, fails if
// the page differs from the reports.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { transformSync } from "esbuild";

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const BEGIN = "<!-- The table of runtimes: scripts/runtime-table.mjs -->";
const END = "<!-- The end of the table. -->";

const { code } = transformSync(readFileSync(path("../test/suite/features.ts"), "utf8"), { loader: "ts" });
const { FEATURES, RUNTIMES } = await import(`data:text/javascript,${encodeURIComponent(code)}`);

const reports = Object.keys(RUNTIMES).map((name) => {
  const file = path(`../test/.report/runtimes/${name}.json`);
  if (!existsSync(file)) throw new Error(`no report of ${name}: run test:runtimes and test:browsers first`);
  return JSON.parse(readFileSync(file, "utf8"));
});

const notes = [];
const cellOf = ({ cases }, feature) => {
  const own = cases.filter((entry) => entry.feature === feature);
  if (own.some(({ status }) => status === "failed")) return "failed";
  const skipped = own.find(({ status }) => status === "skipped");
  if (skipped === undefined) return own.length > 0 ? "✓" : "not tested";
  if (!notes.includes(skipped.reason)) notes.push(skipped.reason);
  return `– (${notes.indexOf(skipped.reason) + 1})`;
};
const rows = [
  ["", ...Object.values(RUNTIMES)],
  ...Object.entries(FEATURES).map(([feature, title]) => [title, ...reports.map((report) => cellOf(report, feature))]),
];
const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
const lineOf = (row) => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`;
const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
const table = [
  BEGIN,
  "",
  lineOf(rows[0]),
  rule,
  ...rows.slice(1).map(lineOf),
  "",
  ...notes.map((note, i) => `(${i + 1}) ${note}.${i + 1 < notes.length ? "  " : ""}`),
  "",
  END,
].join("\n");

const PAGE = path("../docs/runtimes.md");
const text = readFileSync(PAGE, "utf8");
const [before, rest] = text.split(BEGIN);
const after = rest?.split(END)[1];
if (after === undefined) throw new Error("docs/runtimes.md has no place for the table");
const fresh = before + table + after;
if (!process.argv.includes("--check")) writeFileSync(PAGE, fresh);
else if (fresh !== text) {
  console.error(`docs/runtimes.md differs from the reports: run node scripts/runtime-table.mjs\n${table}`);
  process.exitCode = 1;
}
