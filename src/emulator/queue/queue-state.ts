import type { Bytes } from "../../formats/request.js";
import type { AcceptedSocket } from "../server/socket.js";
import { AsyncService } from "./async-service.js";
import { AppendOnlyLog, type StoreName } from "./entries/append-only-log.js";
import { type EmulatorQueue, type EmulatorQueueSide, viewOf } from "./handle.js";
import { type EmulatorQueueOptions, settingsOf } from "./options.js";
import { Parameters, QueueRefusal, tagsOf } from "./query.js";
import { QueueSide } from "./queue-side.js";
import { answerQueueRequest, identityOf } from "./requests.js";
import type { Watches, WatchPlan } from "./watch/watch.js";
import { watchOverHttp } from "./watch/watch-http.js";
import { watchOverSocket } from "./watch/watch-websocket.js";

/** Undocumented header that the official Go SDK's tests send to reach the dead-letter queue. */
const REAR_HEADER = "x-eas-queueservice-access-rear";

/** A request to a queue, as passed on by the gateway. */
export interface QueueCall {
  readonly request: Request;
  readonly query: URLSearchParams;
  readonly body: Bytes;
  /** Path after the queue's name: `""`, or text that starts with `/`. */
  readonly path: string;
}

/** An input queue and its sink, with the asynchronous service between them, if any. */
export class Queue implements EmulatorQueue {
  readonly name: string;
  readonly token: string | undefined;
  readonly input: EmulatorQueueSide;
  readonly sink: EmulatorQueueSide;
  readonly #sides: Readonly<Record<StoreName, QueueSide>>;
  readonly #log: AppendOnlyLog;
  readonly #service: AsyncService | undefined;
  readonly #restored: Promise<void>;
  readonly #watches: Watches;

  constructor(name: string, options: EmulatorQueueOptions, watches: Watches) {
    const settings = settingsOf(options);
    const log = new AppendOnlyLog(options.log);
    const makeSide = (store: StoreName, queueName: string, maxLength: number, rear?: QueueSide) => {
      const now = options.now ?? Date.now;
      return new QueueSide({ queueName, settings, maxLength, now, onChange: (change) => log.add(store, change) }, rear);
    };
    const { maxLength } = settings;
    const sinkMaxLength = options.sinkMaxLength ?? maxLength;
    const inputRear = makeSide("input-rear", name, maxLength);
    const sinkRear = makeSide("sink-rear", `${name}/sink`, sinkMaxLength);
    const input = makeSide("input", name, maxLength, inputRear);
    const sink = makeSide("sink", `${name}/sink`, sinkMaxLength, sinkRear);
    this.name = name;
    this.token = options.token;
    this.input = viewOf(input);
    this.sink = viewOf(sink);
    this.#sides = { input, sink, "input-rear": inputRear, "sink-rear": sinkRear };
    this.#log = log;
    this.#watches = watches;
    this.#service = options.service && new AsyncService(name, options.service, { input, sink });
    if (options.log === undefined) {
      this.#restored = Promise.resolve();
      this.#service?.start();
    } else {
      this.#restored = this.#load();
      // Requests and `restore` report the error.
      this.#restored.catch(() => {});
    }
  }

  async #load(): Promise<void> {
    for (const { store, change } of await this.#log.load()) this.#sides[store].store.restore(change);
    this.#service?.start();
  }

  restore(): Promise<void> {
    return this.#restored;
  }

  /** Handles a request, and responds after its changes have been logged. Rejects when the caller disconnects. */
  async answer(call: QueueCall): Promise<Response> {
    const { request, query, body } = call;
    await this.#restored;
    const { side, path, place } = this.#target(call);
    const response = await answerQueueRequest({
      side,
      method: request.method,
      query,
      headers: request.headers,
      body,
      path,
      signal: request.signal,
      watch: () => watchOverHttp(this.#watches, planWatch(call, side, place), request),
    });
    await this.#log.kept();
    return response;
  }

  /** Accepts or refuses a WebSocket upgrade for a watch. */
  async accept(call: QueueCall): Promise<Response | AcceptedSocket["attach"]> {
    await this.#restored;
    const { side, place } = this.#target(call);
    try {
      if (!new Parameters(call.query, side.context.settings).boolean("_watch_", false)) {
        throw new QueueRefusal(
          side.context.settings.badParameterStatus,
          "only watch requests can be upgraded to a WebSocket",
        );
      }
      return watchOverSocket(this.#watches, planWatch(call, side, place));
    } catch (error) {
      if (error instanceof QueueRefusal) return new Response(error.message, { status: error.status });
      throw error;
    }
  }

  /** Clears the history and keeps the items. */
  clearHistory(): void {
    for (const { history } of Object.values(this.#sides)) history.clear();
  }

  /** Stops the service and ends all watches and waiting requests, when another queue replaces this one. */
  stop(): void {
    this.#service?.stop();
    for (const side of Object.values(this.#sides)) side.endWaits();
    this.#watches.cut(({ queue }) => queue === this.name);
  }

  #target({ request, path }: QueueCall): { side: QueueSide; path: string; place: WatchPlan["place"] } {
    const isSink = path === "/sink" || path.startsWith("/sink/");
    const isRear = request.headers.get(REAR_HEADER)?.toLowerCase() === "true";
    const name = isSink ? "sink" : "input";
    const store: StoreName = isRear ? `${name}-rear` : name;
    return {
      side: this.#sides[store],
      // A trailing slash is not part of the path.
      path: (isSink ? path.slice("/sink".length) : path).replace(/^\/$/, ""),
      place: { queue: this.name, side: name, isRear },
    };
  }
}

function planWatch({ query, request }: QueueCall, side: QueueSide, place: WatchPlan["place"]): WatchPlan {
  const { settings } = side.context;
  const parameters = new Parameters(query, settings);
  const { uid, gid } = identityOf(request.headers, side);
  const index = parameters.index("_index_", 0n, -1n);
  const autoCommit = parameters.boolean("_auto_commit_", false);
  // The window of a watch with automatic commits has no effect.
  const window = parameters.integer("_window_", settings.watchWindow, autoCommit ? 0 : 1);
  const indexOnly = parameters.boolean("_index_only_", false);
  if (settings.sameUid === "refuse" && side.hasConsumer(uid, gid)) {
    throw new QueueRefusal(409, `${gid}.${uid} is watching already`);
  }
  const start = index === -1n ? side.store.lastIndex + 1n : index;
  return { side, place, request: { uid, gid, start, window, indexOnly, autoCommit, tags: tagsOf(query) } };
}
