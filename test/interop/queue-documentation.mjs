// The flows in the documentation of the Python QueueClient, with Python only.
import assert from "node:assert/strict";
import { frameOf, GROUP, hasConsumer, indexesOf, items, numbered, textsOf, until, WINDOW } from "./queue-bench.mjs";

const AUTO = { auto_commit: true };

/** By name: functions of a bench, or `{ options, holds }` with the queue's options. */
export const documentation = {
  ...Object.fromEntries(
    ["input", "sink"].map((side) => [
      `the example of the documentation, on the ${side}: one thread puts 100 items, another watches`,
      async (bench) => {
        const stale = numbered(3).map((text) => bench.queue[side].put(text));
        const { sent, received } = await bench.documented(side === "sink" ? `${bench.name}/sink` : bench.name);
        assert.equal(sent.length, 100);
        assert.deepEqual(received, sent);
        assert.equal(new Set(sent.map(([, requestId]) => requestId)).size, 100);
        assert.ok(sent.every(([index]) => !stale.includes(BigInt(index))));
        assert.equal(bench.queue[side].length, 0);
        const commits = bench.queue[side].commits.map(({ index, auto }) => [String(index), auto]);
        assert.deepEqual(
          commits,
          sent.map(([index]) => [index, true]),
        );
      },
    ]),
  ),
  "put, and get by request id": async (bench) => {
    const [, put] = await bench.putAll([{ data: "a" }, { data: "b", tags: { task: "1" } }, { data: "c" }]);
    const found = await bench.get({ request_id: put.requestId });
    assert.deepEqual(found, [frameOf(put, "b", { task: "1" })]);
    // The previous get has deleted the item.
    assert.deepEqual(await bench.get({ request_id: put.requestId }), []);
    assert.equal(bench.queue.input.length, 2);
  },
  "get by index and with a length": async (bench) => {
    const puts = await bench.putAll(items(["a", "b", "c", "d"]));
    assert.deepEqual(textsOf(await bench.get({ index: String(puts[1].index), length: 2, auto_delete: false })), [
      "b",
      "c",
    ]);
    assert.deepEqual(textsOf(await bench.get({ index: String(puts[1].index) })), ["b"]);
    // For a deleted index, the queue returns the next item.
    assert.deepEqual(textsOf(await bench.get({ index: String(puts[1].index) })), ["c"]);
    assert.deepEqual(textsOf(await bench.get({ index: -1, auto_delete: false })), ["d"]);
    assert.deepEqual(textsOf(await bench.get({ length: 10, timeout: "50ms" })), ["a", "d"]);
  },
  "get by tags": async (bench) => {
    await bench.putAll([{ data: "a", tags: { kind: "x" } }, { data: "b", tags: { kind: "y" } }, { data: "c" }]);
    assert.deepEqual(textsOf(await bench.get({ tags: { kind: "y" } })), ["b"]);
    assert.deepEqual(await bench.get({ tags: { kind: "z" } }), []);
  },
  "get waits for an item": async (bench) => {
    const client = bench.ours();
    const waiting = bench.get({ timeout: "10s" });
    await until(() => bench.requests.some(({ url }) => url.includes("_timeout_=10s")), bench.signal);
    const put = await client.put("late");
    assert.deepEqual(await waiting, [frameOf(put, "late")]);
  },
  "truncate keeps the item of the index, and deletes all items for an index after the last": async (bench) => {
    const puts = await bench.putAll(items(numbered(10)));
    await bench.call("truncate", [String(puts[4].index)]);
    assert.deepEqual(textsOf(await bench.get({ length: 10, auto_delete: false })), numbered(6, 4));
    const attributes = await bench.call("attributes", []);
    assert.equal(attributes["stream.length"], "6");
    assert.equal(attributes["stream.firstEntry"], String(puts[4].index));
    assert.equal(attributes["stream.lastEntry"], String(puts[9].index));
    await bench.call("truncate", [String(puts[9].index + 1n)]);
    assert.equal((await bench.call("attributes", []))["stream.length"], "0");
  },
  "watch with automatic commit, window 5": async (bench) => {
    const puts = await bench.putAll(items(numbered(10)));
    const watcher = await bench.watch(0, WINDOW, AUTO);
    const frames = await watcher.take(10);
    assert.deepEqual(
      frames,
      puts.map((put, i) => frameOf(put, String(i))),
    );
    assert.equal((await bench.call("attributes", []))["stream.length"], "0");
  },
  "watch with manual commits: window 5 holds back the sixth item": async (bench) => {
    const puts = await bench.putAll(items(numbered(10)));
    const watcher = await bench.watch(0, WINDOW);
    const first = await watcher.take(5);
    assert.deepEqual(bench.queue.input.pending.get(`${GROUP}.python`), indexesOf(puts.slice(0, 5)));
    assert.equal(bench.queue.input.pushes.length, 5);
    assert.equal(await bench.call("commit", [first.map(({ index }) => String(index))]), "OK");
    assert.deepEqual(textsOf([...first, ...(await watcher.take(5, true))]), numbered(10));
    assert.equal(bench.queue.input.length, 0);
  },
  "watch of indexes only, of tags, and from an index": async (bench) => {
    const puts = await bench.putAll(["x", "y", "x", "x"].map((kind, i) => ({ data: String(i), tags: { kind } })));
    const watcher = await bench.watch(puts[1].index, WINDOW, { ...AUTO, index_only: true, tags: { kind: "x" } });
    assert.deepEqual(
      await watcher.take(2),
      puts.slice(2).map((put) => frameOf(put, "", { kind: "x" })),
    );
  },
  "watch of new items only": async (bench) => {
    await bench.put("before");
    const watcher = await bench.watch(-1, WINDOW, AUTO);
    const taken = watcher.take(1);
    await until(() => hasConsumer(bench, `${GROUP}.python`), bench.signal);
    const put = await bench.put("after");
    assert.deepEqual(await taken, [frameOf(put, "after")]);
  },
  "search: the consumer of an item, and the number of items before it": async (bench) => {
    const puts = await bench.putAll(items(numbered(4)));
    const search = (i) => bench.call("search", [String(puts[i].index)]);
    assert.deepEqual(await search(2), { ConsumerId: `${GROUP}.python`, IsPending: false, WaitCount: 2 });
    const watcher = await bench.watch(0, 1);
    await watcher.take(1);
    assert.deepEqual(await search(0), { ConsumerId: `${GROUP}.python`, IsPending: true, WaitCount: 0 });
    assert.equal((await search(3)).WaitCount, 2);
    await bench.call("delete", [String(puts[3].index)]);
    assert.deepEqual(await search(3), {});
  },
  "delete of one item and of several": async (bench) => {
    const puts = (await bench.putAll(items(numbered(5)))).map(({ index }) => String(index));
    assert.equal(await bench.call("delete", [puts[1]]), "OK");
    assert.equal(await bench.call("delete", [[puts[0], puts[3], puts[3]]]), "OK");
    assert.deepEqual(textsOf(await bench.get({ length: 5 })), ["2", "4"]);
  },
  "an asynchronous service writes results to the sink": {
    options: { service: ({ body }) => new TextDecoder().decode(body).toUpperCase() },
    async holds(bench) {
      const puts = await bench.putAll(items(["a", "b", "c"]));
      const sink = { queue: `${bench.name}/sink` };
      const [second] = await bench.get({ request_id: puts[1].requestId, timeout: "10s" }, sink);
      assert.equal(textsOf([second])[0], "B");
      const watcher = await bench.watch(0, WINDOW, AUTO, sink);
      const rest = await watcher.take(2);
      assert.deepEqual(textsOf(rest), ["A", "C"]);
      assert.deepEqual(
        rest.map(({ tags }) => tags.requestId),
        [puts[0].requestId, puts[2].requestId],
      );
    },
  },
};
