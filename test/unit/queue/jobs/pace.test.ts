import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { AsyncInferenceClient, type InferenceJob, type JobStatus } from "../../../../src/index.js";
import { collect, transportAnswer, watch } from "../../../support/calls.js";

/** Opens jobs that stay in the input queue, and records the times of the requests for them on the virtual clock. */
function open(count: number) {
  const times: number[] = [];
  const state = { isPending: false, ahead: 3 };
  const client = new AsyncInferenceClient({
    endpoint: "http://gateway",
    serviceName: "q",
    token: "t",
    transport: {
      async send({ path }) {
        times.push(Date.now());
        if (!path.includes("_search_")) {
          // The service delays the response to a long poll, and has no result.
          const [, seconds = "0"] = /_timeout_=(\d+)s/.exec(path) ?? [];
          await new Promise((resolve) => setTimeout(resolve, Number(seconds) * 1_000));
          return transportAnswer(204);
        }
        const { isPending: IsPending, ahead: WaitCount } = state;
        return transportAnswer(200, {}, JSON.stringify({ ConsumerId: "", IsPending, WaitCount }));
      },
      close: async () => {},
    },
  });
  const jobs = Array.from({ length: count }, (_, i) =>
    client.resume({ index: String(i + 1), requestId: `id-${i}`, tag: `tag-${i}` }),
  );
  return { client, jobs, state, times };
}

async function follow(job: InferenceJob, seen: JobStatus[] = []): Promise<void> {
  for await (const status of job.status()) seen.push(status);
}

/** Returns the milliseconds between successive requests. */
function pausesOf(times: readonly number[]): number[] {
  return times.slice(1).map((time, i) => time - (times[i] as number));
}

/** Returns the maximum number of requests in any period of `milliseconds`. */
function busiest(times: readonly number[], milliseconds: number): number {
  return Math.max(...times.map((from) => times.filter((time) => time >= from && time < from + milliseconds).length));
}

describe("the requests of jobs in progress, in virtual time", () => {
  beforeEach(async () => {
    // The code of jobs is loaded on first use, which takes time that a virtual clock does not count.
    await import("../../../../src/queue/lazy.js");
    vi.useFakeTimers({ now: 0 });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test("status() of one job pauses for 500 ms at first, and for at most 10 s", async () => {
    const { client, jobs, times } = open(1);
    const done = follow(jobs[0] as InferenceJob).catch(() => {});
    await vi.advanceTimersByTimeAsync(120_000);
    const pauses = pausesOf(times);
    expect(pauses.slice(0, 4)).toEqual([500, 750, 1_125, 1_687]);
    expect(Math.max(...pauses)).toBe(10_000);
    expect(pauses.slice(-5)).toEqual([10_000, 10_000, 10_000, 10_000, 10_000]);
    await client.close();
    await done;
  });

  test("status() reads the state more often again after a change", async () => {
    const { client, jobs, state, times } = open(1);
    const seen: JobStatus[] = [];
    const done = follow(jobs[0] as InferenceJob, seen).catch(() => {});
    await vi.advanceTimersByTimeAsync(60_000);
    state.ahead = 2;
    await vi.advanceTimersByTimeAsync(20_000);
    expect(seen).toEqual([
      { state: "waiting", ahead: 3 },
      { state: "waiting", ahead: 2 },
    ]);
    const pauses = pausesOf(times);
    expect(pauses[pauses.indexOf(10_000) + 1]).toBe(10_000);
    expect(pauses.slice(pauses.lastIndexOf(10_000) + 1).slice(0, 3)).toEqual([500, 750, 1_125]);
    await client.close();
    await done;
  });

  test.each([
    ["status()", (job: InferenceJob) => follow(job)],
    ["result()", (job: InferenceJob) => job.result()],
    ["result({ onStatus })", (job: InferenceJob) => job.result({ onStatus: () => {} })],
  ])("%s of 100 jobs sends at most 50 requests per second after the first of each job", async (_, wait) => {
    const { client, jobs, times } = open(100);
    const done = jobs.map((job) => wait(job).catch(() => {}));
    await vi.advanceTimersByTimeAsync(20_000);
    const repeated = times.filter((time) => time > 0);
    expect(times.length - repeated.length).toBeLessThanOrEqual(200);
    expect(repeated.length).toBeGreaterThan(500);
    expect(busiest(repeated, 1_000)).toBeLessThanOrEqual(51);
    await client.close();
    await Promise.all(done);
  });

  test("result() times out on time while many other jobs wait", async () => {
    const { client, jobs } = open(100);
    const others = jobs.slice(1).map((job) => job.result().catch(() => {}));
    // The other jobs occupy all long polls.
    await vi.advanceTimersByTimeAsync(1);
    const result = watch((jobs[0] as InferenceJob).result({ timeout: 10_000 }));
    await vi.advanceTimersByTimeAsync(9_990);
    expect(result.state).toBe("pending");
    await vi.advanceTimersByTimeAsync(20);
    expect(result).toMatchObject({ state: "rejected", value: { code: "ERR_EAS_TIMEOUT" } });
    await client.close();
    await Promise.all(others);
  });

  test("jobs whose waits were aborted do not delay another job", async () => {
    const { client, jobs, times } = open(101);
    const controller = new AbortController();
    const aborted = jobs.slice(1).map((job) => collect(job.status({ signal: controller.signal })).catch(() => {}));
    // By now all jobs wait for their turns.
    await vi.advanceTimersByTimeAsync(600);
    controller.abort();
    await Promise.all(aborted);
    const before = times.length;
    const done = follow(jobs[0] as InferenceJob).catch(() => {});
    await vi.advanceTimersByTimeAsync(550);
    expect(times.length - before).toBe(2);
    await client.close();
    await done;
  });
});
