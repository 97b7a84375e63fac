import { describe, expect, test } from "vitest";
import { createEmulator } from "../../../src/emulator/index.js";
import { AsyncInferenceClient, PredictClient, QueueClient, type Watcher } from "../../../src/index.js";
import { nodeTransport } from "../../../src/node.js";
import { clientOf, errorOf, startServer, TOKEN, thrownBy, watch } from "../../support/calls.js";
import { answerWhen, stallBeforeHeaders } from "../../support/misbehaving-server.js";
import { callsOf } from "../../support/queues.js";

const closed = {
  name: "EasClosedError",
  code: "ERR_EAS_CLOSED",
  message: expect.stringMatching(/this client is closed: create a new one/),
};

/** Both ways to close: awaited, and in the same turn as the next call. */
const ways: [name: string, close: (client: { close(): Promise<void> }) => unknown][] = [
  ["after close()", (client) => client.close()],
  ["in the turn of close()", (client) => void client.close()],
];

describe.each(ways)("%s", (_name, close) => {
  test("a PredictClient and its service()", async () => {
    const server = await startServer();
    const client = clientOf(server);
    const before = client.service("other");
    await close(client);
    const after = client.service("third").setTimeout(7);
    for (const each of [client, before, after]) {
      for (const call of [() => each.predict("x"), () => each.predictDetailed("x"), () => each.init()]) {
        expect(await errorOf(call())).toMatchObject(closed);
      }
      expect(await each.diagnose()).toMatchObject({ ok: false, finding: "settings", message: closed.message });
      each.setMaxConnectionCount(3);
      await each.close();
    }
    expect(server.connections).toBe(0);
  });

  test("a QueueClient whose watcher is open", async () => {
    const emulator = createEmulator({ token: TOKEN, queues: { q: {} } });
    const { transport, dialWebSocket } = emulator;
    for (const over of ["websocket", "http", "poll"] as const) {
      const queue = new QueueClient({ endpoint: "http://h", queueName: "q", token: TOKEN, transport, dialWebSocket });
      await queue.put("x");
      const watcher = queue.watch(0, 5, { transport: over });
      const { value: frame } = await watcher.next();
      const before = emulator.requests.length;
      // Started before close: it is sent and succeeds.
      const committed = frame?.commit();
      await close(queue);
      const calls: (() => Promise<unknown> | Watcher)[] = [
        ...callsOf(queue),
        () => queue.clear(),
        () => queue.consume(() => {}),
        () => queue.init(),
        async () => queue.watch(0, 1),
      ];
      for (const call of calls) expect(await errorOf(call() as Promise<unknown>)).toMatchObject(closed);
      await committed;
      await queue.close();
      expect(watcher.isClosed).toBe(true);
      expect(await watcher.next()).toEqual({ done: true, value: undefined });
      // A poll may have been in flight together with the commit.
      const sent = emulator.requests.slice(before).filter(({ method }) => method !== "GET");
      expect(sent.map(({ method }) => method)).toEqual([over === "poll" ? "DELETE" : "PUT"]);
      expect(emulator.queue("q")?.input.length).toBe(0);
    }
  });

  test("an AsyncInferenceClient, its jobs and its queues", async () => {
    const server = await startServer();
    const client = new AsyncInferenceClient({ endpoint: server.origin, serviceName: "svc", logger: null });
    const job = client.resume({ index: "1", tag: "t" });
    await close(client);
    const calls = [
      () => client.submit("x"),
      () => job.result(),
      () => job.result({ timeout: 1000 }),
      () => job.position(),
      () => job.discard(),
      () => client.resume({ index: "2", tag: "u" }).result(),
      () => client.input.put("x"),
      () => client.sink.get(),
    ];
    for (const call of calls) expect(await errorOf(call())).toMatchObject(closed);
    expect(JSON.parse(JSON.stringify(job))).toEqual({ service: "svc", index: "1", tag: "t" });
    await client.close();
    expect(server.connections).toBe(0);
  });
});

test("a closed client ends the wait for a result", async () => {
  const server = await startServer();
  server.always(stallBeforeHeaders);
  const client = new AsyncInferenceClient({ endpoint: server.origin, serviceName: "svc", logger: null });
  const waiting = errorOf(client.resume({ index: "1", tag: "t" }).result());
  await server.seen();
  await client.close();
  expect(await waiting).toMatchObject(closed);
});

test("closing one queue of an asynchronous service closes both after the calls in flight", async () => {
  const server = await startServer();
  let release: () => void = () => {};
  server.always(answerWhen(new Promise<void>((resolve) => (release = resolve)), 200, "7"));
  const client = new AsyncInferenceClient({ endpoint: server.origin, serviceName: "svc", logger: null });
  const counting = client.sink.count();
  await server.seen();
  const closing = watch(client.input.close());
  expect(await errorOf(client.sink.count())).toMatchObject(closed);
  expect(closing.state).toBe("pending");
  release();
  expect(await counting).toBe(7);
  await client.close();
  expect(closing.state).toBe("resolved");
});

test("a custom transport that was closed before or after its first use", async () => {
  const server = await startServer();
  for (const used of [false, true]) {
    const transport = nodeTransport();
    const client = clientOf(server, { transport });
    if (used) await client.predict("x");
    await transport.close();
    const error = await errorOf(client.predict("x"));
    expect(error).toMatchObject({ name: "EasNetworkError", attempts: 1, retryable: false });
    expect(error.message).toMatch(/nothing was sent/);
  }
  expect(server.requests).toHaveLength(1);
});

test("a closed client reports so even without valid settings", () => {
  const queue = new QueueClient({ logger: null });
  void queue.close();
  expect(thrownBy(() => queue.watch(0, 1))).toMatchObject(closed);
  void new PredictClient().close();
});
