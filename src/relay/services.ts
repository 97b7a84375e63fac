import { checkServiceName } from "../endpoint/parse-endpoint.js";
import { encodePath } from "../endpoint/path.js";
import type { Bytes } from "../formats/request.js";
import { optionError } from "../util/argument-errors.js";
import { checkPlainPath } from "./allow-list.js";

/** The client that a relay calls: a `PredictClient`, or an object with the same `fetch` method. */
export interface RelayClient {
  /**
   * Sends a request to the service with the token. Resolves with the response for any status, as soon as the headers
   * have arrived. `path` is empty or begins with a slash or a question mark, and can contain a query.
   */
  fetch(path: string, init: RelayRequestInit): Promise<Response>;
}

/** Options with which a relay calls `RelayClient.fetch`. */
export interface RelayRequestInit {
  readonly method: string;
  readonly headers: [name: string, value: string][];
  /** The body: bytes, a stream that is sent while it is read, or null. */
  readonly body: Bytes | ReadableStream<Bytes> | null;
  /** Aborts the call, including the body of its response. */
  readonly signal: AbortSignal;
}

/** The client and the path for a request. */
export interface RelayTarget {
  readonly client: RelayClient;
  /** The path to compare with the rules. With `services`, the path begins with the service name. */
  readonly rulePath: string;
  /** The path to send, relative to the service. */
  readonly path: string;
}

/** The path between the endpoint and the service name in the URLs of a client in a web page. */
const PREDICT = "/api/predict";

/** The services behind a relay. */
export class Services {
  readonly #base: string;
  readonly #only: RelayClient | undefined;
  /** Sorted from the longest to the shortest name, because one name can be a prefix of another. */
  readonly #named: (readonly [path: string, client: RelayClient])[];

  constructor(
    base: string,
    client: RelayClient | undefined,
    services: Readonly<Record<string, RelayClient>> | undefined,
  ) {
    this.#base = checkBase(base);
    if ((client === undefined) === (services === undefined)) {
      throw optionError("client", client, "be set if services is not: set exactly one of the two");
    }
    this.#only = client && checkClient("client", client);
    if (services !== undefined && (typeof services !== "object" || isClient(services) || !hasEntries(services))) {
      throw optionError("services", services, "be an object of clients by name, such as { scorecard: client }");
    }
    this.#named = Object.entries(services ?? {})
      .map(([name, each]) => [`/${encodePath(checkServiceName(name))}`, checkClient(`services.${name}`, each)] as const)
      .sort(([a], [b]) => b.length - a.length);
  }

  /** The paths of the named services; undefined for a single service without a name. */
  get paths(): readonly string[] | undefined {
    return this.#only === undefined ? this.#named.map(([path]) => path) : undefined;
  }

  /** Finds the target of a path; undefined if the path is not below `base` or there is no such service. */
  find(pathname: string): RelayTarget | undefined {
    // Encode the path as it will be sent, because `URL` does not escape some characters that the client escapes.
    const path = pathAfter(this.#base, encodePath(pathname));
    if (path === undefined) return undefined;
    if (this.#only !== undefined) return targetOf(this.#only, "", path);
    const named = pathAfter(PREDICT, path);
    if (named === undefined) return undefined;
    for (const [name, client] of this.#named) {
      const rest = pathAfter(name, named);
      if (rest !== undefined) return targetOf(client, name, rest);
    }
    return undefined;
  }
}

/**
 * Removes the slash after the path of the service itself, because clients that use a relay at the root cannot omit that
 * slash.
 */
function targetOf(client: RelayClient, name: string, rest: string): RelayTarget {
  const path = rest === "/" ? "" : rest;
  return { client, rulePath: name + path || "/", path };
}

/** Returns the part of `path` after `prefix`; undefined if `path` does not begin with these segments. */
function pathAfter(prefix: string, path: string): string | undefined {
  const rest = path.slice(prefix.length);
  return path.startsWith(prefix) && (rest === "" || rest.startsWith("/")) ? rest : undefined;
}

function checkBase(base: string): string {
  if (base === "" || base === "/") return "";
  return checkPlainPath("base", base).replace(/\/$/, "");
}

function isClient(value: unknown): value is RelayClient {
  return typeof (value as RelayClient | null | undefined)?.fetch === "function";
}

/** Whether an object has entries. `value` can also be null. */
function hasEntries(value: object): boolean {
  return Object.keys(value ?? {}).length > 0;
}

function checkClient(name: string, client: RelayClient): RelayClient {
  if (isClient(client)) return client;
  throw optionError(name, client, "be a PredictClient");
}
