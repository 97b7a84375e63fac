import { describe, expect, onTestFinished, test } from "vitest";
import { createEmulator } from "../../../src/emulator/index.js";
import { AsyncInferenceClient, type PredictClient, QueueClient } from "../../../src/index.js";
import { clientOf, errorOf, startServer, TOKEN, turn, until } from "../../support/calls.js";
import { answer, answerWhen, stallBeforeHeaders, stallInBody } from "../../support/misbehaving-server.js";

// Effect of `close` on calls in flight.

type Client = PredictClient | QueueClient | AsyncInferenceClient;

function queueOf(server: { readonly origin: string }): QueueClient {
  const client = new QueueClient({ endpoint: server.origin, queueName: "q", token: TOKEN, logger: null });
  onTestFinished(() => void client.close({ force: true }));
  return client;
}

/** Times far longer than a test may take, so that only `close` can end the wait. */
const LONG = { timeout: 3_600_000, totalTimeout: 3_600_000 };

const predicts = (client: PredictClient) => client.predict("x", LONG);
const streams = (client: PredictClient) => client.stream("x", LONG);

describe("close() ends the wait for a retry", () => {
  test.each<[string, Record<string, string>]>([
    ["Retry-After", { "Retry-After": "50" }],
    ["backoff", {}],
  ])("%s: rejects with the last error as the cause", async (_, headers) => {
    const server = await startServer();
    server.always(answer(429, headers, "slow down"));
    const client = clientOf(server, { retryCount: 100 });
    const error = errorOf(predicts(client));
    await server.seen();
    await turn();
    await client.close();
    expect(await error).toMatchObject({ code: "ERR_EAS_NETWORK", retryable: true, maybeAccepted: false });
    expect((await error).message).toMatch(/the client was closed before the next attempt.*429.*slow down/);
    expect((await error).cause).toMatchObject({ code: "ERR_EAS_HTTP", status: 429 });
    expect((await error).attempts).toBe(server.requests.length);
    // No attempt follows.
    const { length } = server.requests;
    for (let i = 0; i < 20; i++) await turn();
    expect(server.requests).toHaveLength(length);
  });

  test.each<[string, (origin: { readonly origin: string }) => { client: Client; call: Promise<unknown> }]>([
    [
      "stream()",
      (server) => {
        const client = clientOf(server);
        return { client, call: streams(client) };
      },
    ],
    [
      "waitForReady",
      (server) => {
        const client = clientOf(server);
        return { client, call: client.predict("x", { ...LONG, waitForReady: true }) };
      },
    ],
    [
      "ready()",
      (server) => {
        const client = clientOf(server);
        return { client, call: client.ready() };
      },
    ],
    [
      "get()",
      (server) => {
        const client = queueOf(server);
        return { client, call: client.get({ totalTimeout: 3_600_000 }) };
      },
    ],
    [
      "put()",
      (server) => {
        const client = queueOf(server);
        return { client, call: client.put("x", { totalTimeout: 3_600_000 }) };
      },
    ],
    [
      "submit()",
      (server) => {
        const client = new AsyncInferenceClient({ endpoint: server.origin, serviceName: "svc", token: TOKEN });
        return { client, call: client.submit("x", { totalTimeout: 3_600_000 }) };
      },
    ],
  ])("%s", async (_, start) => {
    const server = await startServer();
    server.always(answer(503, { "Retry-After": "50" }, "no healthy upstream"));
    const { client, call } = start(server);
    const error = errorOf(call);
    await server.seen();
    await turn();
    await client.close();
    expect(await error).toMatchObject({ code: "ERR_EAS_NETWORK", maybeAccepted: false, maybeTaken: false });
    expect((await error).message).toContain("the client was closed");
  });

  test("the wait for a job's result", async () => {
    const server = await startServer();
    server.always(answer(429, { "Retry-After": "50" }));
    const client = new AsyncInferenceClient({ endpoint: server.origin, serviceName: "svc", token: TOKEN });
    const error = errorOf(client.resume({ index: "1", tag: "t" }).result());
    await server.seen();
    await turn();
    await client.close();
    expect((await error).message).toContain("this client is closed");
  });

  test("does not retry a call that fails after close()", async () => {
    const server = await startServer();
    let fail!: () => void;
    server.always(answerWhen(new Promise<void>((resolve) => (fail = resolve)), 503));
    const client = clientOf(server);
    const error = errorOf(predicts(client));
    await server.seen();
    const closing = client.close();
    fail();
    expect((await error).message).toContain("the client was closed before the next attempt");
    await closing;
    expect(server.requests).toHaveLength(1);
  });
});

describe("close()", () => {
  test("waits for an attempt in flight", async () => {
    const server = await startServer();
    let free!: () => void;
    server.always(answerWhen(new Promise<void>((resolve) => (free = resolve)), 200, "ok"));
    const client = clientOf(server);
    const call = client.predict("x");
    await server.seen();
    const closing = client.close();
    free();
    expect(String(await call)).toBe("ok");
    await closing;
  });
});

describe("close({ force: true })", () => {
  test.each<[string, typeof stallInBody]>([
    ["before the headers", stallBeforeHeaders],
    ["in the body", stallInBody],
  ])("cancels a prediction: %s", async (_, behaviour) => {
    const server = await startServer();
    server.always(behaviour);
    const client = clientOf(server);
    const error = errorOf(predicts(client));
    await server.seen();
    await client.close({ force: true });
    expect(await error).toMatchObject({ code: "ERR_EAS_NETWORK", attempts: 1, retryable: true });
    expect((await error).message).toContain("the client was closed with { force: true }");
  });

  test.each<[string, (client: QueueClient) => Promise<unknown>, object]>([
    ["put()", (client) => client.put("x", LONG), { maybeAccepted: true, maybeTaken: false, retryable: false }],
    ["get()", (client) => client.get(), { maybeAccepted: false, maybeTaken: true, retryable: false }],
    ["commit()", (client) => client.commit(1), { maybeAccepted: false, maybeTaken: false, retryable: true }],
  ])("%s reports what the queue may have done", async (_, call, facts) => {
    const server = await startServer();
    // The first put reads the limits of the queue.
    const attributes = answer(404);
    server.always({
      on: "request",
      run(socket, request) {
        if (request.path.includes("_attrs_") && attributes.on === "request") void attributes.run(socket, request);
      },
    });
    const client = queueOf(server);
    const error = errorOf(call(client));
    await until(() => server.requests.some(({ path }) => !path.includes("_attrs_")));
    await client.close({ force: true });
    expect(await error).toMatchObject({ code: "ERR_EAS_NETWORK", ...facts });
  });

  test("cancels a stream's head, a fetch and a WebSocket that is not open yet", async () => {
    const server = await startServer();
    server.always(stallBeforeHeaders);
    const client = clientOf(server);
    const errors = [errorOf(streams(client)), errorOf(client.fetch("x")), errorOf(client.connect("ws"))];
    await server.seen(3);
    await client.close({ force: true });
    for (const error of await Promise.all(errors)) {
      expect(error).toMatchObject({ code: "ERR_EAS_NETWORK" });
      expect(error.message).toContain("{ force: true }");
    }
  });

  test("cancels a call that waits for a connection, and nothing was sent", async () => {
    const server = await startServer();
    server.always(stallBeforeHeaders);
    const client = clientOf(server, { maxConnectionCount: 1 });
    const errors = [errorOf(predicts(client)), errorOf(predicts(client))];
    await server.seen();
    await client.close({ force: true });
    expect((await Promise.all(errors)).map(({ attempts }) => attempts)).toEqual([1, 0]);
  });

  test("ends a close() that waits", async () => {
    const server = await startServer();
    server.always(stallBeforeHeaders);
    const client = clientOf(server);
    const error = errorOf(predicts(client));
    await server.seen();
    const closing = client.close();
    await client.close({ force: true });
    await closing;
    expect((await error).message).toContain("{ force: true }");
  });

  test("cancels both attempts of the clients of one pool, and of an AsyncInferenceClient", async () => {
    const server = await startServer();
    server.always(stallBeforeHeaders);
    const client = clientOf(server);
    const errors = [errorOf(predicts(client)), errorOf(predicts(client.service("other")))];
    await server.seen(2);
    await client.close({ force: true });
    for (const error of await Promise.all(errors)) expect(error.message).toContain("{ force: true }");
    const jobs = new AsyncInferenceClient({ endpoint: server.origin, serviceName: "svc", token: TOKEN });
    const deleted = errorOf(jobs.sink.delete(1));
    await server.seen(3);
    await jobs.close({ force: true });
    expect((await deleted).message).toContain("{ force: true }");
  });

  test("ends a watch", async () => {
    const emulator = createEmulator({ token: TOKEN, queues: { q: {} } });
    const { transport, dialWebSocket } = emulator;
    const queue = new QueueClient({ endpoint: "http://h", queueName: "q", token: TOKEN, transport, dialWebSocket });
    const next = queue.watch(0, 5).next();
    await queue.close({ force: true });
    expect(await next).toEqual({ done: true, value: undefined });
  });
});
