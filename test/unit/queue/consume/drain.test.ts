import { afterEach, describe, expect, test, vi } from "vitest";
import type { FailureAction, HandlerContext } from "../../../../src/index.js";
import { errorOf, until } from "../../../support/calls.js";
import { byHand, open, start, turns } from "../../../support/workers.js";

afterEach(() => {
  vi.restoreAllMocks();
});

const never = () => new Promise<void>(() => {});

describe("drainTimeout", () => {
  test("lets a running handler finish, and commits its item", async () => {
    const { input, client } = open();
    input.put("a");
    const { runs, handler } = byHand();
    const { stop, done, watched } = start(client(), handler, { drainTimeout: 60_000 });
    await until(() => runs.length === 1);
    stop();
    await turns();
    expect(watched.state).toBe("pending");
    runs[0]?.done();
    await done;
    expect(input.length).toBe(0);
  });

  test("releases the item of a handler that never resolves, so that another worker gets it without a negative", async () => {
    const { input, client } = open();
    const index = input.put("a");
    const contexts: HandlerContext[] = [];
    const { stop, done, worker } = start(
      client(),
      (_, context) => {
        contexts.push(context);
        void context.signal;
        return never();
      },
      { drainTimeout: 1 },
    );
    await until(() => contexts.length === 1);
    stop();
    await done;
    expect(contexts[0]?.signal.aborted).toBe(true);
    expect(contexts[0]?.signal.reason).toMatchObject({ name: "AbortError" });
    expect(input.negatives).toEqual([]);
    expect(input.commits).toEqual([]);
    expect([...input.pending.values()].flat()).toEqual([]);
    expect(worker.stats).toMatchObject({ inWork: 0, handled: 0, failed: 0 });
    const other: bigint[] = [];
    start(client(), ({ index: next }) => void other.push(next));
    await until(() => input.length === 0);
    expect(other).toEqual([index]);
  });

  test("fires the signal before the item is released, and a handler that then returns at once still commits it", async () => {
    const { input, client } = open();
    input.put("a");
    let running = false;
    const { stop, done } = start(
      client(),
      (_, { signal }) =>
        new Promise<void>((resolve) => {
          running = true;
          signal.addEventListener("abort", () => resolve());
        }),
      { drainTimeout: 1 },
    );
    await until(() => running);
    stop();
    await done;
    expect(input.length).toBe(0);
    expect(input.negatives).toEqual([]);
  });

  test("does not count a handler that fails because of its signal as a failed attempt", async () => {
    const { input, client, warnings } = open();
    input.put("a");
    let running = false;
    const onError = vi.fn();
    const { stop, done, worker } = start(
      client(),
      (_, { signal }) =>
        new Promise<void>((_resolve, reject) => {
          running = true;
          signal.addEventListener("abort", () => reject(signal.reason));
        }),
      { drainTimeout: 1, onError },
    );
    await until(() => running);
    stop();
    await done;
    expect(onError).not.toHaveBeenCalled();
    expect(input.negatives).toEqual([]);
    expect(input.length).toBe(1);
    expect(worker.stats.failed).toBe(0);
    expect(warnings).toEqual([]);
  });

  test("neither commits nor replies for a handler that ends after its item was released", async () => {
    const { input, sink, client } = open();
    input.put("a");
    let running = false;
    let end!: () => void;
    const replies: unknown[] = [];
    const { stop, done } = start(
      client(),
      async (_, { reply }) => {
        running = true;
        await new Promise<void>((resolve) => {
          end = resolve;
        });
        replies.push(await errorOf(reply("late")));
      },
      { drainTimeout: 0, sink: client({ queueName: "q/sink" }) },
    );
    await until(() => running);
    stop();
    await done;
    end();
    await until(() => replies.length === 1);
    await turns();
    expect(replies).toMatchObject([{ name: "AbortError" }]);
    expect([input.length, sink.length, input.commits.length, input.negatives.length]).toEqual([1, 0, 0, 0]);
  });

  test.each(["commit", "negative", "requeue", "dead-letter"] as const)(
    "ignores an onError that returns %s after the item was released",
    async (action) => {
      const { input, client } = open();
      input.put("a");
      const deadLetter = vi.fn();
      let decide: ((action: FailureAction) => void) | undefined;
      const { stop, done } = start(client(), () => Promise.reject(new Error("bad")), {
        drainTimeout: 0,
        deadLetter,
        onError: () =>
          new Promise((resolve) => {
            decide = resolve;
          }),
      });
      await until(() => decide !== undefined);
      stop();
      await done;
      decide?.(action);
      await turns();
      expect([input.length, input.commits.length, input.negatives.length]).toEqual([1, 0, 0]);
      expect(deadLetter).not.toHaveBeenCalled();
    },
  );

  test("also ends a worker whose connection has ended while all handlers hang", async () => {
    const { emulator, input, client } = open();
    input.put("a");
    let running = false;
    const { done } = start(
      client(),
      () => {
        running = true;
        return never();
      },
      { drainTimeout: 1, reconnect: false },
    );
    await until(() => running);
    emulator.cutConnections();
    await done.catch(() => {});
    await until(() => [...input.pending.values()].flat().length === 0);
    expect(input.length).toBe(1);
  });

  test("also ends a worker whose client is closed while its handler hangs", async () => {
    const { input, client } = open();
    input.put("a");
    let running = false;
    const queue = client();
    const { done } = start(
      queue,
      () => {
        running = true;
        return never();
      },
      { drainTimeout: 1 },
    );
    await until(() => running);
    await queue.close();
    await done;
    expect(input.length).toBe(1);
  });

  test("waits for the handlers without a limit by default", async () => {
    const { input, client } = open();
    input.put("a");
    const { runs, handler } = byHand();
    const { stop, watched, done } = start(client(), handler);
    await until(() => runs.length === 1);
    stop();
    await turns(100);
    expect(watched.state).toBe("pending");
    runs[0]?.done();
    await done;
  });
});
