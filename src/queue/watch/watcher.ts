import type { EasDecodeError } from "../../errors.js";
import type { Bytes } from "../../formats/request.js";
import type { WebSocketDialer } from "../../platform/contract.js";
import { show } from "../../util/argument-errors.js";
import { AsyncQueue } from "../../util/async-queue.js";
import { guarded } from "../../util/guarded.js";
import { listFacts, showAsText } from "../../util/inspect.js";
import { messageOf } from "../../util/realms.js";
import { linkSignal, raceAbort, unlinkSignal } from "../../util/timing/abort.js";
import { hasEnded, isEmpty } from "../attributes.js";
import type { QueueCalls } from "../calls.js";
import type { DataFrame } from "../frame.js";
import { readFrame, readIndex } from "../frame-codec.js";
import { attributesOperation, type NegativeOptions } from "../operations.js";
import type { QueueLogger } from "../options.js";
import { Acknowledgments } from "./deliveries/acknowledgments.js";
import { DeliveryTracker } from "./deliveries/delivery-tracker.js";
import { RepeatFilter } from "./deliveries/repeat-filter.js";
import { UnreadableItems } from "./deliveries/unreadable-items.js";
import type { WatchSettings, WatchStatus, WatchTransport } from "./options.js";
import { WatchReports } from "./reports.js";
import type { FrameSource } from "./sources/frame-source.js";
import { WATCH_TOOLS } from "./tools.js";
import { transportOf } from "./transport.js";

/** Total size of unread frames, in bytes, at which the watcher stops reading from the connection. */
const HIGH_WATER_BYTES = 16_777_216;
/** Approximate memory overhead per frame besides its data, in bytes. */
const FRAME_BYTES = 512;

/** The dependencies of a watcher. */
export interface WatcherHost {
  readonly calls: QueueCalls;
  readonly dialWebSocket: WebSocketDialer | undefined;
  readonly logger: () => QueueLogger;
}

/**
 * Iterates over a queue's items in delivery order. Delivery is at least once: an uncommitted item may be delivered
 * again, after a reconnect or to another consumer. This watcher does not deliver an item again while the caller holds
 * the item, while its commit is retried, or after its commit succeeded. The caller holds an item until it calls
 * `commit`, `negative` or `release`. Broken connections are reopened.
 *
 * Failed commits and negative acknowledgments are retried in the background until the watcher closes; see
 * `DataFrame.commit` and `DataFrame.negative`. When the queue is deleted and recreated, acknowledgments for earlier
 * items are not sent to the new queue, even if it uses the same indexes.
 *
 * @example
 * const watcher = queue.watch(0, 5);
 * for await (const frame of watcher) {
 *   console.log(frame.text());
 *   await frame.commit();
 * }
 */
export class Watcher implements AsyncIterableIterator<DataFrame> {
  /** Resolves when the watcher has closed for any reason. Never rejects. */
  readonly closed: Promise<void>;
  readonly #host: WatcherHost;
  readonly #settings: WatchSettings;
  readonly #held: DeliveryTracker;
  readonly #repeats: RepeatFilter;
  readonly #acks: Acknowledgments;
  readonly #buffer: AsyncQueue<DataFrame>;
  readonly #reports: WatchReports;
  readonly #unreadable: UnreadableItems;
  readonly #life = new AbortController();
  readonly #transport: WatchTransport;
  #source: FrameSource | undefined;
  #roomChanged: (() => void) | undefined;
  #hasWarnedOfOverflow = false;

  /** @internal */
  constructor(host: WatcherHost, settings: WatchSettings) {
    this.#host = host;
    this.#settings = settings;
    this.#reports = new WatchReports(host.logger);
    this.#transport = transportOf(host.calls.pool, host.dialWebSocket, settings, this.#reports);
    this.#held = new DeliveryTracker(settings.window);
    this.#acks = new Acknowledgments({
      calls: host.calls,
      held: this.#held,
      settings,
      transport: this.#transport,
      life: this.#life.signal,
      warn: (cause, message) => this.#reports.warn(cause, message),
      onCommitted: (indexes) => this.#repeats.committed(indexes),
      onReturned: (indexes) => this.#repeats.returned(indexes),
      onRelease: () => this.#released(),
    });
    this.#buffer = new AsyncQueue({
      highWater: HIGH_WATER_BYTES,
      weigh: ({ data }) => FRAME_BYTES + data.length,
      onFull: () => this.#pauseSource(),
      onDrain: () => this.#source?.resume?.(),
    });
    const unreadable = {
      returnToQueue: (index: bigint) => this.#acks.refuse(index),
      report: (error: EasDecodeError) => this.#buffer.pushError(error),
    };
    this.#unreadable = new UnreadableItems(unreadable, this.#reports);
    this.#repeats = new RepeatFilter(settings, this.#buffer, {
      commit: (index) => this.#acks.owner.commit(index),
    });
    const { signal } = settings;
    const abortable = { abort: (reason: unknown) => this.#finish(reason, true) };
    linkSignal(signal, abortable);
    showAsText(this);
    this.closed = this.#run().finally(() => unlinkSignal(signal, abortable));
  }

  /** Whether the watcher has closed or is closing. */
  get isClosed(): boolean {
    return this.#life.signal.aborted;
  }

  /** The transport that the watcher uses. */
  get transport(): WatchTransport {
    return this.#transport;
  }

  /**
   * Resolves with the next frame. Rejects with an `EasDecodeError` for each unreadable item, after which the
   * iteration can continue. When the watcher ends with an error, rejects once with that error.
   */
  next(): Promise<IteratorResult<DataFrame, undefined>> {
    return this.#buffer.next();
  }

  /** Closes the watcher. Called by a `for await` loop that is left early. */
  async return(): Promise<IteratorResult<DataFrame, undefined>> {
    await this.close();
    return { done: true, value: undefined };
  }

  /** Returns the watcher itself. Concurrent iterations share the frames. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Returns the watcher itself, for compatibility with the official Python SDK. */
  run(): this {
    return this;
  }

  /**
   * Ends the iteration immediately and closes the connection. The service then delivers uncommitted items to other
   * consumers.
   */
  close(): Promise<void> {
    this.#finish(undefined, true);
    return this.closed;
  }

  /** Returns the transport and the state for logs. */
  toString(): string {
    const state = this.isClosed ? "closed" : this.#source === undefined ? "connecting" : "open";
    return listFacts("Watcher", { transport: this.#transport, state });
  }

  /** Sends failed commits once more. Resolves when they have been sent. @internal */
  flush(): Promise<void> {
    return this.#acks.flush();
  }

  /** Sends an acknowledgment with `send` and tracks the items that this watcher has delivered. @internal */
  trackAcknowledgment(
    indexes: readonly bigint[],
    send: (indexes: readonly bigint[]) => Promise<void>,
    how: "PUT" | "DELETE" | NegativeOptions,
  ): Promise<void> {
    if (typeof how === "string") return this.#acks.trackCommit(indexes, send, how);
    return this.#acks.trackNack(indexes, send, { code: how.code, reason: how.reason });
  }

  #finish(error: unknown, dropped: boolean): void {
    // Failed commits must be sent before the client refuses further calls.
    if (!this.isClosed) void this.#acks.flush();
    this.#buffer.end(error, dropped);
    this.#unreadable.close();
    this.#life.abort();
    this.#roomChanged?.();
  }

  async #run(): Promise<void> {
    const { signal } = this.#life;
    const error = await this.#reconnectLoop(signal).catch((thrown: unknown) => (signal.aborted ? undefined : thrown));
    this.#finish(error, false);
    this.#notify({ state: "closed", error: error ?? this.#settings.signal?.reason });
  }

  /**
   * Resolves with the error that ended the watch, or with undefined if there was none. Rejects if the watch's code
   * cannot be loaded.
   */
  async #reconnectLoop(signal: AbortSignal): Promise<unknown> {
    const settings = this.#settings;
    const { calls, dialWebSocket } = this.#host;
    const { reconnectLoop, WatchConnections } = await raceAbort(import("../lazy.js"), signal);
    const room = {
      size: () => (settings.autoCommit ? settings.window : this.#held.room),
      change: () =>
        new Promise<void>((resolve) => {
          this.#roomChanged = resolve;
        }),
    };
    const connections = new WatchConnections(
      WATCH_TOOLS,
      calls,
      dialWebSocket,
      settings,
      this.#transport,
      this.#acks.owner,
      room,
    );
    return reconnectLoop({
      open: (events, life) => {
        this.#acks.connecting();
        return connections.open(events, life);
      },
      settings,
      signal,
      hasFreshTokens: () => typeof calls.settings.token === "function",
      notify: (status) => this.#notify(status),
      warn: (cause, message) => this.#reports.warn(cause, message),
      consumer: () => `the uid ${show(calls.uid)} in the group ${show(calls.gid)}`,
      hasEnded: (isBrief) => this.#hasEnded(isBrief),
      onUnreadable: (error, index) => this.#unreadable.add(error, index),
      onFrame: (bytes) => this.#receive(bytes),
      onItem: (frame) => this.#take(frame),
      onConnected: (source) => {
        this.#source = source;
        this.#acks.connected();
        if (this.#buffer.isFull) this.#pauseSource();
        this.#notify({ state: "open", transport: this.#transport });
      },
      onDisconnected: () => {
        this.#source = undefined;
        this.#acks.disconnected();
      },
    });
  }

  /** Pauses the connection. Logs a warning once if the runtime does not support backpressure. */
  #pauseSource(): void {
    const source = this.#source;
    if (source === undefined) return;
    if (source.pause !== undefined) return source.pause();
    if (this.#hasWarnedOfOverflow) return;
    this.#hasWarnedOfOverflow = true;
    this.#host
      .logger()
      .warn("eas-prediction: items arrive faster than they are read, and this runtime cannot pause the service");
  }

  /** Calls `onStatus`. If `onStatus` fails, a warning is logged and the watch continues. */
  #notify(status: WatchStatus): void {
    const onFailure = (error: unknown) => this.#reports.warn("onStatus", `onStatus failed: ${messageOf(error)}`);
    guarded(() => this.#settings.onStatus?.(status), onFailure);
  }

  async #hasEnded(isBrief: boolean): Promise<boolean> {
    const { signal } = this.#life;
    const attributes = await this.#host.calls.run(attributesOperation({ signal, retryCount: 0 })).catch(() => {});
    // An ended queue that still contains items may deliver them to this watcher after another consumer disconnects.
    return attributes !== undefined && hasEnded(attributes) && (isBrief || isEmpty(attributes));
  }

  #receive(bytes: Bytes): boolean {
    let frame: DataFrame;
    try {
      frame = readFrame(bytes, this.#acks.owner);
    } catch (error) {
      return this.#unreadable.add(error as EasDecodeError, readIndex(bytes));
    }
    return this.#take(frame);
  }

  /** Delivers a frame if it is new. Returns whether the frame is new. */
  #take(frame: DataFrame): boolean {
    const isNew = this.#settings.autoCommit || this.#acks.take(frame);
    if (isNew) this.#repeats.take(frame);
    return isNew;
  }

  #released(): void {
    this.#roomChanged?.();
    // The service waits for the commits of released items until the connection ends.
    const isIdle = this.#held.room === this.#settings.window;
    if (this.#held.isStuck || (isIdle && this.#source?.isReplaceable)) void this.#source?.close();
  }
}
