import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { type BatchCheckpoint, batch, type PredictInput, TFRequest } from "../../../../src/index.js";
import { FinishedIndexes } from "../../../../src/predict/batch/checkpoint.js";
import { collect, errorOf } from "../../../support/calls.js";
import { counted, HeldClient, numbers, settled } from "../../../support/held-client.js";

beforeAll(() => batch(new HeldClient(), []));

/** A client that responds at once, and records the texts that it received. */
class EchoClient extends HeldClient {
  readonly texts: string[] = [];
  override readonly predict = (async (input: { toBinary(): Uint8Array; parseResponse(body: Uint8Array): unknown }) => {
    const body = input.toBinary();
    this.texts.push(new TextDecoder().decode(body));
    return input.parseResponse(body);
  }) as never;
}

/** Runs a batch up to the result number `count`, and returns its last checkpoint, as another process would read it. */
async function interrupted(requests: Iterable<PredictInput>, count: number, options = {}): Promise<BatchCheckpoint> {
  const items = batch.stream(new EchoClient(), requests, { concurrency: 3, ...options });
  let taken = 0;
  for await (const _ of items) if (++taken > count) break;
  return JSON.parse(JSON.stringify(items.checkpoint));
}

describe("a checkpoint", () => {
  test("has the finished requests as ranges, the total and the inputId", async () => {
    expect(await interrupted(numbers(50), 20, { inputId: "rows v1" })).toEqual({
      version: 1,
      done: [[0, 20]],
      first: { count: 16, hash: expect.stringMatching(/^[\da-f]{16}$/) },
      total: 50,
      inputId: "rows v1",
    });
    expect(await interrupted(new Set(numbers(50)), 1)).not.toHaveProperty("total");
  });

  test("counts a result when the loop asks for the next one", async () => {
    const client = new HeldClient();
    const items = batch.stream(client, numbers(5));
    const iterator = items[Symbol.asyncIterator]();
    const first = iterator.next();
    await settled();
    client.calls[3]?.end();
    client.calls[1]?.end();
    const { value } = await first;
    expect(items.checkpoint?.done).toEqual([]);
    // The checkpoint of a result counts the result itself, to be stored together with it.
    expect(value?.checkpoint.done).toEqual([[3, 4]]);
    await iterator.next();
    expect(items.checkpoint?.done).toEqual([[3, 4]]);
    await iterator.return();
    expect(items.checkpoint?.done).toEqual([[3, 4]]);
  });

  test("has ranges for any order of completion", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(60), { maxLength: 80 }), (indexes) => {
        const finished = new FinishedIndexes();
        for (const index of indexes) finished.add(index);
        const set = new Set(indexes);
        for (let i = 0; i < 65; i++) expect(finished.has(i)).toBe(set.has(i));
        expect(finished.size).toBe(set.size);
        expect(finished.end).toBe(Math.max(-1, ...set) + 1);
        const ranges = finished.ranges();
        for (const [i, [start, end]] of ranges.entries()) {
          expect(start).toBeLessThan(end);
          if (i > 0) expect(start).toBeGreaterThan((ranges[i - 1] as [number, number])[1]);
        }
      }),
    );
  });
});

describe("a batch with a checkpoint", () => {
  test("sends only the requests that are not finished, whatever was finished", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(30), fc.nat(30), fc.boolean(), async (size, stopAt, ordered) => {
        const rows = numbers(size);
        const checkpoint = await interrupted(new Set(rows), stopAt, { ordered });
        const left = rows.slice(Math.min(size, stopAt));
        const client = new EchoClient();
        const items = batch.stream(client, new Set(rows), { checkpoint, ordered });
        const seen = await collect(items);
        expect(client.texts).toEqual(left);
        expect(seen.map(({ index }) => `${index}`)).toEqual(left);
        expect(items.checkpoint?.done).toEqual(size === 0 ? [] : [[0, size]]);
      }),
      { numRuns: 60 },
    );
  });

  test("sends the requests in the gaps of the finished ranges", async () => {
    const checkpoint: BatchCheckpoint = {
      ...(await interrupted(numbers(40), 20)),
      done: [
        [0, 3],
        [5, 6],
        [20, 38],
      ],
    };
    const client = new EchoClient();
    const progress: unknown[] = [];
    await collect(batch.stream(client, numbers(40), { checkpoint, onProgress: (each) => progress.push(each) }));
    const expected = numbers(40).filter((_, i) => !(i < 3 || i === 5 || (i >= 20 && i < 38)));
    expect(client.texts).toEqual(expected);
    expect(progress[0]).toMatchObject({ done: 23, total: 40 });
    expect(progress.at(-1)).toMatchObject({ done: 40, failed: 0 });
  });

  test("has no element for skipped requests in the array of batch", async () => {
    const checkpoint = await interrupted(numbers(5), 3);
    const seen: number[] = [];
    const responses = await batch(new EchoClient(), numbers(5), {
      checkpoint,
      onResult: ({ index }) => void seen.push(index),
    });
    expect(responses.length).toBe(5);
    expect(2 in responses).toBe(false);
    expect(String(responses[3])).toBe("3");
    expect(seen).toEqual([3, 4]);
  });

  test("can be interrupted before it has read the finished requests again", async () => {
    const checkpoint = await interrupted(numbers(40), 20);
    const items = batch.stream(new EchoClient(), numbers(40), { checkpoint });
    const controller = new AbortController();
    const again = batch.stream(
      new EchoClient(),
      (async function* () {
        yield "0";
        controller.abort(new Error("enough"));
        await new Promise(() => {});
      })(),
      { checkpoint, signal: controller.signal },
    );
    await errorOf(collect(again));
    expect(again.checkpoint?.first).toEqual(checkpoint.first);
    expect(again.checkpoint?.done).toEqual(checkpoint.done);
    expect(await collect(items)).toHaveLength(20);
  });
});

describe("onCheckpoint", () => {
  test("is called after every checkpointEvery results and at the end", async () => {
    const seen: unknown[] = [];
    const onCheckpoint = ({ done }: BatchCheckpoint) => void seen.push(done);
    await collect(batch.stream(new EchoClient(), numbers(10), { onCheckpoint, checkpointEvery: 4 }));
    expect(seen).toEqual([[[0, 4]], [[0, 8]], [[0, 10]]]);
    seen.length = 0;
    await collect(batch.stream(new EchoClient(), numbers(8), { onCheckpoint, checkpointEvery: 4 }));
    expect(seen).toEqual([[[0, 4]], [[0, 8]]]);
    seen.length = 0;
    await collect(batch.stream(new EchoClient(), numbers(250), { onCheckpoint }));
    expect(seen).toEqual([[[0, 100]], [[0, 200]], [[0, 250]]]);
    seen.length = 0;
    await collect(batch.stream(new EchoClient(), [], { onCheckpoint }));
    expect(seen).toEqual([]);
  });

  test("is called when the loop is left and when the batch fails", async () => {
    const seen: unknown[] = [];
    const onCheckpoint = async ({ done }: BatchCheckpoint) => {
      await settled();
      seen.push(done);
    };
    for await (const { index } of batch.stream(new EchoClient(), numbers(9), { onCheckpoint })) if (index === 2) break;
    expect(seen).toEqual([[[0, 2]]]);
    seen.length = 0;
    function* broken() {
      yield* numbers(5);
      throw new Error("the file ended");
    }
    const items = batch.stream(new EchoClient(), broken(), { onCheckpoint, concurrency: 1 });
    expect((await errorOf(collect(items))).message).toBe("the file ended");
    expect(seen).toHaveLength(1);
  });

  test("holds back the next result until its promise resolves", async () => {
    let release = () => {};
    const onCheckpoint = () =>
      new Promise<void>((resolve) => {
        release = resolve;
      });
    const seen: number[] = [];
    const done = (async () => {
      for await (const { index } of batch.stream(new EchoClient(), numbers(3), { onCheckpoint, checkpointEvery: 2 }))
        seen.push(index);
    })();
    await settled();
    expect(seen).toEqual([0, 1]);
    release();
    await settled();
    expect(seen).toEqual([0, 1, 2]);
    release();
    await done;
  });

  test.each([1, 100])("ends the batch by its error (checkpointEvery %i)", async (checkpointEvery) => {
    const error = new Error("the disk is full");
    const onCheckpoint = () => Promise.reject(error);
    const source = counted(numbers(50));
    const items = batch.stream(new EchoClient(), source, { onCheckpoint, checkpointEvery });
    expect(await errorOf(collect(items))).toBe(error);
    expect(source.seen.closed).toBe(1);
    const throwing = () => {
      throw error;
    };
    expect(await errorOf(collect(batch.stream(new EchoClient(), ["x"], { onCheckpoint: throwing })))).toBe(error);
  });

  test("does not hide the error that ended the batch", async () => {
    const onCheckpoint = () => Promise.reject(new Error("the disk is full"));
    async function* broken() {
      yield* numbers(2);
      await settled();
      throw new Error("the file ended");
    }
    expect((await errorOf(collect(batch.stream(new EchoClient(), broken(), { onCheckpoint })))).message).toBe(
      "the file ended",
    );
  });

  test.each(["checkpoint", "onCheckpoint"])("option %s of batch needs onResult", async (name) => {
    const value = name === "checkpoint" ? await interrupted(["x"], 1) : () => {};
    const error = await errorOf(batch(new EchoClient(), ["x"], { [name]: value }));
    expect(error.message).toMatch(new RegExp(`^${name} needs onResult`));
    expect(error.code).toBe("ERR_EAS_ARG_OPTION");
  });
});

describe("a checkpoint of another input is refused before anything is sent", () => {
  const feed = (value: number) => new TFRequest().addFeed("x", [1], "DT_FLOAT", [value]);
  test.each<[string, Iterable<PredictInput>, Iterable<PredictInput>, object, RegExp]>([
    ["another first request", numbers(9), ["x", ...numbers(8)], {}, /the first 9 requests differ/],
    ["other bytes", [Uint8Array.of(1, 2)], [Uint8Array.of(1, 3)], {}, /the first 1 requests differ/],
    ["a longer request", new Set([[1]]), new Set([[1, 2]]), {}, /the first 1 requests differ/],
    ["other tensors", [feed(1), feed(2)], [feed(1), feed(3)], {}, /the first 2 requests differ/],
    [
      "an end of a large body",
      [new Uint8Array(9999)],
      [new Uint8Array(9999).fill(1, 9998)],
      {},
      /the first 1 requests differ/,
    ],
    ["another order", numbers(9), numbers(9).reverse(), {}, /the first 9 requests differ/],
    ["fewer requests", numbers(20), numbers(19), {}, /it has 20 requests, and this one has 19/],
    ["a source without requests", numbers(9), new Set<string>(), {}, /it has at least 9 requests, and this one has 0/],
    ["an inputId", numbers(9), numbers(9), { inputId: "b" }, /its inputId is undefined, and this one is "b"/],
  ])("%s", async (_, before, now, options, message) => {
    const checkpoint = await interrupted(before, 20);
    const client = new EchoClient();
    const error = await errorOf(collect(batch.stream(client, now, { checkpoint, ...options })));
    expect(error.message).toMatch(/^checkpoint belongs to another input: /);
    expect(error.message).toMatch(message);
    expect(error.code).toBe("ERR_EAS_ARG_OPTION");
    expect(client.texts).toEqual([]);
  });

  test("but a source that ends too early is noticed only at its end", async () => {
    const checkpoint = await interrupted(new Set(numbers(40)), 39);
    const error = await errorOf(collect(batch.stream(new EchoClient(), new Set(numbers(30)), { checkpoint })));
    expect(error.message).toMatch(/it ended after 30 requests, and request 38 is finished/);
  });
});

describe("a damaged checkpoint is refused", () => {
  const good = { version: 1, done: [[0, 2]], first: { count: 2, hash: "0123456789abcdef" } };
  test.each<[unknown, RegExp]>([
    [null, /checkpoint is null/],
    [JSON.stringify(good), /checkpoint is "{.*Pass the object that onCheckpoint received, parsed/],
    [[], /has the version undefined/],
    [{ ...good, version: 2 }, /has the version 2/],
    [{ ...good, done: undefined }, /done is not a list/],
    [{ ...good, done: [[2, 2]] }, /done is not a list/],
    [
      {
        ...good,
        done: [
          [0, 2],
          [2, 3],
        ],
      },
      /done is not a list/,
    ],
    [
      {
        ...good,
        done: [
          [3, 4],
          [0, 1],
        ],
      },
      /done is not a list/,
    ],
    [{ ...good, done: [[0, 1.5]] }, /done is not a list/],
    [{ ...good, done: [[-1, 1]] }, /done is not a list/],
    [{ ...good, done: [[0, 1, 2]] }, /done is not a list/],
    [{ ...good, done: [0, 1] }, /done is not a list/],
    [{ ...good, done: [["0", 1]] }, /done is not a list/],
    [{ ...good, first: undefined }, /first is not/],
    [{ ...good, first: { count: 17, hash: good.first.hash } }, /first is not/],
    [{ ...good, first: { count: 1, hash: "xyz" } }, /first is not/],
    // Without the fingerprint, a checkpoint of another input would be accepted.
    [{ ...good, first: { count: 1, hash: good.first.hash } }, /first covers 1 requests, and 2 are needed/],
    [{ ...good, done: [[0, 90]], first: { count: 0, hash: good.first.hash } }, /first covers 0 requests, and 16 are/],
    [{ ...good, total: 1 }, /total is not/],
    [{ ...good, total: "2" }, /total is not/],
    [{ ...good, inputId: 1 }, /inputId is not text/],
  ])("%j", async (checkpoint, message) => {
    const client = new EchoClient();
    const options = { checkpoint: checkpoint as BatchCheckpoint };
    const error = await errorOf(collect(batch.stream(client, numbers(2), options)));
    expect(error.message).toMatch(message);
    expect(error.code).toBe("ERR_EAS_ARG_OPTION");
    expect(client.texts).toEqual([]);
  });
});
