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
import { checkTags } from "../tags.js";
import { checkIndex } from "../values.js";
import { InferenceJob, type InferenceJobJson, JOB_TAG, ResultWaits } from "./inference-job.js";

/** Options of an `AsyncInferenceClient`. */
export interface AsyncInferenceClientOptions
  extends Omit<QueueClientOptions, "queueName" | "customUrl" | "gid" | "uid" | "dialWebSocket"> {
  /** The asynchronous inference service. */
  readonly serviceName?: string | undefined;
}

const ASYNC_OPTIONS: OptionNames<AsyncInferenceClientOptions> = /* @__PURE__ */ changeNames(
  QUEUE_OPTIONS,
  ["queueName", "customUrl"],
  { serviceName: 1 },
);

/**
 * Calls an asynchronous inference service: requests go into its input queue, and the results are fetched from its output
 * queue, by this process or by another. A service whose output queue is full works no more: fetch or discard what you
 * submit.
 *
 * @example
 * const client = new AsyncInferenceClient({ endpoint, serviceName: "txt2img", token });
 * const job = await client.submit(JSON.stringify({ prompt: "a cat" }), { path: "/v1/txt2img" });
 * const frame = await job.result({ timeout: 600_000 });
 */
export class AsyncInferenceClient {
  /** The queue that requests go into; it shares its connections and their limit with `sink`, and is closed with it. */
  readonly input: QueueClient;
  /** The queue that results come out of. */
  readonly sink: QueueClient;
  readonly #waits: ResultWaits;
  readonly #serviceName: string;

  constructor(options: AsyncInferenceClientOptions) {
    checkOptionNames("AsyncInferenceClient", options, ASYNC_OPTIONS);
    const { serviceName, ...rest } = options ?? {};
    if (typeof serviceName !== "string" || serviceName === "") {
      throw argumentTypeError(
        "ERR_EAS_ARG_SERVICE_NAME",
        `serviceName is ${show(serviceName)}: it must be the service's name`,
      );
    }
    this.#waits = new ResultWaits(() => this.sink.maxConnectionCount);
    // Both queues belong to one service, and share one pool with one limit.
    const pool = createPool(platform, rest);
    // The service consumes its input in the group of its own name, and positions are known in that group only.
    this.input = new QueueClient({ ...rest, queueName: serviceName, gid: serviceName }, pool);
    this.sink = new QueueClient({ ...rest, queueName: `${serviceName}/sink`, gid: serviceName }, pool);
    closeOnDispose(this);
    this.#serviceName = serviceName;
    showAsText(this);
  }

  /**
   * Puts a request into the input queue. It is not repeated when the queue may have it: then it rejects with an error
   * whose `maybeAccepted` is true.
   */
  submit<O extends PutOptions>(data: QueueData, options?: KnownOptions<PutOptions, O>): Promise<InferenceJob>;
  async submit(data: QueueData, options: PutOptions = {}): Promise<InferenceJob> {
    // The tags may be those of another job's result: its job tag is replaced.
    const tags = Object.fromEntries(checkTags(options.tags, "without request id"));
    // A tag of our own, since a page sees the request id only if the service exposes its header.
    const tag = randomUuid();
    const { index, requestId } = await this.input.put(data, { ...options, tags: { ...tags, [JOB_TAG]: tag } });
    return this.#job({ index, requestId: requestId === "" ? undefined : requestId, tag });
  }

  /** The job that another process has submitted, from what its `toJSON` gave. */
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
   * Ends the waits for results, which reject, lets other attempts in flight end and closes the connections. With
   * `{ force: true }` attempts in flight are cancelled as well.
   */
  async close(options?: CloseOptions): Promise<void> {
    this.#waits.close();
    await Promise.all([this.input.close(options), this.sink.close(options)]);
  }
}
