import { EasStoreError } from "../../errors.js";
import { StringRequest, StringResponse } from "../../formats/text/string-request.js";
import type { PredictClient } from "../../predict/client.js";
import type { PredictInput, PredictOutput } from "../../predict/input/inputs.js";
import type { SchemaOutput, StandardSchema } from "../../predict/json/standard-schema.js";
import { randomUuid } from "../../util/uuid.js";
import type { AsyncInferenceClient } from "./async-inference-client.js";
import { type JobInput, jobBody } from "./job-input.js";
import type { RunOptions } from "./run-options.js";

/**
 * Calls a service and validates its JSON result with `schema`. See the other overload for all details.
 */
export function run<S extends StandardSchema>(
  client: AsyncInferenceClient | PredictClient,
  input: JobInput,
  options: RunOptions<SchemaOutput<S>> & { readonly schema: S },
): Promise<SchemaOutput<S>>;
/**
 * Calls a service and resolves with its result, in the form in which `PredictClient.predict` returns it.
 *
 * For an asynchronous service, the function stores a handle under `key`, submits the job and waits for the result. It
 * passes the result to `onResult`, deletes it from the output queue, and deletes the handle. If the process ends at any
 * step, another call with the same `key` continues there and does not submit the job again. The other call uses its
 * `input` only for the format of the result. Do not modify `input` until the promise settles.
 *
 * A synchronous service has no queue. The function only calls it, and does not use the store, the tags and the priority.
 *
 * Rejects with the errors of `submit` and `InferenceJob.result`, and with `EasStoreError` if the store fails after the
 * job was submitted. After `EasTimeoutError`, an abort or a failure of the network, call the function again with the
 * same key. After `EasModelError` the job is over, and another call submits a new job.
 *
 * @example
 * const image = await run(client, { prompt: "a cat" }, { store, key: "order-42", onResult: save });
 */
export function run<Q extends NonNullable<PredictInput>>(
  client: AsyncInferenceClient | PredictClient,
  input: Q,
  options: RunOptions<PredictOutput<Q>> & { readonly schema?: undefined },
): Promise<PredictOutput<Q>>;
export async function run(
  client: AsyncInferenceClient | PredictClient,
  input: JobInput,
  options: RunOptions<unknown>,
): Promise<unknown> {
  const { run } = await import("../lazy.js");
  return run(client, input, options, { EasStoreError, jobBody, randomUuid, StringRequest, StringResponse });
}
