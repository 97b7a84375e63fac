import { checkFunction } from "../../config/validate.js";
import { argumentTypeError } from "../../util/argument-errors.js";
import { checkOptionNames } from "../../util/option-names.js";
import {
  BATCH_OPTIONS,
  BATCH_STREAM_OPTIONS,
  type BatchItem,
  type BatchOptions,
  type BatchStreamOptions,
} from "./options.js";
import type { BatchInput, Predictor } from "./request.js";
import { BatchRun, close } from "./run.js";

/** Creates the run of `batch.stream`. Throws a `TypeError` or `RangeError` for invalid arguments. */
export function streamBatch(client: Predictor, input: BatchInput, options: BatchStreamOptions = {}): BatchRun {
  return orClose(input, () => {
    checkOptionNames("batch.stream", options, BATCH_STREAM_OPTIONS);
    return new BatchRun(client, input, { ...options, onError: options.onError ?? "collect" });
  });
}

/** Runs `batch`. */
export async function collectBatch(
  client: Predictor,
  input: BatchInput,
  options: BatchOptions = {},
): Promise<unknown[]> {
  const { onResult, onError = "stop", ...rest } = options;
  const run = orClose(input, () => {
    checkOptionNames("batch", options, BATCH_OPTIONS);
    if (onResult !== undefined) checkFunction("onResult", onResult);
    for (const name of ["checkpoint", "onCheckpoint"] as const) {
      if (onResult !== undefined || rest[name] === undefined) continue;
      throw argumentTypeError(
        "ERR_EAS_ARG_OPTION",
        `${name} needs onResult, which stores each result. Results in memory are lost with the process. Set onResult, or use batch.stream`,
      );
    }
    return new BatchRun(client, input, { ...rest, onError });
  });
  const results: unknown[] = [];
  for await (const item of run.items()) {
    if (onResult !== undefined) await run.race((async () => onResult(item as BatchItem<unknown>))());
    const { index, answer: value, error: reason } = item;
    if (onError === "stop") results[index] = value;
    else if ("error" in item) results[index] = { status: "rejected", reason };
    else results[index] = { status: "fulfilled", value };
  }
  return results;
}

/**
 * Returns the result of `create`. If `create` throws, closes the input, because there is no run that would close it.
 */
function orClose<R>(input: BatchInput, create: () => R): R {
  try {
    return create();
  } catch (error) {
    close(input.source);
    throw error;
  }
}
