import { describe, expect, test } from "vitest";
import {
  ENDPOINT_TYPE_DIRECT,
  PredictClient,
  type PredictClientOptions,
  QueueClient,
  TransportError,
  type TransportRequest,
  type TransportResponse,
} from "../../../src/index.js";
import {
  errorOf,
  RecordingTransport,
  thrownBy,
  transportAnswer,
  turn,
  until,
  watch,
  withTimeouts,
} from "../../support/calls.js";
import { directClientOf, movableClock, startInstances } from "../../support/direct.js";

/** A request that waits for the test's answer. */
interface Held {
  readonly request: TransportRequest;
  answer(response: TransportResponse): void;
  fail(error: Error): void;
}

/** A client of instances in a memory, whose requests the test answers. */
function heldClientOf(count: number, options: PredictClientOptions = {}) {
  const held: Held[] = [];
  const transport = new RecordingTransport(
    (request) =>
      new Promise((resolve, reject) => {
        held.push({ request, answer: resolve, fail: reject });
      }),
  );
  const instances = Array.from({ length: count }, (_, i) => ({ host: `host-${i}`, port: 1 }));
  const client = directClientOf(
    { endpoint: "" },
    { transport, endpointSource: () => instances, hedgeAfter: 1, retryCount: 0, ...options },
  );
  const sent = async (count: number): Promise<Held[]> => {
    await until(() => held.length >= count);
    return held;
  };
  return { client, held, sent };
}

const ok = (text: string) => transportAnswer(200, {}, text);
/** Time in which a second attempt would have been sent. */
const longEnough = () => new Promise((resolve) => setTimeout(resolve, 30));

describe("a call that is not answered for a while", () => {
  test("is sent to a second instance, whose answer counts; the first attempt is aborted", async () => {
    const { client, sent } = heldClientOf(3);
    const call = client.predictDetailed("body");
    const [first, second] = (await sent(2)) as [Held, Held];
    expect(second.request.origin).not.toBe(first.request.origin);
    expect(second.request.body).toEqual(first.request.body);
    second.answer(ok("second"));
    const { response, endpoint, attempts } = await call;
    expect([String(response), endpoint, attempts]).toEqual(["second", second.request.origin, 2]);
    expect([first.request.signal.aborted, second.request.signal.aborted]).toEqual([true, false]);
  });

  test("takes the first one's answer, when that comes first", async () => {
    const { client, sent } = heldClientOf(2);
    const call = client.predictDetailed("x");
    const [first, second] = (await sent(2)) as [Held, Held];
    first.answer(ok("first"));
    expect(String((await call).response)).toBe("first");
    expect(second.request.signal.aborted).toBe(true);
  });

  test("is sent a second time, and not a third", async () => {
    const { client, sent, held } = heldClientOf(5);
    const call = client.predict("x");
    await sent(2);
    await longEnough();
    expect(held).toHaveLength(2);
    held[0]?.answer(ok("first"));
    await call;
  });

  test("over real sockets", async () => {
    const emulator = await startInstances(2);
    const client = directClientOf(emulator, { hedgeAfter: 20, timeout: 30_000 });
    await client.predict("x");
    for (const instance of emulator.instances) instance.clearFaults();
    const [slow] = emulator.instances;
    slow?.fault({ stall: "before-headers", times: Number.POSITIVE_INFINITY });
    for (let i = 0; i < 6; i++) {
      const { response, endpoint } = await client.predictDetailed(`call ${i}`);
      expect(String(response)).toBe(`call ${i}`);
      expect(endpoint).not.toBe(slow?.origin);
    }
  });

  test("with a compressed body, which is made once", async () => {
    let made = 0;
    const compression = {
      name: "own",
      contentCodings: ["own"],
      compress: async (bytes: Uint8Array) => {
        made++;
        return new Uint8Array(bytes);
      },
      decompress: async (bytes: Uint8Array) => new Uint8Array(bytes),
    };
    const { client, sent } = heldClientOf(2, { compression: compression as never });
    const call = client.predict("x");
    (await sent(2))[1]?.answer(ok("second"));
    await call;
    expect(made).toBe(1);
  });
});

describe("no second attempt", () => {
  test("when the answer comes in time", async () => {
    const { client, sent, held } = heldClientOf(2, { hedgeAfter: 60_000 });
    const call = client.predict("x");
    (await sent(1))[0]?.answer(ok("first"));
    await call;
    await longEnough();
    expect(held).toHaveLength(1);
  });

  test("where there is one instance", async () => {
    const { client, sent, held } = heldClientOf(1);
    const call = client.predict("x");
    await sent(1);
    await longEnough();
    expect(held).toHaveLength(1);
    held[0]?.answer(ok("first"));
    expect(String(await call)).toBe("first");
  });

  test("where the others are ejected", async () => {
    const { client, sent, held } = heldClientOf(2, { hedgeAfter: 60_000 });
    for (let i = 0; i < 10; i++) {
      const call = client.predict("x").catch(() => {});
      const { request, answer } = (await sent(i + 1))[i] as Held;
      answer(request.origin === "http://host-0:1" ? transportAnswer(503) : ok("well"));
      await call;
    }
    const before = held.length;
    const call = directCall(client);
    await sent(before + 1);
    await longEnough();
    expect(held).toHaveLength(before + 1);
    held[before]?.answer(ok("first"));
    await call;
  });

  test("for more than a tenth of the calls, and ten at first", async () => {
    const { client, held } = heldClientOf(2);
    const calls = Array.from({ length: 100 }, () => watch(client.predict("x")));
    await until(() => held.length >= 100);
    await longEnough();
    const most = 100 + 10 + 100 * 0.1 + 2;
    expect(held.length).toBeGreaterThan(105);
    expect(held.length).toBeLessThanOrEqual(most);
    for (const { answer } of held) answer(ok("x"));
    await until(() => calls.every(({ state }) => state === "resolved"));
  });
});

/** A call whose second attempt is wanted at once. */
const directCall = (client: PredictClient) => client.predict("x");

describe("one of the two fails", () => {
  test.each<[string, (held: Held) => void]>([
    ["breaks", ({ fail }) => fail(new TransportError("reset", { sent: "maybe" }))],
    ["is refused", ({ answer }) => answer(transportAnswer(503))],
    ["gets 400", ({ answer }) => answer(transportAnswer(400))],
  ])("the second %s: the first one's answer counts", async (_, failing) => {
    const { client, sent } = heldClientOf(2);
    const call = client.predict("x");
    const [first, second] = (await sent(2)) as [Held, Held];
    failing(second);
    await turn();
    first.answer(ok("first"));
    expect(String(await call)).toBe("first");
  });

  test.each<[string, (held: Held) => void]>([
    ["breaks", ({ fail }) => fail(new TransportError("reset", { sent: "maybe" }))],
    ["is refused", ({ answer }) => answer(transportAnswer(503))],
  ])("the first %s: the second one's answer counts", async (_, failing) => {
    const { client, sent } = heldClientOf(2);
    const call = client.predict("x");
    const [first, second] = (await sent(2)) as [Held, Held];
    failing(first);
    await turn();
    second.answer(ok("second"));
    expect(String(await call)).toBe("second");
  });

  test("both: the first one's error", async () => {
    const { client, sent } = heldClientOf(2);
    const call = errorOf(client.predict("x"));
    const [first, second] = (await sent(2)) as [Held, Held];
    first.answer(transportAnswer(503, {}, "one"));
    await turn();
    second.answer(transportAnswer(400, {}, "two"));
    expect(await call).toMatchObject({ code: "ERR_EAS_HTTP", status: 503 });
  });

  test("the first with what no retry helps: that is the answer, and the second attempt is aborted", async () => {
    const { client, sent } = heldClientOf(2);
    const call = errorOf(client.predict("x"));
    const [first, second] = (await sent(2)) as [Held, Held];
    first.answer(transportAnswer(400));
    expect(await call).toMatchObject({ status: 400 });
    expect(second.request.signal.aborted).toBe(true);
  });

  test("the first is retried as ever, at none of the instances that were tried", async () => {
    const { client, sent } = heldClientOf(3, { retryCount: 1 });
    const call = client.predict("x");
    const [first] = (await sent(2)) as [Held, Held];
    first.fail(new TransportError("reset", { sent: "maybe" }));
    const all = await sent(3);
    expect(new Set(all.map(({ request }) => request.origin)).size).toBe(3);
    all[2]?.answer(ok("third"));
    expect(String(await call)).toBe("third");
  });
});

describe("it ends both", () => {
  test("the caller's abort", async () => {
    const { client, sent } = heldClientOf(2);
    const controller = new AbortController();
    const call = errorOf(client.predict("x", { signal: controller.signal }));
    const both = await sent(2);
    const reason = new Error("stop");
    controller.abort(reason);
    expect(await call).toBe(reason);
    expect(both.map(({ request }) => request.signal.aborted)).toEqual([true, true]);
  });

  test("a signal that had fired before sends nothing", async () => {
    const { client, held } = heldClientOf(2);
    expect(await errorOf(client.predict("x", { signal: AbortSignal.abort("gone") }))).toBe("gone");
    await longEnough();
    expect(held).toHaveLength(0);
  });

  test("the end of the call's time", () =>
    withTimeouts(async (totalTimeout) => {
      const { client, sent } = heldClientOf(2);
      const call = errorOf(client.predict("x", { totalTimeout }));
      const both = await Promise.race([sent(2), call.then(() => [])]);
      expect(both).toHaveLength(2);
      expect(await call).toMatchObject({ code: "ERR_EAS_TIMEOUT", phase: "total" });
      expect(both.map(({ request }) => request.signal.aborted)).toEqual([true, true]);
    }));

  test("close() waits for an attempt in flight", async () => {
    const { client, sent } = heldClientOf(2, { hedgeAfter: 60_000 });
    const call = client.predict("x");
    const [first] = await sent(1);
    const closing = watch(client.close());
    expect(closing.state).toBe("pending");
    first?.answer(ok("first"));
    expect(String(await call)).toBe("first");
    await until(() => closing.state === "resolved");
  });
});

describe('hedgeAfter "p95"', () => {
  test("waits until it is known how long calls take, and then for as long", async () => {
    const clock = movableClock();
    const { client, sent, held } = heldClientOf(2, { hedgeAfter: "p95", retryCount: 0 });
    const answered = async (milliseconds: number) => {
      const call = client.predict("x");
      const at = held.length;
      await until(() => held.length > at);
      clock.move(milliseconds);
      held.at(-1)?.answer(ok("x"));
      await call;
    };
    for (let i = 0; i < 31; i++) await answered(5);
    const unknown = client.predict("x");
    await sent(32);
    await longEnough();
    expect(held).toHaveLength(32);
    held[31]?.answer(ok("x"));
    await unknown;
    const hedged = client.predict("x");
    await sent(34);
    held[33]?.answer(ok("second"));
    expect(String(await hedged)).toBe("second");
  });
});

describe("where it cannot be", () => {
  test("behind a gateway, and in a queue: a TypeError", async () => {
    const client = new PredictClient({ endpoint: "h", serviceName: "s", hedgeAfter: 10 });
    const error = await errorOf(client.predict("x"));
    expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_OPTION" });
    expect(error.message).toContain("hedgeAfter needs endpointType: ENDPOINT_TYPE_DIRECT");
    const options = { endpoint: "h", queueName: "q", endpointType: ENDPOINT_TYPE_DIRECT, hedgeAfter: 10 };
    expect(thrownBy(() => new QueueClient(options as object))).toMatchObject({
      name: "TypeError",
      code: "ERR_EAS_ARG_OPTION",
    });
  });

  test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, "p99", "10", null, true])(
    "%s is refused",
    (value) => {
      const error = thrownBy(() => new PredictClient({ endpoint: "h", hedgeAfter: value as never }));
      expect(error.code).toMatch(/^ERR_EAS_ARG_/);
      expect(error.message).toContain("hedgeAfter");
    },
  );
});
