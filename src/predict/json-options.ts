import type { CallOptions } from "../http/options.js";
import type { StandardSchema } from "./standard-schema.js";

/** How JSON is read. */
export interface JsonReadOptions {
  /** Whether integers beyond 2^53 become bigints, exact to the last digit. Default false: they are rounded, as by `JSON.parse`. */
  readonly bigint?: boolean | undefined;
}

/** Options of `PredictClient.json`. */
export interface JsonOptions<S extends StandardSchema | undefined = StandardSchema | undefined>
  extends CallOptions,
    JsonReadOptions {
  /** Checks the answer, and may convert it: a schema of zod, valibot or another library that implements Standard Schema v1. */
  readonly schema?: S;
}
