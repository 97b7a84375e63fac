import type { Bytes } from "../../formats/request.js";
import { optionError } from "../../util/argument-errors.js";
import { checkService } from "../gateway/compression.js";
import type { AcceptedSocket } from "../server/socket.js";
import { runService } from "../services/run-service.js";
import type { EmulatorHandler, EmulatorService } from "../services/service.js";
import { AsyncService } from "./async-service.js";
import { AppendOnlyLog, type StoreName } from "./entries/append-only-log.js";
import { createView, type EmulatorQueue, type EmulatorQueueSide } from "./handle.js";
import { type EmulatorQueueOptions, settingsOf } from "./options.js";
import { Parameters, QueueRefusal, tagsOf } from "./query.js";
import { QueueSide } from "./queue-side.js";
import { handleQueueRequest, identityOf } from "./requests.js";
import { type Watches, type WatchPlan, watchOverHttp, watchOverSocket } from "./watch.js";

/** Undocumented header that the official Go SDK's tests send to reach the dead-letter queue. */
const DEAD_LETTER_HEADER = "x-eas-queueservice-access-rear";

/** A request to a queue, as forwarded by the gateway. */
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
    const createSide = (store: StoreName, queueName: string, maxLength: number, deadLetters?: QueueSide) => {
      const now = options.now ?? Date.now;
      return new QueueSide(
        { queueName, settings, maxLength, now, onChange: (change) => log.add(store, change) },
        deadLetters,
      );
    };
    const { maxLength } = settings;
    const sinkMaxLength = options.sinkMaxLength ?? maxLength;
    const inputDeadLetters = createSide("input-dead-letters", name, maxLength);
    const sinkDeadLetters = createSide("sink-dead-letters", `${name}/sink`, sinkMaxLength);
    const input = createSide("input", name, maxLength, inputDeadLetters);
    const sink = createSide("sink", `${name}/sink`, sinkMaxLength, sinkDeadLetters);
    this.name = name;
    this.token = options.token;
    this.input = createView(input);
    this.sink = createView(sink);
    this.#sides = { input, sink, "input-dead-letters": inputDeadLetters, "sink-dead-letters": sinkDeadLetters };
    this.#log = log;
    this.#watches = watches;
    this.#service = options.service && new AsyncService(name, handlerOf(options.service), { input, sink });
    if (options.log === undefined) {
      this.#restored = Promise.resolve();
      this.#service?.start();
    } else {
      this.#restored = this.#load();
      // Ignore the error here, because requests and `restore` report it.
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
  async handle(call: QueueCall): Promise<Response> {
    const { request, query, body } = call;
    await this.#restored;
    const { side, path, location } = this.#target(call);
    const response = await handleQueueRequest({
      side,
      method: request.method,
      query,
      headers: request.headers,
      body,
      path,
      signal: request.signal,
      watch: () => watchOverHttp(this.#watches, planWatch(call, side, location), request),
    });
    await this.#log.written();
    return response;
  }

  /** Accepts or refuses a WebSocket upgrade for a watch. */
  async accept(call: QueueCall): Promise<Response | AcceptedSocket["attach"]> {
    await this.#restored;
    const { side, location } = this.#target(call);
    try {
      if (!new Parameters(call.query, side.context.settings).boolean("_watch_", false)) {
        throw new QueueRefusal(
          side.context.settings.badParameterStatus,
          "only watch requests can be upgraded to a WebSocket",
        );
      }
      return watchOverSocket(this.#watches, planWatch(call, side, location));
    } catch (error) {
      if (error instanceof QueueRefusal) return new Response(error.message, { status: error.status });
      throw error;
    }
  }

  /** Clears the history but keeps the items. */
  clearHistory(): void {
    for (const { history } of Object.values(this.#sides)) history.clear();
  }

  /** Stops the service and ends all watches and waiting requests, when another queue replaces this one. */
  stop(): void {
    this.#service?.stop();
    for (const side of Object.values(this.#sides)) side.completeWaits();
    this.#watches.cut(({ queue }) => queue === this.name);
  }

  #target({ request, path }: QueueCall): { side: QueueSide; path: string; location: WatchPlan["location"] } {
    const isSink = path === "/sink" || path.startsWith("/sink/");
    const isDeadLetter = request.headers.get(DEAD_LETTER_HEADER)?.toLowerCase() === "true";
    const name = isSink ? "sink" : "input";
    const store: StoreName = isDeadLetter ? `${name}-dead-letters` : name;
    return {
      side: this.#sides[store],
      // A trailing slash is not part of the path.
      path: (isSink ? path.slice("/sink".length) : path).replace(/^\/$/, ""),
      location: { queue: this.name, side: name, isDeadLetter },
    };
  }
}

function handlerOf(service: EmulatorHandler | EmulatorService): EmulatorHandler {
  if (typeof service === "function") return service;
  if (typeof service.handle !== "function") {
    throw optionError("service", service, "be a function or an object with handle()");
  }
  const checked = checkService(service);
  return (call) => runService(checked, call);
}

function planWatch({ query, request }: QueueCall, side: QueueSide, location: WatchPlan["location"]): WatchPlan {
  const { settings } = side.context;
  const parameters = new Parameters(query, settings);
  const { uid, gid } = identityOf(request.headers, side);
  const index = parameters.index("_index_", 0n, -1n);
  const autoCommit = parameters.boolean("_auto_commit_", false);
  // With automatic commits, a watch's window has no effect.
  const window = parameters.integer("_window_", settings.watchWindow, autoCommit ? 0 : 1);
  const indexOnly = parameters.boolean("_index_only_", false);
  if (settings.sameUid === "refuse" && side.hasConsumer(uid, gid)) {
    throw new QueueRefusal(409, `${gid}.${uid} already has a watch`);
  }
  const start = index === -1n ? side.store.lastIndex + 1n : index;
  return { side, location, request: { uid, gid, start, window, indexOnly, autoCommit, tags: tagsOf(query) } };
}
