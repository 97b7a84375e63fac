import type { CallOptions } from "../config/options.js";
import type { Bytes, PredictRequest } from "../formats/request.js";
import type { StringResponse } from "../formats/text/string-request.js";
import type { PredictInput } from "./input/inputs.js";

/** What `predict` takes. */
export type BatchInput = PredictInput;

/** What `predict` answers an input with. */
export type BatchAnswer<Q extends BatchInput> = Q extends string
  ? StringResponse
  : Q extends PredictRequest<infer R>
    ? R
    : Q extends Uint8Array | ArrayBuffer | Blob
      ? Bytes
      : StringResponse;

/** How far a batch is. */
export interface BatchProgress {
  /** Requests that have ended, the failed ones included. */
  readonly done: number;
  readonly failed: number;
  /** All requests, where they came as an array. */
  readonly total: number | undefined;
  /** Serialized bytes of the requests that have ended, before compression. */
  readonly bytes: number;
}

/** How a batch is sent: options of its own, and those of each call. */
export interface BatchOptions extends CallOptions {
  /**
   * The most requests in flight. Default 8: an instance has 5 workers by default, so this keeps it busy while answers travel,
   * and leaves its queue (64 requests by default) to others.
   */
  readonly concurrency?: number | undefined;
  /** The most serialized bytes in flight; a larger request goes alone. Default: no limit. */
  readonly maxBytes?: number | undefined;
  /** Called when a request has ended. What it throws ends the batch. */
  readonly onProgress?: ((progress: BatchProgress) => void) | undefined;
  /** `"stop"`: the first error ends the batch. `"collect"`: errors stand among the results. Default `"stop"`. */
  readonly onError?: "stop" | "collect" | undefined;
}

/** Options of a batch that stops at the first error. */
export interface StoppingBatchOptions extends BatchOptions {
  readonly onError?: "stop" | undefined;
}

/** Options of a batch that collects errors. */
export interface CollectingBatchOptions extends BatchOptions {
  readonly onError: "collect";
}
