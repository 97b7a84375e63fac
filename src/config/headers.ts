import type { HeaderPair } from "../platform/contract.js";
import { argumentTypeError, show } from "../util/argument-errors.js";
import type { HeadersInput } from "./options.js";

/** RFC 9110 `token`: what the name of a header, or of a subprotocol, may consist of. */
export const TOKEN_NAME: RegExp = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Latin-1 without control characters; a line break in a value would begin a header of the attacker's own. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Headers that frame the message or the connection: set by hand they would break or smuggle requests. */
const FRAMING: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "expect",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Checks headers of a caller and returns them with lower-case names, the last of equal names only. */
export function checkHeaders(input: HeadersInput): HeaderPair[] {
  if (typeof input !== "object" || input === null) {
    throw argumentTypeError(
      "ERR_EAS_ARG_HEADER",
      `headers is ${show(input)}: it must be an object, or pairs of name and value`,
    );
  }
  const headers = new Map<string, string>();
  const entries = Symbol.iterator in input ? (input as Iterable<readonly [string, string]>) : Object.entries(input);
  for (const [name, value] of entries) {
    const lower = checkHeaderName(name);
    headers.set(lower, checkHeaderValue(name, value));
  }
  return [...headers];
}

function checkHeaderName(name: unknown): string {
  if (typeof name !== "string" || !TOKEN_NAME.test(name)) {
    throw argumentTypeError(
      "ERR_EAS_ARG_HEADER",
      `header name ${show(name)} is not valid: it may hold letters, digits and !#$%&'*+-.^_\`|~ only`,
    );
  }
  const lower = name.toLowerCase();
  if (FRAMING.has(lower)) {
    throw argumentTypeError("ERR_EAS_ARG_HEADER", `header ${name} cannot be set: the connection sets it itself`);
  }
  return lower;
}

/** Whether a name that came from elsewhere can be set as a header. */
export function isSettableHeader(name: string | undefined): name is string {
  return name !== undefined && TOKEN_NAME.test(name) && !FRAMING.has(name.toLowerCase());
}

/** Checks a header's value and returns it without blanks at its ends. The value is in no message: it may be a secret. */
export function checkHeaderValue(name: string, value: unknown): string {
  if (typeof value !== "string") {
    throw argumentTypeError(
      "ERR_EAS_ARG_HEADER",
      `header ${name} has a value of type ${value === null ? "null" : typeof value}: it must be a string; leave out a header without a value`,
    );
  }
  if (!VALUE.test(value)) {
    throw argumentTypeError(
      "ERR_EAS_ARG_HEADER",
      `header ${name} has a line break, another control character or one outside Latin-1 in its value: encode it first`,
    );
  }
  return value.trim();
}

/** `base` with the pairs of `above` in the place of those of the same name. */
export function mergeHeaders(base: readonly HeaderPair[], above: readonly HeaderPair[]): HeaderPair[] {
  const merged = new Map(base);
  for (const [name, value] of above) merged.set(name, value);
  return [...merged];
}
