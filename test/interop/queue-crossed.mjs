// Both clients on one queue. Each sees the effects of the other.
import assert from "node:assert/strict";
import {
  AWKWARD_TAGS,
  frameOf,
  GROUP,
  hasConsumer,
  indexesOf,
  items,
  numbered,
  plainFrame,
  statusOf,
  TRANSPORTS,
  takeOurs,
  textsOf,
  until,
  WINDOW,
} from "./queue-bench.mjs";

const DATA = {
  text: "na\u00efve \u4e2d\u6587 \u{1f600}",
  nothing: "",
  "all bytes": Uint8Array.from({ length: 256 }, (_, i) => i),
  "a megabyte": new Uint8Array(1 << 20).fill(0x61),
};

async function ourFrames(client, options) {
  return (await client.get({ timeout: 0, ...options })).map(plainFrame);
}

/** By operation: the call in Python and in this package, whose requests are compared. */
const SAME = {
  put: [(bench) => bench.put("data", AWKWARD_TAGS), (ours) => ours.put("data", { tags: AWKWARD_TAGS })],
  get: [
    (bench) =>
      bench.get({ request_id: "r", index: "7", length: 3, timeout: "50ms", auto_delete: false, tags: { a: "b" } }),
    (ours) => ours.get({ requestId: "r", index: 7, length: 3, timeout: "50ms", autoDelete: false, tags: { a: "b" } }),
  ],
  attributes: [(bench) => bench.call("attributes", []), (ours) => ours.attributes()],
  search: [(bench) => bench.call("search", ["1651141129645"]), (ours) => ours.search(1651141129645)],
  commit: [(bench) => bench.call("commit", [["7", "8"]]), (ours) => ours.commit([7, 8])],
  delete: [(bench) => bench.call("delete", [["7", "8"]]), (ours) => ours.delete([7, 8])],
  truncate: [(bench) => bench.call("truncate", ["7"]), (ours) => ours.truncate(7)],
  watch: [
    async (bench) => {
      const watcher = await bench.watch(1, WINDOW, { index_only: true, tags: AWKWARD_TAGS });
      await watcher.take(1);
      await watcher.close();
    },
    (ours) => takeOurs(ours.watch(1, WINDOW, { indexOnly: true, tags: AWKWARD_TAGS }), 1),
  ],
};

/** Returns the compared parts of a request: operation, parameters and identity. */
function meaningOf({ method, url, headers, body }) {
  const { pathname, searchParams } = new URL(url, "http://host");
  const names = ["authorization", "content-type", "x-eas-queueservice-redis-uid", "x-eas-queueservice-redis-gid"];
  // Parameters that Python always sends, and for which the service has defaults.
  if (searchParams.has("_window_") || searchParams.has("_raw_")) names.push("accept");
  const sent = names.map((name) => headers.get(name));
  return { method, pathname, query: [...searchParams].sort(), sent, body: Buffer.from(body).toString() };
}

/** The last request of each client, because the first put of this package requests the limits before. */
export const requests = Object.fromEntries(
  Object.entries(SAME).map(([operation, [python, ours]]) => [
    operation,
    async (bench) => {
      bench.queue.input.put("item", { tags: AWKWARD_TAGS });
      const sent = async (call) => {
        await call;
        return meaningOf(bench.requests.at(-1));
      };
      const theirs = await sent(python(bench));
      const client = bench.ours({ uid: "python" });
      assert.deepEqual(await sent(ours(client)), theirs);
    },
  ]),
);

/** Puts and gets of either client, for checks in all combinations. */
const PYTHON = "Python";
const OURS = "ours";
const WAYS = [
  [PYTHON, OURS],
  [OURS, PYTHON],
];
const putBy = (who, bench, data, tags) => (who === PYTHON ? bench.put(data, tags) : bench.ours().put(data, { tags }));
const getBy = (who, bench, { index = 0n, requestId, length = 1, tags = {}, autoDelete = false }) =>
  who === PYTHON
    ? bench.get({ index: String(index), request_id: requestId ?? null, length, tags, auto_delete: autoDelete })
    : ourFrames(bench.ours(), { index, length, tags, autoDelete, ...(requestId && { requestId }) });

export const exchange = Object.fromEntries(
  WAYS.flatMap(([putter, getter]) => [
    ...Object.entries(DATA).map(([what, data]) => [
      `${what}: ${putter} puts and ${getter} gets`,
      async (bench) => {
        await putBy(putter, bench, "another");
        const put = await putBy(putter, bench, data, { task: "1" });
        const wanted = [frameOf(put, data, { task: "1" })];
        assert.deepEqual(await getBy(getter, bench, { index: put.index }), wanted);
        assert.deepEqual(await getBy(getter, bench, { requestId: put.requestId }), wanted);
        assert.deepEqual(await getBy(getter, bench, { tags: { task: "1" }, autoDelete: true }), wanted);
        assert.deepEqual(await getBy(putter, bench, { requestId: put.requestId }), []);
      },
    ]),
    [
      `awkward tags: ${putter} puts and ${getter} gets`,
      async (bench) => {
        await putBy(putter, bench, "another", { "a b": "c d" });
        const put = await putBy(putter, bench, "tagged", AWKWARD_TAGS);
        const wanted = [frameOf(put, "tagged", AWKWARD_TAGS)];
        assert.deepEqual(await getBy(getter, bench, { index: put.index }), wanted);
        assert.deepEqual(await getBy(getter, bench, { tags: AWKWARD_TAGS, length: 2 }), wanted);
        for (const [key, value] of Object.entries(AWKWARD_TAGS)) {
          assert.deepEqual(await getBy(getter, bench, { tags: { [key]: value }, length: 2 }), wanted, key);
        }
      },
    ],
  ]),
);

export const operations = {
  "a request id chosen by Python": async (bench) => {
    const put = await bench.put("mine", { requestId: "my id" });
    assert.equal(put.requestId, "my id");
    assert.deepEqual(await ourFrames(bench.ours(), { requestId: "my id" }), [frameOf(put, "mine")]);
  },
  "priority: items of either client precede all others, for both": async (bench) => {
    const [ours, options] = [bench.ours(), { autoDelete: false, length: 6 }];
    await ours.put("ours 0");
    await bench.put("python 0");
    await ours.put("ours 1", { priority: 1 });
    // Python has no other way to express it.
    await bench.put("python 1", { _priority_: "1" });
    const wanted = ["ours 1", "python 1", "ours 0", "python 0"];
    assert.deepEqual(textsOf(await ourFrames(ours, options)), wanted);
    assert.deepEqual(textsOf(await bench.get({ length: 6, auto_delete: false })), wanted);
    assert.equal(await ours.count({ priority: 1 }), 2);
    const watcher = await bench.watch(0, WINDOW, {}, { gid: "another" });
    const theirs = await watcher.take(4);
    assert.deepEqual(textsOf(theirs), wanted);
    assert.deepEqual(await takeOurs(ours.watch(0, WINDOW), 4), theirs);
  },
  "delete: items deleted by either client are gone for both": async (bench) => {
    const puts = await bench.putAll(items(numbered(4)));
    const ours = bench.ours();
    await ours.delete([puts[0].index, puts[2].index]);
    assert.deepEqual(textsOf(await bench.get({ length: 4, auto_delete: false })), ["1", "3"]);
    await bench.call("delete", [[String(puts[1].index)]]);
    assert.deepEqual(textsOf(await ourFrames(ours, { length: 4, autoDelete: false })), ["3"]);
    assert.deepEqual(await ourFrames(ours, { requestId: puts[1].requestId }), []);
  },
  "truncate: items truncated by either client are gone for both": async (bench) => {
    const ours = bench.ours();
    const puts = [];
    for (const text of numbered(6)) puts.push(await ours.put(text));
    await bench.call("truncate", [String(puts[2].index)]);
    assert.deepEqual(textsOf(await ourFrames(ours, { length: 6, autoDelete: false })), numbered(4, 2));
    await ours.truncate(puts[4].index);
    assert.deepEqual(textsOf(await bench.get({ length: 6, auto_delete: false })), numbered(2, 4));
    await ours.clear();
    assert.equal((await bench.call("attributes", []))["stream.length"], "0");
  },
  "commit: each client commits items that the other watches": async (bench) => {
    const puts = await bench.putAll(items(numbered(4)));
    const ours = bench.ours();
    const theirs = await bench.watch(0, 2);
    const first = await theirs.take(2);
    await ours.commit(indexesOf(first));
    // The window is free again, and the client commits the same item a second time.
    assert.deepEqual(textsOf(await theirs.take(2)), ["2", "3"]);
    assert.equal(await bench.call("commit", [indexesOf(first).map(String)]), "OK");
    assert.equal(bench.queue.input.length, 2);
    await theirs.close();
    const watcher = ours.watch(0, 1);
    const [third] = await takeOurs(watcher, 1);
    assert.equal(third.index, puts[2].index);
    await bench.call("commit", [String(third.index)]);
    const [fourth] = await takeOurs(watcher, 1, true);
    assert.equal(fourth.index, puts[3].index);
    assert.equal((await bench.call("attributes", []))["stream.length"], "0");
  },
  "negative: items that this package returns are delivered to Python": async (bench) => {
    const put = await bench.put("refused");
    const ours = bench.ours({ uid: "ours" });
    const watcher = ours.watch(0, WINDOW);
    const { value: frame } = await watcher.next();
    const theirs = await bench.watch(0, WINDOW);
    const taken = theirs.take(1, true);
    await until(() => hasConsumer(bench, `${GROUP}.python`), bench.signal);
    await frame.negative("Model.Error", "not mine");
    assert.deepEqual(await taken, [frameOf(put, "refused")]);
    const [{ uid, code, reason }] = bench.queue.input.negatives;
    assert.deepEqual({ uid, code, reason }, { uid: "ours", code: "Model.Error", reason: "not mine" });
    assert.equal((await ours.attributes())["stream.length"], "0");
  },
  "negative: items that this package returns for Python are redelivered to it": async (bench) => {
    const put = await bench.put("again");
    const theirs = await bench.watch(0, 1);
    const [first] = await theirs.take(1);
    await bench.ours().negative(first.index);
    assert.deepEqual(await theirs.take(1, true), [frameOf(put, "again")]);
    assert.equal(bench.queue.input.length, 0);
  },
  "uncommitted items of each client are redelivered to the other": async (bench) => {
    const puts = await bench.putAll(items(numbered(3)));
    const theirs = await bench.watch(0, WINDOW);
    await theirs.take(3);
    await theirs.close();
    const ours = bench.ours();
    const watcher = ours.watch(0, WINDOW);
    assert.deepEqual(indexesOf(await takeOurs(watcher, 3)), indexesOf(puts));
    await watcher.close();
    const again = await bench.watch(0, WINDOW, {}, { uid: "python 2" });
    assert.deepEqual(indexesOf(await again.take(3, true)), indexesOf(puts));
    assert.equal(bench.queue.input.length, 0);
  },
  "each of two groups receives all items": { options: { groupGrace: 60_000 }, holds: groupsGetAll },
  "a group that has left does not retain items": { options: { maxLength: 20 }, holds: groupLeaves },
  "attributes are the same for both": async (bench) => {
    const ours = bench.ours({ uid: "ours" });
    // Ages are removed, because they differ between two calls.
    const read = async (attributes) => JSON.parse(JSON.stringify(await attributes).replace(/Idle: [^,]+/g, "Idle: -"));
    const both = async () => {
      const theirs = await read(bench.call("attributes", []));
      assert.deepEqual(await read(ours.attributes()), theirs);
      return theirs;
    };
    assert.equal((await both())["stream.lastEntry"], undefined);
    await bench.putAll(items(numbered(4), { kind: "x" }));
    assert.equal((await both())["stream.length"], "4");
    const theirs = await bench.watch(0, 1, { tags: { kind: "x" } });
    await theirs.take(1);
    await takeOurs(ours.watch(0, WINDOW, { tags: { kind: "x" } }), 3);
    const watched = await both();
    assert.equal(watched["consumers.status.total"], "2");
    const lines = [watched["consumers.list.[0]"], watched["consumers.list.[1]"]].join("\n");
    assert.match(lines, /Id: eas\.python, .*Pending: 1, .*Window: 1, Slots: 0, .*Tags: tags\[kind=x\]/);
    assert.match(lines, /Id: eas\.ours, .*Pending: 3, .*Window: 5, Slots: 2, /);
  },
  "search returns the same to both": async (bench) => {
    const puts = await bench.putAll(items(numbered(5)));
    // Both clients use the same name, because the response for a waiting item contains the caller's.
    const ours = bench.ours({ uid: "python" });
    const both = async ({ index }) => {
      const { ConsumerId, IsPending, WaitCount, ...rest } = await bench.call("search", [String(index)]);
      const theirs = ConsumerId && { consumerId: ConsumerId, isPending: IsPending, waitCount: WaitCount };
      assert.deepEqual(rest, {});
      assert.deepEqual(await ours.search(index), theirs);
      return theirs;
    };
    assert.deepEqual(await both(puts[4]), { consumerId: "eas.python", isPending: false, waitCount: 4 });
    const theirs = await bench.watch(0, 1, {}, { uid: "watcher" });
    await theirs.take(1);
    assert.deepEqual(await both(puts[0]), { consumerId: "eas.watcher", isPending: true, waitCount: 0 });
    await takeOurs(bench.ours({ uid: "ours" }).watch(0, 1), 1);
    assert.deepEqual(await both(puts[1]), { consumerId: "eas.ours", isPending: true, waitCount: 0 });
    assert.equal((await both(puts[4])).waitCount, 2);
    await ours.delete(puts[3].index);
    assert.equal(await both(puts[3]), undefined);
    assert.equal((await both(puts[4])).waitCount, 1);
  },
  "an asynchronous service: each client reads results of the other's requests": {
    options: { service: ({ body }) => new TextDecoder().decode(body).toUpperCase() },
    async holds(bench) {
      const queueName = `${bench.name}/sink`;
      const theirs = await bench.put("python", { task: "1" });
      const [answer] = await ourFrames(bench.ours({ queueName }), { requestId: theirs.requestId, timeout: "10s" });
      assert.deepEqual(textsOf([answer]), ["PYTHON"]);
      assert.equal(answer.tags.task, "1");
      const ours = await bench.ours().put("ours");
      const found = await bench.get({ request_id: ours.requestId, timeout: "10s" }, { queue: queueName });
      assert.deepEqual(textsOf(found), ["OURS"]);
    },
  },
  "a queue that this package has ended refuses puts of Python": async (bench) => {
    await bench.ours().end();
    assert.equal(await statusOf(bench.put("late")), 400);
  },
  "limits: 413 and 429 for Python, errors before sending for this package": {
    options: { maxPayloadBytes: 100, maxLength: 1 },
    async holds(bench) {
      const ours = bench.ours({ retryCount: 0 });
      assert.equal(await statusOf(bench.put("x".repeat(101))), 413);
      await assert.rejects(ours.put("x".repeat(101)), { name: "RangeError", code: "ERR_EAS_ARG_BODY_SIZE" });
      await bench.put("x".repeat(100));
      assert.equal(await statusOf(bench.put("x")), 429);
      await assert.rejects(ours.put("x"), { status: 429 });
    },
  },
  "a wrong token causes 401 for both, in calls and in watches": async (bench) => {
    const theirs = { token: "wrong" };
    const ours = bench.ours({ token: "wrong", retryCount: 0 });
    assert.equal(await statusOf(bench.put("x", {}, theirs)), 401);
    assert.equal(await statusOf(bench.get({}, theirs)), 401);
    await assert.rejects(ours.put("x"), { status: 401 });
    await assert.rejects(ours.get(), { status: 401 });
    const watcher = await bench.watch(0, WINDOW, {}, theirs);
    await assert.rejects(watcher.take(1), /WebSocketBadStatusException: .*401/);
    for (const transport of TRANSPORTS) {
      await assert.rejects(ours.watch(0, WINDOW, { transport }).next(), { status: 401 }, transport);
    }
    assert.ok(bench.requests.length > 0);
    assert.ok(bench.requests.every(({ auth, status }) => auth === "wrong" && status === 401));
    assert.equal(bench.queue.input.length, 0);
    watcher.forget();
  },
};

/** One group has committed all items when the other group leaves without a commit. The queue has room again. */
async function groupLeaves(bench) {
  const ours = bench.ours({ gid: "workers", uid: "ours" });
  const monitor = bench.ours({ gid: "monitor", uid: "ours" }).watch(0, WINDOW);
  await until(() => hasConsumer(bench, "monitor.ours"), bench.signal);
  const theirs = await bench.watch(0, WINDOW, {}, { gid: "workers" });
  const taken = theirs.take(20, true);
  await until(() => hasConsumer(bench, "workers.python"), bench.signal);
  await bench.putAll(items(numbered(20)));
  await taken;
  assert.equal((await ours.attributes())["stream.length"], "20");
  await monitor.close();
  await until(() => bench.queue.input.length === 0, bench.signal);
  assert.equal((await bench.call("attributes", []))["stream.length"], "0");
  await bench.putAll(items(numbered(20)));
}

async function groupsGetAll(bench) {
  const ours = bench.ours({ gid: "a" });
  const watcher = ours.watch(0, WINDOW);
  const theirs = await bench.watch(0, WINDOW, {}, { gid: "b" });
  const taken = [theirs.take(20, true), takeOurs(watcher, 20, true)];
  await until(() => hasConsumer(bench, "b.python") && bench.queue.input.pending.size === 2, bench.signal);
  const puts = await bench.putAll(items(numbered(20)));
  const wanted = puts.map((put, i) => frameOf(put, String(i)));
  for (const frames of await Promise.all(taken)) assert.deepEqual(frames, wanted);
  assert.equal(bench.queue.input.length, 0);
}
