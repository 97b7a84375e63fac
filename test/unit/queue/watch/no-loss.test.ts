import { expect, test, vi } from "vitest";
import type { DataFrame, QueueClient, Watcher } from "../../../../src/index.js";
import { openQueue, SOON, settle, Told } from "../../../support/queue-watch.js";

// No item is lost, and no item is handled twice without a break. The tests log their seed. With
// EAS_TEST_SEED set to that seed, the connections break at the same frames.

// Each of these tests takes up to half a minute on a busy machine.
vi.setConfig({ testTimeout: 300_000 });

const SEED = Number(process.env.EAS_TEST_SEED ?? Date.now() % 1_000_000);
const FRAMES = Number(process.env.EAS_TEST_FRAMES ?? 5000);
/** Number of pushes after which a cut is due. More frames arrive before it, so there is about one cut per 50 pushes. */
const CUT_EVERY = 35;

/** Creates a generator of pseudorandom numbers from 0 to 1 (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Consumes until the watcher is closed. Holds each frame briefly, commits it, and retries a commit that fails. */
class Consumer {
  readonly client: QueueClient;
  readonly watcher: Watcher;
  readonly told = new Told();
  readonly received: bigint[] = [];
  readonly ids = new Set<string>();
  /** Frames that were handed out again while they were held, or after their commit was answered. */
  readonly wrong: bigint[] = [];
  readonly done: Promise<void>;
  failedCommits = 0;
  readonly #seen = new Set<bigint>();
  readonly #working = new Set<Promise<void>>();

  constructor(client: QueueClient, window: number, transport: "websocket" | "http" | "poll", hold: () => number) {
    this.client = client;
    this.watcher = client.watch(0, window, { transport, reconnect: SOON, onStatus: this.told.onStatus });
    this.done = this.#consume(hold);
  }

  async #consume(hold: () => number): Promise<void> {
    for await (const frame of this.watcher) {
      this.received.push(frame.index);
      this.ids.add(frame.requestId as string);
      if (this.#seen.has(frame.index)) this.wrong.push(frame.index);
      this.#seen.add(frame.index);
      const work: Promise<void> = this.#work(frame, hold()).finally(() => this.#working.delete(work));
      this.#working.add(work);
    }
    await Promise.all(this.#working);
  }

  async #work(frame: DataFrame, milliseconds: number): Promise<void> {
    await settle(milliseconds);
    for (;;) {
      try {
        return await frame.commit();
      } catch {
        this.failedCommits++;
        await settle(5);
      }
    }
  }
}

test.each(["websocket", "http"] as const)("loses no item of two groups over %s", async (transport) => {
  const next = random(SEED);
  // Each call returns a different time, so that the times determine the order.
  let time = Date.now();
  const now = () => {
    time = Math.max(time + 1 / 1024, Date.now());
    return time;
  };
  const { client, emulator, input, restart } = await openQueue({ now, groupGrace: 600_000, maxDeliveries: 1e9 });
  const names = ["a", "b"].flatMap((gid) => ["1", "2"].map((uid) => ({ gid, uid })));
  const consumers = names.map(
    (name) => new Consumer(client({ ...name, retryCount: 5 }), 20, transport, () => Math.floor(next() * 4)),
  );
  while (consumers.some(({ told }) => told.count("open") === 0)) await settle(1);

  /** The time at which the test cut each connection, by connection number. */
  const cuts = new Map<number, number>();
  const cut = (chosen: (who: { gid: string; uid: string }) => boolean) =>
    emulator.cutConnections((connection) => {
      if (chosen(connection)) cuts.set(connection.connection, now());
      return chosen(connection);
    });

  let put = 0;
  let restarts = 0;
  let nextCut = CUT_EVERY;
  while (put < FRAMES || input.length > 0) {
    // The queue always has items, and some items are put while connections are broken.
    while (put < FRAMES && input.length < 400) input.put(`frame ${put++}`);
    if (input.pushes.length >= nextCut) {
      const { gid, uid } = names[Math.floor(next() * names.length)] as (typeof names)[0];
      // A consumer that is not connected cannot be cut.
      if (cut((who) => who.gid === gid && who.uid === uid) > 0) {
        nextCut = input.pushes.length + Math.ceil(CUT_EVERY * (0.5 + next()));
      }
    }
    if (restarts < 2 && put > (FRAMES * (restarts + 1)) / 3) {
      restarts++;
      for (const { connection } of liveConnections(emulator)) cuts.set(connection, now());
      await restart();
    }
    await settle(1);
  }
  await settle(50);
  await Promise.all(consumers.map(({ watcher }) => watcher.close()));
  await Promise.all(consumers.map(({ done }) => done));

  const { pushes, commits } = input;
  const of = (group: string) => consumers.filter((_, i) => names[i]?.gid === group);
  let duplicates = 0;
  for (const gid of ["a", "b"]) {
    const ids = new Set(of(gid).flatMap((consumer) => [...consumer.ids]));
    expect(ids.size).toBe(FRAMES);
    const received = of(gid).flatMap((consumer) => consumer.received);
    expect(new Set(received).size).toBe(FRAMES);
    const committed = new Map(
      commits.filter((commit) => commit.gid === gid).map((commit) => [commit.index, commit.time]),
    );
    expect(committed.size).toBe(FRAMES);
    const before = new Map<bigint, (typeof pushes)[0]>();
    let again = 0;
    for (const push of pushes.filter((each) => each.gid === gid)) {
      expect(push.time).toBeLessThan(committed.get(push.index) as number);
      const last = before.get(push.index);
      before.set(push.index, push);
      if (last === undefined) continue;
      again++;
      expect(push.delivery).toBeGreaterThan(1);
      // The previous consumer was disconnected.
      expect(cuts.get(last.connection)).toBeLessThan(push.time);
    }
    const own = received.length - FRAMES;
    expect(own).toBeLessThanOrEqual(again);
    for (const index of repeated(received)) expect(before.get(index)?.delivery).toBeGreaterThan(1);
    duplicates += own;
  }
  // A consumer never receives a frame twice, because it has released none.
  expect(consumers.flatMap(({ wrong }) => wrong)).toEqual([]);
  expect(input.length).toBe(0);
  expect([...input.pending.values()].flat()).toEqual([]);
  console.log(
    `${transport}: seed ${SEED}, ${FRAMES} frames, ${pushes.length} pushes, ${cuts.size} cuts, ${restarts} restarts, ` +
      `${duplicates} duplicates, ${consumers.reduce((sum, { failedCommits }) => sum + failedCommits, 0)} failed commits`,
  );
});

/** Returns the open watches. */
function liveConnections(emulator: Awaited<ReturnType<typeof openQueue>>["emulator"]) {
  const all: { readonly connection: number }[] = [];
  emulator.cutConnections((connection) => {
    all.push(connection);
    return false;
  });
  return all;
}

function repeated(all: readonly bigint[]): bigint[] {
  const seen = new Set<bigint>();
  return all.filter((index) => seen.size === seen.add(index).size);
}

// The service does not assign polled items to consumers, so the test uses one consumer.
test("delivers each polled item exactly once", async () => {
  const next = random(SEED);
  const count = FRAMES;
  const { client, emulator, input, restart } = await openQueue();
  const consumer = new Consumer(client({ retryCount: 5 }), 40, "poll", () => Math.floor(next() * 4));
  let put = 0;
  let broken = 0;
  let restarts = 0;
  let nextCut = CUT_EVERY;
  while (put < count || input.length > 0) {
    while (put < count && input.length < 100) input.put(`frame ${put++}`);
    if (consumer.received.length >= nextCut) {
      nextCut += Math.ceil(CUT_EVERY * (0.5 + next()));
      broken++;
      emulator.fault({ reset: next() < 0.5 ? "before-headers" : "in-body" });
    }
    if (restarts < 2 && put > (count * (restarts + 1)) / 3) {
      restarts++;
      await restart();
    }
    await settle(1);
  }
  await consumer.watcher.close();
  await consumer.done;
  expect(consumer.ids.size).toBe(count);
  expect(consumer.received).toHaveLength(count);
  console.log(`poll: seed ${SEED}, ${count} frames, ${broken} broken requests, ${restarts} restarts`);
});
