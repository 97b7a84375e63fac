import { platform } from "#platform";
import { createPool } from "../../call/connections/connection-pool.js";
import { checkHeaders } from "../../config/headers.js";
import type { CloseOptions } from "../../config/options.js";
import { ADDRESS_TOOLS } from "../../config/settings.js";
import { EasClosedError, EasModelError } from "../../errors.js";
import type { SchemaOutput, StandardSchema } from "../../predict/json/standard-schema.js";
import { argumentTypeError, show } from "../../util/argument-errors.js";
import { closeOnDispose } from "../../util/async-dispose.js";
import { listFacts, showAsText } from "../../util/inspect.js";
import { changeNames, checkOptionNames, type OptionNames } from "../../util/option-names.js";
import { randomUuid } from "../../util/uuid.js";
import { QueueClient } from "../client.js";
import type { DataFrame } from "../frame.js";
import { PUT_OPTIONS, type PutOptions } from "../operations.js";
import { checkOperationOptions, type KnownOptions, QUEUE_OPTIONS, type QueueClientOptions } from "../options.js";
import { checkTags } from "../values.js";
import { InferenceJob } from "./inference-job.js";
import { filterOf, JOB_TAG, type JobContext, type JobFormat, type JobIdentity } from "./job-context.js";
import { type JobInput, type JobOutput, jobBody, parserOf, type ResultFormat } from "./job-input.js";
import { type InferenceJobJson, readJob } from "./job-json.js";
import type { ResumeOptions, SubmitOptions } from "./job-options.js";

/** Options for `AsyncInferenceClient`. */
export interface AsyncInferenceClientOptions
  extends Omit<QueueClientOptions, "queueName" | "customUrl" | "gid" | "uid" | "dialWebSocket"> {
  /** The name of the asynchronous inference service. Default: the environment variable `EAS_SERVICE_NAME`. */
  readonly serviceName?: string | undefined;
}

const ASYNC_OPTIONS: OptionNames<AsyncInferenceClientOptions> = /* @__PURE__ */ changeNames(
  QUEUE_OPTIONS,
  ["queueName", "customUrl"],
  { serviceName: 1 },
);

/** `schema` is an option of `submit` only, because a queue does not read the data of its items. */
const SUBMIT_OPTIONS: OptionNames<SubmitOptions> = /* @__PURE__ */ changeNames(PUT_OPTIONS, [], { schema: 1 });

/**
 * A client for an asynchronous inference service. The client puts requests into the input queue of the service, and
 * gets results from the output queue. A result can also be read by another process. The service stops when its
 * output queue is full, so get or discard the result of each job.
 *
 * @example
 * const client = new AsyncInferenceClient({ endpoint, serviceName: "txt2img", token });
 * const job = await client.submit({ prompt: "a cat" }, { path: "/v1/txt2img" });
 * const frame = await job.result({ timeout: 600_000 });
 */
export class AsyncInferenceClient {
  /** The input queue. It shares connections and their limit with `sink`. */
  readonly input: QueueClient;
  /** The output queue. */
  readonly sink: QueueClient;
  readonly #closing = new AbortController();
  readonly #serviceName: string;

  /**
   * Creates a client without connecting. Options that are left out come from the environment. Throws a `TypeError` or
   * `RangeError` for an invalid option.
   */
  constructor(options: AsyncInferenceClientOptions = {}) {
    checkOptionNames("AsyncInferenceClient", options, ASYNC_OPTIONS);
    const { serviceName, ...rest } = { ...options, ...platform.environment?.address(options ?? {}, ADDRESS_TOOLS) };
    if (typeof serviceName !== "string" || serviceName === "") {
      throw argumentTypeError(
        "ERR_EAS_ARG_SERVICE_NAME",
        `serviceName is ${show(serviceName)}: set it (or the variable EAS_SERVICE_NAME) to the name of the service`,
      );
    }
    // Both queues belong to one service, so they share one connection pool with one limit.
    const pool = createPool(platform, rest);
    // The service consumes its input queue in the group that has the name of the service. The positions of items are
    // available only in that group.
    this.input = new QueueClient({ ...rest, queueName: serviceName, gid: serviceName }, pool);
    this.sink = new QueueClient({ ...rest, queueName: `${serviceName}/sink`, gid: serviceName }, pool);
    closeOnDispose(this);
    this.#serviceName = serviceName;
    showAsText(this);
  }

  /** The name of the service. */
  get serviceName(): string {
    return this.#serviceName;
  }

  /**
   * Puts a request into the input queue. The result of the job is parsed as JSON and validated with `schema`, whose
   * output type is inferred.
   */
  submit<S extends StandardSchema>(
    input: JobInput,
    options: SubmitOptions<S> & { readonly schema: S },
  ): Promise<InferenceJob<SchemaOutput<S>>>;
  /**
   * Puts a request into the input queue. The input is serialized immediately.
   *
   * For a request object, such as a `TFRequest`, the result of the job is the response in the format of the request.
   * For all other inputs the result is a `DataFrame`, because a model can respond to JSON with an image.
   *
   * A plain object or an array is sent as JSON with the content type `application/json`. The content type of the client
   * or of `headers` overrides it. A `Blob` is sent with its own type. If JSON cannot represent a value, rejects with a
   * `TypeError` that contains the path of the first such value.
   *
   * A put that the queue may have accepted is not retried. In that case the promise rejects with an error whose
   * `maybeAccepted` is true. The function `run` continues after such an error.
   *
   * @example
   * const job = await client.submit(new TFRequest().addFeed("image", [1, 784], "DT_FLOAT", pixels));
   * const { outputs } = await job.result({ timeout: 600_000 });
   */
  submit<Q extends JobInput, O extends PutOptions>(
    input: Q,
    options?: KnownOptions<PutOptions, O>,
  ): Promise<InferenceJob<JobOutput<Q>>>;
  async submit(input: JobInput, options: SubmitOptions = {}): Promise<InferenceJob<unknown>> {
    checkOperationOptions("submit", 'tags: { task: "1" }', options, SUBMIT_OPTIONS);
    const { schema, ...put } = options;
    // The tags may come from the result of another job. If so, the tag of that job is replaced.
    const tags = Object.fromEntries(checkTags(options.tags, "without request id"));
    const body = jobBody(input);
    if (body === undefined) throw await (await import("../lazy.js")).jobRefusal(input);
    const format = { parse: body.parse, schema };
    if (schema !== undefined) await (await import("../lazy.js")).checkFormat(format);
    // The result is identified by a tag. The request id is not sufficient, because a web page sees it only if the
    // service exposes its header.
    const tag = randomUuid();
    const { index, requestId } = await this.input.put(
      body.data,
      { ...put, tags: { ...tags, [JOB_TAG]: tag } },
      body.contentType === undefined ? undefined : checkHeaders({ "content-type": body.contentType }),
    );
    return new InferenceJob(this.#context({ index, requestId: requestId === "" ? undefined : requestId, tag }, format));
  }

  /**
   * Returns a job that was submitted earlier, from the result of its `toJSON`. The job may come from another process.
   * `as` is the class of the request, or a request object. The result is then the response in the format of that
   * class. Throws a `TypeError` for an invalid handle and for a job of another service.
   *
   * @example
   * const { outputs } = await client.resume(JSON.parse(stored), { as: TFRequest }).result();
   */
  resume<R>(job: InferenceJobJson, options: ResumeOptions & { readonly as: ResultFormat<R> }): InferenceJob<R>;
  /** Returns a job that was submitted earlier. Its result is parsed as JSON and validated with `schema`. */
  resume<S extends StandardSchema>(
    job: InferenceJobJson,
    options: ResumeOptions & { readonly schema: S },
  ): InferenceJob<SchemaOutput<S>>;
  /** Returns a job that was submitted earlier. Its result is a `DataFrame`. */
  resume(job: InferenceJobJson, options?: { readonly as?: undefined; readonly schema?: undefined }): InferenceJob;
  resume(job: InferenceJobJson, options: ResumeOptions = {}): InferenceJob<unknown> {
    const identity = readJob(job, this.#serviceName);
    checkOptionNames("resume", options, { as: 1, schema: 1 });
    const { as, schema } = options;
    const format = { parse: as === undefined ? undefined : parserOf(as), schema };
    return new InferenceJob(this.#context(identity, format));
  }

  /** Returns the service and its input queue, for logs. */
  toString(): string {
    return listFacts("AsyncInferenceClient", { service: this.#serviceName, input: this.input });
  }

  /** Returns the identity and the queues of a submitted job. @internal */
  contextOf(job: InferenceJobJson, format: JobFormat): JobContext {
    return this.#context(readJob(job, this.#serviceName), format);
  }

  /** Returns the handle of a job that was found in the input queue. @internal */
  handleOf({ index, tags }: DataFrame, requestId: string): InferenceJobJson {
    return { service: this.#serviceName, index: String(index), requestId, tag: tags[JOB_TAG] ?? requestId };
  }

  #context(identity: JobIdentity, format: JobFormat): JobContext {
    const { input, sink } = this;
    return {
      ...identity,
      service: this.#serviceName,
      input,
      sink,
      closed: this.#closing.signal,
      format,
      filter: filterOf(identity),
      EasModelError,
    };
  }

  /**
   * Rejects pending `result()` calls with `EasClosedError`, waits for all other attempts in flight, and closes the
   * connections. `{ force: true }` aborts attempts in flight.
   */
  async close(options?: CloseOptions): Promise<void> {
    this.#closing.abort(new EasClosedError());
    await Promise.all([this.input.close(options), this.sink.close(options)]);
  }
}
