import type { PredictRequest } from "../../formats/request.js";
import { jsonRefusal } from "../../predict/input/json-refusal.js";
import { checkSchema } from "../../predict/json/validate-json.js";
import { argumentTypeError, show } from "../../util/argument-errors.js";
import type { JobFormat } from "./job-context.js";

/** Creates the error for an input that `jobBody` does not support. */
export function jobRefusal(input: unknown): TypeError {
  if (typeof input !== "object" || input === null) {
    return argumentTypeError(
      "ERR_EAS_ARG_REQUEST",
      `submit takes text, bytes, a Blob, a plain object or array (sent as JSON) or a request object, not ${show(input)}`,
    );
  }
  if ((input as Partial<PredictRequest<unknown>>).compression === undefined) return jsonRefusal(input);
  return argumentTypeError(
    "ERR_EAS_ARG_REQUEST",
    "the request has a compression, and a job is sent uncompressed: leave the option compression out",
  );
}

/** Throws a `TypeError` for a value that is not a schema, and for a schema besides a parser. */
export function checkFormat({ parse, schema }: JobFormat): void {
  if (schema === undefined) return;
  checkSchema(schema);
  if (parse === undefined) return;
  throw argumentTypeError(
    "ERR_EAS_ARG_OPTION",
    "schema is for results in JSON, and a request object parses its result itself: leave schema out",
  );
}
