import { isOrigin } from "../endpoint/path.js";
import { optionError } from "../util/argument-errors.js";
import { METHODS } from "./allow-list.js";
import type { HeaderLists } from "./relay-headers.js";

/** Time for which a browser may cache the response to a preflight request, in seconds. This is Chromium's maximum. */
const MAX_AGE = 7200;

/**
 * Decides which pages may call the relay and sets the headers that browsers need (fetch.spec.whatwg.org, "CORS
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
    // Check this header, which pages cannot set. `Origin` alone is not sufficient, because browsers omit it from some
    // requests, such as those for images.
    const site = headers.get("sec-fetch-site");
    return site === "same-origin" || (origin === null && (site === null || site === "none"));
  }

  /** Returns the response to a preflight request; undefined for any other request. */
  preflightResponse(request: Request): Response | undefined {
    const { headers } = request;
    if (request.method !== "OPTIONS" || !headers.has("access-control-request-method")) return undefined;
    const response = new Response(null, { status: 204 });
    // Allow all methods for every path, because a page can read why a call was refused, but not why a preflight request
    // was refused.
    response.headers.set("access-control-allow-methods", METHODS.join(", "));
    const requested = (headers.get("access-control-request-headers") ?? "").split(",").map((name) => name.trim());
    // List the headers by name, because "*" does not include Authorization.
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
    // Set `Vary` for refused origins too. Otherwise, a cache could return the response for a refused origin, which
    // lacks the headers below, to an allowed page.
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
