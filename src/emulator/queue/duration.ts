/**
 * Units in Go durations, in milliseconds. Like Go, the emulator accepts both the micro sign and the Greek letter mu.
 */
const UNITS: Readonly<Record<string, number>> = {
  h: 3_600_000,
  m: 60_000,
  s: 1000,
  ms: 1,
  us: 1e-3,
  "\u00b5s": 1e-3,
  "\u03bcs": 1e-3,
  ns: 1e-6,
};

const TERM = /(\d+\.?\d*|\.\d+)(h|ms|m|s|us|\u00b5s|\u03bcs|ns)/gy;

/** Returns the milliseconds of a Go duration such as `1h30m0s`, `1.5s` or `250µs`; undefined for other or negative text. */
export function parseDuration(text: string): number | undefined {
  const unsigned = text.startsWith("+") ? text.slice(1) : text;
  // Go accepts zero without a unit.
  if (unsigned === "0") return 0;
  let total = 0;
  let end = 0;
  for (const [term, count, unit] of unsigned.matchAll(TERM)) {
    total += Number(count) * (UNITS[unit as string] as number);
    end += term.length;
  }
  return end === unsigned.length && end > 0 ? total : undefined;
}

/** Formats a duration like Go, rounded to milliseconds: `2.091s`, `1m0s`, `0s`. */
export function formatDuration(milliseconds: number): string {
  const whole = Math.max(0, Math.round(milliseconds));
  if (whole > 0 && whole < 1000) return `${whole}ms`;
  const minutes = Math.floor(whole / 60_000);
  const seconds = `${(whole % 60_000) / 1000}s`;
  if (minutes === 0) return seconds;
  return minutes < 60 ? `${minutes}m${seconds}` : `${Math.floor(minutes / 60)}h${minutes % 60}m${seconds}`;
}
