import { CALL_OPTIONS, type CallOptions } from "../config/options.js";
import { checkCount, checkFunction, checkLimit, checkSignal } from "../config/validate.js";
import type { Bytes } from "../formats/request.js";
import { argumentTypeError, optionError, show } from "../util/argument-errors.js";
import { changeNames, checkOptionNames, type OptionNames } from "../util/option-names.js";
import { isBytes } from "../util/realms.js";
import { linkSignal, unlinkSignal } from "../util/timing/abort.js";
import type { PredictClient } from "./client.js";
import { type PredictInput, type PredictOutput, toRequest } from "./input/inputs.js";

/** Progress of a batch. */
export interface BatchProgress {
  /** Number of completed requests, including failed requests. */
  readonly done: number;
  /** Number of failed requests. */
  readonly failed: number;
  /** Total number of requests; undefined unless they were passed as an array. */
  readonly total: number | undefined;
  /** Size of the completed requests in bytes, before compression. */
  readonly bytes: number;
}

/** Options for `batch`, and for each of its calls. */
export interface BatchOptions extends CallOptions {
  /**
   * Maximum number of requests in flight. Default 8. This default keeps the 5 workers of an instance busy, and
   * leaves most of the instance's queue (64 requests) to other clients.
   */
  readonly concurrency?: number | undefined;
  /** Maximum size of the requests in flight, in bytes. A larger request is sent alone. Default: no limit. */
  readonly maxBytes?: number | undefined;
  /** Called after each request. If it throws an error, the batch ends with that error. */
  readonly onProgress?: ((progress: BatchProgress) => void) | undefined;
  /** `"stop"`: the first error ends the batch. `"collect"`: errors are part of the results. Default `"stop"`. */
  readonly onError?: "stop" | "collect" | undefined;
}

/** Options of a batch that stops at the first error. */
export interface StoppingBatchOptions extends BatchOptions {
  readonly onError?: "stop" | undefined;
}

/** Options of a batch that collects errors. */
export interface CollectingBatchOptions extends BatchOptions {
  readonly onError: "collect";
}

const BATCH_OPTIONS: OptionNames<BatchOptions> = /* @__PURE__ */ changeNames(CALL_OPTIONS, [], {
  concurrency: 1,
  maxBytes: 1,
  onProgress: 1,
  onError: 1,
});

/**
 * Sends many requests concurrently and collects their errors. Resolves with results like those of
 * `Promise.allSettled`, in the order of the requests. Rejects only if the signal is aborted, if reading `requests`
 * fails, or if `onProgress` throws.
 *
 * @example
 * const results = await batch(client, requests, { onError: "collect" });
 * const failed = results.filter(({ status }) => status === "rejected");
 */
export function batch<Q extends PredictInput>(
  client: Pick<PredictClient, "predict">,
  requests: Iterable<Q> | AsyncIterable<Q>,
  options: CollectingBatchOptions,
): Promise<PromiseSettledResult<PredictOutput<Q>>[]>;
/**
 * Sends many requests concurrently. Resolves with the responses, in the order of the requests. An iterable or async
 * iterable is read only when the next request can be sent. It is closed if the batch ends early.
 *
 * Rejects with the first error, or with the reason of the signal. In both cases, calls in flight are aborted and no
 * more requests are sent.
 *
 * @example
 * const responses = await batch(client, rows.map((row) => [row]), { concurrency: 16 });
 */
export function batch<Q extends PredictInput>(
  client: Pick<PredictClient, "predict">,
  requests: Iterable<Q> | AsyncIterable<Q>,
  options?: StoppingBatchOptions,
): Promise<PredictOutput<Q>[]>;
export async function batch(
  client: Pick<PredictClient, "predict">,
  requests: Iterable<PredictInput> | AsyncIterable<PredictInput>,
  options: BatchOptions = {},
): Promise<unknown[]> {
  checkOptionNames("batch", options, BATCH_OPTIONS);
  const { concurrency = 8, maxBytes = Infinity, onProgress, onError = "stop", signal, ...call } = options;
  if (typeof client?.predict !== "function") {
    throw argumentTypeError("ERR_EAS_ARG_REQUEST", `batch takes a PredictClient first, not ${show(client)}`);
  }
  checkCount("concurrency", concurrency, 1);
  checkLimit("maxBytes", maxBytes, 1);
  if (onProgress !== undefined) checkFunction("onProgress", onProgress);
  if (signal !== undefined && checkSignal(signal).aborted) throw signal.reason;
  if (onError !== "stop" && onError !== "collect") {
    throw optionError("onError", onError, 'be "stop" or "collect"');
  }
  const source = iteratorOf(requests);
  const total = Array.isArray(requests) ? requests.length : undefined;
  const results: unknown[] = [];
  let [done, failed, bytes, inFlight, bytesInFlight] = [0, 0, 0, 0, 0];
  let isOpen = true;
  let wake = (): void => {};
  const room = () =>
    new Promise<void>((resolve) => {
      wake = resolve;
    });
  const calls = new AbortController();
  let stop!: (reason: unknown) => void;
  const stopped = new Promise<never>((_resolve, reject) => {
    stop = (reason) => {
      reject(reason);
      calls.abort(reason);
    };
  });

  async function send(index: number, { request, size }: Measured): Promise<void> {
    inFlight++;
    bytesInFlight += size;
    let failure: { reason: unknown } | undefined;
    try {
      const value = await client.predict(request as Uint8Array, { ...call, signal: calls.signal });
      results[index] = onError === "stop" ? value : { status: "fulfilled", value };
    } catch (reason) {
      failure = { reason };
      failed++;
      results[index] = { status: "rejected", reason };
    }
    done++;
    bytes += size;
    inFlight--;
    bytesInFlight -= size;
    try {
      // `onProgress` may be async, and its rejection must end the batch too.
      if (!calls.signal.aborted) Promise.resolve(onProgress?.({ done, failed, total, bytes })).catch(stop);
      if (failure && onError === "stop") stop(failure.reason);
    } catch (error) {
      stop(error);
    }
    wake();
  }

  async function sendAll(): Promise<void> {
    for (let index = 0; ; index++) {
      while (inFlight >= concurrency) await room();
      if (calls.signal.aborted) return;
      const next = await pull();
      if (next.done) break;
      const measured = measure(next.value);
      while (inFlight > 0 && bytesInFlight + measured.size > maxBytes) await room();
      if (calls.signal.aborted) return;
      void send(index, measured);
    }
    while (inFlight > 0) await room();
  }

  async function pull(): Promise<IteratorResult<PredictInput>> {
    try {
      const next = await source.next();
      isOpen = !next.done;
      return next;
    } catch (error) {
      isOpen = false;
      throw error;
    }
  }

  const abortable = { abort: stop };
  linkSignal(signal, abortable);
  try {
    await Promise.race([sendAll(), stopped]);
    return results;
  } catch (error) {
    stop(error);
    if (isOpen) close(source);
    throw error;
  } finally {
    unlinkSignal(signal, abortable);
  }
}

type Source = Iterator<PredictInput> | AsyncIterator<PredictInput>;

function iteratorOf(requests: Iterable<PredictInput> | AsyncIterable<PredictInput>): Source {
  const { [Symbol.asyncIterator]: async, [Symbol.iterator]: sync } = Object(requests);
  // Text and bytes are iterable, but represent a single request.
  if (typeof requests !== "string" && !ArrayBuffer.isView(requests) && (async ?? sync))
    return (async ?? sync).call(requests);
  throw argumentTypeError(
    "ERR_EAS_ARG_REQUEST",
    `batch takes an array, an iterable or an async iterable of requests, not ${show(requests)}`,
  );
}

/** Closes an iterator. Does not wait, because a pending read may never settle. */
function close(source: Source): void {
  void (async () => source.return?.())().catch(() => {});
}

interface Measured {
  readonly request: PredictInput;
  /** The size in bytes, before compression. */
  readonly size: number;
}

/**
 * Serializes a request to determine its size. The returned request contains the bytes, so `predict` does not
 * serialize the request again.
 */
function measure(input: PredictInput): Measured {
  if (isBytes(input)) return { request: input, size: input.length };
  try {
    const request = toRequest(input);
    if (input === null || request.read !== undefined) return { request: input, size: request.size ?? 0 };
    const { contentType, compression, isText } = request;
    const body = request.toBinary();
    const parseResponse = (body: Bytes) => request.parseResponse(body);
    return { request: { contentType, compression, isText, toBinary: () => body, parseResponse }, size: body.length };
  } catch (error) {
    const toBinary = () => {
      throw error;
    };
    return { request: { toBinary, parseResponse: toBinary }, size: 0 };
  }
}
