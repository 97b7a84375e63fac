import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Consumer, ConsumerRequest } from "../../../../src/emulator/queue/consumers.js";
import { formatDuration, parseDuration } from "../../../../src/emulator/queue/duration.js";
import { AppendOnlyLog } from "../../../../src/emulator/queue/entries/append-only-log.js";
import { nextIndex, type QueueChange, QueueStore } from "../../../../src/emulator/queue/entries/entry-storage.js";
import { PriorityLists } from "../../../../src/emulator/queue/entries/priority-lists.js";

const SETTINGS = { indexShape: "counter", maxDeliveries: 5, triesCounted: "negatives", groupGrace: 0 } as const;
const storeOf = (settings: Partial<ConstructorParameters<typeof QueueStore>[0]> = {}, changes: QueueChange[] = []) =>
  new QueueStore(
    { ...SETTINGS, ...settings },
    () => 0,
    (change) => changes.push(change),
  );
const asking = (request: Partial<ConsumerRequest> = {}): ConsumerRequest => {
  return { uid: "u", gid: "g", start: 0n, window: 10, indexOnly: false, autoCommit: false, tags: {}, ...request };
};
const put = (store: QueueStore, tags: Record<string, string> = {}, priority = 0) =>
  store.put({ data: new Uint8Array(1), tags, priority }).index;
/** Delivers all items that consumers can accept, as pairs of consumer and index. */
function drain(store: QueueStore): [string, bigint, number][] {
  const found: [string, bigint, number][] = [];
  for (let next = store.next(); next !== undefined; next = store.next()) {
    found.push([next.consumer.request.uid, next.item.index, next.number]);
  }
  return found;
}
const indexes = (store: QueueStore) => drain(store).map(([, index]) => index);

describe("indexes", () => {
  test("by time have 19 digits and increase even if the clock stops or goes back", () => {
    const now = Date.UTC(2026, 0, 1);
    const first = nextIndex("time", 0n, now);
    expect(first).toBe((BigInt(now) << 22n) + 1n);
    expect(BigInt(Number(first))).not.toBe(first);
    expect(String(first)).toHaveLength(19);
    expect(nextIndex("time", first, now)).toBe(first + 1n);
    expect(nextIndex("time", first, now - 5000)).toBe(first + 1n);
    expect(nextIndex("time", first, now + 1)).toBe((BigInt(now + 1) << 22n) + 1n);
    expect(nextIndex("time", 0n, Date.UTC(2039, 8, 7))).toBeLessThan(2n ** 63n);
  });

  test("by counter start at 1", () => {
    expect(nextIndex("counter", 0n, 5)).toBe(1n);
    expect(nextIndex("counter", 42n, 5)).toBe(43n);
  });
});

test.each([
  ["0", 0],
  ["0s", 0],
  ["1.5s", 1500],
  ["500ms", 500],
  ["1m0s", 60_000],
  ["1h30m0s", 5_400_000],
  ["250\u00b5s", 0.25],
  ["250\u03bcs", 0.25],
  ["250us", 0.25],
  ["1ns", 1e-6],
  [".5s", 500],
  ["+3s", 3000],
  ["5", undefined],
  ["", undefined],
  ["s", undefined],
  ["-1s", undefined],
  ["1s ", undefined],
  ["1d", undefined],
  ["1s5", undefined],
])("parses the duration %j as %j ms", (text, milliseconds) => {
  const parsed = parseDuration(text);
  if (milliseconds === undefined) expect(parsed).toBeUndefined();
  else expect(parsed).toBeCloseTo(milliseconds, 9);
});

test("formats durations like Go", () => {
  expect([0, 5, 2091, 60_000, 5_400_000, 61_500].map(formatDuration)).toEqual([
    "0s",
    "5ms",
    "2.091s",
    "1m0s",
    "1h30m0s",
    "1m1.5s",
  ]);
});

test("priority lists behave like a sorted list when items are returned and removed", () => {
  const step = fc.oneof(
    fc.record({ add: fc.integer({ min: 0, max: 2 }) }),
    fc.record({ takeEvery: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ back: fc.nat() }),
    fc.record({ unwanted: fc.nat() }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      type Item = { index: bigint; priority: number };
      const unwanted = new Set<Item>();
      const lanes = new PriorityLists<Item>((item) => !unwanted.has(item));
      let model: Item[] = [];
      const out: Item[] = [];
      const insert = (item: Item) => {
        lanes.add(item);
        model.push(item);
        model.sort((a, b) => b.priority - a.priority || Number(a.index - b.index));
      };
      let last = 0n;
      for (const step of steps) {
        if ("add" in step) insert({ index: ++last, priority: step.add });
        else if ("back" in step) {
          const [item] = out.splice(step.back % Math.max(1, out.length), 1);
          if (item) insert(item);
        } else if ("unwanted" in step) {
          const item = model[step.unwanted % Math.max(1, model.length)];
          if (item) unwanted.add(item);
          model = model.filter((other) => other !== item);
        } else {
          const accepts = ({ index }: Item) => index % BigInt(step.takeEvery) === 0n;
          const expected = model.find(accepts);
          expect(lanes.take(accepts)).toBe(expected);
          model = model.filter((item) => item !== expected);
          if (expected) out.push(expected);
        }
        expect([...lanes]).toEqual(model);
      }
    }),
    { numRuns: 150 },
  );
});

describe("delivery", () => {
  test("is by descending priority, then by index", () => {
    const store = storeOf();
    for (const priority of [0, 1, 0, 5, 1]) put(store, {}, priority);
    store.connect(asking());
    expect(indexes(store)).toEqual([4n, 2n, 5n, 1n, 3n]);
  });

  test("never exceeds the window, which a commit, a delete and a truncate open", () => {
    const store = storeOf();
    for (let i = 0; i < 8; i++) put(store);
    store.connect(asking({ window: 2 }));
    expect(indexes(store)).toEqual([1n, 2n]);
    store.commit("g", [1n]);
    expect(indexes(store)).toEqual([3n]);
    store.remove([2n]);
    expect(indexes(store)).toEqual([4n]);
    store.truncate(5n);
    expect(indexes(store)).toEqual([5n, 6n]);
    expect([...store.items()].map(({ index }) => index)).toEqual([5n, 6n, 7n, 8n]);
  });

  test("is balanced between the consumers of a group, and every group receives all items", () => {
    const store = storeOf();
    for (const uid of ["a", "b", "c"]) store.connect(asking({ uid }));
    store.connect(asking({ gid: "other", uid: "x" }));
    for (let i = 0; i < 6; i++) put(store);
    const drained = drain(store);
    for (const uid of ["a", "b", "c"]) expect(drained.filter(([to]) => to === uid)).toHaveLength(2);
    expect(drained.filter(([to]) => to === "x").map(([, index]) => index)).toEqual([1n, 2n, 3n, 4n, 5n, 6n]);
  });

  test("starts at the requested index and filters by tags", () => {
    const store = storeOf();
    for (const kind of ["a", "b", "a", "b", "a"]) put(store, { kind });
    store.connect(asking({ start: 2n, tags: { kind: "a" } }));
    expect(indexes(store)).toEqual([3n, 5n]);
  });

  test("repeats the items of a lost consumer for other consumers, oldest first, and counts it", () => {
    const store = storeOf();
    const a = store.connect(asking({ uid: "a", window: 2 }));
    for (let i = 0; i < 4; i++) put(store);
    expect(drain(store)).toEqual([
      ["a", 1n, 1],
      ["a", 2n, 1],
    ]);
    store.connect(asking({ uid: "b" }));
    store.disconnect(a);
    expect(drain(store)).toEqual([
      ["b", 1n, 2],
      ["b", 2n, 2],
      ["b", 3n, 1],
      ["b", 4n, 1],
    ]);
    // A late commit of the lost consumer still counts.
    expect(store.commit("g", [1n, 1n, 99n, 0n])).toEqual([1n]);
  });

  test("repeats the items of a user's first connection for the second, within its window", () => {
    const store = storeOf();
    const first = store.connect(asking({ window: 3 }));
    for (let i = 0; i < 4; i++) put(store);
    drain(store);
    const second = store.connect(asking({ window: 2 }));
    // Refused or committed before they were delivered again.
    store.negative("g", 1n);
    store.commit("g", [2n]);
    expect(drain(store)).toEqual([
      ["u", 1n, 2],
      ["u", 3n, 2],
    ]);
    store.disconnect(first);
    expect([...second.pending.keys()]).toEqual([1n, 3n]);
    expect(first.pending.size).toBe(0);
  });

  test("prefers another consumer after a negative commit, and stops at the maximum of attempts", () => {
    const store = storeOf({ maxDeliveries: 2 });
    store.connect(asking({ uid: "a" }));
    put(store);
    expect(drain(store)).toEqual([["a", 1n, 1]]);
    store.connect(asking({ uid: "b" }));
    expect(store.negative("g", 1n)).toBeUndefined();
    expect(drain(store)).toEqual([["b", 1n, 2]]);
    expect(store.negative("g", 1n)?.index).toBe(1n);
    expect(store.length).toBe(0);
    expect(store.negative("g", 1n)).toBeUndefined();
  });

  test("returns to the same consumer after a negative commit if no other can accept the item", () => {
    const store = storeOf();
    store.connect(asking({ uid: "a" }));
    store.connect(asking({ uid: "b", start: 5n }));
    put(store);
    drain(store);
    store.negative("g", 1n);
    expect(drain(store)).toEqual([["a", 1n, 2]]);
  });

  test("removes an item after too many lost consumers, if deliveries are counted", () => {
    const store = storeOf({ maxDeliveries: 2, triesCounted: "deliveries" });
    put(store);
    const dead = [1, 2].map(() => {
      const consumer = store.connect(asking());
      drain(store);
      return store.disconnect(consumer).map(({ index }) => index);
    });
    expect(dead).toEqual([[], [1n]]);
    expect(store.length).toBe(0);
  });
});

describe("commits and groups", () => {
  test("the first commit deletes an item if no other group is active", () => {
    const store = storeOf();
    store.disconnect(store.connect(asking({ gid: "gone" })));
    put(store);
    store.connect(asking());
    drain(store);
    store.commit("g", [1n]);
    expect(store.length).toBe(0);
  });

  test("otherwise the item is kept for the active groups only", () => {
    const changes: QueueChange[] = [];
    const store = storeOf({}, changes);
    for (const gid of ["g", "h", "i"]) store.connect(asking({ gid, start: gid === "i" ? 7n : 0n }));
    put(store);
    drain(store);
    store.commit("g", [1n]);
    expect([store.length, store.search("g", 1n), store.search("h", 1n)?.holder]).toEqual([1, undefined, "u"]);
    expect(changes.at(-1)).toEqual({ change: "commit", index: 1n, gid: "g", awaitedBy: ["h"] });
    expect(store.commit("g", [1n])).toEqual([]);
    store.commit("h", [1n]);
    expect(store.length).toBe(0);
  });

  test("a group stays active for its grace period", () => {
    let now = 0;
    const store = new QueueStore(
      { ...SETTINGS, groupGrace: 100 },
      () => now,
      () => {},
    );
    store.disconnect(store.connect(asking({ gid: "h" })));
    put(store);
    put(store);
    now = 99;
    store.commit("g", [1n]);
    expect(store.length).toBe(2);
    now = 100;
    expect([...store.items()].map(({ index }) => index)).toEqual([2n]);
    store.commit("g", [2n]);
    expect(store.length).toBe(0);
  });

  test("an item is deleted when the last consumer of its remaining group leaves", () => {
    const changes: QueueChange[] = [];
    const store = storeOf({}, changes);
    store.connect(asking({ gid: "workers" }));
    const monitors = ["u", "v"].map((uid) => store.connect(asking({ gid: "monitor", uid })));
    for (let i = 0; i < 3; i++) put(store);
    drain(store);
    store.commit("workers", [1n, 2n]);
    store.disconnect(monitors[0]!);
    expect(store.length).toBe(3);
    store.disconnect(monitors[1]!);
    expect([...store.items()].map(({ index }) => index)).toEqual([3n]);
    expect(changes.at(-1)).toEqual({ change: "remove", indexes: [1n, 2n] });
  });

  test("a consumer that rejoins for newer items no longer keeps older items", () => {
    const store = storeOf({ groupGrace: 60_000 });
    store.connect(asking({ gid: "workers" }));
    const monitor = store.connect(asking({ gid: "monitor" }));
    put(store);
    drain(store);
    store.commit("workers", [1n]);
    store.disconnect(monitor);
    expect(store.length).toBe(1);
    store.connect(asking({ gid: "monitor", start: 2n }));
    expect(store.length).toBe(0);
  });

  test.each([
    ["deleted immediately without a grace period", 0, 0],
    ["kept for the grace period after the restart", 100, 1],
  ])("an item that a log keeps for a group is %s", (_, groupGrace, kept) => {
    let now = 1000;
    const changes: QueueChange[] = [];
    const open = () =>
      new QueueStore(
        { ...SETTINGS, groupGrace },
        () => now,
        (change) => changes.push(change),
      );
    const before = open();
    for (const gid of ["workers", "monitor"]) before.connect(asking({ gid }));
    put(before);
    drain(before);
    before.commit("workers", [1n]);
    expect(before.length).toBe(1);
    const after = open();
    for (const change of [...changes]) after.restore(change);
    expect(after.length).toBe(kept);
    now += 100;
    expect(after.length).toBe(0);
  });

  test("search counts the waiting items before an item", () => {
    const store = storeOf();
    for (const priority of [0, 0, 0, 1]) put(store, {}, priority);
    expect(store.search("g", 2n)).toEqual({ holder: undefined, waitCount: 2 });
    store.connect(asking({ window: 1 }));
    drain(store);
    expect(store.search("g", 4n)).toEqual({ holder: "u", waitCount: 0 });
    expect(store.search("g", 3n)).toEqual({ holder: undefined, waitCount: 2 });
    expect(store.search("other", 3n)).toEqual({ holder: undefined, waitCount: 3 });
    expect(store.search("g", 9n)).toBeUndefined();
  });

  test("find returns items from the head, from an index, the newest, and by tags", () => {
    const store = storeOf();
    for (const [kind, priority] of [
      ["a", 0],
      ["b", 0],
      ["a", 1],
    ] as const)
      put(store, { kind }, priority);
    const find = (index: bigint, length: number, tags: Record<string, string> = {}) =>
      store.find({ index, tags: Object.entries(tags) }, length).map((item) => item.index);
    expect(find(0n, 9)).toEqual([3n, 1n, 2n]);
    expect(find(1n, 1)).toEqual([1n]);
    expect(find(2n, 9)).toEqual([2n, 3n]);
    expect(find(-1n, 1)).toEqual([3n]);
    expect(find(-1n, 1, { kind: "b" })).toEqual([2n]);
    expect(find(0n, 9, { kind: "a" })).toEqual([3n, 1n]);
    expect(find(1n, 1, { kind: "b" })).toEqual([2n]);
    expect(find(4n, 1)).toEqual([]);
    expect([store.count([]), store.count([], 1), store.count([["kind", "a"]], 0)]).toEqual([3, 1, 1]);
  });
});

// Compares random operations with a simple model of all deliveries. No item is lost or delivered after its commit. No window is
// exceeded, and no two consumers of a group have the same item.
test("any sequence of operations keeps the delivery guarantees, also in a restored store", async () => {
  const uid = fc.constantFrom("a", "b", "c");
  const gid = fc.constantFrom("g", "h");
  const pick = fc.nat();
  const event = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant("put" as const), priority: fc.integer({ min: 0, max: 2 }) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("commit" as const), gid, pick }) },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant("connect" as const), uid, gid, window: fc.integer({ min: 1, max: 4 }) }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("disconnect" as const), pick }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("negative" as const), gid, pick }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("delete" as const), pick }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const) }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 80 }), async (events) => {
      const lines: string[] = [];
      const log = new AppendOnlyLog({ load: () => lines, append: (line) => void lines.push(line) });
      const settings = { maxDeliveries: Number.POSITIVE_INFINITY, groupGrace: Number.POSITIVE_INFINITY };
      const open = () =>
        new QueueStore(
          { ...SETTINGS, ...settings },
          () => 0,
          (change) => log.add("input", change),
        );
      let store = open();
      let live: Consumer[] = [];
      const deleted = new Set<bigint>();
      const committed = new Set<string>();
      const all: bigint[] = [];
      const check = () => {
        for (let next = store.next(); next !== undefined; next = store.next()) {
          const { item, consumer } = next;
          expect(live).toContain(consumer);
          expect(deleted.has(item.index)).toBe(false);
          expect(committed.has(`${consumer.request.gid} ${item.index}`)).toBe(false);
        }
        const held = live.flatMap(({ request, pending }) => [...pending.keys()].map((i) => `${request.gid} ${i}`));
        expect(new Set(held).size).toBe(held.length);
        for (const { pending, request } of live) expect(pending.size).toBeLessThanOrEqual(request.window);
      };
      for (const event of events) {
        const index = "pick" in event ? (all[event.pick % Math.max(1, all.length)] ?? 1n) : 1n;
        if (event.do === "put") all.push(put(store, { n: String(all.length) }, event.priority));
        else if ("pick" in event && event.do !== "disconnect" && all.length === 0) continue;
        else if (event.do === "commit") {
          store.commit(event.gid, [index]);
          committed.add(`${event.gid} ${index}`);
        } else if (event.do === "negative") store.negative(event.gid, index);
        else if (event.do === "delete") {
          store.remove([index]);
          deleted.add(index);
        } else if (event.do === "connect") {
          const { uid, gid, window } = event;
          live = live.filter(({ request }) => request.uid !== uid || request.gid !== gid);
          live.push(store.connect(asking({ uid, gid, window })));
        } else if (event.do === "disconnect") {
          const [consumer] = live.splice(event.pick % Math.max(1, live.length), 1);
          if (consumer) store.disconnect(consumer);
        } else {
          await log.written();
          const before = [...store.items()].map(({ index, tags, priority }) => ({ index, tags, priority }));
          store = open();
          for (const { change } of await log.load()) store.restore(change);
          live = [];
          expect([...store.items()].map(({ index, tags, priority }) => ({ index, tags, priority }))).toEqual(before);
        }
        check();
      }
      // A final consumer with an unlimited window receives every item that no group has committed.
      for (const consumer of live) store.disconnect(consumer);
      live = [];
      const done = [...committed].map((entry) => BigInt(entry.split(" ")[1] as string));
      const left = all.filter((index) => !deleted.has(index) && !done.includes(index));
      live.push(store.connect(asking({ gid: "g", uid: "last", window: 1000 })));
      const got = drain(store).map(([, index]) => index);
      for (const index of left) expect(got).toContain(index);
      expect(got.some((index) => committed.has(`g ${index}`) || deleted.has(index))).toBe(false);
    }),
    { numRuns: 150 },
  );
});
