import type { CallOptions } from "../../config/options.js";
import type { JsonReadOptions } from "../../formats/text/string-request.js";
import type { StandardSchema } from "./standard-schema.js";

/** Options for `PredictClient.json`. */
export interface JsonOptions<S extends StandardSchema | undefined = StandardSchema | undefined>
  extends CallOptions,
    JsonReadOptions {
  /**
   * The schema that validates and may transform the response, created with zod, valibot or another library that
   * supports Standard Schema v1.
   */
  readonly schema?: S;
}
