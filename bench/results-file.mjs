// RESULTS.md: each measurement replaces its own sections and keeps the others.

import { existsSync, readFileSync, writeFileSync } from "node:fs";

const file = new URL("RESULTS.md", import.meta.url);

const INTRODUCTION =
  "# Results\n\nWritten by `npm run bench` and `npm run size`; what they mean is in [NOTES.md](NOTES.md).\n";

/** Replaces the section with this heading, or appends it. */
export function writeSection(heading, text) {
  const [, ...old] = existsSync(file) ? readFileSync(file, "utf8").split(/^## /m) : [""];
  const sections = new Map(old.map((section) => [section.slice(0, section.indexOf("\n")), section]));
  sections.set(heading, `${heading}\n\n${text}\n`);
  const all = [...sections.values()].map((section) => `## ${section.trimEnd()}\n`);
  writeFileSync(file, [INTRODUCTION, ...all].join("\n"));
}
