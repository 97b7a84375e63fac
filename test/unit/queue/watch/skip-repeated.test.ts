import { describe, expect, test } from "vitest";
import { type DataFrame, QueueClient } from "../../../../src/index.js";
import { DataFrame as Frame } from "../../../../src/queue/frame.js";
import { RepeatFilter } from "../../../../src/queue/watch/deliveries/repeat-filter.js";
import { checkSkipRepeated } from "../../../../src/queue/watch/options.js";
import { errorOf, thrownBy } from "../../../support/calls.js";
import { eventually, openQueue, settle, TRANSPORTS, watchWith } from "../../../support/queue-watch.js";

const COPIES = { tags: { requestId: "copy" } };

/** Returns the next frame of a watcher. */
async function nextOf(watcher: { next(): Promise<IteratorResult<DataFrame, undefined>> }): Promise<DataFrame> {
  return (await watcher.next()).value as DataFrame;
}

describe.each(TRANSPORTS)("skipRepeated over %s", (transport) => {
  test("commits a copy that arrives after the first was committed, without handing it out", async () => {
    const queue = await openQueue();
    const client = queue.client();
    const watcher = client.watch(0, 5, { transport, skipRepeated: true });
    queue.input.put("first", COPIES);
    const first = await nextOf(watcher);
    await first.commit();
    queue.input.put("again", COPIES);
    queue.input.put("other");
    const other = await nextOf(watcher);
    expect([first.text(), other.text()]).toEqual(["first", "other"]);
    await other.commit();
    await eventually(() => expect(queue.input.length).toBe(0));
    expect((await client.attributes())["stream.length"]).toBe("0");
  });

  test("hands out one of several copies that arrive together, in any order of the commits", async () => {
    const queue = await openQueue();
    for (const text of ["a", "b", "a", "c", "b", "a"]) queue.input.put(text, { tags: { requestId: text } });
    const handled: string[] = [];
    const life = new AbortController();
    const done = queue.client().consume(
      async (frame) => {
        handled.push(frame.text());
        await settle(5);
      },
      { transport, concurrency: 3, window: 6, skipRepeated: true, signal: life.signal },
    );
    await eventually(() => expect(queue.input.length).toBe(0));
    life.abort();
    await done;
    expect(handled.sort()).toEqual(["a", "b", "c"]);
  });

  test("hands out a copy when the first is nacked, and then skips the first", async () => {
    const queue = await openQueue();
    queue.input.put("first", COPIES);
    queue.input.put("second", COPIES);
    const watcher = queue.client().watch(0, 5, { transport, skipRepeated: { remember: 1 } });
    const first = await nextOf(watcher);
    const next = watcher.next();
    await first.negative();
    const second = (await next).value as DataFrame;
    expect([first.text(), second.text()]).toEqual(["first", "second"]);
    await second.commit();
    // The first is redelivered and skipped, because its copy was committed.
    await eventually(() => expect(queue.input.length).toBe(0));
    await watcher.close();
  });

  test("holds a copy back while the first is being handled", async () => {
    const queue = await openQueue();
    queue.input.put("first", COPIES);
    queue.input.put("second", COPIES);
    queue.input.put("other");
    const watcher = queue.client().watch(0, 5, { transport, skipRepeated: true });
    const first = await nextOf(watcher);
    const other = await nextOf(watcher);
    expect([first.text(), other.text()]).toEqual(["first", "other"]);
    expect(queue.input.length).toBe(3);
    await other.commit();
    await first.commit();
    await eventually(() => expect(queue.input.length).toBe(0));
  });

  test("hands out each copy without the option", async () => {
    const queue = await openQueue();
    queue.input.put("first", COPIES);
    queue.input.put("second", COPIES);
    const { frames } = watchWith(queue.client(), 0, 5, { transport });
    await eventually(() => expect(frames.map((frame) => frame.text())).toEqual(["first", "second"]));
  });

  test("drops a copy with autoCommit once the first was handed out", async () => {
    const queue = await openQueue();
    for (const text of ["first", "second"]) queue.input.put(text, COPIES);
    queue.input.put("other");
    const { frames } = watchWith(queue.client(), 0, 5, { transport, autoCommit: true, skipRepeated: true });
    await eventually(() => expect(frames.map((frame) => frame.text())).toEqual(["first", "other"]));
    expect(queue.input.length).toBe(0);
  });
});

describe("the filter", () => {
  const owner = { commit: async () => {}, negative: async () => {}, release: () => {} };
  const frame = (index: number, requestId?: string) =>
    new Frame(BigInt(index), new Uint8Array(0), owner, {
      tags: requestId === undefined ? {} : { requestId },
      message: "",
    });

  function open(remember: number) {
    const delivered: bigint[] = [];
    const skipped: bigint[] = [];
    const filter = new RepeatFilter(
      { remember, autoCommit: false },
      { push: ({ index }) => void delivered.push(index) },
      { commit: async (index) => void skipped.push(index) },
    );
    return { filter, delivered, skipped };
  }

  test("remembers at least the configured number of ids, and at most twice as many", () => {
    const { filter, delivered, skipped } = open(10);
    for (let i = 0; i < 1000; i++) {
      filter.take(frame(i, `id ${i}`));
      filter.committed([BigInt(i)]);
    }
    expect(delivered).toHaveLength(1000);
    for (let i = 990; i < 1000; i++) filter.take(frame(1000 + i, `id ${i}`));
    expect(skipped).toHaveLength(10);
    for (let i = 0; i < 980; i++) filter.take(frame(5000 + i, `id ${i}`));
    expect(delivered).toHaveLength(1980);
  });

  test("does not remember an item that was only handed out or returned to the queue", () => {
    const { filter, delivered, skipped } = open(10);
    filter.take(frame(1, "a"));
    filter.returned([1n]);
    filter.take(frame(1, "a"));
    filter.take(frame(2, "a"));
    filter.take(frame(2, "a"));
    expect([delivered, skipped]).toEqual([[1n, 1n], []]);
    filter.returned([1n]);
    expect([delivered, skipped]).toEqual([[1n, 1n, 2n], []]);
    filter.committed([2n]);
    filter.take(frame(1, "a"));
    expect([delivered, skipped]).toEqual([[1n, 1n, 2n], [1n]]);
  });

  test("hands out items without an id, and items that are pushed again", () => {
    const { filter, delivered } = open(10);
    for (const one of [frame(1), frame(2), frame(3, ""), frame(4, ""), frame(5, "x"), frame(5, "x")]) filter.take(one);
    expect(delivered).toEqual([1n, 2n, 3n, 4n, 5n, 5n]);
  });
});

test("rejects invalid options", async () => {
  expect([undefined, false, true, {}, { remember: 5 }].map((value) => checkSkipRepeated(value))).toEqual([
    undefined,
    undefined,
    10_000,
    10_000,
    5,
  ]);
  const client = new QueueClient({ endpoint: "http://127.0.0.1:9", queueName: "q", token: "t" });
  for (const value of [1, "yes", null, [], { remember: 0 }, { remember: "5" }, { remember: 1.5 }]) {
    const skipRepeated = value as never;
    expect(thrownBy(() => client.watch(0, 1, { skipRepeated }))).toMatchObject({
      message: expect.stringMatching(/skipRepeated.* is /),
    });
    expect(await errorOf(client.consume(() => {}, { skipRepeated }))).toMatchObject({
      message: expect.stringMatching(/skipRepeated.* is /),
    });
  }
  const misspelt = { skipRepeated: { remeber: 5 } as never };
  expect(thrownBy(() => client.watch(0, 1, misspelt))).toMatchObject({ message: expect.stringMatching(/remember/) });
  await client.close();
});
