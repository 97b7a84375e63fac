/** A text of JSON, or a number; the text is a key when a colon follows. Only for texts that are known to be JSON. */
const TOKENS = /"(?:[^"\\]|\\.)*"(?=\s*(:?))|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g;

/** As `JSON.parse`, but integers beyond 2^53 become bigints. Throws a `SyntaxError` for what is no JSON. */
export function parseExactly(text: string): unknown {
  const parsed: unknown = JSON.parse(text);
  if (!/\d{16}/.test(text)) return parsed;
  // `JSON.parse` shows a number only after rounding. So those are sent through it as texts, and all texts get a mark.
  const marked = text.replace(TOKENS, (token, colon?: string) => {
    if (token.startsWith('"')) return colon === ":" ? token : `"t${token.slice(1)}`;
    return /^-?\d+$/.test(token) && !Number.isSafeInteger(Number(token)) ? `"n${token}"` : token;
  });
  return JSON.parse(marked, (_, value: unknown) => {
    if (typeof value !== "string") return value;
    return value.startsWith("t") ? value.slice(1) : BigInt(value.slice(1));
  });
}
