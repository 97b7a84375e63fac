// `npm run lint:language`: checks the language of documentation, comments, messages and test names. Options:
// - `--count` prints the number of findings per folder and rule instead of every finding.
// - `--root <folder>` names the git work tree to check. Default: this repository.
// - `-- <paths>` limits the check to these files and folders.
//
// Terms of art are in exceptions.json, each with a reason. The command exits with 1 when there are findings.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Linter } from "./linter.mjs";

const { values, positionals } = parseArgs({
  options: { count: { type: "boolean" }, root: { type: "string" } },
  allowPositionals: true,
});

const root = resolve(values.root ?? fileURLToPath(new URL("../..", import.meta.url)));

const scope = positionals.map((path) =>
  relative(root, resolve(values.root ?? ".", path))
    .split(sep)
    .join("/"),
);
const inScope = (path) =>
  scope.length === 0 || scope.some((base) => base === "" || path === base || path.startsWith(`${base}/`));

for (const base of scope) {
  if (!existsSync(resolve(root, base))) throw new Error(`${base}: no such file or folder`);
}

const git = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
const files = execFileSync("git", git, { cwd: root, encoding: "utf8", maxBuffer: 2 ** 26 }).split("\0");

const linter = new Linter(JSON.parse(readFileSync(new URL("exceptions.json", import.meta.url), "utf8")));
const findings = [];
for (const path of [...new Set(files)].sort()) {
  if (!linter.covers(path) || !inScope(path) || !existsSync(resolve(root, path))) continue;
  findings.push(...linter.lint(path, readFileSync(resolve(root, path), "utf8")));
}
const stale = scope.length === 0 ? linter.unusedExceptions() : [];

/** The folder in which a finding is counted: "src/http", "docs", or the file's own name at the root. */
function folderOf(path) {
  const parts = path.split("/");
  return parts.length <= 2 ? (parts.length === 2 ? parts[0] : path) : parts.slice(0, 2).join("/");
}

function printTable(rows, columns) {
  const table = [["folder", ...columns, "total"], ...rows];
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => String(row[column]).length)));
  for (const row of table) {
    console.log(
      row.map((cell, at) => (at === 0 ? cell.padEnd(widths[0]) : String(cell).padStart(widths[at]))).join("  "),
    );
  }
}

function printCounts() {
  const rules = [...new Set(findings.map(({ rule }) => rule))].sort();
  const counts = new Map();
  const count = (folder, rule) => {
    const row = counts.get(folder) ?? new Map();
    row.set(rule, (row.get(rule) ?? 0) + 1);
    counts.set(folder, row);
  };
  for (const { path, rule } of findings) {
    count(folderOf(path), rule);
    count("all", rule);
  }
  const rows = [...counts]
    .sort(([a], [b]) => (a === "all" ? 1 : b === "all" ? -1 : a < b ? -1 : 1))
    .map(([folder, row]) => {
      const cells = rules.map((rule) => row.get(rule) ?? 0);
      return [folder, ...cells.map((cell) => cell || "·"), cells.reduce((sum, cell) => sum + cell, 0)];
    });
  printTable(rows, rules);
}

if (values.count) printCounts();
else {
  for (const { path, line, found, write, rule } of findings) {
    console.log(`${path}:${line}: found "${found}": write ${write} [${rule}]`);
  }
}
for (const exception of stale) {
  console.log(
    `scripts/language/exceptions.json: ${JSON.stringify(exception.text ?? exception.path)} matches nothing: remove it`,
  );
}
console.log(`${findings.length} findings`);
process.exitCode = findings.length + stale.length === 0 ? 0 : 1;
