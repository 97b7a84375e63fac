import { withHeaders } from "../../call/build-plan.js";
import type { CallPlan } from "../../call/call-plan.js";
import { runCall } from "../../call/run-call.js";
import type { WebSocketDialer } from "../../platform/contract.js";
import type { QueryPairs, QueueCalls } from "../calls.js";
import type { DataFrame, FrameOwner } from "../frame.js";
import { indexAt, isTooLarge } from "./deliveries/large-items.js";
import type { WatchSettings, WatchTransport } from "./options.js";
import type { FrameSource, OpenSource, SourceEvents } from "./sources/frame-source.js";
import { frameTooLarge } from "./sources/frame-splitter.js";
import { httpSource } from "./sources/http.js";
import { indexSource } from "./sources/index-only.js";
import { instanceSource } from "./sources/instances.js";
import { pollSource, type Room } from "./sources/poll.js";
import { websocketSource } from "./sources/websocket.js";
import type { WatchTools } from "./tools.js";

/** Maximum number of bytes in the response to a get besides its single frame. */
const LIST_BYTES = 16;

/** Opens connections for one watch, all with the same start index. */
export class WatchConnections {
  readonly #tools: WatchTools;
  readonly #calls: QueueCalls;
  readonly #dialWebSocket: WebSocketDialer | undefined;
  readonly #settings: WatchSettings;
  readonly #transport: WatchTransport;
  readonly #owner: FrameOwner;
  readonly #room: Room;
  readonly #lastInstance: string[] = [];
  #start: bigint | undefined;
  /** Whether the next connection requests only indexes, so that it can find an item that is too large. */
  #indexesOnly = false;

  constructor(
    tools: WatchTools,
    calls: QueueCalls,
    dialWebSocket: WebSocketDialer | undefined,
    settings: WatchSettings,
    transport: WatchTransport,
    owner: FrameOwner,
    room: Room,
  ) {
    this.#tools = tools;
    this.#calls = calls;
    this.#dialWebSocket = dialWebSocket;
    this.#settings = settings;
    this.#transport = transport;
    this.#owner = owner;
    this.#room = room;
    this.#start = settings.start;
  }

  /** Opens the next connection. */
  async open(events: SourceEvents, signal: AbortSignal): Promise<FrameSource> {
    const start = await this.#pinned(signal);
    if (this.#transport === "poll") {
      return pollSource(this.#tools, this.#calls, this.#settings, start, this.#owner, this.#room)(events, signal);
    }
    const { indexOnly, autoCommit, attempts } = this.#settings;
    // With autoCommit, an item that is too large cannot be read again, so there is no point in searching for it.
    if (this.#transport === "http" || autoCommit || indexOnly || attempts === 0) {
      return this.#connect(start, indexOnly)(events, signal);
    }
    if (this.#indexesOnly) {
      const open = this.#connect(start, true);
      const found = () => {
        this.#indexesOnly = false;
      };
      return indexSource(
        this.#tools,
        open,
        this.#owner,
        (index, life) => this.#fetch(index, life),
        found,
      )(events, signal);
    }
    const onEnd: SourceEvents["onEnd"] = (end) => {
      if (end.tooLarge) this.#indexesOnly = true;
      // The watcher closed this connection itself in order to look for the item on the next one.
      events.onEnd(end.tooLarge ? { ...end, asked: true } : end);
    };
    return this.#connect(start, false)({ ...events, onEnd }, signal);
  }

  /**
   * Returns the start index for connections. For a watch that receives only new items, the start index is determined
   * only once, so that a reconnect does not skip items. If the queue is empty, the start index is 0, because the queue
   * may have been recreated with indexes from 1.
   */
  async #pinned(signal: AbortSignal): Promise<bigint> {
    const { attributesOperation, isReusable, lastEntryOf } = this.#tools;
    const isFirst = this.#start === undefined;
    if (isFirst || (this.#settings.start === undefined && this.#start !== 0n && isReusable(this.#start ?? 0n))) {
      const last = lastEntryOf(await this.#calls.run(attributesOperation({ signal })));
      if (last === undefined) this.#start = 0n;
      else if (isFirst) this.#start = last + 1n;
    }
    return this.#start as bigint;
  }

  #connect(start: bigint, indexOnly: boolean): OpenSource {
    const { attributesOperation, FRAMES, readIndex } = this.#tools;
    const calls = this.#calls;
    const query = this.#query(start, indexOnly);
    const plan = withHeaders(calls.planOf({ kind: "other", method: "GET", query }), [FRAMES]);
    return (events, signal) => {
      const ask = () => calls.run(attributesOperation({ signal, retryCount: 0 }));
      const open = (plan: CallPlan) =>
        this.#transport === "http"
          ? httpSource(calls.pool, plan, readIndex)
          : websocketSource(calls.pool, plan, this.#dialWebSocket as WebSocketDialer, ask, readIndex);
      return instanceSource(calls.pool, plan, this.#lastInstance, open)(events, signal);
    };
  }

  #query(start: bigint, indexOnly: boolean): QueryPairs {
    const { window, autoCommit, tags } = this.#settings;
    return [
      ["_watch_", "true"],
      ["_index_", String(start)],
      ["_window_", String(window)],
      ["_index_only_", String(indexOnly)],
      ["_auto_commit_", String(autoCommit)],
      ...tags,
    ];
  }

  /**
   * Reads one item without deleting it. Returns undefined if the item was already deleted, or null if it was too large
   * and has since been deleted.
   */
  async #fetch(index: bigint, signal: AbortSignal): Promise<DataFrame | null | undefined> {
    const { pool } = this.#calls;
    const operation = this.#tools.getOperation({ index, timeout: 0, autoDelete: false, signal }, this.#owner);
    const plan = this.#calls.planOf(operation);
    const { maxResponseBytes } = plan;
    try {
      const within = { ...plan, maxResponseBytes: maxResponseBytes + LIST_BYTES };
      const frames = await runCall(pool, within, null, (result) => operation.read(result, pool.transport));
      return frames.find((frame) => frame.index === index);
    } catch (error) {
      if (!isTooLarge(error)) throw error;
      // If the item was deleted, the response contains the next item, if any.
      const found = await indexAt(this.#tools, this.#calls, index, signal);
      if (found !== undefined && found !== index) return null;
      throw frameTooLarge(maxResponseBytes, undefined);
    }
  }
}
