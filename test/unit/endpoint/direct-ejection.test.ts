import { describe, expect, test } from "vitest";
import type { PredictClientOptions, TransportRequest, TransportResponse } from "../../../src/index.js";
import { TransportError } from "../../../src/index.js";
import { errorOf, RecordingTransport, transportAnswer, turn, until } from "../../support/calls.js";
import { directClientOf, movableClock } from "../../support/direct.js";

type Behave = (request: TransportRequest) => TransportResponse | Promise<TransportResponse>;

const well: Behave = () => transportAnswer(200, {}, "ok");
const status =
  (code: number): Behave =>
  () =>
    transportAnswer(code);
const breaks =
  (sent: "no" | "maybe"): Behave =>
  () => {
    throw new TransportError("broken", { sent });
  };
const never: Behave = () => new Promise(() => {});

/** A client of instances `a`, `b`, … in memory with configurable behavior. */
function fleetOf(count: number, options: PredictClientOptions = {}) {
  const clock = movableClock();
  const names = Array.from({ length: count }, (_, i) => String.fromCharCode(97 + i));
  const behaviours = new Map<string, Behave>();
  const nameOf = ({ origin }: TransportRequest) => new URL(origin).hostname;
  const transport = new RecordingTransport((request) => (behaviours.get(nameOf(request)) ?? well)(request));
  let listed = names;
  const client = directClientOf(
    { endpoint: "" },
    {
      transport,
      endpointSource: () => listed.map((host) => ({ host, port: 1 })),
      discovery: { interval: 1 },
      retryCount: 0,
      ...options,
    },
  );
  /** Makes calls one after another, and gives the instances that they went to. */
  const call = async (times: number): Promise<string[]> => {
    const before = transport.requests.length;
    for (let i = 0; i < times; i++) await client.predict("x").catch(() => {});
    return transport.requests.slice(before).map(nameOf);
  };
  return {
    clock,
    client,
    transport,
    call,
    set: (name: string, behave: Behave) => void behaviours.set(name, behave),
    /** What discovery says from now on. */
    async list(...names: string[]) {
      listed = names;
      clock.move(10);
      await call(1);
      await turn();
    },
    /** How many of so many calls each instance gets. */
    async shares(times: number): Promise<Record<string, number>> {
      const counts: Record<string, number> = {};
      for (const name of await call(times)) counts[name] = (counts[name] ?? 0) + 1;
      return counts;
    },
  };
}

describe("an instance that fails", () => {
  test("five times in a row leaves the rotation, and no sooner", async () => {
    const fleet = fleetOf(3);
    fleet.set("b", status(503));
    expect(await fleet.shares(12)).toEqual({ a: 4, b: 4, c: 4 });
    expect((await fleet.shares(3)).b).toBe(1);
    expect(await fleet.shares(20)).toEqual({ a: 10, c: 10 });
  });

  test("resets the failure count after one success", async () => {
    const fleet = fleetOf(2);
    for (let i = 0; i < 3; i++) {
      fleet.set("b", status(503));
      expect((await fleet.shares(8)).b).toBe(4);
      fleet.set("b", well);
      expect((await fleet.shares(2)).b).toBe(1);
    }
  });

  test("is asked once when its second is over, and comes back when that goes well", async () => {
    const fleet = fleetOf(3);
    fleet.set("b", status(503));
    await fleet.call(15);
    fleet.clock.move(900);
    expect((await fleet.shares(10)).b).toBeUndefined();
    fleet.clock.move(200);
    fleet.set("b", well);
    expect((await fleet.call(1))[0]).toBe("b");
    expect((await fleet.shares(12)).b).toBe(4);
  });

  test("stays out for twice as long each time, up to a minute", async () => {
    const fleet = fleetOf(3);
    fleet.set("b", status(503));
    await fleet.call(15);
    for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
      fleet.clock.move(seconds * 1000 - 100);
      expect([seconds, (await fleet.shares(6)).b]).toEqual([seconds, undefined]);
      fleet.clock.move(200);
      expect([seconds, (await fleet.shares(6)).b]).toEqual([seconds, 1]);
    }
  });

  test("and soon after its return fails again stays out for longer; later for a second again", async () => {
    const fleet = fleetOf(3);
    const relapse = async () => {
      fleet.set("b", status(503));
      await fleet.call(15);
      expect((await fleet.shares(6)).b).toBeUndefined();
      fleet.set("b", well);
    };
    await relapse();
    fleet.clock.move(1_100);
    expect((await fleet.shares(6)).b).toBeGreaterThan(0);
    await relapse();
    fleet.clock.move(1_100);
    expect((await fleet.shares(6)).b).toBeUndefined();
    fleet.clock.move(1_000);
    expect((await fleet.shares(6)).b).toBeGreaterThan(0);
    fleet.clock.move(2_100);
    await relapse();
    fleet.clock.move(1_100);
    expect((await fleet.shares(6)).b).toBeGreaterThan(0);
  });

  test("in flight with many at once is out for one second, not for one each", async () => {
    const fleet = fleetOf(2);
    fleet.set("b", status(503));
    await Promise.all(Array.from({ length: 100 }, () => fleet.client.predict("x").catch(() => {})));
    expect((await fleet.shares(4)).b).toBeUndefined();
    fleet.clock.move(1_100);
    expect((await fleet.shares(4)).b).toBe(1);
  });
});

describe("the probe", () => {
  async function ejected(options: PredictClientOptions = {}) {
    const fleet = fleetOf(3, options);
    fleet.set("b", status(503));
    await fleet.call(15);
    fleet.clock.move(1_100);
    return fleet;
  }

  test("is one: while it is under way no other call goes there", async () => {
    const fleet = await ejected();
    let answer!: (response: TransportResponse) => void;
    fleet.set(
      "b",
      () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    );
    const probe = fleet.client.predict("x");
    await until(() => fleet.transport.requests.at(-1)?.origin === "http://b:1");
    expect((await fleet.shares(20)).b).toBeUndefined();
    fleet.set("b", well);
    answer(transportAnswer(200, {}, "ok"));
    await probe;
    expect((await fleet.shares(6)).b).toBe(2);
  });

  test("that the caller aborts says nothing: another is made", async () => {
    const fleet = await ejected();
    fleet.set("b", never);
    const controller = new AbortController();
    const probe = errorOf(fleet.client.predict("x", { signal: controller.signal }));
    await until(() => fleet.transport.requests.at(-1)?.origin === "http://b:1");
    controller.abort(new Error("stop"));
    await probe;
    fleet.set("b", well);
    expect((await fleet.call(1))[0]).toBe("b");
    expect((await fleet.shares(6)).b).toBe(2);
  });

  test("that fails costs its call one attempt: the retry goes elsewhere", async () => {
    const fleet = await ejected();
    const { attempts, endpoint } = await fleet.client.predictDetailed("x", { retryCount: 1 });
    expect(attempts).toBe(2);
    expect(endpoint).not.toContain("b");
  });
});

describe("never more than half", () => {
  test.each([
    [1, 0],
    [2, 1],
    [3, 1],
    [4, 2],
    [5, 2],
    [9, 4],
  ])("of %i: %i leave, though all fail", async (count, most) => {
    const fleet = fleetOf(count);
    for (let i = 0; i < count; i++) fleet.set(String.fromCharCode(97 + i), status(503));
    await fleet.call(count * 20);
    expect(Object.keys(await fleet.shares(count * 2))).toHaveLength(count - most);
  });

  test("nor when the list becomes shorter: whose time is over first comes back", async () => {
    const fleet = fleetOf(4);
    fleet.set("a", status(503));
    await fleet.call(20);
    fleet.clock.move(100);
    fleet.set("b", status(503));
    await fleet.call(20);
    expect(await fleet.shares(4)).toEqual({ c: 2, d: 2 });
    fleet.set("a", well);
    await fleet.list("a", "b", "c");
    expect(await fleet.shares(4)).toEqual({ a: 2, c: 2 });
  });

  test("a place that becomes free goes to another that fails", async () => {
    const fleet = fleetOf(2);
    fleet.set("a", status(503));
    fleet.set("b", status(503));
    await fleet.call(40);
    await fleet.list("a", "b", "c", "d");
    await fleet.call(8);
    expect(await fleet.shares(4)).toEqual({ c: 2, d: 2 });
  });
});

test("resets the state of an instance that was removed and returns", async () => {
  const fleet = fleetOf(3);
  fleet.set("b", status(503));
  await fleet.call(15);
  await fleet.list("a", "c");
  await fleet.list("a", "b", "c");
  expect((await fleet.shares(6)).b).toBe(2);
});

describe("what counts as a failure of the instance", () => {
  test.each<[string, Behave]>([
    ...[500, 502, 503, 504].map((code): [string, Behave] => [String(code), status(code)]),
    ["a refused connection", breaks("no")],
    ["a broken connection", breaks("maybe")],
    ["no answer in time", never],
  ])("%s", async (_, behave) => {
    const fleet = fleetOf(2, { timeout: 10 });
    fleet.set("b", behave);
    await fleet.call(10);
    expect((await fleet.shares(4)).b).toBeUndefined();
  });

  test.each<[string, Behave]>([
    ...[204, 302, 400, 401, 403, 404, 408, 429, 450, 501, 505].map((code): [string, Behave] => [
      String(code),
      status(code),
    ]),
    ["an answer that cannot be read", () => ({ ...transportAnswer(200, {}, "x"), contentEncoding: "gzip" })],
    [
      "what no retry can help",
      () => {
        throw new TransportError("bad request", { sent: "no", final: true });
      },
    ],
  ])("%s does not", async (_, behave) => {
    const fleet = fleetOf(2);
    fleet.set("b", behave);
    await fleet.call(30);
    expect((await fleet.shares(4)).b).toBe(2);
  });

  test("the caller's abort does not", async () => {
    const fleet = fleetOf(2);
    fleet.set("b", never);
    for (let i = 0; i < 20; i++) {
      const controller = new AbortController();
      const call = fleet.client.predict("x", { signal: controller.signal }).catch(() => {});
      await turn();
      controller.abort(new Error("stop"));
      await call;
    }
    fleet.set("b", well);
    expect((await fleet.shares(4)).b).toBe(2);
  });
});

test("excludes ejected instances from least-inflight", async () => {
  const fleet = fleetOf(3, { balancer: "least-inflight" });
  fleet.set("b", status(503));
  await fleet.call(200);
  expect((await fleet.shares(50)).b).toBeUndefined();
});

test.each(["weighted-round-robin", "least-inflight"] as const)(
  "%s: many that come and go are all called again",
  async (balancer) => {
    const fleet = fleetOf(20, { balancer });
    const failing = [..."bdfhjlnpr"];
    for (let round = 0; round < 3; round++) {
      for (const name of failing) fleet.set(name, status(503));
      await fleet.call(1_000);
      for (const name of failing) expect((await fleet.shares(20))[name]).toBeUndefined();
      for (const name of failing) fleet.set(name, well);
      fleet.clock.move(61_000);
      expect(Object.keys(await fleet.shares(1_000))).toHaveLength(20);
    }
  },
);
