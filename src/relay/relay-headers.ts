import { checkHeaders } from "../config/headers.js";
import { optionError } from "../util/argument-errors.js";

/** Request headers that pass: those that calls of this package need, and those of tracing and language. */
const TO_SERVICE: readonly string[] = [
  "accept",
  "accept-language",
  "anthropic-beta",
  "anthropic-version",
  "content-encoding",
  "content-type",
  "traceparent",
  "tracestate",
  "x-lz4-original-length",
  "x-request-id",
];

/** Headers of an answer that pass. */
const TO_CALLER: readonly string[] = [
  "content-encoding",
  "content-language",
  "content-type",
  "retry-after",
  "x-lz4-original-length",
  "x-request-id",
];
const EAS = "x-eas-";

/**
 * Headers that a page may send although they do not pass by themselves: the caller's credentials, which are for `authorize`,
 * those in which the `openai` package describes itself, and those of a queue, which are for the rules.
 */
const ACCEPTED = /^(authorization|x-stainless-[a-z-]+|x-eas-queueservice-[a-z-]+)$/;

/** Headers that carry the caller's secrets or identity, and those that control a queue, which rules name. */
const NEVER_TO_SERVICE =
  /^(authorization|cookie|host|origin|referer|forwarded|x-forwarded-.*|x-eas-queueservice-.*|proxy-.*|sec-.*|access-control-.*)$/;
/** Headers that the relay sets itself, that set a secret, or that ask for a secret that only the relay has. */
const NEVER_TO_CALLER = /^(set-cookie|www-authenticate|cache-control|vary|proxy-.*|access-control-.*)$/;

/** Decides which headers pass in each direction. */
export class HeaderLists {
  readonly #toService: ReadonlySet<string>;
  readonly #toCaller: ReadonlySet<string>;

  /** Both are names in addition to those that always pass. */
  constructor(requestHeaders: readonly string[], responseHeaders: readonly string[]) {
    this.#toService = new Set([...TO_SERVICE, ...checkNames("requestHeaders", requestHeaders, NEVER_TO_SERVICE)]);
    this.#toCaller = new Set([...TO_CALLER, ...checkNames("responseHeaders", responseHeaders, NEVER_TO_CALLER)]);
  }

  /** Returns the headers of a request that are sent to the service. */
  toService(headers: Headers): [name: string, value: string][] {
    return [...headers].filter(([name]) => this.#toService.has(name));
  }

  /** Returns the headers of an answer that are sent to the caller. */
  toCaller(headers: Headers): [name: string, value: string][] {
    return [...headers].filter(([name]) => this.#toCaller.has(name) || name.startsWith(EAS));
  }

  /** Whether a page of another origin may send a header. */
  accepts(name: string): boolean {
    return this.#toService.has(name) || ACCEPTED.test(name);
  }
}

function checkNames(option: string, names: readonly string[], never: RegExp): readonly string[] {
  if (!Array.isArray(names)) throw optionError(option, names, 'be a list of names such as ["x-own"]');
  return names.map((name) => {
    // Refuses invalid names and the headers of the connection.
    const [[lower] = [""]] = checkHeaders([[name, ""]]);
    if (never.test(lower)) throw optionError(option, name, "not be listed: the relay never forwards this header");
    return lower;
  });
}
