import { checkFunction, checkSignal, checkTimeout } from "../../config/validate.js";
import { EasError, type EasStoreError } from "../../errors.js";
import type { Bytes, PredictRequest } from "../../formats/request.js";
import type { PredictClient } from "../../predict/client.js";
import { argumentTypeError, optionError, show } from "../../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../../util/option-names.js";
import { messageOf } from "../../util/realms.js";
import { clockNow } from "../../util/timing/clock.js";
import type { DataFrame } from "../frame.js";
import type { PutOptions } from "../operations.js";
import type { JobContext, JobFormat, ResultFrame } from "./job-context.js";
import type { JobBody, JobInput } from "./job-input.js";
import type { InferenceJobJson } from "./job-json.js";
import { checkFormat, jobRefusal } from "./job-refusal.js";
import {
  checkModel,
  checkResultOptions,
  dropInTime,
  endOf,
  findResult,
  isModelError,
  readResult,
  receiveResult,
} from "./job-result.js";
import { reportStatus } from "./job-status.js";
import { MIN_PAUSE_MS, waitsOf } from "./job-waits.js";
import type { JobStore, RunOptions } from "./run-options.js";
import { frameOf, type RunRecord, readRecord } from "./run-record.js";

/** Maximum number of submissions of one call whose outcome is unknown. */
const MAX_SUBMISSIONS = 3;
const DEFAULT_SETTLE_MS = 5_000;

/** The part of `AsyncInferenceClient` that `run` uses. */
export interface RunClient {
  readonly serviceName: string;
  submit(input: JobInput, options: PutOptions): Promise<{ toJSON(): InferenceJobJson }>;
  contextOf(job: InferenceJobJson, format: JobFormat): JobContext;
  handleOf(item: DataFrame, requestId: string): InferenceJobJson;
}

type AnyRunOptions = RunOptions<unknown>;

/** A job that was found in the queues: its handle, or its result. */
type Found = { readonly job: InferenceJobJson } | { readonly frame: ResultFrame };

/** The keys of the calls in progress. A second call with the same key would submit a second job. */
const running = new WeakMap<JobStore, Set<string>>();

/** Functions and classes that pages load at their start. Importing them here would split that code into more chunks. */
export interface RunTools {
  readonly jobBody: (input: JobInput) => JobBody | undefined;
  readonly randomUuid: () => string;
  readonly EasStoreError: new (message: string, options: { cause: unknown }) => EasStoreError;
  readonly StringRequest: new (text: string) => PredictRequest<unknown>;
  readonly StringResponse: new (bytes: Bytes) => unknown;
}

/** Implements `run`. */
export async function run(
  client: RunClient | PredictClient,
  input: JobInput,
  options: AnyRunOptions,
  tools: RunTools,
): Promise<unknown> {
  checkRunOptions(options);
  const body = tools.jobBody(input);
  if (body === undefined) throw await jobRefusal(input);
  const { schema } = options;
  await checkFormat({ parse: body.parse, schema });
  if (!("submit" in client)) {
    // `json` does not accept text itself.
    const isText = typeof input === "string" && schema !== undefined;
    return runPrediction(client, isText ? new tools.StringRequest(input) : input, options);
  }
  const isText = typeof body.data === "string";
  const parse = body.parse ?? ((data: Bytes) => (isText ? new tools.StringResponse(data) : data));
  const { store, key } = options;
  const keys = running.get(store) ?? new Set();
  running.set(store, keys);
  if (keys.has(key)) {
    throw argumentTypeError(
      "ERR_EAS_ARG_OPTION",
      `key is ${show(key)}: another run() with this key is in progress. Wait for it, or use another key`,
    );
  }
  keys.add(key);
  try {
    const format = schema === undefined ? { parse } : { schema };
    return await new JobRun(client, input, options, format, tools).run();
  } finally {
    keys.delete(key);
  }
}

/** Calls a synchronous service. */
async function runPrediction(client: PredictClient, input: JobInput, options: AnyRunOptions): Promise<unknown> {
  const { path, headers, signal, timeout, schema, onStatus, onResult } = options;
  const call = { path, headers, signal, timeout, totalTimeout: timeout };
  // A synchronous client has no logger for the errors of `onStatus`.
  const log = { tag: options.key, sink: { warn: (message: string) => console.warn(message) } };
  void reportStatus(log, onStatus, { state: "running" });
  const value =
    schema === undefined ? await client.predict(input, call) : await client.json(input as object, { ...call, schema });
  void reportStatus(log, onStatus, { state: "done" });
  await onResult?.(value);
  return value;
}

const RUN_OPTIONS: OptionNames<AnyRunOptions> = {
  store: 1,
  key: 1,
  schema: 1,
  onResult: 1,
  settleTime: 1,
  tags: 1,
  priority: 1,
  path: 1,
  headers: 1,
  timeout: 1,
  signal: 1,
  onStatus: 1,
};

function checkRunOptions(options: AnyRunOptions): void {
  checkOptionNames("run", options, RUN_OPTIONS);
  const { store, key, onResult, settleTime, timeout, signal, onStatus } = Object(options) as AnyRunOptions;
  for (const method of ["get", "set", "delete"] as const) {
    if (typeof store?.[method] !== "function") {
      throw optionError("store", store, "have the methods get, set and delete, as a Map does");
    }
  }
  if (typeof key !== "string" || key === "") throw optionError("key", key, "be a non-empty string");
  if (onResult !== undefined) checkFunction("onResult", onResult);
  if (settleTime !== undefined && settleTime !== 0) checkTimeout("settleTime", settleTime);
  checkResultOptions("run", { timeout, signal, onStatus });
}

/** One call of `run` for an asynchronous service. */
class JobRun {
  readonly #client: RunClient;
  readonly #input: JobInput;
  readonly #options: AnyRunOptions;
  readonly #format: JobFormat;
  readonly #tools: RunTools;
  readonly #end: number;

  constructor(client: RunClient, input: JobInput, options: AnyRunOptions, format: JobFormat, tools: RunTools) {
    this.#client = client;
    this.#input = input;
    this.#options = options;
    this.#format = format;
    this.#tools = tools;
    this.#end = endOf(options);
  }

  async run(): Promise<unknown> {
    const { store, key, signal } = this.#options;
    if (signal !== undefined && checkSignal(signal).aborted) throw signal.reason;
    const text = await this.#store("get", () => store.get(key), "Nothing was submitted");
    const record = text === undefined || text === null ? undefined : readRecord(text, key);
    // Throws if the job belongs to another service.
    if (record !== undefined) this.#searchContext(record);
    if (record?.result !== undefined) return this.#finish(record, frameOf(record.result));
    if (record?.job !== undefined) return this.#receive(record, { job: record.job });
    const requestId = record?.requestId ?? this.#tools.randomUuid();
    const found = record === undefined ? undefined : await this.#settle(record);
    return found === undefined ? this.#submit(requestId) : this.#receive(record as RunRecord, found);
  }

  /** Submits the job. If the outcome of a submission is unknown, searches for the job before it submits the job again. */
  async #submit(requestId: string): Promise<unknown> {
    const { tags, priority, path, headers, signal } = this.#options;
    for (let submissions = 1; ; submissions++) {
      const record: RunRecord = { service: this.#client.serviceName, requestId, submittedAt: Date.now() };
      await this.#save(record, submissions === 1 ? "Nothing was submitted" : RUN_AGAIN);
      let found: Found | undefined;
      try {
        const job = await this.#client.submit(this.#input, {
          requestId,
          signal,
          ...(tags !== undefined && { tags }),
          ...(priority !== undefined && { priority }),
          ...(path !== undefined && { path }),
          ...(headers !== undefined && { headers }),
        });
        found = { job: job.toJSON() };
      } catch (error) {
        if (!isUnknown(error)) {
          if (submissions === 1 && isRefusal(error)) await this.#tryForget();
          throw error;
        }
        found = await this.#settle(record);
        if (found === undefined && submissions === MAX_SUBMISSIONS) throw error;
      }
      if (found !== undefined) return this.#receive(record, found);
    }
  }

  /**
   * Searches for a job whose submission has an unknown outcome, until the submission can no longer reach the queue.
   */
  async #settle(record: RunRecord): Promise<Found | undefined> {
    const { settleTime = DEFAULT_SETTLE_MS, signal } = this.#options;
    // The clock of another machine may differ, so the time is limited on both sides.
    const end = clockNow() + Math.min(settleTime, Math.max(0, record.submittedAt + settleTime - Date.now()));
    const context = this.#searchContext(record);
    for (;;) {
      const isLast = clockNow() >= end;
      const found = await this.#search(context);
      if (found !== undefined || isLast) return found;
      const waits = waitsOf(context);
      await waits.run(signal, (signal) => waits.pause(MIN_PAUSE_MS, end, signal));
    }
  }

  /**
   * Searches for the job in both queues. The service writes a result before it removes the request, so a job that
   * proceeds during the search is found if the input queue is searched first.
   */
  async #search({ requestId = "", input, sink, filter, tag }: JobContext): Promise<Found | undefined> {
    const { signal } = this.#options;
    const [item] = await input.get({ requestId, autoDelete: false, timeout: 0, signal });
    if (item !== undefined) return { job: this.#client.handleOf(item, requestId) };
    const frame = await findResult({ sink, filter, tag }, 0, signal);
    return frame && { frame };
  }

  /** Waits for the result of a job that the queue has accepted. */
  async #receive(record: RunRecord, found: Found): Promise<unknown> {
    const { timeout, signal, onStatus } = this.#options;
    if ("frame" in found) {
      void reportStatus(this.#searchContext(record), onStatus, { state: "done" });
      return this.#finish(record, found.frame);
    }
    const { job } = found;
    const known = { ...record, job };
    if (record.job === undefined) await this.#save(known, RUN_AGAIN, job);
    const frame = await receiveResult(this.#context(job), { timeout, signal, onStatus }, this.#end);
    return this.#finish(known, frame);
  }

  /**
   * Hands the result over, deletes it from the output queue and deletes the handle. The store holds the result until
   * then, so that another call returns it if the process ends after the deletion.
   */
  async #finish(record: RunRecord, frame: ResultFrame): Promise<unknown> {
    const { signal, onResult } = this.#options;
    const key = this.#searchContext(record);
    let value: unknown;
    let failure: unknown;
    try {
      checkModel(key, frame);
      value = await readResult(frame, this.#format, signal);
    } catch (error) {
      if (!isModelError(error)) throw error;
      failure = error;
    }
    if (record.result === undefined) {
      if (failure === undefined) await onResult?.(value);
      await this.#save(
        { ...record, result: frame.toJSON() },
        `The result is in the output queue. ${RUN_AGAIN}`,
        record.job,
      );
      await dropInTime(key, frame, this.#end, signal);
    } else {
      const leftover = await findResult(key, 0, signal);
      if (leftover !== undefined) await dropInTime(key, leftover, this.#end, signal);
    }
    const { store, key: name } = this.#options;
    await this.#store("delete", () => store.delete(name), `The store holds the result. ${RUN_AGAIN}`);
    if (failure !== undefined) throw failure;
    return value;
  }

  #context(job: InferenceJobJson): JobContext {
    return this.#client.contextOf(job, this.#format);
  }

  /** Returns the context of a job whose index and tag may be unknown, to search for it by its request id. */
  #searchContext({ service, requestId }: RunRecord): JobContext {
    return this.#context({ service, index: "0", requestId, tag: requestId });
  }

  #save(record: RunRecord, consequence: string, job?: InferenceJobJson): Promise<unknown> {
    const { store, key } = this.#options;
    return this.#store("set", () => store.set(key, JSON.stringify(record)), consequence, job);
  }

  async #store<T>(
    method: "get" | "set" | "delete",
    call: () => T | Promise<T>,
    consequence: string,
    job?: InferenceJobJson,
  ): Promise<T> {
    try {
      return await call();
    } catch (error) {
      const { key } = this.#options;
      const message = `store.${method} failed for the key ${show(key)}: ${messageOf(error)}. ${consequence}`;
      throw Object.assign(new this.#tools.EasStoreError(message, { cause: error }), job && { job });
    }
  }

  /** Deletes the handle of a job that was certainly not accepted. A handle that stays only costs the next call a search. */
  async #tryForget(): Promise<void> {
    const { store, key } = this.#options;
    try {
      await store.delete(key);
    } catch {
      // The caller receives the error of the submission, which is more important.
    }
  }
}

const RUN_AGAIN = "The result is not lost: call run() with the same key again";

/** Whether the queue may have accepted a job although the submission failed. */
function isUnknown(error: unknown): boolean {
  // A response without a valid index comes from a queue that has accepted the item.
  return error instanceof EasError && (error.maybeAccepted || error.code === "ERR_EAS_DECODE");
}

/** Whether a job was certainly not accepted. Aborted submissions are not refusals, because they may have been sent. */
function isRefusal(error: unknown): boolean {
  const { code } = Object(error) as { code?: unknown };
  return (
    (typeof code === "string" && code.startsWith("ERR_EAS_ARG_")) ||
    code === "ERR_EAS_HTTP" ||
    code === "ERR_EAS_NETWORK" ||
    code === "ERR_EAS_TIMEOUT"
  );
}
