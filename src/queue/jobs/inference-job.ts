import { checkSignal, checkTimeout } from "../../config/validate.js";
import { EasClosedError, EasHttpError, EasModelError, EasTimeoutError } from "../../errors.js";
import { listFacts, showAsText } from "../../util/inspect.js";
import { checkOptionNames } from "../../util/option-names.js";
import { messageOf } from "../../util/realms.js";
import { linkSignal, pause, sleep, unlinkSignal, waitFor } from "../../util/timing/abort.js";
import { clockNow } from "../../util/timing/clock.js";
import type { QueueClient } from "../client.js";
import type { DataFrame } from "../frame.js";
import type { SearchResult } from "../operations.js";

/** The tag by which a result is found: the service hands tags on to it. */
export const JOB_TAG = "easJob";

/** A tag that results carry when the model answered with another status than 200 (aliyun/pai-python-sdk, predictor.py). */
const LAST_CODE = "lastCode";

/** How long the service may hold one answer back, in milliseconds. */
const WAIT_MS = 20_000;
/** Maximum time in milliseconds for which `result` waits for the deletion of a result that has arrived. */
const MAX_DELETION_MS = 1_000;

/** Milliseconds between two questions that the service does not hold back: at least, and for each job that waits. */
const MIN_PAUSE_MS = 500;
const PAUSE_PER_JOB_MS = 20;

/** What is known of a submitted request. */
interface JobFacts {
  readonly index: bigint;
  readonly requestId: string | undefined;
  readonly tag: string;
}

/** A job as it can be stored. */
export interface InferenceJobJson {
  /** In decimal digits: JSON's numbers cannot hold it. */
  readonly index: string;
  readonly requestId?: string | undefined;
  readonly tag: string;
}

/** How long to wait for a result. */
export interface ResultOptions {
  /** Milliseconds. Default: no limit. */
  readonly timeout?: number | undefined;
  /** Ends the wait, which rejects with the signal's reason. The job can be asked again. */
  readonly signal?: AbortSignal | undefined;
}

/** What the waits of a client's jobs share. */
export class ResultWaits {
  readonly #connections: () => number;
  readonly #lives = new Set<AbortController>();
  #held = 0;

  /** `connections`: the most that the client has at the time. */
  constructor(connections: () => number) {
    this.#connections = connections;
  }

  /** How long to wait before a question that the service does not hold back, so that many jobs do not flood it. */
  get pause(): number {
    return Math.max(MIN_PAUSE_MS, this.#lives.size * PAUSE_PER_JOB_MS);
  }

  /** Runs a wait, which ends with the caller's signal and with the client. */
  async run<T>(signal: AbortSignal | undefined, wait: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const life = new AbortController();
    if (signal !== undefined) {
      if (checkSignal(signal).aborted) throw signal.reason;
      linkSignal(signal, life);
    }
    this.#lives.add(life);
    try {
      return await wait(life.signal);
    } finally {
      this.#lives.delete(life);
      unlinkSignal(signal, life);
    }
  }

  /** Asks a question that holds a connection if there is one to spare, and one with an answer at once if not. */
  async ask<T>(longest: number, question: (timeout: number) => Promise<T>): Promise<{ answer: T; held: number }> {
    // As many as the limiter lets through: more would wait for each other, and their time would run out.
    const mostHeld = Math.floor(this.#connections() / 2);
    if (longest === 0 || this.#held >= mostHeld) return { answer: await question(0), held: 0 };
    this.#held++;
    try {
      return { answer: await question(longest), held: longest };
    } finally {
      this.#held--;
    }
  }

  /** Ends all waits. */
  close(): void {
    const reason = new EasClosedError();
    for (const life of this.#lives) life.abort(reason);
  }
}

/** A request that was put into the input queue of an asynchronous inference service. */
export class InferenceJob {
  /** Its position in the input queue. */
  readonly index: bigint;
  /** The id that the service gave it, where it was visible. */
  readonly requestId: string | undefined;
  /** What the client marked it with. */
  readonly tag: string;
  readonly #input: QueueClient;
  readonly #sink: QueueClient;
  readonly #waits: ResultWaits;

  /** @internal */
  constructor(input: QueueClient, sink: QueueClient, waits: ResultWaits, { index, requestId, tag }: JobFacts) {
    this.#input = input;
    this.#sink = sink;
    this.#waits = waits;
    this.index = index;
    this.requestId = requestId;
    this.tag = tag;
    showAsText(this);
  }

  /**
   * Waits for the result, and deletes it from the output queue once it has arrived. Rejects with `EasModelError` when the model
   * failed, and with `EasTimeoutError` when no result arrives within `timeout`. The service writes no result for an empty
   * answer, so set a `timeout` where the model may answer with nothing.
   *
   * A result that has arrived is always returned. If its deletion is not answered by the deadline, by the signal or within one
   * second, it continues in the background. A failed deletion is logged: the result then stays in the output queue.
   */
  async result(options: ResultOptions = {}): Promise<DataFrame> {
    checkOptionNames("result", options, { timeout: 1, signal: 1 });
    const { timeout, signal } = options;
    const end = timeout === undefined ? Number.POSITIVE_INFINITY : clockNow() + checkTimeout("timeout", timeout);
    const frame = await this.#waits.run(signal, (signal) => this.#wait(end, signal));
    if (frame === undefined) {
      throw new EasTimeoutError(`job ${this.tag} has no result after ${timeout} ms`, {
        phase: "total",
        timeout: timeout as number,
        retryable: true,
        requestId: this.requestId,
      });
    }
    await this.#dropInTime(frame, end, signal);
    return succeeded(frame);
  }

  /**
   * Deletes a result that has arrived. Waits until the deadline or the signal, and at most `MAX_DELETION_MS`; the deletion then
   * continues in the background. A failure is logged, since the result must not be lost because it could not be deleted.
   */
  async #dropInTime(frame: DataFrame, end: number, signal: AbortSignal | undefined): Promise<void> {
    const deleted = this.#drop(frame).catch((error: unknown) => {
      const what = `the result of job ${this.tag} could not be deleted and stays in the output queue`;
      this.#sink.warn(`eas-prediction: ${what}: ${messageOf(error)}`);
    });
    const wait = sleep(Math.max(0, Math.min(MAX_DELETION_MS, end - clockNow())));
    await Promise.race([deleted, waitFor(wait, signal).catch(() => {})]);
    wait.cancel(undefined);
  }

  /** Deletes the result. A relay may refuse to delete by index, which callers can guess, and allow it by the job's id. */
  async #drop({ index }: DataFrame): Promise<void> {
    try {
      await this.#sink.delete(index);
    } catch (error) {
      if (!(error instanceof EasHttpError) || error.status !== 403) throw error;
      await this.#find(0, undefined, true);
    }
  }

  /** Asks until the result is there; undefined when it is not by `end`. */
  async #wait(end: number, signal: AbortSignal): Promise<DataFrame | undefined> {
    for (;;) {
      const began = clockNow();
      const rest = Math.max(0, end - began);
      const { answer, held } = await this.#waits.ask(Math.min(WAIT_MS, rest), (timeout) => this.#find(timeout, signal));
      if (answer !== undefined || rest === 0) return answer;
      // Services answer early, and at once when the queue has ended: they are not to be asked again without a pause.
      const now = clockNow();
      const unheld = held === 0 ? this.#waits.pause : Math.min(began + held - now, this.#waits.pause);
      await pause(Math.min(unheld, end - now), signal);
    }
  }

  /** Where the request stands in the input queue; undefined when the service has taken and finished it. */
  position(signal?: AbortSignal): Promise<SearchResult | undefined> {
    return this.#input.search(this.index, { signal });
  }

  /** Deletes the request, and the result if there is one already. What the service is working on goes on. */
  async discard(): Promise<void> {
    await this.#input.delete(this.index);
    const frame = await this.#find(0, undefined);
    if (frame !== undefined) await this.#drop(frame);
  }

  /** What `AsyncInferenceClient.resume` takes, in this process or another. */
  toJSON(): InferenceJobJson {
    const { index, requestId, tag } = this;
    return requestId === undefined ? { index: String(index), tag } : { index: String(index), requestId, tag };
  }

  /** Returns the index, the request id and the tag, for logs. */
  toString(): string {
    return listFacts("InferenceJob", { ...this.toJSON() });
  }

  /** Reads the result. By default it stays in the queue, so that an answer that is lost on the way takes nothing with it. */
  async #find(timeout: number, signal: AbortSignal | undefined, autoDelete = false): Promise<DataFrame | undefined> {
    const { requestId, tag } = this;
    const filter = requestId === undefined ? { tags: { [JOB_TAG]: tag } } : { requestId };
    const [frame] = await this.#sink.get({ ...filter, timeout, autoDelete, signal });
    return frame;
  }
}

function succeeded(frame: DataFrame): DataFrame {
  const code = frame.tags[LAST_CODE];
  if (code === undefined || /^2\d\d$/.test(code)) return frame;
  const excerpt = frame.text().slice(0, 200);
  throw new EasModelError(`the model answered with ${code}${excerpt === "" ? "" : `: ${excerpt}`}`, {
    requestId: frame.requestId,
    status: Number(code),
    body: frame.data.slice(),
  });
}
