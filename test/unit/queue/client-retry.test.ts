import { afterEach, describe, expect, test, vi } from "vitest";
import {
  EasHttpError,
  EasNetworkError,
  EasTimeoutError,
  type QueueClient,
  type QueueClientOptions,
  TransportError,
} from "../../../src/index.js";
import { type Caught, errorOf, startServer, transportAnswer, withTimeouts } from "../../support/calls.js";
import {
  answer,
  type Behaviour,
  finBeforeHeaders,
  finInBody,
  MisbehavingServer,
  refusedOrigin,
  requestTimeout,
  resetBeforeHeaders,
  resetInBody,
  resetInHeaders,
  stallBeforeHeaders,
  stallInBody,
  truncatedChunks,
} from "../../support/misbehaving-server.js";
import { openEmulatorQueue, queueClientOf, recordingQueueClient } from "../../support/queues.js";

// Which failures are retried. A put that may be stored and a get that may have deleted its items are never retried.

afterEach(() => vi.restoreAllMocks());

/** Removes the backoff, which is a random fraction of a limit. */
function withoutBackoff(): void {
  vi.spyOn(Math, "random").mockReturnValue(0);
}

const RETRY_COUNT = 3;
const ALL = RETRY_COUNT + 1;

type Kind = "put" | "take" | "other";
const CALLS: Readonly<Record<string, readonly [kind: Kind, call: (client: QueueClient) => Promise<unknown>]>> = {
  put: ["put", (client) => client.put("x")],
  "get with autoDelete": ["take", (client) => client.get({ timeout: 0 })],
  negative: ["take", (client) => client.negative(1)],
  "get without autoDelete": ["other", (client) => client.get({ timeout: 0, autoDelete: false })],
  attributes: ["other", (client) => client.attributes()],
  search: ["other", (client) => client.search(1)],
  count: ["other", (client) => client.count()],
  delete: ["other", (client) => client.delete(1)],
  commit: ["other", (client) => client.commit(1)],
  truncate: ["other", (client) => client.truncate(1)],
  end: ["other", (client) => client.end()],
};
const NAMES = Object.keys(CALLS);

interface Expected {
  readonly type: new (...args: never[]) => Error;
  readonly status?: number;
  /** `unsure`: a put or a take is sent once, and its outcome is unknown. All other calls are retried. */
  readonly verdict: "unsure" | "repeated" | "never" | "others only";
}

const http = (status: number, verdict: Expected["verdict"]): Expected => ({ type: EasHttpError, status, verdict });
const broken: Expected = { type: EasNetworkError, verdict: "unsure" };
const late: Expected = { type: EasTimeoutError, verdict: "unsure" };

const TABLE: readonly [name: string, behaviour: Behaviour, expected: Expected][] = [
  ["socket reset after the request", resetBeforeHeaders, broken],
  ["socket ended after the request", finBeforeHeaders, broken],
  ["socket reset in the headers", resetInHeaders, broken],
  ["socket reset in the body", resetInBody, broken],
  ["socket ended in the body", finInBody, broken],
  ["socket ended in a chunked body", truncatedChunks, broken],
  ["attempt timeout before the headers", stallBeforeHeaders, late],
  ["attempt timeout in the body", stallInBody, late],
  ["504", answer(504), http(504, "unsure")],
  ["429", answer(429), http(429, "repeated")],
  ["450", answer(450), http(450, "repeated")],
  ["503", answer(503, {}, "busy"), http(503, "unsure")],
  ["503 no healthy upstream", answer(503, {}, "no healthy upstream"), http(503, "repeated")],
  ["500", answer(500), http(500, "unsure")],
  ["502", answer(502), http(502, "unsure")],
  ["408, with the connection closed", requestTimeout, http(408, "others only")],
  ...[301, 307, 400, 401, 403, 404, 405, 413, 422, 499, 501, 505].map((status): [string, Behaviour, Expected] => [
    `${status}`,
    answer(status, { Location: "/elsewhere" }),
    http(status, "never"),
  ]),
];

/** Creates a client that has already read the limits, so that only the call itself can fail. */
async function readyClient(server: MisbehavingServer, options: QueueClientOptions = {}): Promise<QueueClient> {
  const client = queueClientOf(server, { retryCount: RETRY_COUNT, ...options });
  server.play(answer(200, {}, "{}"), answer(200, {}, "1"));
  await client.put("first");
  server.requests.length = 0;
  return client;
}

describe.each(NAMES)("%s", (name) => {
  const [kind, call] = CALLS[name] as (typeof CALLS)[string];

  test.each(TABLE)("%s", async (_name, behaviour, expected) => {
    withoutBackoff();
    if (expected.type === EasTimeoutError) await withTimeouts((timeout) => fails(behaviour, expected, timeout));
    else await fails(behaviour, expected);
  });

  async function fails(behaviour: Behaviour, { type, status, verdict }: Expected, timeout?: number): Promise<void> {
    const server = await startServer();
    const client = await readyClient(server);
    if (timeout !== undefined) client.setTimeout(timeout);
    server.always(behaviour);
    const error = await errorOf(call(client));
    const repeated = verdict === "repeated" || (kind === "other" && verdict !== "never");
    const unsure = verdict === "unsure";
    expect(error).toBeInstanceOf(type);
    expect(error).toMatchObject({
      attempts: repeated ? ALL : 1,
      retryable: repeated,
      maybeAccepted: unsure && kind === "put",
      maybeTaken: unsure && kind === "take",
    });
    expect((error as Caught).status).toBe(status);
    expect(server.requests).toHaveLength(repeated ? ALL : 1);
  }

  test.each([
    ["429", answer(429)],
    ["450", answer(450)],
    ["503 no healthy upstream", answer(503, {}, "no healthy upstream")],
  ])("succeeds after retries of %s", async (_name, behaviour) => {
    withoutBackoff();
    const server = await startServer();
    const client = await readyClient(server);
    const right = { attributes: "{}", search: '{"IsPending":true,"WaitCount":0}' }[name];
    server.play(behaviour, behaviour, name.startsWith("get") ? answer(204) : answer(200, {}, right ?? "2"));
    await call(client);
    expect(server.requests).toHaveLength(3);
    const [first, ...rest] = server.requests.map(({ method, path, body }) => `${method} ${path} ${body}`);
    expect(rest).toEqual([first, first]);
  });

  test("retries a refused connection, because nothing was sent", async () => {
    withoutBackoff();
    const client = queueClientOf({ origin: await refusedOrigin() }, { retryCount: RETRY_COUNT });
    expect(await errorOf(call(client))).toMatchObject({
      code: "ERR_EAS_NETWORK",
      systemCode: "ECONNREFUSED",
      attempts: ALL,
      retryable: true,
      maybeAccepted: false,
      maybeTaken: false,
    });
  });

  test("times out before anything was sent, and reports that nothing can have been accepted or taken", async () => {
    const { client } = recordingQueueClient({ totalTimeout: 40, retryCount: 0, token: () => new Promise(() => {}) });
    expect(await errorOf(call(client))).toMatchObject({
      code: "ERR_EAS_TIMEOUT",
      phase: "total",
      attempts: 0,
      maybeAccepted: false,
      maybeTaken: false,
    });
  });

  test("times out after an attempt, and reports that the outcome is unknown", () =>
    withTimeouts(async (totalTimeout) => {
      const server = await startServer();
      const client = await readyClient(server, { totalTimeout });
      server.always(stallBeforeHeaders);
      expect(await errorOf(call(client))).toMatchObject({
        code: "ERR_EAS_TIMEOUT",
        phase: "total",
        attempts: 1,
        maybeAccepted: kind === "put",
        maybeTaken: kind === "take",
      });
      expect(server.requests).toHaveLength(1);
    }));
});

describe("put", () => {
  test("is retried on a refused connection until the server listens", async () => {
    withoutBackoff();
    const first = await MisbehavingServer.start();
    const { port, origin } = first;
    await first.close();
    let server: MisbehavingServer | undefined;
    let tries = 0;
    const client = queueClientOf(
      { origin },
      {
        retryCount: 50,
        // Called before each attempt. The attempt for the attributes and two attempts of the put are refused.
        token: async () => {
          if (++tries === 4) {
            server = await MisbehavingServer.start(port);
            server.always(answer(200, {}, "42"));
          }
          return "t";
        },
      },
    );
    try {
      expect(await client.put("x")).toEqual({ index: 42n, requestId: undefined });
      expect(tries).toBe(4);
      expect(server?.requests.map(({ method }) => method)).toEqual(["POST"]);
    } finally {
      await server?.close();
    }
  });

  test.each([
    ["before the response", { reset: "before-headers" } as const, 0],
    ["in the response body", { reset: "in-body" } as const, 1],
  ])("never stores two items when the connection breaks %s", async (_name, fault, stored) => {
    const { client, emulator, input, calls } = await openEmulatorQueue();
    await client.attributes();
    // The first put reads the limits, so that the fault applies to the second put.
    await client.put("first");
    emulator.fault({ service: "q", ...fault });
    const error = await errorOf(client.put("x"));
    expect(error).toMatchObject({ code: "ERR_EAS_NETWORK", attempts: 1, maybeAccepted: true, retryable: false });
    expect(input.length).toBe(1 + stored);
    expect(calls().filter(({ method }) => method === "POST")).toHaveLength(2);
  });

  test("retryOn overrides the default rules, so that the item can be stored twice", async () => {
    const { client, emulator, input } = await openEmulatorQueue();
    await client.put("first");
    emulator.fault({ service: "q", reset: "in-body" });
    const retryOn = vi.fn((error: Error) => (error as { maybeAccepted?: boolean }).maybeAccepted === true);
    await client.put("x", { retryOn });
    expect(retryOn).toHaveBeenCalledOnce();
    expect(input.length).toBe(3);
  });

  test("is not retried with the call option retryCount 0", async () => {
    const server = await startServer();
    const client = await readyClient(server);
    server.always(answer(429));
    expect(await errorOf(client.put("x", { retryCount: 0 }))).toMatchObject({ attempts: 1, retryable: true });
    expect(server.requests).toHaveLength(1);
  });

  test("makes one attempt to read the limits, and sends the item when that fails", async () => {
    const server = await startServer();
    const client = queueClientOf(server, { retryCount: RETRY_COUNT });
    server.play(answer(500), answer(200, {}, "7"));
    expect(await client.put("x")).toMatchObject({ index: 7n });
    expect(server.requests.map(({ method }) => method)).toEqual(["GET", "POST"]);
  });

  test("is not retried after a transport error that does not report whether the request was sent", async () => {
    const { client, transport } = recordingQueueClient({}, ({ method }) =>
      method === "POST" ? Promise.reject(new Error("who knows")) : undefined,
    );
    expect(await errorOf(client.put("x"))).toMatchObject({ code: "ERR_EAS_NETWORK", maybeAccepted: true, attempts: 1 });
    expect(transport.requests.filter(({ method }) => method === "POST")).toHaveLength(1);
  });

  test.each([
    ["no", ALL, false],
    ["maybe", 1, true],
  ] as const)(
    "is retried only if the transport reports that nothing was sent (sent: %s)",
    async (sent, attempts, maybeAccepted) => {
      withoutBackoff();
      const { client } = recordingQueueClient({ retryCount: RETRY_COUNT }, ({ method }) =>
        method === "POST" ? Promise.reject(new TransportError("broken", { sent })) : undefined,
      );
      expect(await errorOf(client.put("x"))).toMatchObject({ code: "ERR_EAS_NETWORK", maybeAccepted, attempts });
    },
  );
});

describe("get with autoDelete", () => {
  test("reports that the item may have been taken when the response is lost", async () => {
    const { client, emulator, input, calls } = await openEmulatorQueue();
    input.put("a");
    input.put("b");
    emulator.fault({ service: "q", reset: "in-body" });
    expect(await errorOf(client.get())).toMatchObject({ code: "ERR_EAS_NETWORK", maybeTaken: true, attempts: 1 });
    expect(input.length).toBe(1);
    expect(calls()).toHaveLength(1);
  });

  test("retries the read without autoDelete", async () => {
    withoutBackoff();
    const { client, emulator, input, calls } = await openEmulatorQueue();
    input.put("a");
    emulator.fault({ service: "q", reset: "in-body" });
    expect((await client.get({ autoDelete: false })).map((frame) => frame.text())).toEqual(["a"]);
    expect(input.length).toBe(1);
    expect(calls()).toHaveLength(2);
  });

  test.each([
    ["invalid frames", {}, "\u0001"],
    ["invalid JSON", { "content-type": "application/json" }, "{"],
  ])("reports that the items may have been taken when the response has %s", async (_name, headers, body) => {
    const { client, transport } = recordingQueueClient({}, () => transportAnswer(200, headers, body));
    expect(await errorOf(client.get())).toMatchObject({ code: "ERR_EAS_DECODE", attempts: 1, maybeTaken: true });
    expect(transport.requests).toHaveLength(1);
    expect(await errorOf(client.get({ autoDelete: false }))).toMatchObject({
      code: "ERR_EAS_DECODE",
      maybeTaken: false,
    });
  });

  test.each([
    ["larger than maxResponseBytes", answer(200, {}, "x".repeat(101))],
    ["with an unsupported content encoding", answer(200, { "Content-Encoding": "compress" }, "x")],
    ["with a broken gzip", answer(200, { "Content-Encoding": "gzip" }, "no gzip")],
  ])("reports that the items may have been taken by a response %s", async (_name, behaviour) => {
    const server = await startServer();
    server.always(behaviour);
    const client = queueClientOf(server, { maxResponseBytes: 100 });
    expect(await errorOf(client.get())).toMatchObject({ code: "ERR_EAS_DECODE", attempts: 1, maybeTaken: true });
    expect(server.requests).toHaveLength(1);
  });
});
