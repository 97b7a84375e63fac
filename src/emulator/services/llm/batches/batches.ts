import { joinChunks } from "../../../../platform/chunks.js";
import { isRecord, messageOf } from "../../../../util/realms.js";
import { randomUuid } from "../../../../util/uuid.js";
import type { Fields } from "../interfaces/fields.js";
import { pauseInBackground } from "../pace.js";
import { type BatchError, type BatchRequest, readBatchLines } from "./batch-lines.js";
import type { FileStore } from "./files.js";
import { badRequest, pageOf } from "./list-responses.js";

/** Maximum number of batches. If there are more, the oldest batches that have ended are removed. */
const MAX_BATCHES = 1000;
/** Number of requests processed concurrently per batch. */
const CONCURRENCY = 8;
/** Maximum total size of a batch's responses. */
const MAX_OUTPUT_BYTES: number = 200 * 1024 ** 2;
const DAY_SECONDS = 24 * 60 * 60;
const ENDPOINTS: readonly unknown[] = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank"];

type Status =
  | "validating"
  | "pending"
  | "in_progress"
  | "finalize"
  | "completed"
  | "failed"
  | "cancelling"
  | "cancelled";

const ENDED: readonly Status[] = ["completed", "failed", "cancelled"];

/** A batch in the form of OpenAI's interface, with the additional states of EAS. */
interface BatchObject {
  readonly id: string;
  readonly object: "batch";
  readonly endpoint: string;
  errors: { readonly object: "list"; readonly data: readonly BatchError[] } | null;
  readonly input_file_id: string;
  readonly completion_window: "24h";
  status: Status;
  output_file_id: string | null;
  error_file_id: string | null;
  readonly created_at: number;
  in_progress_at: number | null;
  readonly expires_at: number;
  finalizing_at: number | null;
  completed_at: number | null;
  failed_at: number | null;
  readonly expired_at: null;
  cancelling_at: number | null;
  cancelled_at: number | null;
  readonly request_counts: { total: number; completed: number; failed: number };
  readonly metadata: Fields | null;
}

/** Sends one request of a batch to the service. */
export type SendRequest = (path: string, body: Fields, signal: AbortSignal) => Promise<Response>;

/**
 * The batches of a service. A batch starts to run in the background when it is created, and its object changes while it runs.
 * A waiting batch does not keep a Node process alive.
 */
export class Batches {
  readonly #files: FileStore;
  readonly #send: SendRequest;
  /** Time that a batch stays in each state in which no work is done, in milliseconds. */
  readonly #delay: number;
  readonly #batches = new Map<string, { readonly batch: BatchObject; readonly cancellation: AbortController }>();

  constructor(files: FileStore, delay: number, send: SendRequest) {
    this.#files = files;
    this.#delay = delay;
    this.#send = send;
  }

  /** Creates a batch and starts it. Throws an `LlmRefusal` for invalid fields or too many running batches. */
  create({ input_file_id, endpoint, completion_window, metadata }: Fields): BatchObject {
    if (typeof input_file_id !== "string") throw badRequest("input_file_id must be the id of a file", "input_file_id");
    if (!ENDPOINTS.includes(endpoint)) throw badRequest(`endpoint must be one of ${ENDPOINTS.join(", ")}`, "endpoint");
    if (completion_window !== "24h") throw badRequest('completion_window must be "24h"', "completion_window");
    if (!isRecord(metadata ?? {})) throw badRequest("metadata must be an object", "metadata");
    const { content } = this.#files.get(input_file_id);
    const created = now();
    const batch: BatchObject = {
      id: `batch_${randomUuid()}`,
      object: "batch",
      endpoint: endpoint as string,
      errors: null,
      input_file_id,
      completion_window,
      status: "validating",
      output_file_id: null,
      error_file_id: null,
      created_at: created,
      in_progress_at: null,
      expires_at: created + DAY_SECONDS,
      finalizing_at: null,
      completed_at: null,
      failed_at: null,
      expired_at: null,
      cancelling_at: null,
      cancelled_at: null,
      request_counts: { total: 0, completed: 0, failed: 0 },
      metadata: (metadata as Fields | undefined) ?? null,
    };
    this.#makeRoom();
    const cancellation = new AbortController();
    this.#batches.set(batch.id, { batch, cancellation });
    void this.#run(batch, content, cancellation.signal);
    return batch;
  }

  /** Returns a batch. Throws an `LlmRefusal` with status 404 for an unknown id. */
  get(id: string): BatchObject {
    return this.#find(id).batch;
  }

  /** Returns a page of batches. */
  list(query: URLSearchParams): object {
    const batches = [...this.#batches.values()].map(({ batch }) => batch).reverse();
    return pageOf(batches, query, 20, 100);
  }

  /** Cancels a batch. Responses received so far are written to its files. */
  cancel(id: string): BatchObject {
    const { batch, cancellation } = this.#find(id);
    if (ENDED.includes(batch.status))
      throw badRequest(`Cannot cancel a batch with status '${batch.status}'.`, null, 409);
    if (batch.status !== "cancelling") {
      batch.status = "cancelling";
      batch.cancelling_at = now();
      cancellation.abort(new Error("the batch was canceled"));
    }
    return batch;
  }

  #find(id: string) {
    const found = this.#batches.get(id);
    if (found === undefined) throw badRequest(`No batch found with id '${id}'.`, "id", 404);
    return found;
  }

  #makeRoom(): void {
    if (this.#batches.size < MAX_BATCHES) return;
    for (const [id, { batch }] of this.#batches) {
      if (!ENDED.includes(batch.status)) continue;
      this.#batches.delete(id);
      return;
    }
    throw badRequest(`${MAX_BATCHES} batches are running, which is the maximum. Wait or cancel one`, null, 429);
  }

  /** Runs a batch through its states. Never rejects. */
  async #run(batch: BatchObject, content: Uint8Array, signal: AbortSignal): Promise<void> {
    const output = new Output();
    try {
      await pauseInBackground(this.#delay, signal);
      const { requests, errors } = readBatchLines(content, batch.endpoint);
      if (errors.length > 0) {
        fail(batch, errors);
        return;
      }
      batch.request_counts.total = requests.length;
      batch.status = "pending";
      await pauseInBackground(this.#delay, signal);
      batch.status = "in_progress";
      batch.in_progress_at = now();
      await this.#runRequests(batch, requests, output, signal);
      batch.status = "finalize";
      batch.finalizing_at = now();
      await pauseInBackground(this.#delay, signal);
      this.#write(batch, output);
      batch.status = "completed";
      batch.completed_at = now();
    } catch (error) {
      this.#end(batch, output, error, signal);
    }
  }

  /** Ends a batch that was canceled, or that failed because the store is full or its responses are too large. */
  #end(batch: BatchObject, output: Output, reason: unknown, signal: AbortSignal): void {
    try {
      if (!signal.aborted) throw reason;
      this.#write(batch, output);
      batch.status = "cancelled";
      batch.cancelled_at = now();
    } catch (error) {
      fail(batch, [{ code: "internal_error", message: messageOf(error), param: null, line: null }]);
    }
  }

  async #runRequests(
    batch: BatchObject,
    requests: readonly BatchRequest[],
    output: Output,
    signal: AbortSignal,
  ): Promise<void> {
    let next = 0;
    const work = async () => {
      while (next < requests.length) {
        const index = next++;
        const { customId, body } = requests[index] as BatchRequest;
        const { status_code, result } = await this.#runRequest(batch.endpoint, body, signal);
        const isSuccess = status_code === 200;
        output.add(index, isSuccess, {
          id: `batch_req_${randomUuid()}`,
          custom_id: customId,
          response: { status_code, request_id: randomUuid(), body: result },
          error: null,
        });
        batch.request_counts[isSuccess ? "completed" : "failed"]++;
      }
    };
    const stop = (error: unknown) => {
      next = requests.length;
      throw error;
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, () => work().catch(stop)));
  }

  async #runRequest(
    path: string,
    body: Fields,
    signal: AbortSignal,
  ): Promise<{ status_code: number; result: unknown }> {
    if (body.stream === true) return { status_code: 400, result: STREAMED };
    const response = await this.#send(path, body, signal);
    const result: unknown = await response.json();
    signal.throwIfAborted();
    return { status_code: response.status, result };
  }

  #write(batch: BatchObject, output: Output): void {
    const store = (prefix: string, lines: Uint8Array) =>
      lines.length === 0 ? null : this.#files.add(prefix, lines, `${batch.id}_${prefix}.jsonl`, "batch_output").id;
    batch.output_file_id = store("batch_output", output.bytesOf(true));
    batch.error_file_id = store("batch_error", output.bytesOf(false));
  }
}

/** The error for a request with `stream: true`, which batches do not support. */
const STREAMED = {
  error: { message: "stream must be false in a batch", type: "invalid_request_error", param: "stream", code: 400 },
};

/** The responses of a batch, in the order of its requests. */
class Output {
  readonly #lines: { readonly isSuccess: boolean; readonly line: Uint8Array }[] = [];
  #bytes = 0;

  add(index: number, isSuccess: boolean, result: object): void {
    const line = new TextEncoder().encode(`${JSON.stringify(result)}\n`);
    this.#bytes += line.length;
    if (this.#bytes > MAX_OUTPUT_BYTES) throw new Error(`the responses have more than ${MAX_OUTPUT_BYTES} bytes`);
    this.#lines[index] = { isSuccess, line };
  }

  /** Joins the lines of the successful responses, or of all other responses. */
  bytesOf(isSuccess: boolean): Uint8Array {
    const lines = this.#lines.filter((each) => each?.isSuccess === isSuccess).map(({ line }) => line);
    return joinChunks(
      lines,
      lines.reduce((sum, line) => sum + line.length, 0),
    );
  }
}

function fail(batch: BatchObject, data: readonly BatchError[]): void {
  batch.errors = { object: "list", data };
  batch.status = "failed";
  batch.failed_at = now();
}

function now(): number {
  return Math.floor(Date.now() / 1000);
}
