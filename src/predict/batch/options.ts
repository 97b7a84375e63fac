import { CALL_OPTIONS, type CallOptions } from "../../config/options.js";
import type { OptionNames } from "../../util/option-names.js";

/** Progress of a batch. */
export interface BatchProgress {
  /** Number of completed requests, including failed requests and those that a checkpoint skips. */
  readonly done: number;
  /** Number of failed requests. */
  readonly failed: number;
  /** Total number of requests; undefined unless they were passed as an array. */
  readonly total: number | undefined;
  /** Size of the completed requests in bytes, before compression. */
  readonly bytes: number;
}

/**
 * The finished requests of a batch, as plain data that `JSON.stringify` preserves. A request is finished when its
 * result was processed: the loop asked for the next result, or `onResult` returned. Failed requests count as finished.
 *
 * Its size does not depend on the number of requests: there are at most about as many ranges as requests in flight.
 */
export interface BatchCheckpoint {
  /** Version of this format. */
  readonly version: 1;
  /** Ranges of finished indexes, in ascending order. `end` is not part of the range. */
  readonly done: readonly (readonly [start: number, end: number])[];
  /** Hash of the first requests of the input, and their number, at most 16. */
  readonly first: { readonly count: number; readonly hash: string };
  /** Total number of requests. Absent unless they were passed as an array. */
  readonly total?: number | undefined;
  /** The batch's `inputId` option. Absent if it was not set. */
  readonly inputId?: string | undefined;
}

/** The result of a request that succeeded. */
export interface BatchSuccess<R> {
  /** Index of the request in the input, from 0. */
  readonly index: number;
  /** The response, in the form in which `predict` returns it. */
  readonly answer: R;
  /** Never set. Present in the type so that `error === undefined` narrows a `BatchItem`. */
  readonly error?: undefined;
  /**
   * The checkpoint that counts this result as processed. If you store it in the same transaction as the result, each
   * result is stored exactly once.
   */
  readonly checkpoint: BatchCheckpoint;
}

/** The result of a request that failed. */
export interface BatchFailure {
  /** Index of the request in the input, from 0. */
  readonly index: number;
  /** Never set. */
  readonly answer?: undefined;
  /** The error with which `predict` rejected. */
  readonly error: Error;
  /** The checkpoint that counts this failure as processed; see `BatchSuccess.checkpoint`. */
  readonly checkpoint: BatchCheckpoint;
}

/** The result of one request of a batch: it has either an `answer` or an `error`. */
export type BatchItem<R> = BatchSuccess<R> | BatchFailure;

/** Options for `batch.stream`, and for each of its calls. */
export interface BatchStreamOptions extends CallOptions {
  /**
   * Maximum number of requests in flight. Default 8. This default keeps the 5 workers of an instance busy, and leaves
   * most of the instance's queue (64 requests) to other clients.
   *
   * `"auto"` adapts the number to the service: it grows until the service responds with 429 or 450, or until the
   * latency doubles. Requests that were refused with 429 or 450 are sent again, after the delay of `Retry-After` if the
   * response has one. They fail only if the service has not accepted any request for 60 seconds, or if `Retry-After`
   * exceeds 60 seconds. The client's `retryOn` is not used; pass it as a batch option.
   */
  readonly concurrency?: number | "auto" | undefined;
  /** Maximum size of the requests in flight, in bytes. A larger request is sent alone. Default: no limit. */
  readonly maxBytes?: number | undefined;
  /** Called after each request. If it throws an error, the batch ends with that error. */
  readonly onProgress?: ((progress: BatchProgress) => void) | undefined;
  /** `"collect"`: an error is the result of its request. `"stop"`: the first error ends the loop. Default `"collect"`. */
  readonly onError?: "stop" | "collect" | undefined;
  /**
   * Whether results are returned in the order of the requests. If so, a slow request delays the results after it.
   * Default `false`: results are returned in the order in which the requests complete.
   */
  readonly ordered?: boolean | undefined;
  /**
   * A checkpoint of an earlier run. Its finished requests are read from the input but not sent again. The input must
   * be the same. The batch rejects with a `TypeError` if the first 16 requests, the `inputId`, or the number of
   * requests of two arrays differ. Other differences are not detected.
   */
  readonly checkpoint?: BatchCheckpoint | undefined;
  /**
   * Stores a checkpoint. Called after every `checkpointEvery` results, and at the end of the batch, even if it ends
   * with an error. The next result is handed over after the returned promise has resolved. If it rejects, the batch
   * ends with that error.
   */
  readonly onCheckpoint?: ((checkpoint: BatchCheckpoint) => unknown) | undefined;
  /**
   * Number of results between calls of `onCheckpoint`. Default 100. After a crash, at most that many results are
   * handed over a second time.
   */
  readonly checkpointEvery?: number | undefined;
  /** Name of the input and its version, such as a file name with a hash. Stored in checkpoints and compared on resume. */
  readonly inputId?: string | undefined;
}

/** Options for `batch`, and for each of its calls. `R` is the type of the responses. */
export interface BatchOptions<R = unknown> extends BatchStreamOptions {
  /** `"stop"`: the first error ends the batch. `"collect"`: errors are part of the results. Default `"stop"`. */
  readonly onError?: "stop" | "collect" | undefined;
  /**
   * Called with each result, one at a time. The next call waits until the returned promise has resolved. If it throws
   * or rejects, the batch ends with that error. Required for `checkpoint` and `onCheckpoint`: results that are only in
   * memory would be lost with the process.
   */
  readonly onResult?: ((item: BatchItem<R>) => unknown) | undefined;
}

/** Options of a batch that stops at the first error. */
export interface StoppingBatchOptions<R = unknown> extends BatchOptions<R> {
  readonly onError?: "stop" | undefined;
}

/** Options of a batch that collects errors. */
export interface CollectingBatchOptions<R = unknown> extends BatchOptions<R> {
  readonly onError: "collect";
}

/** Names of all options of `batch.stream`. */
export const BATCH_STREAM_OPTIONS: OptionNames<BatchStreamOptions> = {
  ...CALL_OPTIONS,
  concurrency: 1,
  maxBytes: 1,
  onProgress: 1,
  onError: 1,
  ordered: 1,
  checkpoint: 1,
  onCheckpoint: 1,
  checkpointEvery: 1,
  inputId: 1,
};

/** Names of all options of `batch`. */
export const BATCH_OPTIONS: OptionNames<BatchOptions> = { ...BATCH_STREAM_OPTIONS, onResult: 1 };
