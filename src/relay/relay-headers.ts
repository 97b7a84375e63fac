import { optionError } from "../argument-errors.js";
import { checkHeaders } from "../http/headers.js";

/** What goes on to the service: what calls of this package need, and what traces and languages go by. */
const TO_SERVICE: readonly string[] = [
  "accept",
  "accept-language",
  "content-encoding",
  "content-type",
  "traceparent",
  "tracestate",
  "x-lz4-original-length",
  "x-request-id",
];
/** Who asks a queue. */
const QUEUE = "x-eas-queueservice-";

/** What goes back to the caller. */
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
 * Headers that a page may send although none of them goes on: the caller's own credentials, which are for `authorize`, and
 * what the `openai` package says of itself.
 */
const ACCEPTED = /^(authorization|x-stainless-[a-z-]+)$/;

/** Whose value is the caller's secret, or says who the caller is to somebody else. */
const NEVER_TO_SERVICE =
  /^(authorization|cookie|host|origin|referer|forwarded|x-forwarded-.*|proxy-.*|sec-.*|access-control-.*)$/;
/** What the relay says itself, what sets a secret, and what asks for one that is the relay's. */
const NEVER_TO_CALLER = /^(set-cookie|www-authenticate|cache-control|vary|proxy-.*|access-control-.*)$/;

/** Knows which headers pass a relay, each way. */
export class HeaderLists {
  readonly #toService: ReadonlySet<string>;
  readonly #toCaller: ReadonlySet<string>;

  /** Both are names beside those that always pass. */
  constructor(requestHeaders: readonly string[], responseHeaders: readonly string[]) {
    this.#toService = new Set([...TO_SERVICE, ...checkNames("requestHeaders", requestHeaders, NEVER_TO_SERVICE)]);
    this.#toCaller = new Set([...TO_CALLER, ...checkNames("responseHeaders", responseHeaders, NEVER_TO_CALLER)]);
  }

  /** Those of a request that go on to the service. */
  toService(headers: Headers): [name: string, value: string][] {
    return [...headers].filter(([name]) => this.#passesToService(name));
  }

  /** Those of an answer that go back to the caller. */
  toCaller(headers: Headers): [name: string, value: string][] {
    return [...headers].filter(([name]) => this.#toCaller.has(name) || name.startsWith(EAS));
  }

  /** Whether a page of another origin may send a header. */
  accepts(name: string): boolean {
    return this.#passesToService(name) || ACCEPTED.test(name);
  }

  #passesToService(name: string): boolean {
    return this.#toService.has(name) || name.startsWith(QUEUE);
  }
}

function checkNames(option: string, names: readonly string[], never: RegExp): readonly string[] {
  if (!Array.isArray(names)) throw optionError(option, names, 'be a list of names such as ["x-own"]');
  return names.map((name) => {
    // Refuses what is no name, and the headers of the connection.
    const [[lower] = [""]] = checkHeaders([[name, ""]]);
    if (never.test(lower)) throw optionError(option, name, "leave that header out: it must not pass");
    return lower;
  });
}
