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

/** A server of this test's own, gone when the test ends. */
export async function startServer(): Promise<MisbehavingServer> {
  const server = await MisbehavingServer.start();
  onTestFinished(() => server.close());
  return server;
}

/** The token of all clients here, unless a test says otherwise. */
export const TOKEN = "test-token-7c2f";

/** A client of this test's own for the service "svc", closed when the test ends. */
export function clientOf(server: { readonly origin: string }, options: PredictClientOptions = {}): PredictClient {
  const { token = TOKEN, ...more } = options;
  const client = new PredictClient({ endpoint: server.origin, serviceName: "svc", token, ...more });
  // A client that was given no token, which as an option would be an error.
  if ("token" in options && options.token === undefined) client.setToken(null);
  onTestFinished(() => void client.close());
  return client;
}

/** Whatever a test wants to know of an error. */
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

/** All values, when there are no more. */
export async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
}

/** The error that a promise rejects with; fails when it resolves. */
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
 * Runs a test of a timeout with longer and longer ones until it passes. On a busy machine a short timeout can end a call before
 * what the test is about has happened; the last one decides.
 */
export async function withTimeouts(run: (timeout: number) => Promise<void>): Promise<void> {
  for (const timeout of [50, 500]) {
    try {
      return await run(timeout);
    } catch {
      // Too short, or a failure that the next timeout shows again.
    }
  }
  await run(5_000);
}

/** The error that a function throws; fails when it throws none. */
export function thrownBy(act: () => unknown): Caught {
  try {
    act();
  } catch (error) {
    return error as Caught;
  }
  throw new Error("it should have thrown");
}

/** Lets one turn of the event loop pass. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Lets turns pass until something is so; the test's own time limit ends it. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await turn();
}

/** What a promise has come to, looked at from outside. */
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

/** An answer for a transport of a test's own. */
export function transportAnswer(status: number, headers: Record<string, string> = {}, body = ""): TransportResponse {
  return {
    status,
    headers: new Headers(headers),
    body: new TextEncoder().encode(body),
    contentEncoding: headers["content-encoding"],
  };
}

/** A transport without a network: it keeps what it was given and answers what `send` says, 200 "ok" by default. */
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

  /** The last request's header. */
  header(name: string, at = -1): string | undefined {
    return new Map(this.requests.at(at)?.headers as HeaderPair[]).get(name);
  }

  async close(): Promise<void> {}
}
