import { EasUnsupportedError } from "../../errors.js";
import type { CallPlan } from "../../http/call-plan.js";
import type { WebSocketDialer } from "../../platform/platform.js";
import type { Bytes } from "../../request.js";
import { CommitBatch } from "../commit-batch.js";
import { type DataFrame, type FrameOwner, readFrame, readIndex } from "../data-frame.js";
import { lastEntryOf } from "../queue-attributes.js";
import type { QueryPairs, QueueCalls } from "../queue-calls.js";
import { attributesOperation, FRAMES, indexesOperation, negativeOperation } from "../queue-operations.js";
import type { QueueLogger } from "../queue-options.js";
import { FrameBuffer } from "./frame-buffer.js";
import type { FrameSource, OpenSource } from "./frame-source.js";
import { HeldFrames } from "./held-frames.js";
import { httpSource } from "./http-source.js";
import { instanceSource } from "./instance-source.js";
import { keepConnected } from "./keep-connected.js";
import { pollSource } from "./poll-source.js";
import type { WatchSettings, WatchStatus, WatchTransport } from "./watch-options.js";
import { websocketSource } from "./websocket-source.js";

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
  readonly #commits: CommitBatch;
  readonly #buffer: FrameBuffer;
  readonly #life = new AbortController();
  readonly #owner: FrameOwner;
  readonly #transport: WatchTransport;
  readonly #lastInstance: string[] = [];
  #start: bigint | undefined;
  #source: FrameSource | undefined;
  #roomChanged: (() => void) | undefined;

  /** @internal */
  constructor(host: WatcherHost, settings: WatchSettings) {
    this.#host = host;
    this.#settings = settings;
    this.#transport = transportOf(host, settings);
    this.#start = settings.start;
    this.#held = new HeldFrames(settings.window);
    this.#commits = new CommitBatch((indexes) =>
      this.committing(indexes, () =>
        // Nobody but us knows which items a poll has handed out.
        host.calls.run(indexesOperation(this.#transport === "poll" ? "DELETE" : "PUT", indexes, undefined)),
      ),
    );
    this.#buffer = new FrameBuffer(
      () => this.#source,
      () =>
        host
          .logger()
          .warn("eas-prediction: frames come faster than they are taken; this runtime cannot hold them back"),
    );
    this.#owner = {
      commit: (index) => (settings.autoCommit ? Promise.resolve() : this.#commits.commit(index)),
      negative: (index, code, reason) => this.#negative(index, code, reason),
      release: (index) => this.#release(index),
    };
    const { signal } = settings;
    const onAbort = () => this.#finish(signal?.reason, true);
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted) onAbort();
    this.closed = this.#run().finally(() => signal?.removeEventListener("abort", onAbort));
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
    this.#letGo();
  }

  /** Gives back by `send` what this watcher may have handed out. @internal */
  async negating(indexes: readonly bigint[], send: () => Promise<void>): Promise<void> {
    // Before the service is told, which may push it again before it answers.
    const held = indexes.filter((index) => this.#held.negated(index));
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
    this.#life.abort();
    this.#roomChanged?.();
  }

  async #run(): Promise<void> {
    const { settings, signal } = { settings: this.#settings, signal: this.#life.signal };
    const error = await keepConnected({
      open: this.#open,
      settings,
      signal,
      hasFreshTokens: () => typeof this.#host.calls.settings.token === "function",
      tell: (status) => this.#tell(status),
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
    if (status.state === "reconnecting" && status.failures > 1) {
      const { failures, cause } = status;
      this.#host
        .logger()
        .warn(`eas-prediction: the watch failed ${failures} times in a row: ${(cause as Error)?.message}`);
    }
    this.#settings.onStatus?.(status);
  }

  readonly #open: OpenSource = async (events, signal) => {
    const { calls, dialWebSocket } = this.#host;
    const start = await this.#pinned(signal);
    if (this.#transport === "poll") {
      const room = {
        size: () => (this.#settings.autoCommit ? this.#settings.window : this.#held.room),
        change: () =>
          new Promise<void>((resolve) => {
            this.#roomChanged = resolve;
          }),
      };
      return pollSource(calls, this.#settings, start, this.#owner, room)(events, signal);
    }
    const plan = calls.planOf({ kind: "other", method: "GET", query: this.#query(start), headers: [FRAMES] });
    const ask = () => calls.run(attributesOperation({ signal, retryCount: 0 }));
    const open = (plan: CallPlan) =>
      this.#transport === "http"
        ? httpSource(calls.channel, plan)
        : websocketSource(calls.channel, plan, dialWebSocket as WebSocketDialer, ask);
    return instanceSource(calls.channel, plan, this.#lastInstance, open)(events, signal);
  };

  /** Where each connection begins. What is "from now on" is settled once, so that a reconnect passes over nothing. */
  async #pinned(signal: AbortSignal): Promise<bigint> {
    if (this.#start === undefined) {
      const last = lastEntryOf(await this.#host.calls.run(attributesOperation({ signal })));
      this.#start = last === undefined ? 0n : last + 1n;
    }
    return this.#start;
  }

  #query(start: bigint): QueryPairs {
    const { window, indexOnly, autoCommit, tags } = this.#settings;
    return [
      ["_watch_", "true"],
      ["_index_", String(start)],
      ["_window_", String(window)],
      ["_index_only_", String(indexOnly)],
      ["_auto_commit_", String(autoCommit)],
      ...tags,
    ];
  }

  #receive(bytes: Bytes): void {
    let frame: DataFrame;
    try {
      frame = readFrame(bytes, this.#owner);
    } catch (error) {
      this.#refuse(bytes);
      this.#buffer.push(error as Error);
      return;
    }
    this.#take(frame);
  }

  /** Gives a frame that cannot be read back, where its index can be: it would take a place in the window for ever. */
  #refuse(bytes: Bytes): void {
    const index = readIndex(bytes);
    if (index === undefined || this.#settings.autoCommit) return;
    const code = { code: "Unreadable", reason: "the frame could not be decoded" };
    this.#host.calls.run(negativeOperation([index], code)).catch(() => {});
  }

  #take(frame: DataFrame): void {
    if (!this.#settings.autoCommit) {
      const taken = this.#held.take(frame.index);
      // Its commit was answered: the server forgot, and its window would stay smaller by one.
      if (taken === "committed") this.#commits.commit(frame.index).catch(() => {});
      if (taken !== "new") return;
    }
    this.#buffer.push(frame);
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
    this.#letGo();
  }

  #letGo(): void {
    this.#roomChanged?.();
    // The server waits for the commits of what was released, until the connection ends.
    if (this.#held.isStuck) void this.#source?.close();
  }
}

/** Over what a watch is to run; throws for what cannot be had here. */
function transportOf({ calls, dialWebSocket }: WatcherHost, { transport }: WatchSettings): WatchTransport {
  if (transport === "websocket" && dialWebSocket === undefined) {
    throw new EasUnsupportedError(
      'transport "websocket" cannot work in this runtime: it does not let headers be sent with a WebSocket, and the token is one; use transport "http", which streams over HTTP, or "poll", or give the client a dialWebSocket',
    );
  }
  if (transport !== "auto") return transport;
  if (dialWebSocket !== undefined) return "websocket";
  return calls.channel.transport.stream === undefined ? "poll" : "http";
}
