import type { DataFrame, WatchTransport } from "eas-prediction";
import { openQueue } from "./clients.js";
import { expect, expectError, rejection } from "./expect.js";
import type { Feature } from "./features.js";
import { test, testAbsence } from "./harness.js";

const TRANSPORTS: readonly (WatchTransport & Feature)[] = ["websocket", "http", "poll"];

for (const transport of TRANSPORTS) {
  test(transport, "delivers 60 items in order, each once, and deletes them on commit", async (test) => {
    const { open, seen } = await openQueue(test);
    const [producer, consumer] = [open(), open()];
    const sent = Array.from({ length: 60 }, (_, i) => `第 ${i} 个`);
    const watcher = consumer.watch(0, 5, { transport });
    const received: string[] = [];
    const producing = (async () => {
      for (const [i, text] of sent.entries()) await producer.put(text, { tags: { n: String(i) } });
    })();
    for await (const frame of watcher) {
      expect(frame.tags.n).to.equal(String(received.length));
      received.push(frame.text());
      await frame.commit();
      if (received.length === sent.length) break;
    }
    await producing;
    expect(received).to.deep.equal(sent);
    expect(watcher.transport).to.equal(transport);
    await watcher.closed;
    expect((await seen()).length).to.equal(0);
  });

  test(transport, "commits automatically with autoCommit", async (test) => {
    const { client, seen } = await openQueue(test);
    for (let i = 0; i < 10; i++) await client.put(`item ${i}`);
    const received: string[] = [];
    for await (const frame of client.watch(0, 3, { transport, autoCommit: true })) {
      received.push(frame.text());
      if (received.length === 10) break;
    }
    expect(received).to.deep.equal(Array.from({ length: 10 }, (_, i) => `item ${i}`));
    expect((await seen()).length).to.equal(0);
  });

  test(transport, "redelivers an item after a negative commit", async (test) => {
    const { client, seen } = await openQueue(test);
    await client.put("try me twice");
    const watcher = client.watch(0, 1, { transport, reconnect: { minDelay: 1, maxDelay: 10 } });
    const { value: first } = await watcher.next();
    await first?.negative("Model.Busy");
    const { value: second } = await watcher.next();
    expect([second?.index, second?.text()]).to.deep.equal([first?.index, "try me twice"]);
    await second?.commit();
    await watcher.close();
    expect((await seen()).length).to.equal(0);
  });

  test(transport, "ends with the reason of its signal, and leaves no listener", async (test) => {
    const { client } = await openQueue(test);
    const counted = test.signal();
    const watcher = client.watch(0, 1, { transport, signal: counted.signal });
    await client.put("x");
    await watcher.next();
    counted.abort("enough");
    expect(await rejection(watcher.next())).to.equal("enough");
    await watcher.closed;
    const calm = test.signal();
    const second = client.watch(0, 1, { transport, signal: calm.signal });
    await second.next();
    await second.close();
  });

  test(transport, "delivers items of 1 MiB", async (test) => {
    const { open } = await openQueue(test);
    const [producer, consumer] = [open(), open()];
    const sent = Array.from({ length: 5 }, (_, i) => new Uint8Array(1024 * 1024).fill(i + 1));
    for (const data of sent) await producer.put(data);
    const frames: DataFrame[] = [];
    for await (const frame of consumer.watch(0, 2, { transport })) {
      frames.push(frame);
      await frame.commit();
      if (frames.length === sent.length) break;
    }
    for (const [i, { data }] of frames.entries()) {
      expect(data.length).to.equal(1024 * 1024);
      expect(data.every((byte) => byte === i + 1)).to.equal(true);
    }
  });

  test(transport, "ends immediately on close() while it waits", async (test) => {
    const { client } = await openQueue(test);
    const watcher = client.watch(0, 1, { transport });
    const next = watcher.next();
    await client.close();
    expect(await next).to.deep.equal({ done: true, value: undefined });
    await watcher.closed;
  });

  if (transport !== "poll") {
    test(transport, "loses no item when connections break", async (test) => {
      const { name, open, seen, counterpart } = await openQueue(test);
      const [producer, consumer] = [open(), open()];
      const count = 40;
      for (let i = 0; i < count; i++) await producer.put(String(i));
      const broken: unknown[] = [];
      const watcher = consumer.watch(0, 5, {
        transport,
        reconnect: { minDelay: 1, maxDelay: 20 },
        onStatus: (status) => status.state === "reconnecting" && broken.push(status.cause),
      });
      const received = new Set<string>();
      for await (const frame of watcher) {
        received.add(frame.text());
        if (received.size % 10 === 5) await counterpart.cut(name);
        await frame.commit();
        if (received.size === count) break;
      }
      expect([...received].map(Number).sort((a, b) => a - b)).to.deep.equal(Array.from({ length: count }, (_, i) => i));
      expect(broken.length).to.be.at.least(3);
      expect((await seen()).length).to.equal(0);
    });
  }

  test(transport, "ends with the error of a wrong token", async (test) => {
    const { open } = await openQueue(test);
    const watcher = open({ token: "wrong-token-4711" }).watch(0, 1, { transport });
    const error = await rejection(watcher.next());
    expect(error.message).to.include("401");
    expect(error.message + error.stack).not.to.include("4711");
    await watcher.closed;
  });
}

test("http", 'uses what the runtime supports with "auto"', async (test) => {
  const { client } = await openQueue(test);
  await client.put("x");
  const watcher = client.watch(0, 1);
  await watcher.next();
  expect(watcher.transport).to.equal(test.isAbsent("websocket") ? "http" : "websocket");
  await watcher.close();
});

testAbsence("websocket", "is refused in words that say what to take instead", async (test) => {
  const { client, name, counterpart } = await openQueue(test);
  const error = await rejection((async () => client.watch(0, 1, { transport: "websocket" }).next())());
  expectError(error, { name: "EasUnsupportedError", code: "ERR_EAS_UNSUPPORTED" });
  expect(error.message).to.include('"http"');
  expect(await counterpart.requests(name)).to.have.length(0);
});
