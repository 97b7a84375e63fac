/** Names that a generated type must not have: keywords, built-in types, and names that the generator uses itself. */
const RESERVED = new Set(
  (
    "any arguments as async await bigint boolean break case catch class const continue debugger declare default delete do " +
    "enum else eval export extends false finally for from function get global if implements import in infer instanceof interface " +
    "intrinsic is keyof let module namespace never new null number object of package private protected public readonly require " +
    "return set static string super switch symbol this throw true try type typeof undefined unique unknown using var void while " +
    "with yield Operations StandardSchema"
  ).split(" "),
);
/** Maximum length of an identifier. */
const MAX_NAME = 120;

/** Turns names from a document into distinct identifiers. */
export class Names {
  readonly #used = new Set<string>();

  /** Returns an identifier that was not returned before. */
  unique(name: string): string {
    const base = identifierOf(name);
    let candidate = base;
    for (let index = 2; this.#used.has(candidate); index++) candidate = `${base}_${index}`;
    this.#used.add(candidate);
    return candidate;
  }
}

function identifierOf(name: string): string {
  const text = name
    .normalize("NFC")
    .slice(0, MAX_NAME)
    .replace(/[^\p{ID_Start}\p{Nd}_$]+/gu, "_");
  const identifier = /^[\p{ID_Start}_$]/u.test(text) ? text : `_${text}`;
  return RESERVED.has(identifier) ? `${identifier}_` : identifier;
}

/** Returns the key of a property as source text. */
export function propertyKey(name: string): string {
  return /^[A-Za-z_$][A-Za-z0-9_$]*$/.test(name) && name !== "__proto__" ? name : sourceOf(name);
}

/** Returns a value of JSON as source text. Characters that editors do not show are escaped. */
export function sourceOf(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Maximum number of characters of a comment. */
const MAX_COMMENT = 2_000;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the expression removes control characters.
const UNPRINTABLE = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/**
 * Returns a documentation comment, with a line break at its end, or an empty text. A text that contains the end of a
 * comment stays inside the comment.
 */
export function commentOf(text: string | undefined, indent: string): string {
  const lines = (text ?? "")
    .slice(0, MAX_COMMENT)
    .replace(/\r\n?|[\u2028\u2029]/g, "\n")
    .replace(UNPRINTABLE, " ")
    .replaceAll("*/", "*\\/")
    // The compiler obeys directives in comments.
    .replaceAll(/@(?=ts-)/g, "")
    .trim()
    .split("\n")
    .map((line) => line.trimEnd());
  if (lines.length === 1) return lines[0] === "" ? "" : `${indent}/** ${lines[0]} */\n`;
  return `${indent}/**\n${lines.map((line) => `${indent} *${line === "" ? "" : ` ${line}`}\n`).join("")}${indent} */\n`;
}
