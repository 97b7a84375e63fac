import { describe, expect, test } from "vitest";
import { arrivalTimes, randomFrom } from "../../../../src/cli/bench/arrivals.js";
import { errorKind, type LoadClock, type LoadOptions, runLoad } from "../../../../src/cli/bench/load.js";
import { EasHttpError, EasTimeoutError } from "../../../../src/index.js";

/** A clock whose time passes only when every task waits. */
class VirtualClock implements LoadClock {
  #time = 0;
  #waits: { readonly time: number; readonly resolve: () => void }[] = [];

  now(): number {
    return this.#time;
  }

  until(time: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waits.push({ time, resolve });
    });
  }

  sleep(milliseconds: number): Promise<void> {
    return this.until(this.#time + milliseconds);
  }

  /** Runs until the promise settles. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let isDone = false;
    const done = promise.finally(() => {
      isDone = true;
    });
    for (;;) {
      await new Promise(setImmediate);
      if (isDone) return await done;
      this.#waits.sort((a, b) => a.time - b.time);
      const next = this.#waits.shift();
      if (next === undefined) throw new Error("every task waits without a time");
      this.#time = Math.max(this.#time, next.time);
      next.resolve();
    }
  }
}

function load(clock: VirtualClock, options: Partial<LoadOptions>): Promise<Awaited<ReturnType<typeof runLoad>>> {
  return clock.run(
    runLoad({
      send: async () => ({}),
      concurrency: 1_000,
      requests: 1_000_000,
      duration: 10_000,
      warmUp: 0,
      clock,
      signal: new AbortController().signal,
      ...options,
    }),
  );
}

describe("arrival times", () => {
  test("are equidistant for constant arrivals", () => {
    const times = arrivalTimes("constant", 4, randomFrom(1));
    expect(Array.from({ length: 4 }, () => times.next().value)).toEqual([0, 250, 500, 750]);
  });

  test("have the wanted rate and the spread of independent callers for Poisson arrivals", () => {
    const times = arrivalTimes("poisson", 100, randomFrom(1));
    const list = Array.from({ length: 20_000 }, () => times.next().value);
    expect((list.length / (list.at(-1) as number)) * 1_000).toBeCloseTo(100, -0.5);
    const gaps = list.slice(1).map((time, i) => time - (list[i] as number));
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    const variance = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length;
    expect(variance / mean ** 2).toBeGreaterThan(0.95);
    expect(variance / mean ** 2).toBeLessThan(1.05);
  });
});

describe("an open loop", () => {
  test("measures from the intended start, so that a stall of one second shows in the percentiles", async () => {
    const clock = new VirtualClock();
    let free = 0;
    // The service handles one request at a time, in 1 ms, and stalls once for 1,000 ms.
    const send = async () => {
      const start = Math.max(clock.now(), free);
      free = start + (start >= 3_000 && start < 3_002 ? 1_000 : 1);
      await clock.until(free);
      return {};
    };
    const arrivals = arrivalTimes("constant", 100, randomFrom(1));
    const { latency } = await load(clock, { send, arrivals });
    expect(latency.count).toBe(1_000);
    expect(latency.percentile(50)).toBeLessThan(2);
    // About 100 requests waited during the stall. A closed loop would have measured only one of them.
    expect(latency.percentile(99)).toBeGreaterThan(850);
    expect(latency.percentile(95)).toBeGreaterThan(400);
  });

  test("counts requests that it cannot send, because too many are in flight", async () => {
    const clock = new VirtualClock();
    const send = async () => {
      await clock.sleep(100_000);
      return {};
    };
    const arrivals = arrivalTimes("constant", 10, randomFrom(1));
    const { latency, skipped } = await load(clock, { send, arrivals, concurrency: 4, duration: 1_000 });
    expect([latency.count, skipped]).toEqual([4, 6]);
  });

  test("does not measure the warm-up, and ends after the number of requests", async () => {
    const clock = new VirtualClock();
    let sent = 0;
    const send = async () => {
      sent++;
      return {};
    };
    const arrivals = arrivalTimes("constant", 10, randomFrom(1));
    const { latency } = await load(clock, { send, arrivals, warmUp: 1_000, requests: 5 });
    expect([sent, latency.count]).toEqual([15, 5]);
  });
});

describe("a closed loop", () => {
  test("keeps the number of requests in flight", async () => {
    const clock = new VirtualClock();
    let inFlight = 0;
    let most = 0;
    const send = async () => {
      most = Math.max(most, ++inFlight);
      await clock.sleep(10);
      inFlight--;
      return {};
    };
    const { latency, elapsed } = await load(clock, { send, concurrency: 8, requests: 80 });
    expect([most, latency.count, elapsed]).toEqual([8, 80, 100]);
  });

  test("measures the first token and the rate of the others", async () => {
    const clock = new VirtualClock();
    const send = async () => {
      await clock.sleep(100);
      const firstToken = 100;
      await clock.sleep(500);
      return { firstToken, tokens: 11 };
    };
    const { firstToken, tokenRate, tokens } = await load(clock, { send, concurrency: 1, requests: 3 });
    expect([firstToken.mean, tokenRate.mean, tokens]).toEqual([100, 20, 33]);
  });
});

test("stops when the signal fires, and returns the results so far", async () => {
  const clock = new VirtualClock();
  const stop = new AbortController();
  let sent = 0;
  const send = async () => {
    if (++sent === 5) stop.abort();
    await clock.sleep(1);
    stop.signal.throwIfAborted();
    return {};
  };
  const { latency, errors } = await load(clock, { send, concurrency: 1, signal: stop.signal });
  expect([latency.count, errors.size]).toEqual([4, 0]);
});

test("counts errors by code and status", async () => {
  const http = new EasHttpError("busy", { status: 503, headers: new Headers(), body: new Uint8Array(), hint: "" });
  const timeout = new EasTimeoutError("slow", { phase: "headers", timeout: 1 });
  expect([http, timeout, new Error("x"), null].map(errorKind)).toEqual([
    "ERR_EAS_HTTP 503",
    "ERR_EAS_TIMEOUT headers",
    "Error",
    "Error",
  ]);
  const clock = new VirtualClock();
  const failures = [http, http, timeout];
  const send = async () => {
    await clock.sleep(1);
    const failure = failures.pop();
    if (failure !== undefined) throw failure;
    return {};
  };
  const { errors, latency } = await load(clock, { send, concurrency: 1, requests: 5 });
  expect(Object.fromEntries(errors)).toEqual({ "ERR_EAS_HTTP 503": 2, "ERR_EAS_TIMEOUT headers": 1 });
  expect(latency.count).toBe(2);
});
