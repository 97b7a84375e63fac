import { checkHeaders } from "../config/headers.js";
import { optionError } from "../util/argument-errors.js";

/**
 * Request headers that the relay forwards: those that calls from this package need, and those for tracing and language.
 */
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

/** Response headers that the relay forwards. */
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
 * Headers that a page may send although the relay does not always forward them: credentials for `authorize`, headers
 * with which the
 * `openai` package describes itself, and queue headers. The relay's rules decide whether queue headers are allowed.
 */
const ACCEPTED = /^(authorization|x-stainless-[a-z-]+|x-eas-queueservice-[a-z-]+)$/;

/** Headers that contain the caller's secrets or identity, and headers that control a queue, which the rules check. */
const NEVER_TO_SERVICE =
  /^(authorization|cookie|host|origin|referer|forwarded|x-forwarded-.*|x-eas-queueservice-.*|proxy-.*|sec-.*|access-control-.*)$/;
/** Headers that the relay sets itself, that set a cookie, or that request credentials. */
const NEVER_TO_CALLER = /^(set-cookie|www-authenticate|cache-control|vary|proxy-.*|access-control-.*)$/;

/** Decides which headers the relay forwards in each direction. */
export class HeaderLists {
  readonly #toService: ReadonlySet<string>;
  readonly #toCaller: ReadonlySet<string>;

  /** Both parameters name headers to forward in addition to those that the relay always forwards. */
  constructor(requestHeaders: readonly string[], responseHeaders: readonly string[]) {
    this.#toService = new Set([...TO_SERVICE, ...checkNames("requestHeaders", requestHeaders, NEVER_TO_SERVICE)]);
    this.#toCaller = new Set([...TO_CALLER, ...checkNames("responseHeaders", responseHeaders, NEVER_TO_CALLER)]);
  }

  /** Returns the request headers to send to the service. */
  toService(headers: Headers): [name: string, value: string][] {
    return [...headers].filter(([name]) => this.#toService.has(name));
  }

  /** Returns the response headers to send to the caller. */
  toCaller(headers: Headers): [name: string, value: string][] {
    return [...headers].filter(([name]) => this.#toCaller.has(name) || name.startsWith(EAS));
  }

  /** Whether a page from another origin may send a header. */
  accepts(name: string): boolean {
    return this.#toService.has(name) || ACCEPTED.test(name);
  }
}

/** Returns the names in lower case. Throws if a name is invalid or matches `never`. */
function checkNames(option: string, names: readonly string[], never: RegExp): readonly string[] {
  if (!Array.isArray(names)) throw optionError(option, names, 'be a list of names such as ["x-own"]');
  return names.map((name) => {
    // `checkHeaders` refuses invalid names and the headers that the connection sets.
    const [[lower] = [""]] = checkHeaders([[name, ""]]);
    if (never.test(lower)) throw optionError(option, name, "not be listed: the relay never forwards this header");
    return lower;
  });
}
