import { beforeAll, describe, expect, expectTypeOf, onTestFinished, test } from "vitest";
import { startEmulator } from "../../../../src/emulator/index.js";
import {
  type BatchItem,
  type BatchOptions,
  type BatchStreamOptions,
  type BatchSuccess,
  batch,
  PredictClient,
  type StringResponse,
  TFRequest,
  type TFResponse,
} from "../../../../src/index.js";
import { collect, errorOf } from "../../../support/calls.js";
import { counted, HeldClient, numbers, settled } from "../../../support/held-client.js";

// The first batch loads its code. Later batches send their requests in the same turn of the event loop.
beforeAll(() => batch(new HeldClient(), []));

/** Reads a stream in the background, and records its results. */
function read<R>(items: AsyncIterable<BatchItem<R>>) {
  const seen = { indexes: [] as number[], error: undefined as unknown, isDone: false };
  void (async () => {
    for await (const { index } of items) seen.indexes.push(index);
  })().then(
    () => {
      seen.isDone = true;
    },
    (error) => {
      seen.error = error;
    },
  );
  return seen;
}

describe("batch.stream", () => {
  test("returns the results of a real service with their indexes", async () => {
    const emulator = await startEmulator();
    onTestFinished(() => emulator.close());
    const { endpoint, token } = emulator;
    const client = new PredictClient({ endpoint, token, serviceName: "echo" });
    onTestFinished(() => client.close());
    for (const concurrency of [3, "auto"] as const) {
      const rows = numbers(50);
      const items = await collect(batch.stream(client, rows, { concurrency }));
      expect(items.map(({ index }) => index).sort((a, b) => a - b)).toEqual(rows.map(Number));
      for (const { index, answer } of items) expect(String(answer)).toBe(`${index}`);
    }
  });

  test("has results with the types that follow from the requests", () => {
    const client = {} as PredictClient;
    const never = async () => {
      for await (const item of batch.stream(client, ["x"]))
        expectTypeOf(item).toEqualTypeOf<BatchItem<StringResponse>>();
      for await (const { answer, error } of batch.stream(client, ["x"])) {
        if (error === undefined) expectTypeOf(answer).toEqualTypeOf<StringResponse>();
        else expectTypeOf(error).toEqualTypeOf<Error>();
      }
      for await (const item of batch.stream(client, [new TFRequest()], { onError: "stop" })) {
        expectTypeOf(item).toEqualTypeOf<BatchSuccess<TFResponse>>();
      }
      await batch(client, ["x"], { onResult: (item) => expectTypeOf(item).toEqualTypeOf<BatchItem<StringResponse>>() });
    };
    expect(never).toBeInstanceOf(Function);
  });

  test("returns results in the order of completion", async () => {
    const client = new HeldClient();
    const seen = read(batch.stream(client, numbers(3)));
    await settled();
    for (const i of [2, 0, 1]) {
      client.calls[i]?.end();
      await settled();
    }
    expect(seen).toEqual({ indexes: [2, 0, 1], error: undefined, isDone: true });
  });

  test("returns results in the order of the requests with ordered", async () => {
    const client = new HeldClient();
    const source = counted(numbers(6));
    const seen = read(batch.stream(client, source, { ordered: true, concurrency: 3 }));
    await settled();
    client.calls[1]?.end();
    client.calls[2]?.end();
    await settled();
    expect(seen.indexes).toEqual([]);
    client.calls[3]?.end();
    await settled();
    // Three results wait for the first one, so no further request is read.
    expect([source.seen.asked, client.calls.length]).toEqual([5, 5]);
    client.calls[4]?.end();
    client.calls[0]?.end();
    await settled();
    expect(seen.indexes).toEqual([0, 1, 2, 3, 4]);
    client.calls[5]?.fail(new Error("the last one failed"));
    await settled();
    expect(seen).toEqual({ indexes: [0, 1, 2, 3, 4, 5], error: undefined, isDone: true });
  });

  test("sends nothing before the loop starts, and starts only once", async () => {
    const client = new HeldClient();
    const source = counted(numbers(3));
    const items = batch.stream(client, source);
    await settled();
    expect([client.calls.length, source.seen.asked, items.checkpoint, items.concurrency]).toEqual([
      0,
      0,
      undefined,
      undefined,
    ]);
    const seen = read(items);
    await settled();
    expect([client.calls.length, items.concurrency]).toEqual([3, 8]);
    for (const { end } of client.calls) end();
    await settled();
    expect(seen.isDone).toBe(true);
    expect(await collect(items)).toEqual([]);
    expect(client.calls).toHaveLength(3);
  });

  test("pauses while the loop is busy: fewer results wait than twice the concurrency", async () => {
    const client = new HeldClient();
    const source = counted(numbers(100));
    const items = batch.stream(client, source, { concurrency: 4 })[Symbol.asyncIterator]();
    const first = items.next();
    for (let ended = 0; ended < 20; ended++) {
      await settled();
      client.calls.shift()?.end();
    }
    expect((await first).value?.index).toBe(0);
    await settled();
    // One result was taken, and seven wait.
    expect([source.seen.asked, client.open]).toEqual([8, 0]);
    await items.return();
  });

  test("reads a source lazily and without an end", async () => {
    const client = new HeldClient();
    function* endless() {
      for (let i = 0; ; i++) yield `${i}`;
    }
    const seen: number[] = [];
    const done = (async () => {
      for await (const { index } of batch.stream(client, endless(), { concurrency: 2 })) {
        seen.push(index);
        if (index === 10) break;
      }
    })();
    while (seen.at(-1) !== 10) {
      client.calls.shift()?.end();
      await settled();
    }
    await done;
    expect(seen).toEqual(numbers(11).map(Number));
  });

  test("opens the source at once, because a readline interface drops lines until it is iterated", async () => {
    let opened = 0;
    const source = {
      [Symbol.iterator]() {
        opened++;
        return numbers(1).values();
      },
    };
    const responses = batch(new HeldClient(), source);
    void responses.catch(() => {});
    expect(opened).toBe(1);
    const next = batch.stream(new HeldClient(), source)[Symbol.asyncIterator]().next();
    void next.catch(() => {});
    expect(opened).toBe(2);
  });

  test("closes the source if its arguments are invalid", async () => {
    const closed: string[] = [];
    const source = {
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.reject(new Error("it must not be read")),
        return: async () => {
          closed.push("closed");
          return { done: true as const, value: "" };
        },
      }),
    };
    await errorOf(collect(batch.stream(new HeldClient(), source, { concurrency: 0 })));
    await errorOf(batch(new HeldClient(), source, { signal: AbortSignal.abort(new Error("enough")) }));
    expect(closed).toEqual(["closed", "closed"]);
  });

  test("returns an error as the result of its request, and continues", async () => {
    const client = new HeldClient();
    const done = collect(batch.stream(client, ["a", 5, "c"] as string[]));
    await settled();
    const error = new Error("no");
    client.calls[0]?.fail(error);
    client.calls[1]?.end();
    const items = await done;
    expect(items.map(({ index }) => index).sort()).toEqual([0, 1, 2]);
    expect(items.find(({ index }) => index === 0)?.error).toBe(error);
    expect(items.find(({ index }) => index === 1)?.error?.message).toMatch(/predict accepts text.*not 5$/);
    expect(String(items.find(({ index }) => index === 2)?.answer)).toBe("c");
  });

  test('throws the first error with onError: "stop", after the results before it', async () => {
    const client = new HeldClient();
    const source = counted(numbers(9));
    const seen = read(batch.stream(client, source, { onError: "stop", concurrency: 3 }));
    await settled();
    const error = new Error("no");
    client.calls[1]?.end();
    client.calls[0]?.fail(error);
    await settled();
    expect(seen.indexes).toEqual([1]);
    expect(seen.error).toBe(error);
    expect(client.calls.slice(2).every(({ signal }) => signal.aborted)).toBe(true);
    expect(source.seen.closed).toBe(1);
  });
});

describe("leaving the loop of batch.stream", () => {
  const ways: [string, (client: HeldClient, items: AsyncIterable<unknown>) => Promise<unknown>][] = [
    [
      "with break",
      async (_, items) => {
        for await (const _ of items) break;
      },
    ],
    [
      "with an error",
      async (_, items) => {
        const error = new Error("mine");
        const loop = async () => {
          for await (const _ of items) throw error;
        };
        expect(await errorOf(loop())).toBe(error);
      },
    ],
  ];
  test.each(ways)("%s ends the requests in flight and closes the source", async (_, leave) => {
    const client = new HeldClient();
    const source = counted(numbers(10));
    const left = leave(client, batch.stream(client, source, { concurrency: 3 }));
    await settled();
    client.calls[0]?.end();
    await left;
    expect(client.calls.slice(1).every(({ signal }) => signal.aborted)).toBe(true);
    const { asked } = source.seen;
    await settled();
    expect(source.seen).toEqual({ asked, closed: 1 });
  });

  test("with the signal throws its reason at once, although results wait", async () => {
    const client = new HeldClient();
    const controller = new AbortController();
    const reason = new Error("enough");
    const items = batch.stream(client, numbers(9), { signal: controller.signal })[Symbol.asyncIterator]();
    const first = items.next();
    await settled();
    client.calls[0]?.end();
    client.calls[1]?.end();
    await first;
    controller.abort(reason);
    expect(await errorOf(items.next())).toBe(reason);
    expect(client.calls.slice(2).every(({ signal }) => signal.reason === reason)).toBe(true);
  });

  test("with the signal throws its reason, even if all requests are complete", async () => {
    const client = new HeldClient();
    const controller = new AbortController();
    const reason = new Error("enough");
    const items = batch.stream(client, numbers(3), { signal: controller.signal })[Symbol.asyncIterator]();
    const first = items.next();
    await settled();
    for (const { end } of client.calls) end();
    await first;
    await settled();
    controller.abort(reason);
    expect(await errorOf(items.next())).toBe(reason);
  });

  test("before it starts sends nothing", async () => {
    const client = new HeldClient();
    const source = counted(numbers(3));
    await batch.stream(client, source)[Symbol.asyncIterator]().return();
    expect([client.calls.length, source.seen]).toEqual([0, { asked: 0, closed: 0 }]);
  });
});

describe("onResult of batch", () => {
  test("receives each result as it arrives, one at a time", async () => {
    const client = new HeldClient();
    const seen: number[] = [];
    let release = () => {};
    const onResult = async ({ index }: BatchItem<unknown>) => {
      seen.push(index);
      await new Promise<void>((resolve) => {
        release = resolve;
      });
    };
    const done = batch(client, numbers(3), { onResult });
    await settled();
    client.calls[2]?.end();
    client.calls[0]?.end();
    await settled();
    expect(seen).toEqual([2]);
    release();
    await settled();
    expect(seen).toEqual([2, 0]);
    client.calls[1]?.end();
    for (let i = 0; i < 2; i++) {
      release();
      await settled();
    }
    expect((await done).map(String)).toEqual(numbers(3));
    expect(seen).toEqual([2, 0, 1]);
  });

  test("receives errors too", async () => {
    const seen: BatchItem<unknown>[] = [];
    const requests = ["a", 1] as string[];
    const client = new HeldClient();
    const done = batch(client, requests, { onError: "collect", onResult: (item) => void seen.push(item) });
    await settled();
    client.calls[0]?.end();
    expect((await done).map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    expect(seen.map(({ index, error }) => [index, error?.name])).toEqual([
      [1, "TypeError"],
      [0, undefined],
    ]);
  });

  test.each<[string, (error: Error) => BatchOptions["onResult"]]>([
    [
      "throws",
      (error) => () => {
        throw error;
      },
    ],
    ["rejects", (error) => () => Promise.reject(error)],
  ])("ends the batch if it %s", async (_, make) => {
    const client = new HeldClient();
    const error = new Error("the database is gone");
    const source = counted(numbers(9));
    const done = batch(client, source, { concurrency: 2, onResult: make(error) });
    await settled();
    client.calls[0]?.end();
    expect(await errorOf(done)).toBe(error);
    expect(client.calls.slice(1).every(({ signal }) => signal.aborted)).toBe(true);
    expect(source.seen.closed).toBe(1);
  });

  test("does not delay an abort, even if it never resolves", async () => {
    const client = new HeldClient();
    const controller = new AbortController();
    const done = batch(client, numbers(3), { onResult: () => new Promise(() => {}), signal: controller.signal });
    await settled();
    client.calls[0]?.end();
    await settled();
    const reason = new Error("enough");
    controller.abort(reason);
    expect(await errorOf(done)).toBe(reason);
  });
});

describe("batch.stream refuses", () => {
  test.each<[unknown, Record<string, unknown>, RegExp]>([
    ["text", {}, /batch takes an array, an iterable or an async iterable of requests, not "text"/],
    [["x"], { concurrency: 0 }, /concurrency is 0: it must be an integer of at least 1/],
    [["x"], { concurrency: "max" }, /concurrency is "max": it must be an integer of at least 1, or "auto"/],
    [["x"], { concurrency: null }, /concurrency is null/],
    [["x"], { ordered: 1 }, /ordered is 1: it must be true or false/],
    [["x"], { onCheckpoint: {} }, /onCheckpoint is a plain object: it must be a function/],
    [["x"], { checkpointEvery: 0 }, /checkpointEvery is 0/],
    [["x"], { inputId: 7 }, /inputId is 7: it must be text/],
    [["x"], { onError: "ignore" }, /onError is "ignore": it must be "stop" or "collect"/],
    [["x"], { onResult: () => {} }, /batch.stream: unknown option "onResult"/],
    [["x"], { order: true }, /batch.stream: unknown option "order"; did you mean ordered\?/],
  ])("%o %o", async (requests, options, message) => {
    const client = new HeldClient();
    const error = await errorOf(collect(batch.stream(client, requests as string[], options as BatchStreamOptions)));
    expect(error.message).toMatch(message);
    expect(error.code).toMatch(/^ERR_EAS_ARG_/);
    expect(client.calls).toHaveLength(0);
  });
});
