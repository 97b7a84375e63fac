import type { HeaderPair } from "../platform/contract.js";
import { argumentTypeError, show } from "../util/argument-errors.js";
import type { HeadersInput } from "./options.js";

/** Matches a `token` as defined in RFC 9110: a header name or a subprotocol name. */
export const TOKEN_NAME: RegExp = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Matches Latin-1 without control characters. A line break in a value would allow header injection. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * Headers that frame the message or control the connection. Custom values could break requests or allow request
 * smuggling.
 */
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

/**
 * Checks headers and returns them with lowercase names. If a name occurs more than once, its last value is used. Throws
 * a `TypeError` for invalid headers.
 */
export function checkHeaders(input: HeadersInput): HeaderPair[] {
  if (typeof input !== "object" || input === null) {
    throw argumentTypeError(
      "ERR_EAS_ARG_HEADER",
      `headers is ${show(input)}: it must be an object or a list of [name, value] pairs`,
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
      `header name ${show(name)} is not valid: it may contain only letters, digits and !#$%&'*+-.^_\`|~`,
    );
  }
  const lower = name.toLowerCase();
  if (FRAMING.has(lower)) {
    throw argumentTypeError("ERR_EAS_ARG_HEADER", `header ${name} cannot be set: the connection sets it`);
  }
  return lower;
}

/**
 * Whether a header with this name can be set. Accepts any value because the name may come from a configuration file.
 */
export function isSettableHeader(name: string | undefined): name is string {
  return name !== undefined && TOKEN_NAME.test(name) && !FRAMING.has(name.toLowerCase());
}

/**
 * Checks a header value and returns it trimmed. Throws a `TypeError` whose message omits the value because it may be a
 * secret.
 */
export function checkHeaderValue(name: string, value: unknown): string {
  if (typeof value !== "string") {
    throw argumentTypeError(
      "ERR_EAS_ARG_HEADER",
      `header ${name} has a value of type ${value === null ? "null" : typeof value}: it must be a string. Leave out headers without a value`,
    );
  }
  if (!VALUE.test(value)) {
    throw argumentTypeError(
      "ERR_EAS_ARG_HEADER",
      `header ${name} contains a control character or a character outside Latin-1: encode the value first`,
    );
  }
  return value.trim();
}

/** Merges two lists of headers. Headers in `overrides` replace headers of the same name in `base`. */
export function mergeHeaders(base: readonly HeaderPair[], overrides: readonly HeaderPair[]): HeaderPair[] {
  const merged = new Map(base);
  for (const [name, value] of overrides) merged.set(name, value);
  return [...merged];
}
