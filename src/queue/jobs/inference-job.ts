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

/** The tag that identifies the result of a job. The service copies the tags of a request to its result. */
export const JOB_TAG = "easJob";

/** The tag that contains the status of the model if the status is not 200 (aliyun/pai-python-sdk, predictor.py). */
const LAST_CODE = "lastCode";

/** Milliseconds for which the service may delay a response. */
const LONG_POLL_MS = 20_000;
/** Maximum time in milliseconds for which `result` waits for the deletion of a result that has arrived. */
const MAX_DELETION_MS = 1_000;

/** Minimum pause in milliseconds between two requests whose responses the service does not delay. */
const MIN_PAUSE_MS = 500;
/** Pause in milliseconds that is added for each waiting job, so that many jobs do not overload the service. */
const PAUSE_PER_JOB_MS = 20;

/** The identity of a submitted request. */
interface JobFacts {
  readonly index: bigint;
  readonly requestId: string | undefined;
  readonly tag: string;
}

/** The JSON form of a job; see `InferenceJob.toJSON`. */
export interface InferenceJobJson {
  /** Decimal digits, because JSON numbers cannot represent the index exactly. */
  readonly index: string;
  readonly requestId?: string | undefined;
  readonly tag: string;
}

/** Options for `InferenceJob.result`. */
export interface ResultOptions {
  /** Maximum time to wait for the result in milliseconds. Default: no limit. */
  readonly timeout?: number | undefined;
  /** Aborts the wait. `result` then rejects with the signal's reason and can be called again. */
  readonly signal?: AbortSignal | undefined;
}

/** Coordinates the waits for results of all jobs of a client. */
export class ResultWaits {
  readonly #connections: () => number;
  readonly #lives = new Set<AbortController>();
  #longPolls = 0;

  /** `connections` returns the current maximum number of connections of the client. */
  constructor(connections: () => number) {
    this.#connections = connections;
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
    this.#lives.add(life);
    try {
      return await wait(life.signal);
    } finally {
      this.#lives.delete(life);
      unlinkSignal(signal, life);
    }
  }

  /**
   * Sends a long poll of at most `maxWait` milliseconds if a connection is available for it. Otherwise, sends a
   * request that does not wait.
   */
  async poll<T>(maxWait: number, request: (timeout: number) => Promise<T>): Promise<{ result: T; waited: number }> {
    // If there were more long polls than the limiter admits, they would wait for each other and time out.
    const maxLongPolls = Math.floor(this.#connections() / 2);
    if (maxWait === 0 || this.#longPolls >= maxLongPolls) return { result: await request(0), waited: 0 };
    this.#longPolls++;
    try {
      return { result: await request(maxWait), waited: maxWait };
    } finally {
      this.#longPolls--;
    }
  }

  /** Ends all waits with `EasClosedError`. */
  close(): void {
    const reason = new EasClosedError();
    for (const life of this.#lives) life.abort(reason);
  }
}

/**
 * A request that was put into the input queue of an asynchronous inference service.
 *
 * @example
 * const job = await client.submit(data);
 * const frame = await job.result({ timeout: 600_000 });
 */
export class InferenceJob {
  /** The index of the request in the input queue. */
  readonly index: bigint;
  /** The request id. Undefined in a web page if the service does not expose its header. */
  readonly requestId: string | undefined;
  /** The tag by which the client finds the result. */
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
   * Waits for the result and deletes it from the output queue. Rejects with `EasModelError` if the model failed, and
   * with `EasTimeoutError` if no result arrives within `timeout`. If the response of the model is empty, the service
   * does not write a result. Set a `timeout` if the model can send empty responses.
   *
   * A result that has arrived is always returned. Its deletion continues in the background after the deadline, after
   * the signal fires, or after one second. If the deletion fails, the result stays in the output queue and a warning
   * is logged.
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
   * Deletes a result. Waits until the deadline or the signal, and at most `MAX_DELETION_MS`. After that, the
   * deletion continues in the background. A failure is only logged, so that the caller still receives the result.
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

  /**
   * Deletes a result by its index. A relay may refuse this with 403, because callers can guess indexes. If so, the
   * result is deleted by the id of its job.
   */
  async #drop({ index }: DataFrame): Promise<void> {
    try {
      await this.#sink.delete(index);
    } catch (error) {
      if (!(error instanceof EasHttpError) || error.status !== 403) throw error;
      await this.#find(0, undefined, true);
    }
  }

  /** Polls until the result arrives. Returns undefined if there is no result at the time `end`. */
  async #wait(end: number, signal: AbortSignal): Promise<DataFrame | undefined> {
    for (;;) {
      const began = clockNow();
      const rest = Math.max(0, end - began);
      const { result, waited } = await this.#waits.poll(Math.min(LONG_POLL_MS, rest), (timeout) =>
        this.#find(timeout, signal),
      );
      if (result !== undefined || rest === 0) return result;
      // A service may respond early, and responds immediately after the queue has ended. The pause prevents a busy
      // loop.
      const now = clockNow();
      const early = waited === 0 ? this.#waits.pause : Math.min(began + waited - now, this.#waits.pause);
      await pause(Math.min(early, end - now), signal);
    }
  }

  /** Returns the position of the request in the input queue, or undefined if the service has finished it. */
  position(signal?: AbortSignal): Promise<SearchResult | undefined> {
    return this.#input.search(this.index, { signal });
  }

  /**
   * Deletes the request. Also deletes its result if the result has arrived. Does not stop a request that the service
   * is already processing.
   */
  async discard(): Promise<void> {
    await this.#input.delete(this.index);
    const frame = await this.#find(0, undefined);
    if (frame !== undefined) await this.#drop(frame);
  }

  /** Returns the job as plain data, for `AsyncInferenceClient.resume` in this or another process. */
  toJSON(): InferenceJobJson {
    const { index, requestId, tag } = this;
    return requestId === undefined ? { index: String(index), tag } : { index: String(index), requestId, tag };
  }

  /** Returns the index, the request id and the tag, for logs. */
  toString(): string {
    return listFacts("InferenceJob", { ...this.toJSON() });
  }

  /** Reads the result. By default the result stays in the queue, so that it is not lost if the response is lost. */
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
  throw new EasModelError(`the model responded with ${code}${excerpt === "" ? "" : `: ${excerpt}`}`, {
    requestId: frame.requestId,
    status: Number(code),
    body: frame.data.slice(),
  });
}
