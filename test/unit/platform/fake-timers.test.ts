import { mock } from "node:test";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { EasTimeoutError, PredictClient } from "../../../src/index.js";
import type { TransportRequest } from "../../../src/platform/contract.js";
import { errorOf } from "../../support/calls.js";

afterEach(() => {
  mock.timers.reset();
  vi.useRealTimers();
});

/** Runs everything that does not wait for a timer. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

interface FakeTimers {
  readonly enable: () => void;
  /** Advances the time in small steps, so that callbacks of timers can start further timers. */
  readonly advance: (milliseconds: number) => Promise<void>;
}

const STEP_MS = 50;

async function inSteps(milliseconds: number, tick: (milliseconds: number) => void): Promise<void> {
  for (let passed = 0; passed < milliseconds; passed += STEP_MS) {
    tick(Math.min(STEP_MS, milliseconds - passed));
    await turn();
    await turn();
  }
}

const FAKES: Readonly<Record<string, FakeTimers>> = {
  "vitest, setTimeout only": {
    enable: () => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }),
    advance: (milliseconds) => inSteps(milliseconds, (ms) => vi.advanceTimersByTime(ms)),
  },
  "vitest, without performance": {
    enable: () => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"] }),
    advance: (milliseconds) => inSteps(milliseconds, (ms) => vi.advanceTimersByTime(ms)),
  },
  "vitest, with performance": {
    enable: () => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }),
    advance: (milliseconds) => inSteps(milliseconds, (ms) => vi.advanceTimersByTime(ms)),
  },
  "node:test": {
    enable: () => mock.timers.enable({ apis: ["setTimeout"] }),
    advance: (milliseconds) => inSteps(milliseconds, (ms) => mock.timers.tick(ms)),
  },
};

/** Responds with the statuses in order, and not at all after the last. */
class ScriptedTransport {
  readonly mayResend = false;
  readonly requests: TransportRequest[] = [];
  readonly #statuses: number[];

  constructor(statuses: readonly number[] = []) {
    this.#statuses = [...statuses];
  }

  send(request: TransportRequest) {
    this.requests.push(request);
    const status = this.#statuses.shift();
    if (status === undefined) {
      return new Promise<never>((_, reject) => {
        request.signal.addEventListener("abort", () => reject(request.signal.reason), { once: true });
      });
    }
    return Promise.resolve({ status, headers: new Headers(), body: new Uint8Array(0), contentEncoding: undefined });
  }

  /** Resolves when `count` requests have been sent. */
  async sent(count: number): Promise<void> {
    while (this.requests.length < count) await turn();
  }

  async close() {}
}

function clientOf(statuses: readonly number[], options = {}) {
  const transport = new ScriptedTransport(statuses);
  const client = new PredictClient({ endpoint: "h", serviceName: "s", transport: transport as never, ...options });
  return { client, transport };
}

/** Observes whether a promise has settled, without waiting for it. */
function watched<T>(promise: Promise<T>): { readonly isSettled: boolean; readonly promise: Promise<T> } {
  const state = { isSettled: false, promise };
  promise.then(
    () => {
      state.isSettled = true;
    },
    () => {
      state.isSettled = true;
    },
  );
  return state;
}

// The code for failed attempts is loaded on first use, which takes real time.
beforeAll(async () => {
  await errorOf(clientOf([503]).client.predict("x", { retryCount: 0 }));
});

describe.each(Object.entries(FAKES))("%s", (_, { enable, advance }) => {
  test("calls that start at different times each have their whole timeout", async () => {
    enable();
    const { client, transport } = clientOf([], { timeout: 5_000, retryCount: 0 });
    const call = watched(client.predict("x"));
    await transport.sent(1);
    await advance(4_900);
    expect(call.isSettled).toBe(false);
    await advance(100);
    expect(await errorOf(call.promise)).toBeInstanceOf(EasTimeoutError);
  });

  test("calls that began at different times each have their whole timeout", async () => {
    enable();
    const { client, transport } = clientOf([], { timeout: 5_000, retryCount: 0 });
    const first = watched(client.predict("x"));
    const second = watched(client.predict("x"));
    await transport.sent(2);
    await advance(4_000);
    const third = watched(client.predict("x"));
    await transport.sent(3);
    await advance(1_000);
    expect([first.isSettled, second.isSettled, third.isSettled]).toEqual([true, true, false]);
    await advance(3_900);
    expect(third.isSettled).toBe(false);
    await advance(100);
    expect(await errorOf(third.promise)).toBeInstanceOf(EasTimeoutError);
    for (const { promise } of [first, second]) await errorOf(promise);
  });

  test("retries wait for their backoff", async () => {
    enable();
    const { client, transport } = clientOf([503, 503, 503, 200]);
    const call = watched(client.predict("x"));
    await transport.sent(1);
    expect(transport.requests).toHaveLength(1);
    await advance(30_000);
    expect(transport.requests).toHaveLength(4);
    await call.promise;
  });

  test("Each timer may start up to one step late.", async () => {
    enable();
    const { client, transport } = clientOf([], {
      timeout: 3_000,
      totalTimeout: 10_000,
      retryCount: 50,
      retryOn: () => true,
    });
    const call = watched(client.predict("x"));
    await transport.sent(1);
    await advance(9_000);
    expect(call.isSettled).toBe(false);
    // What a timer starts may start up to a step late.
    await advance(1_000 + 10 * STEP_MS);
    expect(await errorOf(call.promise)).toMatchObject({ code: "ERR_EAS_TIMEOUT" });
  });
});
