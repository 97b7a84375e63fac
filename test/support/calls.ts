import { onTestFinished } from "vitest";
import {
  type HeaderPair,
  PredictClient,
  type PredictClientOptions,
  type Transport,
  type TransportRequest,
  type TransportResponse,
} from "../../src/index.js";
import { MisbehavingServer } from "./misbehaving-server.js";

/** Starts a server that is closed when the test ends. */
export async function startServer(): Promise<MisbehavingServer> {
  const server = await MisbehavingServer.start();
  onTestFinished(() => server.close());
  return server;
}

/** The token of all clients, unless a test sets another. */
export const TOKEN = "test-token-7c2f";

/** Creates a client for the service "svc" that is closed when the test ends. */
export function clientOf(server: { readonly origin: string }, options: PredictClientOptions = {}): PredictClient {
  const { token = TOKEN, ...more } = options;
  const client = new PredictClient({ endpoint: server.origin, serviceName: "svc", token, ...more });
  // The option token does not accept undefined.
  if ("token" in options && options.token === undefined) client.setToken(null);
  onTestFinished(() => void client.close());
  return client;
}

/** The properties of errors that tests check. */
export type Caught = Error & {
  readonly code?: string;
  readonly attempts?: number;
  readonly retryable?: boolean;
  readonly status?: number;
  readonly headers?: Headers;
  readonly body?: Uint8Array;
  readonly hint?: string;
  readonly retryAfter?: number;
  readonly requestId?: string;
  readonly systemCode?: string;
  readonly phase?: string;
  readonly timeout?: number;
  readonly format?: string;
};

/** Collects all values of an iterable. */
export async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
}

/** Returns the error that a promise rejects with. Fails if it resolves. */
export async function errorOf(promise: Promise<unknown>): Promise<Caught> {
  const nothing = Symbol("nothing");
  const error = await promise.then(
    () => nothing,
    (reason: unknown) => reason,
  );
  if (error === nothing) throw new Error("it should have been rejected");
  return error as Caught;
}

/**
 * Runs a test of a timeout with increasing timeouts until it passes. On a busy machine, a short timeout can end a call
 * too early. The last timeout decides.
 */
export async function withTimeouts(run: (timeout: number) => Promise<void>): Promise<void> {
  for (const timeout of [50, 500]) {
    try {
      return await run(timeout);
    } catch {
      // The timeout was too short, or the next one will fail in the same way.
    }
  }
  await run(5_000);
}

/** Returns the error that a function throws. Fails if it does not throw. */
export function thrownBy(act: () => unknown): Caught {
  try {
    act();
  } catch (error) {
    return error as Caught;
  }
  throw new Error("it should have thrown");
}

/** Waits for one turn of the event loop. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Waits until a condition is true. The timeout of the test limits it. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await turn();
}

/** Observes the state of a promise. */
export function watch(promise: Promise<unknown>): { state: "pending" | "resolved" | "rejected"; value: unknown } {
  const watched: { state: "pending" | "resolved" | "rejected"; value: unknown } = {
    state: "pending",
    value: undefined,
  };
  promise.then(
    (value) => Object.assign(watched, { state: "resolved", value }),
    (value: unknown) => Object.assign(watched, { state: "rejected", value }),
  );
  return watched;
}

/** Creates a response of a custom transport. */
export function transportAnswer(status: number, headers: Record<string, string> = {}, body = ""): TransportResponse {
  return {
    status,
    headers: new Headers(headers),
    body: new TextEncoder().encode(body),
    contentEncoding: headers["content-encoding"],
  };
}

/** A transport without a network. It records the requests and returns the responses of `send`, by default 200 "ok". */
export class RecordingTransport implements Transport {
  readonly requests: TransportRequest[] = [];
  readonly send: (request: TransportRequest) => Promise<TransportResponse>;

  constructor(
    respond: (request: TransportRequest, count: number) => TransportResponse | Promise<TransportResponse> = () =>
      transportAnswer(200, {}, "ok"),
  ) {
    this.send = async (request) => {
      this.requests.push(request);
      return respond(request, this.requests.length);
    };
  }

  /** Returns a header of the last request. */
  header(name: string, at = -1): string | undefined {
    return new Map(this.requests.at(at)?.headers as HeaderPair[]).get(name);
  }

  async close(): Promise<void> {}
}
