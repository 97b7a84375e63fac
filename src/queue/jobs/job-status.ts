import { checkOptionNames } from "../../util/option-names.js";
import { messageOf } from "../../util/realms.js";
import type { JobContext, JobQueue } from "./job-context.js";
import type { JobStatus, StatusOptions } from "./job-options.js";
import { MIN_PAUSE_MS, waitsOf } from "./job-waits.js";

/** Maximum pause in milliseconds between two requests for the state of a job. */
const MAX_PAUSE_MS = 10_000;
/** Factor by which the pause grows while the state stays the same. */
const GROWTH = 1.5;

/** A job, and the logger for errors of `onStatus`. */
interface StatusLog {
  readonly tag: string;
  readonly sink: Pick<JobQueue, "warn">;
}

/** Implements `InferenceJob.status`. */
export async function* jobStatus(job: JobContext, options: StatusOptions): AsyncGenerator<JobStatus, void, undefined> {
  checkOptionNames("status", options, { signal: 1 });
  const waits = waitsOf(job);
  let last: string | undefined;
  let growth = 1;
  for (;;) {
    const isFirst = last === undefined;
    const status = await waits.run(options.signal, async (signal) => {
      if (!isFirst) await waits.pause(Math.min(MIN_PAUSE_MS * growth, MAX_PAUSE_MS), Number.POSITIVE_INFINITY, signal);
      return readStatus(job, signal);
    });
    const text = JSON.stringify(status);
    growth = text === last ? growth * GROWTH : 1;
    if (text !== last) {
      last = text;
      yield status;
    }
    if (status.state === "done") return;
  }
}

async function readStatus({ input, index }: JobContext, signal: AbortSignal): Promise<JobStatus> {
  const position = await input.search(index, { signal });
  if (position === undefined) return { state: "done" };
  return position.isPending ? { state: "running" } : { state: "waiting", ahead: position.waitCount };
}

/** Reports the state of a job to a function of the application while `result` waits. */
export class StatusReporter {
  readonly #job: JobContext;
  readonly #onStatus: (status: JobStatus) => unknown;
  readonly #life = new AbortController();
  #isDone = false;

  constructor(job: JobContext, onStatus: (status: JobStatus) => unknown) {
    this.#job = job;
    this.#onStatus = onStatus;
    void this.#run();
  }

  /** Reports that the job is done, because its result has arrived. */
  finish(): void {
    this.stop();
    this.#report({ state: "done" });
  }

  /** Ends the reports. */
  stop(): void {
    this.#life.abort(new Error("the wait has ended"));
  }

  async #run(): Promise<void> {
    const { signal } = this.#life;
    try {
      for await (const status of jobStatus(this.#job, { signal })) {
        if (signal.aborted) return;
        this.#report(status);
      }
    } catch (error) {
      if (!signal.aborted) warn(this.#job, "the state could not be read", error);
    }
  }

  #report(status: JobStatus): void {
    if (this.#isDone) return;
    this.#isDone = status.state === "done";
    void reportStatus(this.#job, this.#onStatus, status);
  }
}

/** Calls a function of the application with a state. Errors are only logged, so that the result is not lost. */
export async function reportStatus(
  job: StatusLog,
  onStatus: ((status: JobStatus) => unknown) | undefined,
  status: JobStatus,
): Promise<void> {
  try {
    await onStatus?.(status);
  } catch (error) {
    warn(job, "onStatus failed", error);
  }
}

function warn({ sink, tag }: StatusLog, what: string, error: unknown): void {
  sink.warn(`eas-prediction: job ${tag}: ${what}: ${messageOf(error)}`);
}
