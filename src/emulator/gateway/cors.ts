import { isOrigin } from "../../endpoint/path.js";
import { argumentTypeError, show } from "../../util/argument-errors.js";

/** Options for calls from web pages of other origins. */
export interface EmulatorCors {
  /** Origins whose pages may call the emulator, such as `https://example.com`. Default: all origins. */
  readonly origins?: readonly string[] | undefined;
  /**
   * Response headers that pages may read, in addition to the safelisted headers such as `Content-Type`. If
   * `X-Eas-Queueservice-Request-Id` is not listed, the result of a page's `put` does not contain a `requestId`.
   * Default: none.
   */
  readonly exposeHeaders?: readonly string[] | undefined;
}

/** Time for which browsers may cache a preflight response, in seconds. This is Chromium's maximum. */
const MAX_AGE = 7200;
/** All methods that services and queues accept. */
const METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE";

/** The gateway's part of cross-origin resource sharing (fetch.spec.whatwg.org, "CORS protocol"). */
export class Cors {
  readonly #origins: readonly string[] | undefined;
  readonly #exposed: string;

  /** Returns the CORS policy for an option value; undefined if pages from other origins may not call the emulator. */
  static of(setting: boolean | EmulatorCors | undefined): Cors | undefined {
    if (setting === undefined || setting === false) return undefined;
    if (setting === true) return new Cors({});
    if (typeof setting === "object" && setting !== null && !Array.isArray(setting)) return new Cors(setting);
    throw invalidOption("cors", setting, 'true, or an object such as { origins: ["https://example.com"] }');
  }

  private constructor({ origins, exposeHeaders = [] }: EmulatorCors) {
    this.#origins = origins === undefined ? undefined : checkList("origins", origins).map(checkOrigin);
    this.#exposed = checkList("exposeHeaders", exposeHeaders).map(checkName).join(", ");
  }

  /** Returns the response to a preflight from an allowed origin; undefined for every other request. */
  preflight({ method, headers }: Request): Response | undefined {
    const origin = headers.get("origin");
    const isPreflight = method === "OPTIONS" && headers.has("access-control-request-method");
    if (!isPreflight || !this.#allows(origin)) return undefined;
    const response = new Response(null, { status: 204, headers: this.headers(origin) });
    response.headers.delete("access-control-expose-headers");
    response.headers.set("access-control-allow-methods", METHODS);
    // List the headers, because `*` does not cover Authorization.
    const requestedHeaders = headers.get("access-control-request-headers");
    if (requestedHeaders) response.headers.set("access-control-allow-headers", requestedHeaders);
    response.headers.set("access-control-max-age", String(MAX_AGE));
    return response;
  }

  /** Returns a copy of the response with this policy's CORS headers, which replace those of the service. */
  share(request: Request, response: Response): Response {
    // Copy the response, because the headers of a response from `fetch` are immutable.
    const shared = new Response(response.body, response);
    for (const name of ["access-control-allow-origin", "access-control-expose-headers"]) shared.headers.delete(name);
    for (const [name, value] of this.headers(request.headers.get("origin"))) {
      // Append to Vary, because the service may have set it too.
      if (name === "vary") shared.headers.append(name, value);
      else shared.headers.set(name, value);
    }
    return shared;
  }

  /**
   * Returns the headers that let a page from `origin` read a response. Includes `Vary`, so that caches store a separate
   * response for each origin.
   */
  headers(origin: string | null): [name: string, value: string][] {
    const headers: [string, string][] = [];
    if (this.#allows(origin)) {
      headers.push(["access-control-allow-origin", this.#origins === undefined ? "*" : origin]);
      if (this.#exposed !== "") headers.push(["access-control-expose-headers", this.#exposed]);
    }
    // Send `Vary` even if the origin is not allowed. Otherwise, a cache could serve that response to an allowed origin.
    if (this.#origins !== undefined) headers.push(["vary", "Origin"]);
    return headers;
  }

  #allows(origin: string | null): origin is string {
    return origin !== null && (this.#origins?.includes(origin) ?? true);
  }
}

function checkList(name: string, value: readonly string[]): readonly string[] {
  if (!Array.isArray(value)) throw invalidOption(`cors.${name}`, value, "a list");
  return value;
}

/** Returns a valid origin. Throws a `TypeError` for text that browsers never send as an origin. */
function checkOrigin(text: string): string {
  if (isOrigin(text)) return text;
  throw invalidOption("cors.origins", text, 'scheme, host and port only, as in "https://example.com"', "has");
}

/** Returns a valid header name. Throws a `TypeError` for other names, which would make every response fail. */
function checkName(name: string): string {
  try {
    new Headers().has(name);
    if (typeof name === "string") return name;
  } catch {
    // The error below reports the invalid name.
  }
  throw invalidOption("cors.exposeHeaders", name, "the name of a header", "has");
}

function invalidOption(name: string, value: unknown, expected: string, verb = "is"): TypeError {
  return argumentTypeError("ERR_EAS_ARG_OPTION", `${name} ${verb} ${show(value)}: it must be ${expected}`);
}
