import { isOrigin } from "../endpoint/path.js";
import { optionError } from "../util/argument-errors.js";
import { METHODS } from "./allow-list.js";
import type { HeaderLists } from "./relay-headers.js";

/** Seconds for which a browser may cache the response to a preflight. This is Chromium's maximum. */
const MAX_AGE = 7200;

/**
 * Decides which pages may call the relay, and sets the headers for browsers (fetch.spec.whatwg.org, "CORS
 * protocol").
 */
export class Origins {
  readonly #origins: "*" | ReadonlySet<string>;
  readonly #headers: HeaderLists;

  constructor(origins: "*" | readonly string[], headers: HeaderLists) {
    this.#headers = headers;
    if (origins !== "*" && !Array.isArray(origins)) {
      throw optionError("origins", origins, 'be a list such as ["https://example.com"], or "*" to allow every origin');
    }
    this.#origins = origins === "*" ? "*" : new Set(origins.map(checkOrigin));
  }

  /** Whether the request comes from an allowed page, or does not come from a page. */
  allows({ headers }: Request): boolean {
    if (this.#origins === "*") return true;
    const origin = headers.get("origin");
    if (origin !== null && this.#origins.has(origin)) return true;
    // Pages cannot set this header. `Origin` alone is not sufficient, because browsers omit `Origin` for some
    // requests, such as those for images.
    const site = headers.get("sec-fetch-site");
    return site === "same-origin" || (origin === null && (site === null || site === "none"));
  }

  /** Returns the response to a preflight; undefined if the request is not a preflight. */
  preflightResponse(request: Request): Response | undefined {
    const { headers } = request;
    if (request.method !== "OPTIONS" || !headers.has("access-control-request-method")) return undefined;
    const response = new Response(null, { status: 204 });
    // All methods are allowed for every path. A page can read why a call was refused, but not why a preflight was
    // refused.
    response.headers.set("access-control-allow-methods", METHODS.join(", "));
    const requested = (headers.get("access-control-request-headers") ?? "").split(",").map((name) => name.trim());
    // The headers are listed by name, because "*" does not include Authorization.
    const accepted = requested.filter((name) => this.#headers.accepts(name.toLowerCase()));
    if (accepted.length > 0) response.headers.set("access-control-allow-headers", accepted.join(", "));
    response.headers.set("access-control-max-age", String(MAX_AGE));
    return response;
  }

  /** Adds the headers that let an allowed page read the response and all of its headers. */
  addHeaders(request: Request, headers: Headers): void {
    const origin = request.headers.get("origin");
    // Without this list, pages could read only a few headers.
    const exposed = [...headers.keys()].filter((name) => !name.startsWith("access-control-"));
    // `Vary` is also set for refused origins. Otherwise, a cache could return their response, which lacks the headers
    // below, to an allowed page.
    if (this.#origins !== "*") headers.append("vary", "Origin");
    if (origin === null || !(this.#origins === "*" || this.#origins.has(origin))) return;
    headers.set("access-control-allow-origin", this.#origins === "*" ? "*" : origin);
    if (exposed.length > 0) headers.set("access-control-expose-headers", exposed.join(", "));
  }
}

/** Returns `text`. Throws if browsers cannot send it as an origin. */
function checkOrigin(text: string): string {
  if (isOrigin(text)) return text;
  throw optionError("origins", text, 'have scheme, host and port only, as "https://example.com"');
}
