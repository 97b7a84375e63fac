import { checkServiceName } from "../endpoint/parse-endpoint.js";
import { encodePath } from "../endpoint/path.js";
import type { Bytes } from "../formats/request.js";
import { optionError } from "../util/argument-errors.js";
import { checkPlainPath } from "./allow-list.js";

/** What a relay needs of a client: a `PredictClient`, or whatever has such a `fetch`. */
export interface RelayClient {
  /**
   * Sends a request to the service with the token, and resolves with its answer, whatever its status, as soon as its head is
   * there. `path` begins with a slash, a question mark or not at all, and may have a query.
   */
  fetch(path: string, init: RelayRequestInit): Promise<Response>;
}

/** How a relay calls `RelayClient.fetch`. */
export interface RelayRequestInit {
  readonly method: string;
  readonly headers: [name: string, value: string][];
  /** Bytes, a stream, which is to be sent as it comes, or null. */
  readonly body: Bytes | ReadableStream<Bytes> | null;
  /** Ends the call, and the body of its answer. */
  readonly signal: AbortSignal;
}

/** Where a request goes. */
export interface RelayTarget {
  readonly client: RelayClient;
  /** What the allow-list knows it by. */
  readonly listed: string;
  /** What is sent: the path behind the service. */
  readonly path: string;
}

/** How a page's client joins an endpoint and a service (endpoint/gateway.ts). */
const PREDICT = "/api/predict";

/** The services behind a relay. */
export class Services {
  readonly #base: string;
  readonly #only: RelayClient | undefined;
  /** The longest name first, since one may begin with another. */
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

  /** The paths of the services by name; undefined where there is one service without a name. */
  get paths(): readonly string[] | undefined {
    return this.#only === undefined ? this.#named.map(([path]) => path) : undefined;
  }

  /** Where a path leads; undefined when it is not below the relay's own, or when there is no such service. */
  find(pathname: string): RelayTarget | undefined {
    // As it will be sent: a URL leaves some characters alone that the client escapes.
    const path = behind(this.#base, encodePath(pathname));
    if (path === undefined) return undefined;
    if (this.#only !== undefined) return targetOf(this.#only, "", path);
    const named = behind(PREDICT, path);
    if (named === undefined) return undefined;
    for (const [name, client] of this.#named) {
      const rest = behind(name, named);
      if (rest !== undefined) return targetOf(client, name, rest);
    }
    return undefined;
  }
}

/** The service itself is the same with a slash at the end and without: a page at the root has no way to leave it out. */
function targetOf(client: RelayClient, name: string, rest: string): RelayTarget {
  const path = rest === "/" ? "" : rest;
  return { client, listed: name + path || "/", path };
}

/** What comes behind whole segments; undefined when they are not there. */
function behind(prefix: string, path: string): string | undefined {
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

/** False for null too. */
function hasEntries(value: object): boolean {
  return Object.keys(value ?? {}).length > 0;
}

function checkClient(name: string, client: RelayClient): RelayClient {
  if (isClient(client)) return client;
  throw optionError(name, client, "be a PredictClient");
}
