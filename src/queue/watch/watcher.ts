import { show } from "../../argument-errors.js";
import type { EasDecodeError } from "../../errors.js";
import type { WebSocketDialer } from "../../platform/platform.js";
import type { Bytes } from "../../request.js";
import { linkSignal, unlinkSignal } from "../../util/abort.js";
import { CommitBatch } from "../commit-batch.js";
import { type DataFrame, type FrameOwner, readFrame, readIndex } from "../data-frame.js";
import { hasEnded, isEmpty } from "../queue-attributes.js";
import type { QueueCalls } from "../queue-calls.js";
import { attributesOperation, indexesOperation, negativeOperation } from "../queue-operations.js";
import type { QueueLogger } from "../queue-options.js";
import { FrameBuffer } from "./frame-buffer.js";
import type { FrameSource } from "./frame-source.js";
import { HeldFrames } from "./held-frames.js";
import { keepConnected } from "./keep-connected.js";
import { RepeatFilter } from "./repeat-filter.js";
import { UnreadableItems } from "./unreadable-items.js";
import { WatchConnections } from "./watch-connections.js";
import type { WatchSettings, WatchStatus, WatchTransport } from "./watch-options.js";
import { WatchReports } from "./watch-reports.js";
import { transportOf } from "./watch-transport.js";

/** What a watcher works with. */
export interface WatcherHost {
  readonly calls: QueueCalls;
  readonly dialWebSocket: WebSocketDialer | undefined;
  readonly logger: () => QueueLogger;
}

/**
 * The items of a queue as they come. Delivery is at least once: a frame that was not committed may come again, after a
 * reconnect or to another consumer. It is not handed out a second time while its first copy is held (not committed,
 * negated or released), nor when its commit was answered. Connections that break are made again.
 *
 * @example
 * const watcher = queue.watch(0, 5);
 * for await (const frame of watcher) {
 *   console.log(frame.text());
 *   await frame.commit();
 * }
 */
export class Watcher implements AsyncIterableIterator<DataFrame> {
  /** Resolves when the watcher is closed, whatever closed it; never rejects. */
  readonly closed: Promise<void>;
  readonly #host: WatcherHost;
  readonly #settings: WatchSettings;
  readonly #held: HeldFrames;
  readonly #repeats: RepeatFilter;
  readonly #commits: CommitBatch;
  readonly #buffer: FrameBuffer;
  readonly #reports: WatchReports;
  readonly #unreadable: UnreadableItems;
  readonly #life = new AbortController();
  readonly #owner: FrameOwner;
  readonly #transport: WatchTransport;
  #source: FrameSource | undefined;
  #roomChanged: (() => void) | undefined;

  /** @internal */
  constructor(host: WatcherHost, settings: WatchSettings) {
    this.#host = host;
    this.#settings = settings;
    this.#reports = new WatchReports(host.logger);
    this.#transport = transportOf(host.calls.channel, host.dialWebSocket, settings, this.#reports);
    this.#held = new HeldFrames(settings.window);
    this.#commits = new CommitBatch((indexes) =>
      this.committing(indexes, () =>
        // Nobody but us knows which items a poll has handed out.
        host.calls.run(indexesOperation(this.#transport === "poll" ? "DELETE" : "PUT", indexes, undefined)),
      ),
    );
    this.#buffer = new FrameBuffer(
      () => this.#source,
      () => host.logger().warn("eas-prediction: items arrive faster than they are read, and cannot be paused here"),
    );
    this.#owner = {
      commit: (index) => (settings.autoCommit ? Promise.resolve() : this.#commits.commit(index)),
      negative: (index, code, reason) => this.#negative(index, code, reason),
      release: (index) => this.#release(index),
    };
    const unreadable = {
      giveBack: (index: bigint) => this.#giveBack(index),
      report: (error: EasDecodeError) => this.#buffer.push(error),
    };
    this.#unreadable = new UnreadableItems(unreadable, this.#reports);
    this.#repeats = new RepeatFilter(settings, this.#buffer, this.#owner);
    const { signal } = settings;
    const abortable = { abort: (reason: unknown) => this.#finish(reason, true) };
    linkSignal(signal, abortable);
    this.closed = this.#run().finally(() => unlinkSignal(signal, abortable));
  }

  /** Whether the watcher has ended, or is about to. */
  get isClosed(): boolean {
    return this.#life.signal.aborted;
  }

  /** Over what it runs. */
  get transport(): WatchTransport {
    return this.#transport;
  }

  /** The next frame. Rejects once with what ended the watcher, and with an `EasDecodeError` for each frame that is none. */
  next(): Promise<IteratorResult<DataFrame, undefined>> {
    return this.#buffer.next();
  }

  /** Closes the watcher: what a `for await` calls that is left early. */
  async return(): Promise<IteratorResult<DataFrame, undefined>> {
    await this.close();
    return { done: true, value: undefined };
  }

  /** The frames, each for one of those who iterate. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The frames; the official Python SDK's name for it. */
  run(): this {
    return this;
  }

  /** Ends the iteration at once, and the connection in good order: what was not committed goes to other consumers. */
  close(): Promise<void> {
    // The client may take no more calls when their turn comes.
    this.#commits.flush();
    this.#finish(undefined, true);
    return this.closed;
  }

  /** Commits by `send` what this watcher may have handed out. @internal */
  async committing(indexes: readonly bigint[], send: () => Promise<void>): Promise<void> {
    await send();
    for (const index of indexes) this.#held.committed(index);
    this.#repeats.committed(indexes);
    this.#letGo();
  }

  /** Gives back by `send` what this watcher may have handed out. @internal */
  async negating(indexes: readonly bigint[], send: () => Promise<void>): Promise<void> {
    // Before the service is told, which may push it again before it answers.
    const held = indexes.filter((index) => this.#held.negated(index));
    this.#repeats.returned(held);
    this.#letGo();
    try {
      await send();
    } catch (error) {
      for (const index of held) this.#held.kept(index);
      throw error;
    }
  }

  #finish(error: unknown, dropped: boolean): void {
    this.#buffer.end(error, dropped);
    this.#unreadable.close();
    this.#life.abort();
    this.#roomChanged?.();
  }

  async #run(): Promise<void> {
    const { settings, signal } = { settings: this.#settings, signal: this.#life.signal };
    const { calls, dialWebSocket } = this.#host;
    const room = {
      size: () => (settings.autoCommit ? settings.window : this.#held.room),
      change: () =>
        new Promise<void>((resolve) => {
          this.#roomChanged = resolve;
        }),
    };
    const connections = new WatchConnections(calls, dialWebSocket, settings, this.#transport, this.#owner, room);
    const error = await keepConnected({
      open: (events, life) => connections.open(events, life),
      settings,
      signal,
      hasFreshTokens: () => typeof calls.settings.token === "function",
      tell: (status) => this.#tell(status),
      warn: (cause, message) => this.#reports.warn(cause, message),
      consumer: () => `the uid ${show(calls.uid)} in the group ${show(calls.gid)}`,
      hasEnded: (atOnce) => this.#hasEnded(atOnce),
      onUnreadable: (error, index) => this.#unreadable.add(error, index),
      onFrame: (bytes) => this.#receive(bytes),
      onItem: (frame) => this.#take(frame),
      onConnected: (source) => {
        this.#source = source;
        this.#held.reconnected();
        this.#buffer.connected();
        this.#tell({ state: "open", transport: this.#transport });
      },
      onDisconnected: () => {
        this.#source = undefined;
      },
      // Only what is not ours throws: onStatus, or the logger.
    }).catch((thrown: unknown) => thrown);
    this.#finish(error, false);
    try {
      this.#tell({ state: "closed", error: error ?? settings.signal?.reason });
    } catch {
      // There is nobody left to tell.
    }
  }

  #tell(status: WatchStatus): void {
    this.#settings.onStatus?.(status);
  }

  async #hasEnded(atOnce: boolean): Promise<boolean> {
    const { signal } = this.#life;
    const attributes = await this.#host.calls.run(attributesOperation({ signal, retryCount: 0 })).catch(() => {});
    // An ended queue with items left may give them to this watcher when another consumer leaves.
    return attributes !== undefined && hasEnded(attributes) && (atOnce || isEmpty(attributes));
  }

  #receive(bytes: Bytes): boolean {
    let frame: DataFrame;
    try {
      frame = readFrame(bytes, this.#owner);
    } catch (error) {
      return this.#unreadable.add(error as EasDecodeError, readIndex(bytes));
    }
    return this.#take(frame);
  }

  async #giveBack(index: bigint): Promise<void> {
    // The service does not wait for an item that was committed as it was sent, or that was polled.
    if (this.#settings.autoCommit || this.#transport === "poll") return;
    await this.#host.calls.run(
      negativeOperation([index], { code: "Unreadable", reason: "the client cannot read the item" }),
    );
  }

  #take(frame: DataFrame): boolean {
    if (!this.#settings.autoCommit) {
      const taken = this.#held.take(frame.index);
      // Its commit was answered: the server forgot, and its window would stay smaller by one.
      if (taken === "committed") this.#commits.commit(frame.index).catch(() => {});
      if (taken !== "new") return false;
    }
    this.#repeats.take(frame);
    return true;
  }

  async #negative(index: bigint, code: string | undefined, reason: string | undefined): Promise<void> {
    if (this.#settings.autoCommit) return;
    const operation = negativeOperation([index], { code, reason });
    await this.negating([index], async () => {
      // An item that is polled belongs to no consumer: there is nobody to tell.
      if (this.#transport !== "poll") await this.#host.calls.run(operation);
    });
  }

  #release(index: bigint): void {
    if (this.#transport === "poll") this.#held.negated(index);
    else this.#held.released(index);
    this.#repeats.returned([index]);
    this.#letGo();
  }

  #letGo(): void {
    this.#roomChanged?.();
    // The server waits for the commits of what was released, until the connection ends.
    const isIdle = this.#held.room === this.#settings.window;
    if (this.#held.isStuck || (isIdle && this.#source?.isSpare)) void this.#source?.close();
  }
}
