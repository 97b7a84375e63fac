/** Longer integers stay numbers, as `JSON.parse` has them: to make a bigint of digits takes more than linear time. */
const MAX_DIGITS = 4096;

const NUMBERS = /-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g;

/**
 * As `JSON.parse`, but integers beyond 2^53 of up to 4,096 digits become bigints. Throws a `SyntaxError` for what is no
 * JSON. Neither long texts nor deep nesting are too much: no part of it is recursive, or a regular expression on a text.
 */
export function parseExactly(text: string): unknown {
  const parsed: unknown = JSON.parse(text);
  // `JSON.parse` shows a number only after rounding. So those are sent through it as texts, and all texts get a mark.
  return /\d{16}/.test(text) ? unmarked(JSON.parse(marked(text))) : parsed;
}

/** `text`, which is known to be JSON, with `n` before integers, now texts, that a number cannot hold, and `t` before texts. */
function marked(text: string): string {
  let result = "";
  for (let at = 0; ; ) {
    const quote = text.indexOf('"', at);
    result += text.slice(at, quote === -1 ? text.length : quote).replace(NUMBERS, markedNumber);
    if (quote === -1) return result;
    at = endOfText(text, quote);
    result += isKey(text, at) ? text.slice(quote, at) : `"t${text.slice(quote + 1, at)}`;
  }
}

function markedNumber(token: string): string {
  const isExact = token.length > MAX_DIGITS || !/^-?\d+$/.test(token) || Number.isSafeInteger(Number(token));
  return isExact ? token : `"n${token}"`;
}

/** Where the text ends that begins at `quote`. */
function endOfText(text: string, quote: number): number {
  for (let end = text.indexOf('"', quote + 1); ; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text[end - 1 - backslashes] === "\\") backslashes++;
    if (backslashes % 2 === 0) return end + 1;
  }
}

/** Whether a colon follows. */
function isKey(text: string, end: number): boolean {
  let at = end;
  while (" \n\r\t".includes(text[at] ?? ":")) at++;
  return text[at] === ":";
}

/** Undoes the marks, in place. */
function unmarked(root: unknown): unknown {
  const whole = [root];
  const containers: Record<string, unknown>[] = [whole as never];
  for (let container = containers.pop(); container !== undefined; container = containers.pop()) {
    for (const key of Object.keys(container)) {
      const value = container[key];
      // A property that is there: no name means anything but itself.
      if (typeof value === "string") container[key] = value.startsWith("t") ? value.slice(1) : BigInt(value.slice(1));
      else if (typeof value === "object" && value !== null) containers.push(value as Record<string, unknown>);
    }
  }
  return whole[0];
}

/** What JSON has in the place of a text, as text; undefined for arrays and objects, which have none that could be meant. */
export function plainText(value: unknown): string | undefined {
  return typeof value === "object" && value !== null ? undefined : String(value);
}
