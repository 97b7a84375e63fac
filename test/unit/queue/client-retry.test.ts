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

// What is repeated: never what a queue may have stored, or handed out and deleted.

afterEach(() => vi.restoreAllMocks());

/** Backoff is a random part of a limit: with this it is 0, and the tests need not wait. */
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
  /** For put and take: sent once, and unsure; all others are repeated. */
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

/** A client that knows the limits already, so that only the call itself is left to go wrong. */
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
  ])("%s, and then it goes through", async (_name, behaviour) => {
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

  test("refused: nothing was sent, so nothing can be there twice", async () => {
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

  test("no time is left while nothing was sent: nothing can have happened", async () => {
    const { client } = recordingQueueClient({ totalTimeout: 40, retryCount: 0, token: () => new Promise(() => {}) });
    expect(await errorOf(call(client))).toMatchObject({
      code: "ERR_EAS_TIMEOUT",
      phase: "total",
      attempts: 0,
      maybeAccepted: false,
      maybeTaken: false,
    });
  });

  test("no time is left after an attempt: who knows", () =>
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
  test("is repeated on a refused connection until somebody listens", async () => {
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
        // Asked for before each attempt: the attributes' one and two of the put find nobody.
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
    ["before it answers", { reset: "before-headers" } as const, 0],
    ["in the answer", { reset: "in-body" } as const, 1],
  ])("a connection that breaks %s: never two items", async (_name, fault, stored) => {
    const { client, emulator, input, calls } = await openEmulatorQueue();
    await client.attributes();
    // The limits are read first: the fault is for what follows.
    await client.put("first");
    emulator.fault({ service: "q", ...fault });
    const error = await errorOf(client.put("x"));
    expect(error).toMatchObject({ code: "ERR_EAS_NETWORK", attempts: 1, maybeAccepted: true, retryable: false });
    expect(input.length).toBe(1 + stored);
    expect(calls().filter(({ method }) => method === "POST")).toHaveLength(2);
  });

  test("retryOn stands above the table, and the item is there twice", async () => {
    const { client, emulator, input } = await openEmulatorQueue();
    await client.put("first");
    emulator.fault({ service: "q", reset: "in-body" });
    const retryOn = vi.fn((error: Error) => (error as { maybeAccepted?: boolean }).maybeAccepted === true);
    await client.put("x", { retryOn });
    expect(retryOn).toHaveBeenCalledOnce();
    expect(input.length).toBe(3);
  });

  test("retryCount 0 of the call", async () => {
    const server = await startServer();
    const client = await readyClient(server);
    server.always(answer(429));
    expect(await errorOf(client.put("x", { retryCount: 0 }))).toMatchObject({ attempts: 1, retryable: true });
    expect(server.requests).toHaveLength(1);
  });

  test("reading the limits is tried once only, and stops nothing", async () => {
    const server = await startServer();
    const client = queueClientOf(server, { retryCount: RETRY_COUNT });
    server.play(answer(500), answer(200, {}, "7"));
    expect(await client.put("x")).toMatchObject({ index: 7n });
    expect(server.requests.map(({ method }) => method)).toEqual(["GET", "POST"]);
  });

  test("an error that says nothing of whether it was sent", async () => {
    const { client, transport } = recordingQueueClient({}, ({ method }) =>
      method === "POST" ? Promise.reject(new Error("who knows")) : undefined,
    );
    expect(await errorOf(client.put("x"))).toMatchObject({ code: "ERR_EAS_NETWORK", maybeAccepted: true, attempts: 1 });
    expect(transport.requests.filter(({ method }) => method === "POST")).toHaveLength(1);
  });

  test.each([
    ["no", ALL, false],
    ["maybe", 1, true],
  ] as const)("a transport that says it was sent: %s", async (sent, attempts, maybeAccepted) => {
    withoutBackoff();
    const { client } = recordingQueueClient({ retryCount: RETRY_COUNT }, ({ method }) =>
      method === "POST" ? Promise.reject(new TransportError("broken", { sent })) : undefined,
    );
    expect(await errorOf(client.put("x"))).toMatchObject({ code: "ERR_EAS_NETWORK", maybeAccepted, attempts });
  });
});

describe("get with autoDelete", () => {
  test("an answer that is lost on the way: the item is gone, and the error says so", async () => {
    const { client, emulator, input, calls } = await openEmulatorQueue();
    input.put("a");
    input.put("b");
    emulator.fault({ service: "q", reset: "in-body" });
    expect(await errorOf(client.get())).toMatchObject({ code: "ERR_EAS_NETWORK", maybeTaken: true, attempts: 1 });
    expect(input.length).toBe(1);
    expect(calls()).toHaveLength(1);
  });

  test("the same without autoDelete is read again", async () => {
    withoutBackoff();
    const { client, emulator, input, calls } = await openEmulatorQueue();
    input.put("a");
    emulator.fault({ service: "q", reset: "in-body" });
    expect((await client.get({ autoDelete: false })).map((frame) => frame.text())).toEqual(["a"]);
    expect(input.length).toBe(1);
    expect(calls()).toHaveLength(2);
  });

  test.each([
    ["frames that are none", {}, "\u0001"],
    ["JSON that is none", { "content-type": "application/json" }, "{"],
  ])("an answer that cannot be read, %s, took the items too", async (_name, headers, body) => {
    const { client, transport } = recordingQueueClient({}, () => transportAnswer(200, headers, body));
    expect(await errorOf(client.get())).toMatchObject({ code: "ERR_EAS_DECODE", attempts: 1, maybeTaken: true });
    expect(transport.requests).toHaveLength(1);
    expect(await errorOf(client.get({ autoDelete: false }))).toMatchObject({
      code: "ERR_EAS_DECODE",
      maybeTaken: false,
    });
  });

  test.each([
    ["over maxResponseBytes", answer(200, {}, "x".repeat(101))],
    ["with a content coding that nobody undoes", answer(200, { "Content-Encoding": "compress" }, "x")],
    ["with a broken gzip", answer(200, { "Content-Encoding": "gzip" }, "no gzip")],
  ])("an answer %s took the items too", async (_name, behaviour) => {
    const server = await startServer();
    server.always(behaviour);
    const client = queueClientOf(server, { maxResponseBytes: 100 });
    expect(await errorOf(client.get())).toMatchObject({ code: "ERR_EAS_DECODE", attempts: 1, maybeTaken: true });
    expect(server.requests).toHaveLength(1);
  });
});
