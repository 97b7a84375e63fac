// One client watches the items that the other puts, while the connections of both break. No item may be lost.
import assert from "node:assert/strict";
import {
  AWKWARD_TAGS,
  frameOf,
  indexesOf,
  items,
  numbered,
  STOP,
  TRANSPORTS,
  takeOurs,
  until,
  WINDOW,
} from "./queue-bench.mjs";

/** Puts while the other client watches. The frames must arrive in order. */
export const watches = Object.fromEntries(
  [true, false].flatMap((autoCommit) => {
    const commits = autoCommit ? "automatic commit" : "commits of its own";
    return [
      ...TRANSPORTS.map((transport) => [
        `this package watches items of Python over ${transport}, ${commits}`,
        async (bench) => {
          const early = await bench.putAll(items(numbered(10), AWKWARD_TAGS));
          const watcher = bench.ours().watch(0, WINDOW, { autoCommit, transport, tags: AWKWARD_TAGS });
          const taken = takeOurs(watcher, 50, !autoCommit);
          const late = await bench.putAll(items(numbered(40, 10), AWKWARD_TAGS));
          const wanted = [...early, ...late].map((put, i) => frameOf(put, String(i), AWKWARD_TAGS));
          assert.deepEqual(await taken, wanted);
          assert.equal(bench.queue.input.length, 0);
          assert.equal(watcher.transport, transport);
        },
      ]),
      [
        `Python watches items of this package, ${commits}`,
        async (bench) => {
          const client = bench.ours();
          const puts = [];
          const put = async (text) => puts.push(await client.put(text, { tags: AWKWARD_TAGS }));
          for (const text of numbered(10)) await put(text);
          const watcher = await bench.watch(0, WINDOW, { auto_commit: autoCommit, tags: AWKWARD_TAGS });
          const taken = watcher.take(50, !autoCommit);
          for (const text of numbered(40, 10)) await put(text);
          assert.deepEqual(
            await taken,
            puts.map((put, i) => frameOf(put, String(i), AWKWARD_TAGS)),
          );
          assert.equal(bench.queue.input.length, 0);
        },
      ],
    ];
  }),
);

export const cuts = {
  ...Object.fromEntries(
    ["websocket", "http"].map((transport) => [
      `both watch as one group, this package over ${transport}: no item is lost`,
      async (bench) => {
        const theirs = await bench.watch(0, WINDOW);
        const watcher = bench.ours({ uid: "ours" }).watch(0, WINDOW, { transport, reconnect: { minDelay: 20 } });
        const reading = [
          theirs.take(undefined, true).then(async (frames) => {
            await theirs.close();
            return frames;
          }),
          takeOurs(watcher, undefined, true).then(async (frames) => {
            await watcher.close();
            return frames;
          }),
        ];
        const client = bench.ours();
        const puts = [];
        for (let round = 0; round < 4; round++) {
          await until(() => bench.queue.input.pending.size === 2, bench.signal);
          puts.push(...(await bench.putAll(items(numbered(30, round * 60)))));
          for (const text of numbered(15, round * 60 + 30)) puts.push(await client.put(text));
          bench.emulator.cutConnections(({ queue }) => queue === bench.name);
          for (const text of numbered(15, round * 60 + 45)) puts.push(await client.put(text));
        }
        for (let i = 0; i < 2; i++) await client.put(STOP);
        const [python, ours] = await Promise.all(reading);
        assert.ok(python.length > 1 && ours.length > 1, `Python got ${python.length}, ours ${ours.length}`);
        assert.equal(bench.queue.input.length, 0);
        const seen = new Set(indexesOf([...python, ...ours]));
        assert.deepEqual(
          puts.filter(({ index }) => !seen.has(index)),
          [],
        );
        assert.equal(bench.queue.input.dead.length, 0);
        // This package's client does not receive a frame again after its commit succeeded.
        assert.equal(new Set(indexesOf(ours)).size, ours.length);
        for (const uid of ["python", "ours"]) {
          const connections = bench.queue.input.pushes
            .filter((push) => push.uid === uid)
            .map((push) => push.connection);
          assert.ok(new Set(connections).size > 1, `${uid} was pushed to over one connection only`);
        }
      },
    ]),
  ),
  "five held frames are redelivered to Python, then to this package": async (bench) => {
    const puts = await bench.putAll(items(numbered(5)));
    const theirs = await bench.watch(0, WINDOW);
    await theirs.take(5);
    assert.equal(
      bench.emulator.cutConnections(({ queue }) => queue === bench.name),
      1,
    );
    assert.deepEqual(indexesOf(await theirs.take(5)), indexesOf(puts));
    await theirs.close();
    const watcher = bench.ours().watch(0, WINDOW, { reconnect: { minDelay: 20 } });
    const { value: first } = await watcher.next();
    await takeOurs(watcher, 4, true);
    assert.equal(
      bench.emulator.cutConnections(({ queue }) => queue === bench.name),
      1,
    );
    // The first item is still held here, so that it is not redelivered. Its commit counts nevertheless.
    const last = await bench.put("last");
    assert.deepEqual(indexesOf(await takeOurs(watcher, 1, true)), [last.index]);
    await first.commit();
    assert.equal(bench.queue.input.length, 0);
  },
};
