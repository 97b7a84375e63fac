import type { CallOptions } from "../../config/options.js";
import type { JsonReadOptions } from "../../formats/text/string-request.js";
import type { StandardSchema } from "./standard-schema.js";

/** Options of `PredictClient.json`. */
export interface JsonOptions<S extends StandardSchema | undefined = StandardSchema | undefined>
  extends CallOptions,
    JsonReadOptions {
  /** Checks the answer, and may convert it: a schema of zod, valibot or another library that implements Standard Schema v1. */
  readonly schema?: S;
}
