import type { CallOptions } from "../../config/options.js";
import type { StandardSchema } from "../../predict/json/standard-schema.js";
import type { PutOptions } from "../operations.js";
import type { ResultOptions } from "./job-options.js";

/**
 * Stores the handles of `run`. A `Map` is a valid store. Use a store that survives the process, such as a database or
 * a folder, to continue after a crash. The methods may return promises.
 */
export interface JobStore {
  /** Returns the value of a key. Returns `undefined` or `null` if there is no value. */
  get(key: string): string | null | undefined | Promise<string | null | undefined>;
  /** Stores a value. Must replace the previous value completely or not at all. */
  set(key: string, value: string): unknown;
  /** Deletes a key, which may be absent. */
  delete(key: string): unknown;
}

/** Options for `run`. `T` is the type of the result. */
export interface RunOptions<T>
  extends ResultOptions,
    Pick<PutOptions, "tags" | "priority">,
    Pick<CallOptions, "path" | "headers"> {
  /** The store for the handle. */
  readonly store: JobStore;
  /**
   * The key of the handle in the store, for example the id of an order. A call with the key of an unfinished call
   * continues that call. Two calls with the same key must not run at the same time.
   */
  readonly key: string;
  /** The schema that validates and may transform the result, which is parsed as JSON. */
  readonly schema?: StandardSchema | undefined;
  /**
   * Receives the result before it is deleted from the output queue, so that the application can save it. The result
   * stays in the queue until the returned promise resolves. If the process ends before, the next call with the same
   * key calls the function again. If the function fails, `run` rejects with its error.
   */
  readonly onResult?: ((result: T) => unknown) | undefined;
  /**
   * Time in milliseconds for which a submission without a response may still reach the queue. Only after this time, a
   * job that is in neither queue is submitted again. Default 5,000. 0 does not wait.
   */
  readonly settleTime?: number | undefined;
}
