import { checkSignal } from "../../config/validate.js";
import { linkSignal, pause, raceAbort, sleep, unlinkSignal } from "../../util/timing/abort.js";
import { clockNow } from "../../util/timing/clock.js";
import type { JobContext, JobQueue } from "./job-context.js";

/** Pause in milliseconds between two requests of a job whose responses the service does not delay. */
export const MIN_PAUSE_MS = 500;
/** Milliseconds between two repeated requests of all jobs of a client, so that many jobs do not overload the service. */
const REQUEST_INTERVAL_MS = 20;

/** Coordinates the waits for the states and results of all jobs of a client. */
class JobWaits {
  readonly #sink: JobQueue;
  readonly #closed: AbortSignal;
  #longPolls = 0;
  /** Resolves when the next repeated request may be sent. */
  #nextTurn: Promise<void> = Promise.resolve();

  constructor({ sink, closed }: Pick<JobContext, "sink" | "closed">) {
    this.#sink = sink;
    this.#closed = closed;
  }

  /** Runs a wait. The signal of the wait fires when the caller's signal fires or the client closes. */
  async run<T>(signal: AbortSignal | undefined, wait: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const life = new AbortController();
    if (signal !== undefined) {
      if (checkSignal(signal).aborted) throw signal.reason;
      linkSignal(signal, life);
    }
    linkSignal(this.#closed, life);
    try {
      if (life.signal.aborted) throw life.signal.reason;
      return await wait(life.signal);
    } finally {
      unlinkSignal(signal, life);
      unlinkSignal(this.#closed, life);
    }
  }

  /**
   * Waits before a repeated request: for `milliseconds`, and then for the due requests of the client's other jobs.
   * Resolves at the time `end` at the latest.
   */
  async pause(milliseconds: number, end: number, signal: AbortSignal): Promise<void> {
    await pause(Math.min(milliseconds, end - clockNow()), signal);
    const turn = this.#nextTurn;
    let isWaiting = true;
    // A job that no longer waits for its turn does not delay the jobs after it.
    this.#nextTurn = turn.then(() => (isWaiting ? sleep(REQUEST_INTERVAL_MS).done : undefined));
    const deadline = end === Number.POSITIVE_INFINITY ? undefined : sleep(Math.max(0, end - clockNow()));
    try {
      await raceAbort(deadline === undefined ? turn : Promise.race([turn, deadline.done]), signal);
    } finally {
      isWaiting = false;
      deadline?.cancel(undefined);
    }
  }

  /**
   * Sends a long poll of at most `maxWait` milliseconds if a connection is available for it. Otherwise, sends a
   * request that does not wait.
   */
  async poll<T>(maxWait: number, request: (timeout: number) => Promise<T>): Promise<{ result: T; waited: number }> {
    // If there were more long polls than the limiter admits, they would wait for each other and time out.
    const maxLongPolls = Math.floor(this.#sink.maxConnectionCount / 2);
    if (maxWait === 0 || this.#longPolls >= maxLongPolls) return { result: await request(0), waited: 0 };
    this.#longPolls++;
    try {
      return { result: await request(maxWait), waited: maxWait };
    } finally {
      this.#longPolls--;
    }
  }
}

const waits = /* @__PURE__ */ new WeakMap<AbortSignal, JobWaits>();

/** Returns the waits of the client to which a job belongs. */
export function waitsOf(job: Pick<JobContext, "sink" | "closed">): JobWaits {
  let found = waits.get(job.closed);
  if (found === undefined) {
    found = new JobWaits(job);
    waits.set(job.closed, found);
  }
  return found;
}
