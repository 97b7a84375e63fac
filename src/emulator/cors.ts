import { argumentTypeError, show } from "../errors.js";

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
  static of(setting: true | EmulatorCors | undefined): Cors | undefined {
    return setting === undefined ? undefined : new Cors(setting === true ? {} : setting);
  }

  private constructor({ origins, exposeHeaders = [] }: EmulatorCors) {
    this.#origins = origins === undefined ? undefined : origins.map(checkOrigin);
    this.#exposed = exposeHeaders.join(", ");
  }

  /** The answer to a preflight of an origin that may call; others are answered as if there were no such protocol. */
  preflight({ method, headers }: Request): Response | undefined {
    const allowed = this.headers(headers.get("origin"));
    if (method !== "OPTIONS" || !headers.has("access-control-request-method") || allowed.length === 0) return undefined;
    const answer = new Response(null, { status: 204, headers: allowed });
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

  /** Headers by which a page of `origin` may read an answer; none where it may not, or no page asked. */
  headers(origin: string | null): [name: string, value: string][] {
    if (origin === null || !(this.#origins?.includes(origin) ?? true)) return [];
    return [
      ["access-control-allow-origin", this.#origins === undefined ? "*" : origin],
      ...(this.#origins === undefined ? [] : [["vary", "Origin"] as [string, string]]),
      ...(this.#exposed === "" ? [] : [["access-control-expose-headers", this.#exposed] as [string, string]]),
    ];
  }
}

/** Refuses what no browser ever sends as its origin, such as one with a slash at its end: it would never match. */
function checkOrigin(text: string): string {
  let origin: string | undefined;
  try {
    origin = new URL(text).origin;
  } catch {
    // Said below.
  }
  if (origin !== text) {
    throw argumentTypeError(
      "ERR_EAS_ARG_OPTION",
      `cors.origins has ${show(text)}: an origin is scheme, host and port only, as in "https://example.com"`,
    );
  }
  return text;
}
