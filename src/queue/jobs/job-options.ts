import type { StandardSchema } from "../../predict/json/standard-schema.js";
import type { PutOptions } from "../operations.js";
import type { ResultFormat } from "./job-input.js";

/** Options for `AsyncInferenceClient.submit`. */
export interface SubmitOptions<S extends StandardSchema | undefined = StandardSchema | undefined> extends PutOptions {
  /**
   * The schema that validates and may transform the result, which is parsed as JSON. It comes from zod, valibot or
   * another library with Standard Schema v1. A request object parses its result itself and accepts no schema.
   */
  readonly schema?: S;
}

/** Options for `AsyncInferenceClient.resume`. At most one of them can be set. */
export interface ResumeOptions {
  /** The request class, such as `TFRequest`, or a request object, whose format the result has. */
  readonly as?: ResultFormat<unknown> | undefined;
  /** The schema that validates the result, as in `SubmitOptions`. */
  readonly schema?: StandardSchema | undefined;
}

/** The state of a job; see `InferenceJob.status`. */
export type JobStatus =
  /** The request is in the input queue. `ahead` is the number of requests before it. */
  | { readonly state: "waiting"; readonly ahead: number }
  /** The service is processing the request. */
  | { readonly state: "running" }
  /** The request is no longer in the input queue: the service has finished it, or it was deleted. */
  | { readonly state: "done" };

/** Options for `InferenceJob.status`. */
export interface StatusOptions {
  /** Ends the iteration, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Options for `InferenceJob.result`. */
export interface ResultOptions {
  /** Maximum time to wait for the result in milliseconds. Default: no limit. */
  readonly timeout?: number | undefined;
  /** Aborts the wait. `result` then rejects with the signal's reason and can be called again. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Receives the state of the job when it changes, as from `InferenceJob.status`. Errors of this function and of the
   * requests for the state are logged, and do not affect the result.
   */
  readonly onStatus?: ((status: JobStatus) => unknown) | undefined;
}
