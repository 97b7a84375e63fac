import type { PredictClient } from "../client.js";
import type { PredictInput, PredictOutput } from "../input/inputs.js";
import { openInput } from "./input.js";
import type {
  BatchCheckpoint,
  BatchItem,
  BatchOptions,
  BatchStreamOptions,
  BatchSuccess,
  CollectingBatchOptions,
  StoppingBatchOptions,
} from "./options.js";
import type { Predictor } from "./request.js";
import type { BatchRun } from "./run.js";

/** The results of `batch.stream`. They can be read once. */
export interface BatchStream<I> extends AsyncIterable<I> {
  /**
   * The results processed so far. The current result counts as processed when the loop asks for the next one. Undefined
   * before the loop starts.
   */
  readonly checkpoint: BatchCheckpoint | undefined;
  /** The current maximum number of requests in flight. Undefined before the loop starts. */
  readonly concurrency: number | undefined;
  /**
   * Starts the batch. Leaving the loop aborts the requests in flight, closes the input and calls `onCheckpoint` for
   * the last time. The result at which the loop was left does not count as processed.
   */
  [Symbol.asyncIterator](): AsyncGenerator<I, void, undefined>;
}

/** The type of `batch`. */
export interface Batch {
  /**
   * Sends many requests concurrently and collects their errors. Resolves with results like those of
   * `Promise.allSettled`, in the order of the requests. Rejects only if the signal is aborted, if reading `requests`
   * fails, if a callback throws, or if the checkpoint belongs to another input.
   * @example
   * const results = await batch(client, requests, { onError: "collect" });
   * const failed = results.filter(({ status }) => status === "rejected");
   */
  <Q extends PredictInput>(
    client: Pick<PredictClient, "predict">,
    requests: Iterable<Q> | AsyncIterable<Q>,
    options: CollectingBatchOptions<PredictOutput<Q>>,
  ): Promise<PromiseSettledResult<PredictOutput<Q>>[]>;
  /**
   * Sends many requests concurrently. Resolves with the responses, in the order of the requests. An iterable or async
   * iterable is read only when the next request can be sent. It is closed if the batch ends early. The array has no
   * element for a request that `checkpoint` skips.
   *
   * Rejects with the first error, or with the reason of the signal. In both cases, calls in flight are aborted and no
   * more requests are sent.
   *
   * @example
   * const responses = await batch(client, rows.map((row) => [row]), { concurrency: 16 });
   */
  <Q extends PredictInput>(
    client: Pick<PredictClient, "predict">,
    requests: Iterable<Q> | AsyncIterable<Q>,
    options?: StoppingBatchOptions<PredictOutput<Q>>,
  ): Promise<PredictOutput<Q>[]>;
  /**
   * Sends many requests concurrently, and returns their responses as they arrive. The loop throws the error of the
   * first request that fails. Memory does not depend on the number of requests.
   * @example
   * for await (const { index, answer } of batch.stream(client, rows, { onError: "stop" })) await save(index, answer);
   */
  stream<Q extends PredictInput>(
    client: Pick<PredictClient, "predict">,
    requests: Iterable<Q> | AsyncIterable<Q>,
    options: BatchStreamOptions & { readonly onError: "stop" },
  ): BatchStream<BatchSuccess<PredictOutput<Q>>>;
  /**
   * Sends many requests concurrently, and returns their results as they arrive: an item has an `answer` or an `error`.
   * Memory does not depend on the number of requests. While the loop body runs, requests continue and their results
   * wait. Fewer than twice `concurrency` results wait.
   *
   * The loop throws the reason of the signal, an error from reading `requests`, an error that a callback throws, and
   * errors for invalid arguments.
   * @example
   * for await (const { index, answer, error } of batch.stream(client, rows, { concurrency: "auto" })) {
   *   if (error) console.error(`row ${index}: ${error}`);
   *   else await save(index, answer);
   * }
   */
  stream<Q extends PredictInput>(
    client: Pick<PredictClient, "predict">,
    requests: Iterable<Q> | AsyncIterable<Q>,
    options?: BatchStreamOptions,
  ): BatchStream<BatchItem<PredictOutput<Q>>>;
}

/** The module is kept after it has been loaded, so that later batches start in the same turn of the event loop. */
let lazy: typeof import("../lazy.js") | undefined;

/** Creates `batch` with its method. The property gives the function its name, which bundlers keep. */
function createBatch(): Batch {
  const functions = {
    batch: async (
      client: Pick<PredictClient, "predict">,
      requests: Iterable<PredictInput> | AsyncIterable<PredictInput>,
      options?: BatchOptions,
    ): Promise<unknown[]> => {
      const input = openInput(requests);
      if (lazy === undefined) lazy = await import("../lazy.js");
      return lazy.collectBatch(client as Predictor, input, options);
    },
  };
  return Object.assign(functions.batch, { stream }) as Batch;
}

function stream(
  client: Pick<PredictClient, "predict">,
  requests: Iterable<PredictInput> | AsyncIterable<PredictInput>,
  options?: BatchStreamOptions,
): BatchStream<unknown> {
  let run: BatchRun | undefined;
  async function* start(): AsyncGenerator<unknown, void, undefined> {
    // The iterator must exist before the first `await`: a `readline.Interface` drops lines until it is iterated.
    const input = openInput(requests);
    if (lazy === undefined) lazy = await import("../lazy.js");
    run = lazy.streamBatch(client as Predictor, input, options);
    yield* run.items();
  }
  const items = start();
  return {
    get checkpoint() {
      return run?.checkpoint;
    },
    get concurrency() {
      return run?.concurrency;
    },
    [Symbol.asyncIterator]: () => items,
  };
}

/**
 * Sends many requests concurrently. `batch` collects the responses, and `batch.stream` returns them as they arrive.
 *
 * @example
 * const responses = await batch(client, rows.map((row) => [row]), { concurrency: 16 });
 */
export const batch: Batch = /* @__PURE__ */ createBatch();
