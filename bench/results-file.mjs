// RESULTS.md, of which each measurement writes its own sections and leaves the others as they are.

import { existsSync, readFileSync, writeFileSync } from "node:fs";

const file = new URL("RESULTS.md", import.meta.url);

const INTRODUCTION =
  "# Results\n\nWritten by `npm run bench` and `npm run size`; what they mean is in [NOTES.md](NOTES.md).\n";

/** Puts `text` in the place of the section of this heading, or behind all others. */
export function writeSection(heading, text) {
  const [, ...old] = existsSync(file) ? readFileSync(file, "utf8").split(/^## /m) : [""];
  const sections = new Map(old.map((section) => [section.slice(0, section.indexOf("\n")), section]));
  sections.set(heading, `${heading}\n\n${text}\n`);
  const all = [...sections.values()].map((section) => `## ${section.trimEnd()}\n`);
  writeFileSync(file, [INTRODUCTION, ...all].join("\n"));
}
