import { afterEach, describe, expect, test, vi } from "vitest";
import type { FrameHandler, HandlerContext, PutOptions, PutResult } from "../../../../src/index.js";
import { until } from "../../../support/calls.js";
import { delays, open, start, turns } from "../../../support/workers.js";

afterEach(() => {
  vi.restoreAllMocks();
});

const STORED: PutResult = { index: 1n, requestId: "r", toJSON: () => ({ index: "1" }) };

describe("the context of a handler", () => {
  test("counts the deliveries of an item to this worker, and no others", async () => {
    delays(0);
    const { input, client } = open({ maxDeliveries: Number.POSITIVE_INFINITY });
    input.put("bad");
    input.put("good");
    const seen: [string, number, number][] = [];
    start(client(), (frame, { attempt, delivery }) => {
      seen.push([frame.text(), attempt, delivery]);
      if (frame.text() === "bad" && delivery < 3) throw new Error("bad");
    });
    await until(() => input.length === 0);
    expect(seen.filter(([text]) => text === "bad")).toEqual([
      ["bad", 1, 1],
      ["bad", 2, 2],
      ["bad", 3, 3],
    ]);
    expect(seen.filter(([text]) => text === "good")).toEqual([["good", 1, 1]]);
  });

  test("counts only its own deliveries when another worker of the group failed before", async () => {
    delays(0);
    const { input, client } = open();
    input.put("a");
    const first = start(client(), () => {
      throw new Error("bad");
    });
    await until(() => input.negatives.length === 1);
    first.stop();
    await first.done;
    const failed = input.negatives.length;
    const seen: HandlerContext[] = [];
    start(client(), (_, context) => void seen.push(context));
    await until(() => input.length === 0);
    expect(failed).toBeGreaterThan(0);
    expect(seen).toMatchObject([{ attempt: 1, delivery: 1 }]);
  });

  test.each([
    ["4", 4],
    ["0", 1],
    ["-2", 1],
    ["1e9", 1],
    ["99999999999999999999", 1],
    ["", 1],
  ])("takes the attempt from the tag easAttempt: %j is %i", async (easAttempt, attempt) => {
    const { input, client } = open();
    input.put("a", { tags: { easAttempt } });
    const seen: HandlerContext[] = [];
    start(client(), (_, context) => void seen.push(context));
    await until(() => input.length === 0);
    expect(seen).toMatchObject([{ attempt, delivery: 1 }]);
  });

  test("has a signal that does not fire while the worker runs and after it has stopped in time", async () => {
    const { input, client } = open();
    input.put("a");
    const signals: AbortSignal[] = [];
    const { stop, done } = start(client(), (_, { signal }) => void signals.push(signal), { drainTimeout: 60_000 });
    await until(() => input.length === 0);
    stop();
    await done;
    expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
  });
});

describe("replies", () => {
  test("are stored with the request id and the tags of the item before the item is committed", async () => {
    const { emulator, input, sink, client } = open();
    const seen = () => emulator.requests.filter(({ method, url }) => method !== "GET" && !url.includes("_attrs_"));
    input.put("abc", { tags: { task: "7", easAttempt: "2", requestId: "id-1" } });
    start(
      client(),
      async (frame, { reply }) => void (await reply(frame.text().toUpperCase(), { tags: { done: "1" } })),
      {
        sink: client({ queueName: "q/sink" }),
      },
    );
    await until(() => input.length === 0);
    expect(sink.items.map(({ tags, data }) => [tags, new TextDecoder().decode(data)])).toEqual([
      [{ task: "7", done: "1", requestId: "id-1" }, "ABC"],
    ]);
    expect(seen().map(({ method }) => method)).toEqual(["POST", "PUT"]);
  });

  test("are awaited before the commit even if the handler does not await them", async () => {
    const { input, client } = open();
    input.put("a");
    const stored: (() => void)[] = [];
    const put = () => new Promise<PutResult>((resolve) => stored.push(() => resolve(STORED)));
    start(
      client(),
      (_, { reply }) => {
        void reply("one");
        void reply("two");
      },
      { sink: { put } },
    );
    await until(() => stored.length === 2);
    stored[0]?.();
    await turns();
    expect(input.commits).toEqual([]);
    stored[1]?.();
    await until(() => input.length === 0);
  });

  test.each<[string, FrameHandler]>([
    ["not awaited", (_, { reply }) => void reply("r")],
    ["awaited", async (_, { reply }) => void (await reply("r"))],
    ["caught by the handler", async (_, { reply }) => void (await reply("r").catch(() => {}))],
  ])("that fail make the handler fail, so that the item is not lost: %s", async (_, handler) => {
    const asked = delays(1_000_000);
    const { input, client, warnings } = open();
    const index = input.put("a");
    let failing = true;
    const sink = {
      put: async () => {
        if (failing) throw new Error("the sink is full");
        return STORED;
      },
    };
    const { worker } = start(client(), handler, { sink });
    await until(() => asked.length === 1);
    expect(input.commits).toEqual([]);
    expect(worker.stats).toMatchObject({ handled: 0, failed: 1, lastError: new Error("the sink is full") });
    expect(warnings).toEqual([expect.stringMatching(`item ${index} .*the sink is full`)]);
    failing = false;
  });

  test("are put again with the same id, at most twice, if the sink may have stored them", async () => {
    delays(0);
    const { input, client } = open();
    input.put("a", { tags: { requestId: "id-1" } });
    const ids: unknown[] = [];
    let handled = 0;
    const put = async (_data: unknown, options?: PutOptions) => {
      ids.push(options?.requestId);
      if (ids.length < 5) throw Object.assign(new Error("reset"), { maybeAccepted: true });
      return STORED;
    };
    start(
      client(),
      async (_, { reply }) => {
        handled++;
        await reply("r");
      },
      { sink: { put } },
    );
    await until(() => input.length === 0);
    // The first run of the handler fails after three puts. The second run succeeds with its second put.
    expect(handled).toBe(2);
    expect(ids).toEqual(Array(5).fill("id-1"));
  });

  test("throw a TypeError without a sink", async () => {
    delays(1_000_000);
    const { input, client } = open();
    input.put("a");
    const errors: unknown[] = [];
    const { worker } = start(client(), (_, { reply }) => {
      try {
        void reply("r");
      } catch (error) {
        errors.push(error);
      }
    });
    await until(() => input.length === 0);
    expect(errors).toMatchObject([{ name: "TypeError", code: "ERR_EAS_ARG_WATCH" }]);
    expect(worker.stats.handled).toBe(1);
  });

  test("reach the job that waits for the result of an asynchronous service", async () => {
    const { emulator, input, client } = open();
    const { AsyncInferenceClient } = await import("../../../../src/index.js");
    const jobs = new AsyncInferenceClient({
      endpoint: "http://emulator",
      serviceName: "q",
      token: "t",
      transport: emulator.transport,
      logger: null,
    });
    start(client(), async (frame, { reply }) => void (await reply(`${frame.text()}!`)), {
      sink: client({ queueName: "q/sink" }),
    });
    const job = await jobs.submit("hello");
    expect((await job.result({ timeout: 60_000 })).text()).toBe("hello!");
    await until(() => input.length === 0);
    await jobs.close();
  });
});

describe("log lines and reasons", () => {
  test("contain neither the token nor the data of the item", async () => {
    delays(0);
    const { input, client, warnings } = open({ token: "secret-token-1" });
    input.put("classified {");
    let runs = 0;
    start(client({ token: "secret-token-1" }), (frame) => {
      if (++runs === 1) JSON.parse(frame.text());
      if (runs === 2) throw new Error("called with secret-token-1");
    });
    await until(() => input.length === 0);
    const texts = [...warnings, ...input.negatives.map(({ reason }) => reason)].join("\n");
    expect(texts).toContain("SyntaxError: the text is not valid JSON");
    expect(texts).toContain("called with ***");
    expect(texts).not.toMatch(/classified|secret-token-1/);
    await turns();
  });
});
