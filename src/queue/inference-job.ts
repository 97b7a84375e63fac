import { EasModelError, EasTimeoutError } from "../errors.js";
import { checkTimeout } from "../http/options.js";
import type { DataFrame } from "./data-frame.js";
import type { QueueClient } from "./queue-client.js";
import type { SearchResult } from "./queue-operations.js";

/** The tag by which a result is found: the service hands tags on to it. */
export const JOB_TAG = "easJob";

/** A tag that results carry when the model answered with another status than 200 (aliyun/pai-python-sdk, predictor.py). */
const LAST_CODE = "lastCode";

/** How long the service may hold one answer back, in milliseconds. */
const WAIT_MS = 20_000;

/** What is known of a submitted request. */
interface JobFacts {
  readonly index: bigint;
  readonly requestId: string | undefined;
  readonly tag: string;
}

/** A job as it can be stored. */
export interface InferenceJobJson {
  /** In decimal digits: JSON's numbers cannot hold it. */
  readonly index: string;
  readonly requestId?: string | undefined;
  readonly tag: string;
}

/** How long to wait for a result. */
export interface ResultOptions {
  /** Milliseconds. Default: as long as it takes. */
  readonly timeout?: number | undefined;
  /** Ends the wait; it rejects with the signal's reason, and the job can be asked again. */
  readonly signal?: AbortSignal | undefined;
}

/** A request that was put into the input queue of an asynchronous inference service. */
export class InferenceJob {
  /** Its position in the input queue. */
  readonly index: bigint;
  /** The id that the service gave it, where it was visible. */
  readonly requestId: string | undefined;
  /** What the client marked it with. */
  readonly tag: string;
  readonly #input: QueueClient;
  readonly #sink: QueueClient;

  /** @internal */
  constructor(input: QueueClient, sink: QueueClient, { index, requestId, tag }: JobFacts) {
    this.#input = input;
    this.#sink = sink;
    this.index = index;
    this.requestId = requestId;
    this.tag = tag;
  }

  /**
   * Waits for the result. It is deleted from the queue once it is here, so it comes once. Rejects with `EasModelError`
   * when the model failed, with `EasTimeoutError` when it takes too long; the service writes no result for an empty
   * answer, so give a `timeout` where the model may have nothing to say.
   */
  async result({ timeout, signal }: ResultOptions = {}): Promise<DataFrame> {
    const end = timeout === undefined ? Number.POSITIVE_INFINITY : performance.now() + checkTimeout("timeout", timeout);
    for (;;) {
      const rest = end - performance.now();
      const frame = await this.#find(Math.max(0, Math.min(WAIT_MS, rest)), signal);
      if (frame !== undefined) {
        await this.#delete(this.#sink, frame.index);
        return succeeded(frame);
      }
      if (rest <= WAIT_MS) {
        throw new EasTimeoutError(`there is no result of job ${this.tag} within ${timeout} ms`, {
          phase: "total",
          timeout: timeout as number,
          retryable: true,
          requestId: this.requestId,
        });
      }
    }
  }

  /** Where the request stands in the input queue; undefined when the service has taken and finished it. */
  position(signal?: AbortSignal): Promise<SearchResult | undefined> {
    return this.#input.search(this.index, { signal });
  }

  /** Deletes the request, and the result if there is one already. What the service is working on goes on. */
  async discard(): Promise<void> {
    await this.#input.delete(this.index);
    const frame = await this.#find(0, undefined);
    if (frame !== undefined) await this.#sink.delete(frame.index);
  }

  /** What `AsyncInferenceClient.resume` takes, in this process or another. */
  toJSON(): InferenceJobJson {
    const { index, requestId, tag } = this;
    return requestId === undefined ? { index: String(index), tag } : { index: String(index), requestId, tag };
  }

  /** Reads the result and leaves it there: an answer that is lost on the way takes nothing with it. */
  async #find(timeout: number, signal: AbortSignal | undefined): Promise<DataFrame | undefined> {
    const { requestId, tag } = this;
    const filter = requestId === undefined ? { tags: { [JOB_TAG]: tag } } : { requestId };
    const [frame] = await this.#sink.get({ ...filter, timeout, autoDelete: false, signal });
    return frame;
  }

  /** A result that is here is not to be lost because it could not be deleted. */
  async #delete(queue: QueueClient, index: bigint): Promise<void> {
    await queue.delete(index).catch(() => {});
  }
}

function succeeded(frame: DataFrame): DataFrame {
  const code = frame.tags[LAST_CODE];
  if (code === undefined || code === "200") return frame;
  const excerpt = frame.text().slice(0, 200);
  throw new EasModelError(`the model answered with ${code}${excerpt === "" ? "" : `: ${excerpt}`}`, {
    requestId: frame.requestId,
    status: Number(code),
    body: frame.data.slice(),
  });
}
