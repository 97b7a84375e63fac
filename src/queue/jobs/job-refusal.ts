import type { PredictRequest } from "../../formats/request.js";
import { argumentTypeError, show } from "../../util/argument-errors.js";
import type { JobFormat } from "./job-context.js";

/** Creates the error for an input that `jobBody` does not support. */
export async function jobRefusal(input: unknown): Promise<TypeError> {
  if (typeof input !== "object" || input === null) {
    return argumentTypeError(
      "ERR_EAS_ARG_REQUEST",
      `input is ${show(input)}: a job accepts text, bytes, a Blob, a plain object or array (sent as JSON), or a request object`,
    );
  }
  if ((input as Partial<PredictRequest<unknown>>).compression === undefined) {
    return (await import("../../predict/lazy.js")).jsonRefusal(input);
  }
  return argumentTypeError(
    "ERR_EAS_ARG_REQUEST",
    "the request has a compression, and a job is sent uncompressed: leave the option compression out",
  );
}

/** Rejects with a `TypeError` for a value that is not a schema, and for a schema together with a parser. */
export async function checkFormat({ parse, schema }: JobFormat): Promise<void> {
  if (schema === undefined) return;
  (await import("../../predict/lazy.js")).checkSchema(schema);
  if (parse === undefined) return;
  throw argumentTypeError(
    "ERR_EAS_ARG_OPTION",
    "schema is for results in JSON, and a request object parses its result itself: leave schema out",
  );
}
