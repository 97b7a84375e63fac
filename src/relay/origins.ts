import { isOrigin } from "../endpoint/path.js";
import { optionError } from "../util/argument-errors.js";
import { METHODS } from "./allow-list.js";
import type { HeaderLists } from "./relay-headers.js";

/** Seconds for which a browser may keep the answer to a preflight; Chromium keeps none longer. */
const MAX_AGE = 7200;

/** Knows which pages may call, and tells browsers so (fetch.spec.whatwg.org, "CORS protocol"). */
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

  /** Whether the request is one of a page that may call, or of no page at all. */
  admits({ headers }: Request): boolean {
    if (this.#origins === "*") return true;
    const origin = headers.get("origin");
    if (origin !== null && this.#origins.has(origin)) return true;
    // No page can set it. Nor is there an Origin with all requests of a page: with an image's there is none.
    const site = headers.get("sec-fetch-site");
    return site === "same-origin" || (origin === null && (site === null || site === "none"));
  }

  /** The answer to a preflight; undefined when the request is none. */
  preflight(request: Request): Response | undefined {
    const { headers } = request;
    if (request.method !== "OPTIONS" || !headers.has("access-control-request-method")) return undefined;
    const answer = new Response(null, { status: 204 });
    // All of them, and for every path: the page can read why a call is refused, but not why a preflight is.
    answer.headers.set("access-control-allow-methods", METHODS.join(", "));
    const asked = (headers.get("access-control-request-headers") ?? "").split(",").map((name) => name.trim());
    // By name, since "*" does not stand for Authorization.
    const accepted = asked.filter((name) => this.#headers.accepts(name.toLowerCase()));
    if (accepted.length > 0) answer.headers.set("access-control-allow-headers", accepted.join(", "));
    answer.headers.set("access-control-max-age", String(MAX_AGE));
    return answer;
  }

  /** Lets a page that may call read an answer, with all of its headers. */
  share({ headers: asked }: Request, headers: Headers): void {
    const origin = asked.get("origin");
    // Else it could read but few of them.
    const exposed = [...headers.keys()].filter((name) => !name.startsWith("access-control-"));
    // Also where nobody may read it: a cache would give that answer to a page that may.
    if (this.#origins !== "*") headers.append("vary", "Origin");
    if (origin === null || !(this.#origins === "*" || this.#origins.has(origin))) return;
    headers.set("access-control-allow-origin", this.#origins === "*" ? "*" : origin);
    if (exposed.length > 0) headers.set("access-control-expose-headers", exposed.join(", "));
  }
}

/** Refuses what no browser ever sends as its origin. */
function checkOrigin(text: string): string {
  if (isOrigin(text)) return text;
  throw optionError("origins", text, 'have scheme, host and port only, as "https://example.com"');
}
