import { isOrigin } from "../../endpoint/origin.js";
import { argumentTypeError, show } from "../../util/argument-errors.js";

/** How a gateway lets pages of other origins call it. */
export interface EmulatorCors {
  /** Origins of pages that may call, as `https://example.com`. Default: all. */
  readonly origins?: readonly string[] | undefined;
  /**
   * Headers of answers that pages may read beside the few that every page may (`Content-Type`, `Content-Length`, …), such as
   * `X-Eas-Queueservice-Request-Id`, without which a page's `put` has no `requestId`. Default: none.
   */
  readonly exposeHeaders?: readonly string[] | undefined;
}

/** Seconds for which a browser may keep the answer to a preflight; Chromium keeps none longer. */
const MAX_AGE = 7200;
/** All that a service or a queue may be called with. */
const METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE";

/** The gateway's side of cross-origin resource sharing (fetch.spec.whatwg.org, "CORS protocol"). */
export class Cors {
  readonly #origins: readonly string[] | undefined;
  readonly #exposed: string;

  /** Without `setting`, pages of other origins cannot call. */
  static of(setting: boolean | EmulatorCors | undefined): Cors | undefined {
    if (setting === undefined || setting === false) return undefined;
    if (setting === true) return new Cors({});
    if (typeof setting === "object" && setting !== null && !Array.isArray(setting)) return new Cors(setting);
    throw refused("cors", setting, 'true, or an object such as { origins: ["https://example.com"] }');
  }

  private constructor({ origins, exposeHeaders = [] }: EmulatorCors) {
    this.#origins = origins === undefined ? undefined : checkList("origins", origins).map(checkOrigin);
    this.#exposed = checkList("exposeHeaders", exposeHeaders).map(checkName).join(", ");
  }

  /** The answer to a preflight of an origin that may call; others are answered as if there were no such protocol. */
  preflight({ method, headers }: Request): Response | undefined {
    const origin = headers.get("origin");
    const isPreflight = method === "OPTIONS" && headers.has("access-control-request-method");
    if (!isPreflight || !this.#allows(origin)) return undefined;
    const answer = new Response(null, { status: 204, headers: this.headers(origin) });
    answer.headers.delete("access-control-expose-headers");
    answer.headers.set("access-control-allow-methods", METHODS);
    // By name: `*` does not stand for Authorization.
    const asked = headers.get("access-control-request-headers");
    if (asked) answer.headers.set("access-control-allow-headers", asked);
    answer.headers.set("access-control-max-age", String(MAX_AGE));
    return answer;
  }

  /** The answer as the page that asked may read it; whatever a service says of CORS gives way. */
  share(request: Request, answer: Response): Response {
    // A new one, since the headers of an answer that came from a `fetch` cannot be changed.
    const shared = new Response(answer.body, answer);
    for (const name of ["access-control-allow-origin", "access-control-expose-headers"]) shared.headers.delete(name);
    for (const [name, value] of this.headers(request.headers.get("origin"))) {
      // A service may have its own reasons to vary.
      if (name === "vary") shared.headers.append(name, value);
      else shared.headers.set(name, value);
    }
    return shared;
  }

  /** Headers by which a page of `origin` may read an answer, and by which caches give it to no other page. */
  headers(origin: string | null): [name: string, value: string][] {
    const headers: [string, string][] = [];
    if (this.#allows(origin)) {
      headers.push(["access-control-allow-origin", this.#origins === undefined ? "*" : origin]);
      if (this.#exposed !== "") headers.push(["access-control-expose-headers", this.#exposed]);
    }
    // Also where nobody may read it: a cache would give that answer to a page that may.
    if (this.#origins !== undefined) headers.push(["vary", "Origin"]);
    return headers;
  }

  #allows(origin: string | null): origin is string {
    return origin !== null && (this.#origins?.includes(origin) ?? true);
  }
}

function checkList(name: string, value: readonly string[]): readonly string[] {
  if (!Array.isArray(value)) throw refused(`cors.${name}`, value, "a list");
  return value;
}

/** Refuses what no browser ever sends as its origin. */
function checkOrigin(text: string): string {
  if (isOrigin(text)) return text;
  throw refused("cors.origins", text, 'scheme, host and port only, as in "https://example.com"', "has");
}

/** Refuses what would make every answer fail. */
function checkName(name: string): string {
  try {
    new Headers().has(name);
    if (typeof name === "string") return name;
  } catch {
    // Said below.
  }
  throw refused("cors.exposeHeaders", name, "the name of a header", "has");
}

function refused(name: string, value: unknown, right: string, verb = "is"): TypeError {
  return argumentTypeError("ERR_EAS_ARG_OPTION", `${name} ${verb} ${show(value)}: it must be ${right}`);
}
