/** Milliseconds of the units that Go's durations have; the micro sign and the Greek letter are both taken, as Go does. */
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

/** Milliseconds of a Go duration such as `1h30m0s`, `1.5s` or `250µs`; undefined for anything else, and for negative ones. */
export function parseDuration(text: string): number | undefined {
  const unsigned = text.startsWith("+") ? text.slice(1) : text;
  // The one form without a unit that Go takes.
  if (unsigned === "0") return 0;
  let total = 0;
  let end = 0;
  for (const [term, count, unit] of unsigned.matchAll(TERM)) {
    total += Number(count) * (UNITS[unit as string] as number);
    end += term.length;
  }
  return end === unsigned.length && end > 0 ? total : undefined;
}

/** A duration as Go prints it, to the millisecond: `2.091s`, `1m0s`, `0s`. */
export function formatDuration(milliseconds: number): string {
  const whole = Math.max(0, Math.round(milliseconds));
  if (whole > 0 && whole < 1000) return `${whole}ms`;
  const minutes = Math.floor(whole / 60_000);
  const seconds = `${(whole % 60_000) / 1000}s`;
  if (minutes === 0) return seconds;
  return minutes < 60 ? `${minutes}m${seconds}` : `${Math.floor(minutes / 60)}h${minutes % 60}m${seconds}`;
}
