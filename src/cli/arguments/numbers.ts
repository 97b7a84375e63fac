import { InvalidArgumentError } from "commander";

/** Returns an option parser that accepts integers from `min` to `max`. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be an integer from ${min} to ${max}.`);
  };
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** Parses a duration such as `500ms`, `30s`, `5m` or `2h`. Returns milliseconds. A number without a unit is in seconds. */
export function duration(text: string): number {
  const [, digits, unit = "s"] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text) ?? [];
  const value = digits === undefined ? Number.NaN : Number(digits) * (UNITS[unit] as number);
  if (value > 0 && value <= 2_147_483_647) return Math.max(1, Math.round(value));
  throw new InvalidArgumentError("It must be a duration above 0, such as 500ms, 30s or 5m.");
}

/** Collects the values of an option that can be repeated. */
export function collect(value: string, previous: readonly string[] = []): string[] {
  return [...previous, value];
}

/** Parses a number such as `0.5` or `16/255`. */
export function fraction(text: string): number {
  const [, top, bottom = "1"] = /^(-?\d*\.?\d+(?:e-?\d+)?)(?:\/(\d*\.?\d+))?$/i.exec(text) ?? [];
  const value = Number(top) / Number(bottom);
  if (Number.isFinite(value)) return value;
  throw new InvalidArgumentError("It must be a number such as 0.5 or 16/255.");
}

/** Parses a list of numbers that are separated by commas. */
export function fractions(text: string): number[] {
  return text.split(",").map(fraction);
}
