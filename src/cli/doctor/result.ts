/**
 * Severity of a result. A problem makes calls fail, and a warning is a risk. A check is skipped if it does not apply, was not
 * asked for, or depends on a check that failed.
 */
export type Severity = "ok" | "skipped" | "warning" | "problem";

/** The result of one check. Warnings and problems are findings. */
export interface CheckResult {
  /** Stable name of the result: the name of the check, and for a finding its kind, such as `tls-expired`. */
  readonly id: string;
  readonly severity: Severity;
  /** Observation of the check. */
  readonly seen: string;
  /** Advice for the user. Only findings have it. */
  readonly fix?: string;
}

/** Returns the result of a check that found nothing. */
export function ok(id: string, seen: string): CheckResult {
  return { id, severity: "ok", seen };
}

/** Returns the result of a check that was not performed, with the reason. */
export function skipped(id: string, seen: string): CheckResult {
  return { id, severity: "skipped", seen };
}

/** Returns a finding that may make calls fail. */
export function warning(id: string, seen: string, fix: string): CheckResult {
  return { id, severity: "warning", seen, fix };
}

/** Returns a finding that makes calls fail. */
export function problem(id: string, seen: string, fix: string): CheckResult {
  return { id, severity: "problem", seen, fix };
}

/** Characters that could change the state of a terminal, or the direction of text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the expression removes control characters.
const UNPRINTABLE = /[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+/g;
/** Maximum number of characters of a text in a result. Services can send long error pages. */
const MAX_TEXT = 1_000;

/** Returns a result that is safe to print. A service may echo the token, or send control characters in an error. */
export function printable({ id, severity, seen, fix }: CheckResult, token: string | undefined): CheckResult {
  const clean = (text: string) => {
    const plain = text.replace(UNPRINTABLE, " ").trim();
    const redacted = token ? plain.replaceAll(token, "<token>") : plain;
    return redacted.length > MAX_TEXT ? `${redacted.slice(0, MAX_TEXT)}…` : redacted;
  };
  return { id, severity, seen: clean(seen), ...(fix !== undefined && { fix: clean(fix) }) };
}
