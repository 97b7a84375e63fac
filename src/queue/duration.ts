import { MAX_TIMER_MS } from "../config/options.js";
import { argumentRangeError, argumentTypeError, show } from "../util/argument-errors.js";

const MILLISECONDS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  // Go accepts both the micro sign and the Greek letter.
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

const TERMS = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/gy;

/** A time to wait, as text for the queue service and in milliseconds. */
export interface Duration {
  /** The duration with its unit, in Go's syntax. The unit of a bare number is not documented. */
  readonly text: string;
  readonly milliseconds: number;
}

/**
 * Parses a number of milliseconds or a Go duration such as `"5s"`, `"1m30s"` or `"500ms"`. Throws a `TypeError` for other
 * values, and a `RangeError` for negative durations and those above the maximum delay of timers.
 */
export function checkDuration(argument: string, value: number | string): Duration {
  const milliseconds =
    typeof value === "number" ? Math.ceil(value) : typeof value === "string" ? parse(value) : undefined;
  if (milliseconds === undefined) {
    throw argumentTypeError(
      "ERR_EAS_ARG_TIMEOUT",
      `${argument} is ${show(value)}: it must be milliseconds, or a duration with units such as "5s", "1m30s" or "500ms"`,
    );
  }
  if (!(milliseconds >= 0 && milliseconds <= MAX_TIMER_MS)) {
    throw argumentRangeError(
      "ERR_EAS_ARG_TIMEOUT",
      `${argument} is ${show(value)}: it must be milliseconds of at least 0, or a duration such as "5s", and at most ${MAX_TIMER_MS} ms, the maximum of timers`,
    );
  }
  return { text: typeof value === "number" ? `${milliseconds}ms` : value, milliseconds };
}

function parse(text: string): number | undefined {
  if (text === "0") return 0;
  let sum = 0;
  TERMS.lastIndex = 0;
  let end = 0;
  for (let term = TERMS.exec(text); term !== null; term = TERMS.exec(text)) {
    sum += Number(term[1]) * (MILLISECONDS[term[2] as string] as number);
    end = TERMS.lastIndex;
  }
  return end === text.length && end > 0 ? sum : undefined;
}
