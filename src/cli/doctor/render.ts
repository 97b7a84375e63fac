import stringWidth from "string-width";
import type { Terminal } from "../terminal.js";
import type { CheckResult, Severity } from "./result.js";

/** Width in columns below which the texts are written below the name of the check. */
const NARROW = 60;
/** Width of the longest severity, and the blanks after it. */
const SEVERITY_WIDTH = 9;

/** Returns the results as text that fits the terminal: a line for each check, and the fix of each finding. */
export function renderResults(results: readonly CheckResult[], { columns, colors }: Terminal): string {
  const colorOf: Readonly<Record<Severity, (text: string) => string>> = {
    ok: colors.green,
    skipped: colors.dim,
    warning: colors.yellow,
    problem: colors.red,
  };
  const idWidth = Math.max(...results.map(({ id }) => id.length)) + 2;
  const isNarrow = columns < NARROW;
  const indent = isNarrow ? 2 : SEVERITY_WIDTH + idWidth;
  return results
    .map(({ id, severity, seen, fix }) => {
      const lines = [...wrap(seen, columns - indent)];
      if (fix !== undefined) lines.push(...wrap(`Fix: ${fix}`, columns - indent));
      const title = colorOf[severity](severity.padEnd(SEVERITY_WIDTH)) + (isNarrow ? id : id.padEnd(idWidth));
      const [first = "", ...rest] = lines;
      const shown = isNarrow ? [title, ...indented(lines, indent)] : [title + first, ...indented(rest, indent)];
      return shown.join("\n");
    })
    .join("\n");
}

/** Returns the number of findings as text, such as "found 1 problem and 2 warnings". */
export function summaryOf(results: readonly CheckResult[]): string {
  const counted = (["problem", "warning"] as const).flatMap((severity) => {
    const count = results.filter((result) => result.severity === severity).length;
    return count === 0 ? [] : `${count} ${severity}${count === 1 ? "" : "s"}`;
  });
  return `found ${counted.join(" and ")}`;
}

function indented(lines: readonly string[], width: number): string[] {
  return lines.map((line) => " ".repeat(width) + line);
}

/** Splits text into lines of at most `width` columns, between words. A word that is too long is cut. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/).flatMap((word) => cut(word, width))) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (stringWidth(longer) <= width) line = longer;
    else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line];
}

function cut(word: string, width: number): string[] {
  if (stringWidth(word) <= width) return [word];
  const parts: string[] = [];
  let part = "";
  for (const character of word) {
    if (stringWidth(part + character) > width) {
      parts.push(part);
      part = "";
    }
    part += character;
  }
  return [...parts, part];
}
