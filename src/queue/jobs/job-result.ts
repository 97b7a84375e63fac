import { checkFunction, checkTimeout } from "../../config/validate.js";
import { EasDecodeError, EasHttpError, EasTimeoutError, isEasError } from "../../errors.js";
import { checkOptionNames } from "../../util/option-names.js";
import { messageOf } from "../../util/realms.js";
import { sleep, waitFor } from "../../util/timing/abort.js";
import { clockNow } from "../../util/timing/clock.js";
import type { DataFrame } from "../frame.js";
import type { JobContext, JobFormat, ResultFrame } from "./job-context.js";
import type { ResultOptions } from "./job-options.js";
import { checkFormat } from "./job-refusal.js";
import { StatusReporter } from "./job-status.js";
import { MIN_PAUSE_MS, waitsOf } from "./job-waits.js";

/** The tag that contains the status of the model if the status is not 200 (aliyun/pai-python-sdk, predictor.py). */
const LAST_CODE = "lastCode";

/** Milliseconds for which the service may delay a response. */
const LONG_POLL_MS = 20_000;
/** Maximum time in milliseconds for which `result` waits for the deletion of a result that has arrived. */
const MAX_DELETION_MS = 1_000;

/** Identifies the result of a job in the output queue. */
export type ResultKey = Pick<JobContext, "sink" | "tag" | "filter">;

/** Implements `InferenceJob.result`. */
export async function jobResult(job: JobContext, options: ResultOptions): Promise<unknown> {
  checkResultOptions("result", options);
  await checkFormat(job.format);
  const end = endOf(options);
  const frame = await receiveResult(job, options, end);
  let value: unknown;
  try {
    checkModel(job, frame);
    // The result is parsed before it is deleted, so that a result in an unexpected format is not lost.
    value = await readResult(frame, job.format, options.signal);
  } catch (error) {
    // The result of a model that failed was received completely, because the error contains it.
    if (isModelError(error)) await dropInTime(job, frame, end, options.signal);
    throw error;
  }
  await dropInTime(job, frame, end, options.signal);
  return value;
}

/** Throws a `TypeError` or `RangeError` for invalid options of a wait. */
export function checkResultOptions(of: string, options: ResultOptions): void {
  checkOptionNames(of, options, { timeout: 1, signal: 1, onStatus: 1 });
  if (options.timeout !== undefined) checkTimeout("timeout", options.timeout);
  if (options.onStatus !== undefined) checkFunction("onStatus", options.onStatus);
}

/** Returns the time at which a wait times out, on the clock of `clockNow()`. */
export function endOf({ timeout }: ResultOptions): number {
  return timeout === undefined ? Number.POSITIVE_INFINITY : clockNow() + timeout;
}

/** Waits for the result of a job until the time `end`, and leaves it in the output queue. */
export async function receiveResult(job: JobContext, options: ResultOptions, end: number): Promise<DataFrame> {
  const { timeout, signal, onStatus } = options;
  const reporter = onStatus === undefined ? undefined : new StatusReporter(job, onStatus);
  try {
    const frame = await waitsOf(job).run(signal, (signal) => waitUntil(job, end, signal));
    if (frame !== undefined) {
      reporter?.finish();
      return frame;
    }
  } finally {
    reporter?.stop();
  }
  throw new EasTimeoutError(`job ${job.tag} has no result after ${timeout} ms`, {
    phase: "total",
    timeout: timeout as number,
    retryable: true,
    requestId: job.requestId,
  });
}

/** Polls until the result arrives. Returns undefined if there is no result at the time `end`. */
async function waitUntil(job: JobContext, end: number, signal: AbortSignal): Promise<DataFrame | undefined> {
  const waits = waitsOf(job);
  for (;;) {
    const began = clockNow();
    const rest = Math.max(0, end - began);
    const { result, waited } = await waits.poll(Math.min(LONG_POLL_MS, rest), (timeout) =>
      findResult(job, timeout, signal),
    );
    if (result !== undefined || rest === 0) return result;
    // A service may respond early, and responds immediately after the queue has ended. The pause prevents a busy
    // loop.
    const early = waited === 0 ? MIN_PAUSE_MS : Math.min(began + waited - clockNow(), MIN_PAUSE_MS);
    await waits.pause(early, end, signal);
  }
}

/** Reads a result. By default the result stays in the queue, so that it is not lost if the response is lost. */
export async function findResult(
  { sink, filter }: ResultKey,
  timeout: number,
  signal: AbortSignal | undefined,
  autoDelete = false,
): Promise<DataFrame | undefined> {
  const [frame] = await sink.get({ ...filter, timeout, autoDelete, signal });
  return frame;
}

/**
 * Deletes a result. Waits until the deadline or the signal, and at most `MAX_DELETION_MS`. After that, the deletion
 * continues in the background. A failure is only logged, so that the caller still receives the result.
 */
export async function dropInTime(
  job: ResultKey,
  frame: Pick<DataFrame, "index">,
  end: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const deleted = dropResult(job, frame).catch((error: unknown) => {
    const what = `the result of job ${job.tag} could not be deleted and stays in the output queue`;
    job.sink.warn(`eas-prediction: ${what}: ${messageOf(error)}`);
  });
  const wait = sleep(Math.max(0, Math.min(MAX_DELETION_MS, end - clockNow())));
  await Promise.race([deleted, waitFor(wait, signal).catch(() => {})]);
  wait.cancel(undefined);
}

/**
 * Deletes a result by its index. A relay may refuse this with 403, because callers can guess indexes. If so, the
 * result is deleted by the id of its job.
 */
async function dropResult(job: ResultKey, { index }: Pick<DataFrame, "index">): Promise<void> {
  try {
    await job.sink.delete(index);
  } catch (error) {
    if (!(error instanceof EasHttpError) || error.status !== 403) throw error;
    await findResult(job, 0, undefined, true);
  }
}

/** Deletes the result of a job if the result has arrived. */
export async function discardResult(job: ResultKey): Promise<void> {
  const frame = await findResult(job, 0, undefined);
  if (frame !== undefined) await dropResult(job, frame);
}

/** Whether an error reports that the model failed. */
export function isModelError(error: unknown): boolean {
  return isEasError(error) && error.code === "ERR_EAS_MODEL";
}

/** Throws an `EasModelError` if the status of the model is not a success. */
export function checkModel({ EasModelError }: JobContext, frame: ResultFrame): void {
  const code = frame.tags[LAST_CODE];
  if (code === undefined || /^2\d\d$/.test(code)) return;
  const excerpt = frame.text().slice(0, 200);
  throw new EasModelError(`the model responded with ${code}${excerpt === "" ? "" : `: ${excerpt}`}`, {
    requestId: frame.requestId,
    status: Number(code),
    body: frame.data.slice(),
  });
}

/** Converts a result to its format. */
export async function readResult(
  frame: ResultFrame,
  { parse, schema }: JobFormat,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  if (schema === undefined) return parse === undefined ? frame : parse(frame.data);
  let value: unknown;
  try {
    value = JSON.parse(frame.text());
  } catch {
    throw new EasDecodeError(`the result of ${frame.data.length} bytes is not JSON, which schema requires`, {
      format: "json",
      requestId: frame.requestId,
    });
  }
  const origin = { subject: "the job", attempts: 1, requestId: frame.requestId, token: [] };
  const { validateJson } = await import("../../predict/lazy.js");
  return validateJson(value, schema, signal, origin);
}
