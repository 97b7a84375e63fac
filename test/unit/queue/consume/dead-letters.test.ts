import { afterEach, describe, expect, test, vi } from "vitest";
import type { DeadLetter, FailureAction } from "../../../../src/index.js";
import { until } from "../../../support/calls.js";
import { byHand, delays, open, start, turns } from "../../../support/workers.js";

afterEach(() => {
  vi.restoreAllMocks();
});

const bad = () => {
  throw new TypeError("no such model");
};

describe("maxAttempts", () => {
  test("gives a poison message to the dead-letter queue after exactly that many attempts over all workers", async () => {
    delays(0);
    // A limit of 1 in the service would drop an item at its first negative.
    const { input, dead, client, warnings } = open({ maxDeliveries: 1 });
    input.put("poison", { tags: { task: "7", requestId: "id-1" } });
    for (let i = 0; i < 20; i++) input.put(`${i}`);
    const attempts: number[] = [];
    const handled: string[] = [];
    const workers = Array.from({ length: 3 }, () =>
      start(
        client(),
        (frame, { attempt }) => {
          if (frame.text() !== "poison") return void handled.push(frame.text());
          attempts.push(attempt);
          return bad();
        },
        { maxAttempts: 4, deadLetter: client({ queueName: "dead" }) },
      ),
    );
    await until(() => input.length === 0);
    expect(attempts).toEqual([1, 2, 3, 4]);
    expect(handled).toHaveLength(20);
    expect(dead.items.map(({ tags, data }) => [tags, new TextDecoder().decode(data)])).toEqual([
      [{ task: "7", easAttempt: "4", easReason: "TypeError: no such model", requestId: "id-1" }, "poison"],
    ]);
    expect(input.negatives).toEqual([]);
    expect(workers.reduce((sum, { worker }) => sum + worker.stats.deadLettered, 0)).toBe(1);
    expect(warnings.filter((text) => text.includes("it is put into the queue again"))).toHaveLength(3);
    expect(warnings.filter((text) => text.includes("it is given to deadLetter"))).toHaveLength(1);
  });

  test("puts the item into the dead-letter queue before it commits the item", async () => {
    const { emulator, input, client } = open();
    input.put("poison");
    start(client(), bad, { maxAttempts: 1, deadLetter: client({ queueName: "dead" }) });
    await until(() => input.length === 0);
    const sent = emulator.requests
      .filter(({ method }) => method !== "GET")
      .map(({ method, url }) => [method, url.split("?")[0]]);
    expect(sent).toEqual([
      ["POST", "/api/predict/dead"],
      ["PUT", "/api/predict/q"],
    ]);
  });

  test("also limits the attempts of items that onError returns with a negative", async () => {
    delays(0);
    const { input, dead, client } = open();
    input.put("poison");
    let runs = 0;
    start(
      client(),
      () => {
        runs++;
        return bad();
      },
      { maxAttempts: 3, deadLetter: client({ queueName: "dead" }), onError: () => "negative" },
    );
    await until(() => dead.length === 1 && input.length === 0);
    expect(runs).toBe(3);
    expect(input.negatives).toHaveLength(2);
  });

  test("does not skip the next attempt of an item as a repetition", async () => {
    delays(0);
    const { input, dead, client } = open();
    input.put("poison", { tags: { requestId: "id-1" } });
    input.put("poison", { tags: { requestId: "id-1" } });
    const attempts: number[] = [];
    start(
      client(),
      (_, { attempt }) => {
        attempts.push(attempt);
        return bad();
      },
      { maxAttempts: 3, deadLetter: client({ queueName: "dead" }), skipRepeated: true },
    );
    await until(() => dead.length === 1 && input.length === 0);
    await turns();
    expect(attempts).toEqual([1, 2, 3]);
  });
});

describe("deadLetter", () => {
  test("accepts a function, which receives the item, the error, the reason and the attempt", async () => {
    const { input, client } = open();
    input.put("poison");
    const letters: (DeadLetter & { readonly length: number })[] = [];
    start(client(), bad, {
      maxAttempts: 1,
      deadLetter: async (letter) => void letters.push({ ...letter, length: input.length }),
    });
    await until(() => input.length === 0);
    expect(letters).toMatchObject([{ reason: "TypeError: no such model", attempt: 1, length: 1 }]);
    expect(letters[0]?.frame.text()).toBe("poison");
    expect(letters[0]?.error).toBeInstanceOf(TypeError);
  });

  test.each<[string, unknown, string]>([
    ["null", null, "null"],
    ["undefined", undefined, "undefined"],
    ["a string", "text", "text"],
    ["an object without a text form", Object.create(null), "an object that has no text form"],
    ["half of a surrogate pair", new Error(`\ud83d`), "Error: \ufffd"],
    ["a long message", new Error("字".repeat(5000)), `Error: ${"字".repeat(193)}`],
  ])("stores a reason for a handler that throws %s", async (_, thrown, reason) => {
    const { input, dead, client } = open();
    input.put("poison");
    start(client(), () => Promise.reject(thrown), { maxAttempts: 1, deadLetter: client({ queueName: "dead" }) });
    await until(() => input.length === 0);
    expect(dead.items).toMatchObject([{ tags: { easReason: reason } }]);
  });

  test("keeps the item until it can be stored, without running the handler again", async () => {
    const asked = delays(0);
    const { input, client, warnings } = open();
    const index = input.put("poison");
    let puts = 0;
    let runs = 0;
    const deadLetter = () => {
      expect(input.length).toBe(1);
      if (++puts <= 3) throw new Error("the dead-letter queue is down");
    };
    const { worker } = start(
      client(),
      () => {
        runs++;
        return bad();
      },
      { maxAttempts: 1, deadLetter },
    );
    await until(() => input.length === 0);
    expect([runs, puts]).toEqual([1, 4]);
    expect(asked).toEqual([100, 200, 400]);
    expect(worker.stats.deadLettered).toBe(1);
    expect(
      warnings.filter((text) => text.includes(`item ${index} `) && text.includes("stays in the queue")),
    ).toHaveLength(3);
  });

  test("releases the item if the worker is stopped before it can be stored", async () => {
    const asked = delays(1_000_000);
    const { input, client } = open();
    input.put("poison");
    const { stop, done, worker } = start(client(), bad, {
      maxAttempts: 1,
      deadLetter: () => Promise.reject(new Error("down")),
    });
    await until(() => asked.length === 1);
    stop();
    await done;
    expect([input.length, input.commits.length, input.negatives.length]).toEqual([1, 0, 0]);
    expect([...input.pending.values()].flat()).toEqual([]);
    expect(worker.stats.deadLettered).toBe(0);
  });

  test("does not keep the worker from stopping when the function hangs and drainTimeout has passed", async () => {
    const { input, client } = open();
    input.put("poison");
    let called = false;
    const { stop, done } = start(client(), bad, {
      maxAttempts: 1,
      drainTimeout: 1,
      deadLetter: () => {
        called = true;
        return new Promise(() => {});
      },
    });
    await until(() => called);
    stop();
    await done;
    expect(input.length).toBe(1);
  });

  test("receives an item at once when onError returns dead-letter", async () => {
    const { input, dead, client, warnings } = open();
    input.put("poison");
    const seen: unknown[] = [];
    start(client(), bad, {
      deadLetter: client({ queueName: "dead" }),
      onError: (_error, _frame, { attempt }) => {
        seen.push(attempt);
        return "dead-letter";
      },
    });
    await until(() => input.length === 0);
    expect(dead.length).toBe(1);
    expect(seen).toEqual([1]);
    expect(warnings).toEqual([]);
  });

  test("must be set when onError returns dead-letter: the item is released otherwise", async () => {
    delays(0);
    const { input, client, warnings } = open();
    input.put("poison");
    let runs = 0;
    start(
      client(),
      () => {
        if (++runs === 1) bad();
      },
      { onError: () => "dead-letter" },
    );
    await until(() => input.length === 0);
    expect(warnings).toEqual([expect.stringContaining("it needs the deadLetter option")]);
  });
});

describe("requeue", () => {
  test("keeps the data, the tags and the request id, and puts the copy before the commit", async () => {
    delays(0);
    const { emulator, input, client } = open();
    input.put("a", { tags: { task: "7", requestId: "id-1" } });
    input.put("b");
    const seen: [string, unknown][] = [];
    start(
      client(),
      (frame, { attempt }) => {
        seen.push([frame.text(), { ...frame.tags }]);
        if (frame.text() === "a" && attempt === 1) bad();
      },
      { onError: () => "requeue" },
    );
    await until(() => input.length === 0);
    expect(seen.map(([text]) => text)).toEqual(["a", "b", "a"]);
    expect(seen[2]?.[1]).toEqual({ task: "7", requestId: "id-1", easAttempt: "2" });
    const sent = emulator.requests.filter(({ method }) => method !== "GET").map(({ method }) => method);
    expect(sent.slice(0, 2)).toEqual(["POST", "PUT"]);
  });

  test("releases the item on stop if the queue is full", async () => {
    const asked = delays(1_000_000);
    const { input, client } = open({ maxLength: 1 });
    input.put("a");
    const { runs, handler } = byHand();
    const { stop, done } = start(client({ retryCount: 0 }), handler, { onError: (): FailureAction => "requeue" });
    await until(() => runs.length === 1);
    runs[0]?.fail(new Error("bad"));
    await until(() => asked.length === 1);
    stop();
    await done;
    expect([input.length, input.commits.length]).toEqual([1, 0]);
  });
});
