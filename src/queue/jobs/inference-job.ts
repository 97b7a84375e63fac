import { listFacts, showAsText } from "../../util/inspect.js";
import type { DataFrame } from "../frame.js";
import type { SearchResult } from "../operations.js";
import type { JobContext } from "./job-context.js";
import type { InferenceJobJson } from "./job-json.js";
import type { JobStatus, ResultOptions, StatusOptions } from "./job-options.js";

/**
 * A request that was put into the input queue of an asynchronous inference service. `R` is the type of its result.
 *
 * @example
 * const job = await client.submit({ prompt: "a cat" });
 * const frame = await job.result({ timeout: 600_000 });
 */
export class InferenceJob<R = DataFrame> {
  /** The index of the request in the input queue. */
  readonly index: bigint;
  /** The request id. Undefined in a web page if the service does not expose its header. */
  readonly requestId: string | undefined;
  /** The tag by which the client finds the result. */
  readonly tag: string;
  readonly #context: JobContext;

  /** @internal */
  constructor(context: JobContext) {
    this.#context = context;
    this.index = context.index;
    this.requestId = context.requestId;
    this.tag = context.tag;
    showAsText(this);
  }

  /**
   * Waits for the result and deletes it from the output queue. Resolves with a `DataFrame`, with the response of the
   * submitted request object, or with the output of the `schema`.
   *
   * Rejects with `EasModelError` if the model failed, and with `EasTimeoutError` if no result arrives within
   * `timeout`. If the response of the model is empty, the service does not write a result. Set a `timeout` if the
   * model can send empty responses. Rejects with `EasDecodeError` or `EasSchemaError` if the result does not have the
   * expected format. Such a result stays in the output queue, and another `result` or `discard` can read or delete it.
   *
   * A result that has arrived is always returned. Its deletion continues in the background after the deadline, after
   * the signal fires, or after one second. If the deletion fails, the result stays in the output queue and a warning
   * is logged.
   */
  async result(options: ResultOptions = {}): Promise<R> {
    const { jobResult } = await import("../lazy.js");
    return jobResult(this.#context, options) as Promise<R>;
  }

  /**
   * Yields the state of the job when it changes, and ends after `"done"`. Reads the state immediately, and then with
   * pauses that increase from 500 ms to 10 s while the state stays the same. The pauses are longer for many jobs: after
   * the first request of each job, all jobs of a client together send at most 50 requests per second.
   *
   * `"done"` does not mean that there is a result: the response of the model may be empty.
   *
   * @example
   * for await (const status of job.status()) {
   *   console.log(status.state === "waiting" ? `${status.ahead} requests ahead` : status.state);
   * }
   */
  async *status(options: StatusOptions = {}): AsyncGenerator<JobStatus, void, undefined> {
    const { jobStatus } = await import("../lazy.js");
    yield* jobStatus(this.#context, options);
  }

  /** Returns the position of the request in the input queue, or undefined if the service has finished it. */
  position(signal?: AbortSignal): Promise<SearchResult | undefined> {
    return this.#context.input.search(this.index, { signal });
  }

  /**
   * Deletes the request. Also deletes its result if the result has arrived. Does not stop a request that the service
   * is already processing.
   */
  async discard(): Promise<void> {
    await this.#context.input.delete(this.index);
    const { discardResult } = await import("../lazy.js");
    await discardResult(this.#context);
  }

  /** Returns the job as plain data, for `AsyncInferenceClient.resume` in this or another process. */
  toJSON(): InferenceJobJson {
    const { index, requestId, tag } = this;
    const { service } = this.#context;
    return { service, index: String(index), ...(requestId !== undefined && { requestId }), tag };
  }

  /** Returns the service, the index, the request id and the tag, for logs. */
  toString(): string {
    return listFacts("InferenceJob", { ...this.toJSON() });
  }
}
