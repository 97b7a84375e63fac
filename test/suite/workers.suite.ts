import { openQueue } from "./clients.js";
import { expect } from "./expect.js";
import { test } from "./harness.js";

test(
  "workers",
  "handles all items in consume(), returns failed items to the queue, and stops on its signal",
  async (test) => {
    const { open, seen } = await openQueue(test);
    const [producer, worker] = [open(), open()];
    for (let i = 0; i < 20; i++) await producer.put(String(i));
    const counted = test.signal();
    const handled: string[] = [];
    let failures = 0;
    await worker.consume(
      async (frame) => {
        if (frame.text() === "7" && failures++ === 0) throw new Error("once");
        handled.push(frame.text());
        if (handled.length === 20) counted.abort();
      },
      { concurrency: 4, signal: counted.signal },
    );
    expect(handled.map(Number).sort((a, b) => a - b)).to.deep.equal(Array.from({ length: 20 }, (_, i) => i));
    expect((await seen()).length).to.equal(0);
  },
);

test(
  "workers",
  "puts replies into the sink and failed items into the dead-letter queue, and counts the attempts",
  async (test) => {
    const { name, open, seen } = await openQueue(test);
    const letters = await openQueue(test);
    const [producer, sink] = [open(), open({ queueName: `${name}/sink` })];
    const { requestId } = await producer.put("good", { tags: { task: "7" } });
    await producer.put("bad");
    const attempts: number[] = [];
    const worker = open().consume(
      async (frame, { attempt, reply }) => {
        if (frame.text() === "good") return void (await reply("done"));
        attempts.push(attempt);
        throw new Error("poison");
      },
      {
        sink,
        maxAttempts: 2,
        deadLetter: letters.client,
      },
    );
    await worker.ready();
    const [result] = await sink.get({ timeout: "20s" });
    expect([result?.text(), result?.tags.task, result?.requestId]).to.deep.equal(["done", "7", requestId]);
    const [letter] = await letters.client.get({ timeout: "20s" });
    expect([letter?.text(), letter?.tags.easAttempt, letter?.tags.easReason]).to.deep.equal([
      "bad",
      "2",
      "Error: poison",
    ]);
    await worker.stop();
    expect(attempts).to.deep.equal([1, 2]);
    expect((await seen()).length).to.equal(0);
    const { handled, failed, deadLettered, connected } = worker.stats;
    expect({ handled, failed, deadLettered, connected }).to.deep.equal({
      handled: 1,
      failed: 2,
      deadLettered: 1,
      connected: false,
    });
  },
);

test("workers", "releases the item of a handler that ignores its signal, and stops", async (test) => {
  const { open, seen } = await openQueue(test);
  await open().put("a");
  const started = test.signal();
  let signal: AbortSignal | undefined;
  const worker = open().consume(
    (_, context) => {
      signal = context.signal;
      started.abort();
      return new Promise<void>(() => {});
    },
    { drainTimeout: 10 },
  );
  await new Promise<void>((resolve) => {
    const { signal: begun } = started;
    if (begun.aborted) resolve();
    else begun.addEventListener("abort", () => resolve(), { once: true });
  });
  await worker.stop();
  expect(signal?.aborted).to.equal(true);
  expect((await seen()).length).to.equal(1);
});
