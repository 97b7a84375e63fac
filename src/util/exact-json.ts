/**
 * Maximum number of digits in an integer that is converted to a bigint. Limited because the conversion takes more than
 * linear time.
 */
const MAX_DIGITS = 4096;

const NUMBERS = /-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g;

/**
 * Parses JSON like `JSON.parse`, except that integers beyond 2^53 with up to 4,096 digits become bigints. Throws a
 * `SyntaxError` for invalid JSON. Not recursive, so that deep nesting does not overflow the stack.
 */
export function parseExactly(text: string): unknown {
  const parsed: unknown = JSON.parse(text);
  // `JSON.parse` rounds large integers, so convert them to strings before parsing. A prefix on every string
  // distinguishes converted integers from ordinary strings.
  return /\d{16}/.test(text) ? unmarked(JSON.parse(marked(text))) : parsed;
}

/**
 * Replaces large integers in valid JSON with strings that have the prefix `n`, and adds the prefix `t` to all string
 * values.
 */
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

/** Returns the position where the string that begins at `quote` ends. */
function endOfText(text: string, quote: number): number {
  for (let end = text.indexOf('"', quote + 1); ; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text[end - 1 - backslashes] === "\\") backslashes++;
    if (backslashes % 2 === 0) return end + 1;
  }
}

/** Whether the string that ends at `end` is a key, which is followed by a colon. */
function isKey(text: string, end: number): boolean {
  let at = end;
  while (" \n\r\t".includes(text[at] ?? ":")) at++;
  return text[at] === ":";
}

/** Removes the prefixes in place and converts large integers to bigints. */
function unmarked(root: unknown): unknown {
  const whole = [root];
  const containers: Record<string, unknown>[] = [whole as never];
  for (let container = containers.pop(); container !== undefined; container = containers.pop()) {
    for (const key of Object.keys(container)) {
      const value = container[key];
      // Assigning is safe even if the name is "__proto__", because the property already exists.
      if (typeof value === "string") container[key] = value.startsWith("t") ? value.slice(1) : BigInt(value.slice(1));
      else if (typeof value === "object" && value !== null) containers.push(value as Record<string, unknown>);
    }
  }
  return whole[0];
}

/** Returns a primitive JSON value as text, or undefined for an array or object. */
export function plainText(value: unknown): string | undefined {
  return typeof value === "object" && value !== null ? undefined : String(value);
}
