import { checkBoolean, checkCount, checkFunction, checkLimit, checkSignal } from "../../config/validate.js";
import { argumentTypeError, optionError, show } from "../../util/argument-errors.js";
import { linkSignal, pause, raceAbort, unlinkSignal } from "../../util/timing/abort.js";
import { clockNow } from "../../util/timing/clock.js";
import { checkCheckpoint, Fingerprint, FinishedIndexes, otherInput } from "./checkpoint.js";
import type { BatchCheckpoint, BatchStreamOptions } from "./options.js";
import type { BatchInput, Measured, Predictor, Source } from "./request.js";
import { AdaptiveSender, fixedSender, type Sender } from "./sender.js";

const DEFAULT_CONCURRENCY = 8;
const DEFAULT_CHECKPOINT_EVERY = 100;

/** The result of one request. Has either `answer` or `error`. */
export class RunItem {
  readonly index: number;
  declare readonly answer?: unknown;
  declare readonly error?: unknown;
  readonly #run: BatchRun;

  constructor(run: BatchRun, index: number, outcome: { readonly answer: unknown } | { readonly error: unknown }) {
    this.index = index;
    Object.assign(this, outcome);
    this.#run = run;
  }

  get checkpoint(): BatchCheckpoint {
    return this.#run.checkpointWith(this.index);
  }
}

/**
 * One run of a batch: reads the requests, sends them, and queues the results for one reader. The number of results in
 * the queue is limited to less than twice the number of requests in flight, so that a slow reader slows down the batch.
 */
export class BatchRun {
  readonly #measure: BatchInput["measure"];
  readonly #source: Source;
  readonly #sender: Sender;
  readonly #options: BatchStreamOptions;
  readonly #maxBytes: number;
  readonly #checkpointEvery: number;
  readonly #total: number | undefined;
  readonly #finished: FinishedIndexes;
  readonly #fingerprint = new Fingerprint();
  /** Aborts the calls in flight when the batch ends early. */
  readonly #calls = new AbortController();
  /** Results that the reader has not taken. If the results are ordered, the keys are the numbers of the requests sent. */
  readonly #results = new Map<number, RunItem>();
  /** Number of the next result that the reader takes. Without `ordered`, results are numbered as they arrive. */
  #nextResult = 0;
  #arrived = 0;
  #isSourceOpen = true;
  #isComplete = false;
  #failure: { readonly reason: unknown } | undefined;
  #inFlight = 0;
  #bytesInFlight = 0;
  #done: number;
  #failed = 0;
  #bytes = 0;
  /** Number of finished requests since the last call of `onCheckpoint`. */
  #unsaved = 0;
  #wakeSender = (): void => {};
  #wakeReader = (): void => {};

  /** Checks the arguments. Throws a `TypeError` or `RangeError`, or the reason of a signal that was aborted before. */
  constructor(client: Predictor, { source, total, measure }: BatchInput, options: BatchStreamOptions) {
    const {
      concurrency = DEFAULT_CONCURRENCY,
      maxBytes = Infinity,
      onProgress,
      onError,
      ordered = false,
      checkpoint,
      onCheckpoint,
      checkpointEvery = DEFAULT_CHECKPOINT_EVERY,
      inputId,
      signal,
      ...call
    } = options;
    if (typeof client?.predict !== "function") {
      throw argumentTypeError("ERR_EAS_ARG_REQUEST", `batch expects a PredictClient first, not ${show(client)}`);
    }
    if (typeof concurrency === "string") {
      if (concurrency !== "auto")
        throw optionError("concurrency", concurrency, 'be an integer of at least 1, or "auto"');
    } else {
      checkCount("concurrency", concurrency, 1);
    }
    this.#maxBytes = checkLimit("maxBytes", maxBytes, 1);
    if (onProgress !== undefined) checkFunction("onProgress", onProgress);
    if (onCheckpoint !== undefined) checkFunction("onCheckpoint", onCheckpoint);
    this.#checkpointEvery = checkCount("checkpointEvery", checkpointEvery, 1);
    checkBoolean("ordered", ordered);
    if (inputId !== undefined && typeof inputId !== "string") throw optionError("inputId", inputId, "be text");
    if (signal !== undefined && checkSignal(signal).aborted) throw signal.reason;
    if (onError !== "stop" && onError !== "collect") {
      throw optionError("onError", onError, 'be "stop" or "collect"');
    }
    this.#source = source;
    this.#measure = measure;
    this.#options = options;
    this.#total = total;
    if (checkpoint !== undefined) this.#compare(checkCheckpoint(checkpoint));
    this.#finished = new FinishedIndexes(checkpoint?.done);
    this.#done = this.#finished.size;
    this.#sender = concurrency === "auto" ? new AdaptiveSender(client, call) : fixedSender(client, call, concurrency);
  }

  /** The current maximum number of requests in flight. */
  get concurrency(): number {
    return this.#sender.limit;
  }

  /** The results that were processed so far. */
  get checkpoint(): BatchCheckpoint {
    return this.#checkpointOf(this.#finished);
  }

  /** Returns the checkpoint that also counts `index` as processed. */
  checkpointWith(index: number): BatchCheckpoint {
    const finished = new FinishedIndexes(this.#finished.ranges());
    finished.add(index);
    return this.#checkpointOf(finished);
  }

  /** Settles like `promise`. Rejects when the batch ends early. */
  race<T>(promise: PromiseLike<T>): Promise<T> {
    return raceAbort(promise, this.#calls.signal);
  }

  /** Runs the batch. A result counts as processed when the next one is requested. */
  async *items(): AsyncGenerator<RunItem, void, undefined> {
    const { signal } = this.#options;
    const abortable = { abort: (reason: unknown) => this.#fail(reason) };
    linkSignal(signal, abortable);
    let isFailing = true;
    try {
      void this.#sendAll().catch((reason) => this.#fail(reason));
      for (;;) {
        const item = await this.#take();
        if (item === undefined) break;
        isFailing = false;
        yield item;
        isFailing = true;
        this.#finished.add(item.index);
        this.#unsaved++;
        if (this.#unsaved >= this.#checkpointEvery) await this.race(this.#save());
      }
      isFailing = false;
    } finally {
      unlinkSignal(signal, abortable);
      this.#fail(undefined);
      // The first error is more important than an error of this last call.
      if (this.#unsaved > 0) await this.#save().catch(isFailing ? () => {} : undefined);
    }
  }

  /** Ends the batch, and drops the results in the queue. */
  #fail(reason: unknown): void {
    this.#results.clear();
    this.#stop(reason);
  }

  /** Ends the batch after the queued results have been read. Has no effect on a batch that has ended. */
  #stop(reason: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { reason };
    this.#calls.abort(reason);
    if (this.#isSourceOpen) close(this.#source);
    this.#isSourceOpen = false;
    this.#wakeSender();
    this.#wakeReader();
  }

  async #take(): Promise<RunItem | undefined> {
    for (;;) {
      const item = this.#results.get(this.#nextResult);
      if (item !== undefined) {
        this.#results.delete(this.#nextResult++);
        this.#wakeSender();
        return item;
      }
      if (this.#failure !== undefined) throw this.#failure.reason;
      if (this.#isComplete) return undefined;
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
  }

  async #save(): Promise<void> {
    this.#unsaved = 0;
    await this.#options.onCheckpoint?.(this.checkpoint);
  }

  async #sendAll(): Promise<void> {
    const first = await this.#verify();
    for (let index = 0, sent = 0; ; index++) {
      await this.#slot();
      if (this.#calls.signal.aborted) return;
      // Requests are removed from the list, so that they do not stay in memory.
      const early = first.shift();
      const next = early === undefined ? await this.#pull() : undefined;
      if (next?.done) {
        if (index < this.#finished.end)
          throw otherInput(`it ended after ${index} requests, and request ${this.#finished.end - 1} is finished`);
        break;
      }
      const isFinished = this.#finished.has(index);
      if (isFinished && (early !== undefined || !this.#fingerprint.isOpen)) continue;
      const measured = early ?? this.#measure(next?.value);
      if (early === undefined && this.#fingerprint.isOpen) this.#fingerprint.add(measured);
      if (isFinished) continue;
      await this.#until(() => this.#inFlight === 0 || this.#bytesInFlight + measured.size <= this.#maxBytes);
      if (this.#calls.signal.aborted) return;
      void this.#send(index, sent++, measured);
    }
    await this.#until(() => this.#inFlight === 0);
    if (this.#failure !== undefined) return;
    this.#isComplete = true;
    this.#wakeReader();
  }

  /** Waits until another request may be sent. */
  async #slot(): Promise<void> {
    for (;;) {
      await this.#until(() => this.#inFlight < this.#sender.limit && this.#results.size < this.#sender.limit);
      const delay = this.#sender.pausedUntil - clockNow();
      if (!(delay > 0)) return;
      // The wait rejects only when the batch ends, and the caller checks for that.
      await pause(delay, this.#calls.signal).catch(() => {});
      if (this.#calls.signal.aborted) return;
    }
  }

  /** Waits for a condition, or for the early end of the batch. */
  async #until(isTrue: () => boolean): Promise<void> {
    while (!isTrue() && !this.#calls.signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wakeSender = resolve;
      });
    }
  }

  async #send(index: number, number: number, { request, size }: Measured): Promise<void> {
    const { onError, ordered, onProgress } = this.#options;
    const { signal } = this.#calls;
    this.#inFlight++;
    this.#bytesInFlight += size;
    let outcome: { readonly answer: unknown } | { readonly error: unknown };
    try {
      outcome = { answer: await this.#sender.send(request, this.#inFlight, signal) };
    } catch (error) {
      this.#failed++;
      outcome = { error };
    }
    this.#done++;
    this.#bytes += size;
    this.#inFlight--;
    this.#bytesInFlight -= size;
    if (signal.aborted) return;
    const isStopping = "error" in outcome && onError === "stop";
    if (!isStopping) this.#results.set(ordered ? number : this.#arrived++, new RunItem(this, index, outcome));
    try {
      const progress = { done: this.#done, failed: this.#failed, total: this.#total, bytes: this.#bytes };
      // `onProgress` may be async, and its rejection must end the batch too.
      Promise.resolve(onProgress?.(progress)).catch((reason) => this.#fail(reason));
      if (isStopping) this.#stop((outcome as { readonly error: unknown }).error);
    } catch (reason) {
      this.#fail(reason);
    }
    this.#wakeSender();
    this.#wakeReader();
  }

  async #pull(): Promise<IteratorResult<unknown>> {
    try {
      const next = await this.#source.next();
      if (next.done) this.#isSourceOpen = false;
      return next;
    } catch (error) {
      this.#isSourceOpen = false;
      throw error;
    }
  }

  /** Compares a checkpoint with what is known about the input before it is read. */
  #compare({ total, inputId }: BatchCheckpoint): void {
    const { inputId: ownId } = this.#options;
    if (inputId !== ownId) throw otherInput(`its inputId is ${show(inputId)}, and this one is ${show(ownId)}`);
    if (total !== undefined && this.#total !== undefined && total !== this.#total) {
      throw otherInput(`it has ${total} requests, and this one has ${this.#total}`);
    }
  }

  /**
   * Reads as many requests as the fingerprint of the checkpoint covers, and returns them. Throws a `TypeError` if the
   * fingerprints differ.
   */
  async #verify(): Promise<Measured[]> {
    const { count = 0, hash } = this.#options.checkpoint?.first ?? {};
    const first: Measured[] = [];
    while (first.length < count && !this.#calls.signal.aborted) {
      const next = await this.#pull();
      if (next.done) throw otherInput(`it has at least ${count} requests, and this one has ${first.length}`);
      const measured = this.#measure(next.value);
      this.#fingerprint.add(measured);
      first.push(measured);
    }
    if (count > 0 && first.length === count && this.#fingerprint.hash !== hash) {
      throw otherInput(`the first ${count} requests differ`);
    }
    return first;
  }

  #checkpointOf(finished: FinishedIndexes): BatchCheckpoint {
    const { inputId } = this.#options;
    const { count, hash } = this.#fingerprint;
    const first = { count, hash };
    return {
      version: 1,
      done: finished.ranges(),
      // Before the first requests are read again, the fingerprint of the earlier run is still valid.
      first:
        this.#options.checkpoint !== undefined && count < this.#options.checkpoint.first.count
          ? this.#options.checkpoint.first
          : first,
      ...(this.#total !== undefined && { total: this.#total }),
      ...(inputId !== undefined && { inputId }),
    };
  }
}

/** Closes an iterator. Does not wait, because a pending read may never settle. */
export function close(source: Source): void {
  void (async () => source.return?.())().catch(() => {});
}
