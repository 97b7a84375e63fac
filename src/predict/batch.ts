import { CALL_OPTIONS, type CallOptions } from "../config/options.js";
import { checkCount, checkFunction, checkLimit, checkSignal } from "../config/validate.js";
import type { Bytes } from "../formats/request.js";
import { argumentTypeError, optionError, show } from "../util/argument-errors.js";
import { changeNames, checkOptionNames, type OptionNames } from "../util/option-names.js";
import { isBytes } from "../util/realms.js";
import { linkSignal, unlinkSignal } from "../util/timing/abort.js";
import type { PredictClient } from "./client.js";
import { type PredictInput, type PredictOutput, toRequest } from "./input/inputs.js";

/** How far a batch is. */
export interface BatchProgress {
  /** Requests that have ended, the failed ones included. */
  readonly done: number;
  readonly failed: number;
  /** All requests, where they came as an array. */
  readonly total: number | undefined;
  /** Serialized bytes of the requests that have ended, before compression. */
  readonly bytes: number;
}

/** How a batch is sent: options of its own, and those of each call. */
export interface BatchOptions extends CallOptions {
  /**
   * The most requests in flight. Default 8: an instance has 5 workers by default, so this keeps it busy while answers travel,
   * and leaves its queue (64 requests by default) to others.
   */
  readonly concurrency?: number | undefined;
  /** The most serialized bytes in flight; a larger request goes alone. Default: no limit. */
  readonly maxBytes?: number | undefined;
  /** Called when a request has ended. What it throws ends the batch. */
  readonly onProgress?: ((progress: BatchProgress) => void) | undefined;
  /** `"stop"`: the first error ends the batch. `"collect"`: errors stand among the results. Default `"stop"`. */
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
 * Sends many requests, some at a time, and resolves with the answers in the order of the requests. These may come from an
 * iterable or an async iterable, which is asked for the next one only when there is room for it, and closed when the batch ends
 * early. Rejects with the first error, or with the signal's reason; calls in flight are then aborted and no more are begun.
 * With `onError: "collect"` it resolves to what `Promise.allSettled` would give, and rejects only for an abort, a source that
 * fails or an `onProgress` that throws.
 *
 * @example
 * const answers = await batch(client, rows.map((row) => [row]), { concurrency: 16 });
 */
export function batch<Q extends PredictInput>(
  client: Pick<PredictClient, "predict">,
  requests: Iterable<Q> | AsyncIterable<Q>,
  options: CollectingBatchOptions,
): Promise<PromiseSettledResult<PredictOutput<Q>>[]>;
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
      // It may be async though nobody waits for it.
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
  const { [Symbol.asyncIterator]: many, [Symbol.iterator]: some } = Object(requests);
  // A text or bytes are iterable too, but one request.
  if (typeof requests !== "string" && !ArrayBuffer.isView(requests) && (many ?? some))
    return (many ?? some).call(requests);
  throw argumentTypeError(
    "ERR_EAS_ARG_REQUEST",
    `batch takes an array, an iterable or an async iterable of requests, not ${show(requests)}`,
  );
}

/** Lets a source know that no more is wanted. Not waited for: it may be busy with a request that never comes. */
function close(source: Source): void {
  void (async () => source.return?.())().catch(() => {});
}

interface Measured {
  readonly request: PredictInput;
  /** Serialized bytes. */
  readonly size: number;
}

/** Serializes a request, once: `predict` is given the result. */
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
