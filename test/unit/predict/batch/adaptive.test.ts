import { afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { startEmulator } from "../../../../src/emulator/index.js";
import { batch, EasHttpError, EasTimeoutError, PredictClient } from "../../../../src/index.js";
import { clockNow } from "../../../../src/util/timing/clock.js";
import { errorOf } from "../../../support/calls.js";
import { HeldClient, numbers } from "../../../support/held-client.js";

beforeAll(() => batch(new HeldClient(), []));

/** A generator of pseudo-random numbers from 0 to 1 (mulberry32). */
function randomOf(seed: number) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function refusal(status: number, retryAfter?: number) {
  return new EasHttpError("refused", {
    status,
    headers: new Headers(),
    body: new Uint8Array(),
    hint: "",
    retryAfter,
    retryable: true,
  });
}

interface ServiceOptions {
  /** Number of requests that the service processes at the same time. */
  readonly workers: number;
  /** Number of requests that wait for a worker. Further requests are refused with 450. */
  readonly queue: number;
  /** Mean processing time in milliseconds. Times are uniformly distributed between half and 1.5 of it. */
  readonly mean: number;
  readonly random: () => number;
}

/** A service in virtual time, like an instance of EAS: workers, a queue, and 450 when the queue is full. */
class SimulatedService {
  refused = 0;
  readonly #options: ServiceOptions;
  #busy = 0;
  #queue: (() => void)[] = [];

  constructor(options: ServiceOptions) {
    this.#options = options;
  }

  /** A client of this service that counts its responses. */
  client() {
    const times: number[] = [];
    const predict = async (_: unknown, call: { retryOn?: (error: unknown, attempt: number) => unknown }) => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      try {
        await this.#process();
      } catch (error) {
        call.retryOn?.(error, 1);
        throw error;
      }
      times.push(clockNow());
      return "done";
    };
    return { times, predict: predict as unknown as PredictClient["predict"] };
  }

  #process(): Promise<void> {
    const { workers, queue } = this.#options;
    return new Promise((resolve, reject) => {
      const start = () => this.#start(resolve);
      if (this.#busy < workers) start();
      else if (this.#queue.length < queue) this.#queue.push(start);
      else {
        this.refused++;
        reject(refusal(450));
      }
    });
  }

  #start(resolve: () => void): void {
    this.#busy++;
    const { mean, random } = this.#options;
    setTimeout(
      () => {
        this.#busy--;
        this.#queue.shift()?.();
        resolve();
      },
      mean * (0.5 + random()),
    );
  }
}

function* endless() {
  for (;;) yield "x";
}

/** Sends requests from now until `end`, in milliseconds of the virtual clock. */
async function sendUntil(client: Pick<PredictClient, "predict">, concurrency: number | "auto", end: number) {
  for await (const _ of batch.stream(client, endless(), { concurrency })) if (clockNow() >= end) break;
}

describe('concurrency "auto" in virtual time', () => {
  beforeEach(() => {
    vi.useFakeTimers({ now: 0 });
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  const SERVICES = [
    ["the default instance of EAS", { workers: 5, queue: 64, mean: 50 }, [4, 6, 8, 16, 32]],
    ["a single worker", { workers: 1, queue: 64, mean: 20 }, [1, 2, 4, 8]],
    ["eight instances", { workers: 40, queue: 512, mean: 50 }, [32, 48, 64, 96]],
    ["a short queue, limited by 450", { workers: 16, queue: 16, mean: 50 }, [8, 16, 20, 24, 32]],
  ] as const;

  async function throughput(options: object, seed: number, concurrency: number | "auto", duration: number) {
    const random = randomOf(seed);
    vi.spyOn(Math, "random").mockImplementation(random);
    const client = new SimulatedService({ ...(options as ServiceOptions), random }).client();
    const startedAt = clockNow();
    const sending = sendUntil(client, concurrency, startedAt + duration);
    await vi.advanceTimersByTimeAsync(duration + 2_000);
    await sending;
    return client.times.filter((time) => time < startedAt + duration).length;
  }

  test.each(SERVICES)("reaches 0.9 of the best fixed number: %s", async (_, options, fixed) => {
    const duration = 10_000;
    const rates: number[] = [];
    for (const concurrency of fixed) rates.push(await throughput(options, 7, concurrency, duration));
    for (const seed of [1, 2]) {
      expect(await throughput(options, seed, "auto", duration)).toBeGreaterThanOrEqual(0.9 * Math.max(...rates));
    }
  });

  test.each(SERVICES.slice(0, 3))("shares a service fairly with a batch that starts later: %s", async (_, options) => {
    const random = randomOf(3);
    vi.spyOn(Math, "random").mockImplementation(random);
    const service = new SimulatedService({ ...options, random });
    const [first, second] = [service.client(), service.client()];
    const startedAt = clockNow();
    const end = startedAt + 60_000;
    const sending = [sendUntil(first, "auto", end)];
    await vi.advanceTimersByTimeAsync(5_000);
    sending.push(sendUntil(second, "auto", end));
    await vi.advanceTimersByTimeAsync(60_000);
    await Promise.all(sending);
    const [a, b] = [first, second].map(
      ({ times }) => times.filter((time) => time >= startedAt + 10_000 && time < end).length,
    );
    const [x, y] = [a as number, b as number];
    expect((x + y) ** 2 / (2 * (x * x + y * y))).toBeGreaterThanOrEqual(0.9);
    // Sharing does not cost throughput.
    expect(x + y).toBeGreaterThan((0.9 * 50_000 * options.workers) / options.mean);
  });

  test("waits for Retry-After before it sends anything", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    const sent: number[] = [];
    const predict = async () => {
      sent.push(clockNow());
      await new Promise((resolve) => setTimeout(resolve, 10));
      if (sent.length <= 4) throw refusal(429, 3_000);
      return "done";
    };
    const startedAt = clockNow();
    const done = batch({ predict: predict as never }, numbers(6), { concurrency: "auto" });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await done).toEqual(new Array(6).fill("done"));
    expect(sent.slice(0, 4).map((at) => at - startedAt)).toEqual([0, 0, 0, 0]);
    expect(sent).toHaveLength(10);
    for (const at of sent.slice(4)) expect(at - startedAt).toBeGreaterThanOrEqual(3_010);
  });

  test("fails with the refusal if the service accepts nothing for 60 s, or asks for more", async () => {
    const predict = async () => {
      await new Promise((resolve) => setTimeout(resolve, 10));
      throw refusal(429);
    };
    const startedAt = clockNow();
    const failed = errorOf(batch({ predict: predict as never }, ["x"], { concurrency: "auto" }));
    await vi.advanceTimersByTimeAsync(90_000);
    expect((await failed).status).toBe(429);
    let sent = 0;
    const long = async () => {
      sent++;
      throw refusal(429, 61_000);
    };
    expect((await errorOf(batch({ predict: long as never }, ["x"], { concurrency: "auto" }))).status).toBe(429);
    expect(sent).toBe(1);
    expect(clockNow() - startedAt).toBeLessThan(100_000);
  });

  test("decreases after a timeout, and does not repeat that request", async () => {
    let sent = 0;
    const predict = async (_: unknown, call: { retryOn(error: unknown, attempt: number): unknown }) => {
      const isSlow = ++sent > 200 && sent <= 300;
      await new Promise((resolve) => setTimeout(resolve, 10));
      if (!isSlow) return "done";
      const error = new EasTimeoutError("slow", { phase: "headers", timeout: 10 });
      call.retryOn(error, 1);
      throw error;
    };
    const items = batch.stream({ predict: predict as never }, numbers(400), { concurrency: "auto" });
    const limits: number[] = [];
    const reading = (async () => {
      for await (const { error } of items) if (error) limits.push(items.concurrency as number);
    })();
    await vi.advanceTimersByTimeAsync(60_000);
    await reading;
    expect(limits).toHaveLength(100);
    expect(limits.at(-1)).toBeLessThan((limits[0] as number) / 1.1);
    expect(sent).toBe(400);
  });

  test("asks the option retryOn, which can refuse to repeat", async () => {
    const seen: unknown[] = [];
    const predict = async (_: unknown, call: { retryOn(error: unknown, attempt: number): unknown }) => {
      const error = refusal(450);
      seen.push(call.retryOn(error, 1));
      throw error;
    };
    const retryOn = () => false;
    const error = await errorOf(batch({ predict: predict as never }, ["x"], { concurrency: "auto", retryOn }));
    expect([error.status, seen]).toEqual([450, [false]]);
  });

  test("does not grow while the source is slower than the service", async () => {
    async function* slow() {
      for (const row of numbers(300)) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        yield row;
      }
    }
    const predict = async () => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      return "done";
    };
    const items = batch.stream({ predict: predict as never }, slow(), { concurrency: "auto" });
    const reading = (async () => {
      for await (const _ of items);
    })();
    await vi.advanceTimersByTimeAsync(10_000);
    await reading;
    expect(items.concurrency).toBe(4);
  });

  test("ends its waits when the batch is aborted", async () => {
    const controller = new AbortController();
    const predict = async () => {
      throw refusal(429, 30_000);
    };
    const options = { concurrency: "auto", signal: controller.signal } as const;
    const failed = errorOf(batch({ predict: predict as never }, numbers(9), options));
    await vi.advanceTimersByTimeAsync(10);
    const reason = new Error("enough");
    controller.abort(reason);
    expect(await failed).toBe(reason);
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('concurrency "auto" over sockets', () => {
  test("grows until the service refuses, repeats every refused request, and gets all responses", async () => {
    const emulator = await startEmulator();
    onTestFinished(() => emulator.close());
    const { endpoint, token } = emulator;
    const client = new PredictClient({ endpoint, token, serviceName: "limited", retryCount: 0 });
    onTestFinished(() => client.close());
    let open = 0;
    let accepted = 0;
    let refused = 0;
    const held: (() => void)[] = [];
    const releaseAll = () => {
      for (const release of held.splice(0)) release();
    };
    // The order of events does not depend on time. The batch starts with a limit of 4. It doubles the limit after 16
    // responses, and then has 8 requests in flight, of which the service accepts 6.
    emulator.addService("limited", async ({ body }) => {
      if (open >= 6) {
        refused++;
        releaseAll();
        return new Response("", { status: 450 });
      }
      open++;
      accepted++;
      if (refused === 0) {
        await new Promise<void>((resolve) => {
          held.push(resolve);
          if (accepted <= 16 && held.length === 4) releaseAll();
        });
      }
      open--;
      return body;
    });
    const answers = await batch(client.service("limited"), numbers(600), { concurrency: "auto" });
    expect(answers.map(String)).toEqual(numbers(600));
    expect(accepted).toBe(600);
    expect(refused).toBeGreaterThan(0);
    expect(emulator.requests.length).toBe(600 + refused);
  });
});
