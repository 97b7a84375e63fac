import { checkSignal } from "../../config/validate.js";
import { linkSignal, unlinkSignal } from "../../util/timing/abort.js";
import type { JobContext, JobQueue } from "./job-context.js";

/** Minimum pause in milliseconds between two requests whose responses the service does not delay. */
const MIN_PAUSE_MS = 500;
/** Pause in milliseconds that is added for each waiting job, so that many jobs do not overload the service. */
const PAUSE_PER_JOB_MS = 20;

/** Coordinates the waits for results of all jobs of a client. */
class ResultWaits {
  readonly #sink: JobQueue;
  readonly #closed: AbortSignal;
  readonly #lives = new Set<AbortController>();
  #longPolls = 0;

  constructor({ sink, closed }: Pick<JobContext, "sink" | "closed">) {
    this.#sink = sink;
    this.#closed = closed;
  }

  /** Pause in milliseconds before a request whose response the service does not delay. */
  get pause(): number {
    return Math.max(MIN_PAUSE_MS, this.#lives.size * PAUSE_PER_JOB_MS);
  }

  /** Runs a wait. The signal of the wait fires when the caller's signal fires or the client closes. */
  async run<T>(signal: AbortSignal | undefined, wait: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const life = new AbortController();
    if (signal !== undefined) {
      if (checkSignal(signal).aborted) throw signal.reason;
      linkSignal(signal, life);
    }
    linkSignal(this.#closed, life);
    this.#lives.add(life);
    try {
      if (life.signal.aborted) throw life.signal.reason;
      return await wait(life.signal);
    } finally {
      this.#lives.delete(life);
      unlinkSignal(signal, life);
      unlinkSignal(this.#closed, life);
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

const waits = /* @__PURE__ */ new WeakMap<AbortSignal, ResultWaits>();

/** Returns the waits of the client to which a job belongs. */
export function waitsOf(job: Pick<JobContext, "sink" | "closed">): ResultWaits {
  let found = waits.get(job.closed);
  if (found === undefined) {
    found = new ResultWaits(job);
    waits.set(job.closed, found);
  }
  return found;
}
