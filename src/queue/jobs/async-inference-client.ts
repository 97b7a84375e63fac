import { platform } from "#platform";
import { createPool } from "../../call/connections/connection-pool.js";
import type { CloseOptions } from "../../config/options.js";
import { argumentTypeError, show } from "../../util/argument-errors.js";
import { closeOnDispose } from "../../util/async-dispose.js";
import { listFacts, showAsText } from "../../util/inspect.js";
import { changeNames, checkOptionNames, type OptionNames } from "../../util/option-names.js";
import { randomUuid } from "../../util/uuid.js";
import { QueueClient } from "../client.js";
import type { PutOptions } from "../operations.js";
import { type KnownOptions, QUEUE_OPTIONS, type QueueClientOptions, type QueueData } from "../options.js";
import { checkIndex, checkTags } from "../values.js";
import { InferenceJob, type InferenceJobJson, JOB_TAG, ResultWaits } from "./inference-job.js";

/** Options for `AsyncInferenceClient`. */
export interface AsyncInferenceClientOptions
  extends Omit<QueueClientOptions, "queueName" | "customUrl" | "gid" | "uid" | "dialWebSocket"> {
  /** The name of the asynchronous inference service. Required. */
  readonly serviceName?: string | undefined;
}

const ASYNC_OPTIONS: OptionNames<AsyncInferenceClientOptions> = /* @__PURE__ */ changeNames(
  QUEUE_OPTIONS,
  ["queueName", "customUrl"],
  { serviceName: 1 },
);

/**
 * A client for an asynchronous inference service. The client puts requests into the input queue of the service, and
 * gets results from the output queue. A result can also be read by another process. The service stops when its
 * output queue is full, so get or discard the result of each job.
 *
 * @example
 * const client = new AsyncInferenceClient({ endpoint, serviceName: "txt2img", token });
 * const job = await client.submit(JSON.stringify({ prompt: "a cat" }), { path: "/v1/txt2img" });
 * const frame = await job.result({ timeout: 600_000 });
 */
export class AsyncInferenceClient {
  /** The input queue. It shares connections and their limit with `sink`. */
  readonly input: QueueClient;
  /** The output queue. */
  readonly sink: QueueClient;
  readonly #waits: ResultWaits;
  readonly #serviceName: string;

  /** Creates a client without connecting. Throws a `TypeError` or `RangeError` for an invalid option. */
  constructor(options: AsyncInferenceClientOptions) {
    checkOptionNames("AsyncInferenceClient", options, ASYNC_OPTIONS);
    const { serviceName, ...rest } = options ?? {};
    if (typeof serviceName !== "string" || serviceName === "") {
      throw argumentTypeError(
        "ERR_EAS_ARG_SERVICE_NAME",
        `serviceName is ${show(serviceName)}: it must be the name of the service`,
      );
    }
    this.#waits = new ResultWaits(() => this.sink.maxConnectionCount);
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

  /**
   * Puts a request into the input queue. A put that the queue may have accepted is not retried. In that case the
   * promise rejects with an error whose `maybeAccepted` is true.
   */
  submit<O extends PutOptions>(data: QueueData, options?: KnownOptions<PutOptions, O>): Promise<InferenceJob>;
  async submit(data: QueueData, options: PutOptions = {}): Promise<InferenceJob> {
    // The tags may come from the result of another job. If so, the tag of that job is replaced.
    const tags = Object.fromEntries(checkTags(options.tags, "without request id"));
    // The result is identified by a tag. The request id is not sufficient, because a web page sees it only if the
    // service exposes its header.
    const tag = randomUuid();
    const { index, requestId } = await this.input.put(data, { ...options, tags: { ...tags, [JOB_TAG]: tag } });
    return this.#job({ index, requestId: requestId === "" ? undefined : requestId, tag });
  }

  /**
   * Returns a job that was submitted earlier, from the result of its `toJSON`. The job may come from another
   * process. Throws a `TypeError` for other values.
   */
  resume(job: InferenceJobJson): InferenceJob {
    const { index, requestId, tag } = job ?? {};
    if (
      typeof tag !== "string" ||
      tag === "" ||
      !(requestId === undefined || (typeof requestId === "string" && requestId !== ""))
    ) {
      throw argumentTypeError(
        "ERR_EAS_ARG_REQUEST",
        "job must be the result of a job's toJSON(): { index, requestId, tag }",
      );
    }
    return this.#job({ index: checkIndex("index", index), requestId, tag });
  }

  /** Returns the service and its input queue, for logs. */
  toString(): string {
    return listFacts("AsyncInferenceClient", { service: this.#serviceName, input: this.input });
  }

  #job(facts: Pick<InferenceJob, "index" | "requestId" | "tag">): InferenceJob {
    return new InferenceJob(this.input, this.sink, this.#waits, facts);
  }

  /**
   * Rejects pending `result()` calls with `EasClosedError`, waits for all other attempts in flight, and closes the
   * connections. `{ force: true }` aborts attempts in flight.
   */
  async close(options?: CloseOptions): Promise<void> {
    this.#waits.close();
    await Promise.all([this.input.close(options), this.sink.close(options)]);
  }
}
