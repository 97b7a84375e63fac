import { platform } from "#platform";
import { bodyTooLarge } from "../call/build-plan.js";
import { ConnectionPool, createPool } from "../call/connections/connection-pool.js";
import { checkHeaders } from "../config/headers.js";
import type { CloseOptions, HeadersInput, Token } from "../config/options.js";
import { checkOptions, optionsOf, type Setting, withSetting } from "../config/settings.js";
import { checkCount, checkFunction } from "../config/validate.js";
import type { WebSocketDialer } from "../platform/contract.js";
import { argumentTypeError, showUrl } from "../util/argument-errors.js";
import { closeOnDispose } from "../util/async-dispose.js";
import { listFacts, showAsText } from "../util/inspect.js";
import { checkOptionNames } from "../util/option-names.js";
import { randomUuid } from "../util/uuid.js";
import { headersWithin, LimitsCache, lastEntryOf, type QueueAttributes } from "./attributes.js";
import { type QueueCallOptions, QueueCalls, type QueueOperation } from "./calls.js";
import { CommitBatch } from "./commit-batch.js";
import { type ConsumeOptions, checkConsume, consume } from "./consume/consume.js";
import type { FrameHandler } from "./consume/handle-items.js";
import type { DataFrame, FrameOwner } from "./frame.js";
import { ItemGetter } from "./item-getter.js";
import {
  attributesOperation,
  type CountOptions,
  countOperation,
  type EndOptions,
  endOperation,
  type GetOptions,
  indexesOperation,
  isGone,
  type NegativeOptions,
  negativeOperation,
  type PutOptions,
  putOperation,
  type SearchResult,
  searchOperation,
  truncateOperation,
} from "./operations.js";
import {
  checkLogger,
  checkQueueAuth,
  type KnownOptions,
  QUEUE_OPTIONS,
  type QueueClientOptions,
  type QueueData,
  type QueueLogger,
  refuseHedging,
  toBytes,
} from "./options.js";
import type { PutResult } from "./put-result.js";
import type { FrameIndex } from "./values.js";
import { checkWatch, type WatchOptions } from "./watch/options.js";
import { Watcher } from "./watch/watcher.js";

/**
 * A client of one queue of the EAS queue service. Delivery is at least once: an item that a consumer does not commit is
 * given to another. Setters apply to the next call.
 *
 * @example
 * const queue = new QueueClient({ endpoint, queueName: "my_service", token });
 * const { index, requestId } = await queue.put("hello", { tags: { task: "1" } });
 */
export class QueueClient {
  readonly #calls: QueueCalls;
  readonly #owner: FrameOwner;
  readonly #commits: CommitBatch;
  readonly #getter = new ItemGetter(() => this.#calls);
  #logger: QueueLogger;
  readonly #dialWebSocket: WebSocketDialer | undefined;
  readonly #limits = new LimitsCache((signal) => this.attributes({ retryCount: 0, signal }));
  #watcher: Watcher | undefined;

  /** Throws a `TypeError` or `RangeError` for an option that cannot be right; nothing is connected yet. */
  constructor(options?: QueueClientOptions);
  /** As the official Python SDK has it. */
  constructor(endpoint?: string, queueName?: string, customUrl?: string);
  /** @internal Creates a client that shares the pool of another one. */
  constructor(options: QueueClientOptions, pool: ConnectionPool);
  constructor(first?: string | QueueClientOptions, second?: string | ConnectionPool, customUrl?: string) {
    const [queueName, pool] = second instanceof ConnectionPool ? [undefined, second] : [second, undefined];
    const options = optionsOf<QueueClientOptions>("QueueClient", first, { queueName, customUrl });
    const { auth = "token", uid = randomUuid(), gid = "eas" } = options;
    checkOptionNames("QueueClient", options, QUEUE_OPTIONS);
    const settings = checkOptions({
      ...options,
      serviceName: options.queueName,
      auth: checkQueueAuth(auth),
      logger: undefined,
    });
    refuseHedging(settings);
    const logger = { warn: (message: string) => this.#logger.warn(message) };
    this.#calls = new QueueCalls(pool ?? createPool(platform, options), { ...settings, logger }, uid, gid);
    this.#commits = new CommitBatch((indexes) => this.#calls.run(indexesOperation("PUT", indexes, undefined)));
    this.#owner = {
      commit: (index) => this.#commits.commit(index),
      negative: (index, code, reason) => this.negative(index, { code, reason }),
      release: () => {},
    };
    this.#logger = checkLogger(options.logger === undefined ? console : options.logger);
    const { dialWebSocket = this.#calls.pool.dialWebSocket } = options;
    if (dialWebSocket !== undefined) checkFunction("dialWebSocket", dialWebSocket);
    this.#dialWebSocket = dialWebSocket;
    closeOnDispose(this);
    showAsText(this);
  }

  /** Who this client is among the consumers of its group. */
  get uid(): string {
    return this.#calls.uid;
  }

  /**
   * Sets who this client is, checks the settings and loads what the first call would load. Optional; its promise may be
   * dropped: what is wrong is thrown by the next call too.
   */
  init(uid?: string, gid?: string): Promise<void> {
    this.#calls.identify(uid, gid);
    const ready = this.#calls.ready();
    ready.catch(() => {});
    return ready;
  }

  /** Sets the gateway. */
  setEndpoint(endpoint: string): this {
    return this.#set("endpoint", endpoint);
  }

  /** Sets the token, or a function that returns one before each attempt; `null` sends none. */
  setToken(token: Token | null): this {
    if (token !== null) return this.#set("token", token);
    this.#calls.settings = { ...this.#calls.settings, token: undefined };
    return this;
  }

  /** Sets the milliseconds for one attempt. Default 5,000; a get has the time that it waits beside. */
  setTimeout(timeout: number): this {
    return this.#set("timeout", timeout);
  }

  /** Sets the retries after the first attempt. Default 5. A put is repeated only when the queue certainly has not got it. */
  setRetryCount(retryCount: number): this {
    return this.#set("retryCount", retryCount);
  }

  /** The most requests in flight to one host. */
  get maxConnectionCount(): number {
    return this.#calls.pool.connectionCount;
  }

  /** Sets the requests in flight to one host and, on Node, the connections. */
  setMaxConnectionCount(maxConnectionCount: number): this {
    this.#calls.pool.connectionCount = checkCount("maxConnectionCount", maxConnectionCount, 1);
    return this;
  }

  /** Sets the `Content-Type` of all requests. */
  setContentType(contentType: string): this {
    return this.#set("contentType", contentType);
  }

  /** Adds headers to all requests; one of the same name is replaced. */
  addExtraHeaders(headers: HeadersInput): this {
    return this.#set("headers", [...this.#calls.settings.headers, ...checkHeaders(headers)]);
  }

  /** Sets where warnings go; `null` for nowhere. */
  setLogger(logger: QueueLogger | null): this {
    this.#logger = checkLogger(logger);
    return this;
  }

  /** Logs a warning of a client that is built on this one. @internal */
  warn(message: string): void {
    this.#logger.warn(message);
  }

  /**
   * Puts an item. It is not repeated when the queue may have it: then it rejects with an error whose `maybeAccepted` is
   * true. The queue's own limit on items is read once, before the first put. Bytes are not copied: leave them as they are
   * until the promise settles.
   */
  put<O extends PutOptions>(data: QueueData, options?: KnownOptions<PutOptions, O>): Promise<PutResult>;
  async put(data: QueueData, options: PutOptions = {}): Promise<PutResult> {
    const operation = putOperation(options, this.#calls.mayResend ? randomUuid() : undefined);
    const template = this.#calls.template();
    const body = await toBytes(data);
    if (body.length > template.maxRequestBytes) throw bodyTooLarge(body.length, template);
    return this.#calls.run(operation, async (plan) => {
      const limits = await this.#limits.get(plan.target.origin + plan.target.path);
      return { body, headers: headersWithin(limits, plan, body.length, options.priority) };
    });
  }

  /**
   * Gets items, and deletes them unless told otherwise. Resolves with an empty array when there are none within `timeout`. If
   * the response is lost, the items may be deleted: then the error's `maybeTaken` is true.
   */
  get<O extends GetOptions>(options?: KnownOptions<GetOptions, O>): Promise<DataFrame[]>;
  async get(options: GetOptions = {}): Promise<DataFrame[]> {
    return this.#getter.get(options, this.#owner);
  }

  /** What the queue says of itself. */
  attributes(call?: QueueCallOptions): Promise<QueueAttributes> {
    return this.#calls.run(attributesOperation(call));
  }

  /**
   * Where an item stands among those that wait; undefined when it is no longer there. The client's group must be that of
   * the consumers, which for an inference service is the service's name.
   */
  async search(index: FrameIndex, call?: QueueCallOptions): Promise<SearchResult | undefined> {
    try {
      return await this.#calls.run(searchOperation(index, call));
    } catch (error) {
      if (isGone(error)) return undefined;
      throw error;
    }
  }

  /** How many items there are, of a priority or with tags. */
  count<O extends CountOptions>(options?: KnownOptions<CountOptions, O>): Promise<number>;
  async count(options: CountOptions = {}): Promise<number> {
    return this.#calls.run(countOperation(options));
  }

  /** Deletes items, for all groups. */
  delete(indexes: FrameIndex | Iterable<FrameIndex>, call?: QueueCallOptions): Promise<void> {
    return this.#acknowledge(indexes, "DELETE", (batch) => indexesOperation("DELETE", batch, call));
  }

  /** Tells the service that items are done: they are deleted. */
  commit(indexes: FrameIndex | Iterable<FrameIndex>, call?: QueueCallOptions): Promise<void> {
    return this.#acknowledge(indexes, "PUT", (batch) => indexesOperation("PUT", batch, call));
  }

  /** Tells the service that items could not be handled: they are given to a consumer again. */
  negative(indexes: FrameIndex | Iterable<FrameIndex>, options: NegativeOptions = {}): Promise<void> {
    return this.#acknowledge(indexes, options, (batch) => negativeOperation(batch, options));
  }

  /** Deletes all items before `index`; that one stays. */
  async truncate(index: FrameIndex, call?: QueueCallOptions): Promise<void> {
    return this.#calls.run(truncateOperation(index, call));
  }

  /** Deletes all items that are there now. */
  async clear(call?: QueueCallOptions): Promise<void> {
    const last = lastEntryOf(await this.attributes(call));
    if (last !== undefined) await this.truncate(last + 1n, call);
  }

  /** Ends the queue: nothing can be put any more. With `force` at once, without what has not been delivered. */
  async end(options: EndOptions = {}): Promise<void> {
    return this.#calls.run(endOperation(options));
  }

  /**
   * The items from `index` on as they come; -1 for only those that are put from now on. `window` is the most items that
   * the service sends without a commit. A client has one watcher at a time: two of one `uid` would take each other's
   * place. It begins to connect at once.
   */
  watch(index: FrameIndex, window: number, options: WatchOptions = {}): Watcher {
    const settings = checkWatch(index, window, options);
    this.#calls.pool.checkOpen();
    if (this.#watcher !== undefined && !this.#watcher.isClosed) {
      throw argumentTypeError(
        "ERR_EAS_ARG_WATCH",
        "this client already has a watcher: close it first, or create another client",
      );
    }
    this.#watcher = new Watcher(
      { calls: this.#calls, dialWebSocket: this.#dialWebSocket, logger: () => this.#logger },
      settings,
    );
    return this.#watcher;
  }

  /**
   * Handles items until the signal fires or the queue ends: runs `handler` for each, commits those whose handler is done,
   * and lets `onError` decide on those whose handler threw. On the signal it takes no more, lets what runs end, commits
   * it, and resolves. Rejects with what ended the watch.
   */
  async consume(handler: FrameHandler, options: ConsumeOptions = {}): Promise<void> {
    checkFunction("handler", handler);
    const settings = checkConsume(options);
    const {
      signal: _,
      index = 0n,
      window: _window,
      concurrency: _concurrency,
      onError: _onError,
      ...watching
    } = options;
    return consume(this.watch(index, settings.window, watching), handler, settings, () => this.#logger);
  }

  /** Closes the watcher and the connections. Attempts in flight may end, unless `force` is true; waits for a retry end at once. */
  async close(options?: CloseOptions): Promise<void> {
    this.#commits.flush();
    this.#limits.close();
    // Both begin now, so that later calls reject at once.
    await Promise.all([this.#watcher?.close(), this.#calls.pool.close(options)]);
  }

  /** Returns the queue, the endpoint and the consumer's uid and gid, for logs. Contains neither the token nor a query. */
  toString(): string {
    const { settings, uid, gid } = this.#calls;
    const { serviceName: queue, customUrl, endpoint } = settings;
    return listFacts("QueueClient", { queue, endpoint: showUrl(customUrl || endpoint), uid, gid });
  }

  #set(...change: Setting): this {
    this.#calls.settings = withSetting(this.#calls.settings, change);
    return this;
  }

  /** Sends acknowledgments by way of the watcher, which may have handed the items out. */
  #acknowledge(
    indexes: FrameIndex | Iterable<FrameIndex>,
    how: "PUT" | "DELETE" | NegativeOptions,
    operation: (batch: readonly bigint[]) => QueueOperation<void>,
  ): Promise<void> {
    const watcher = this.#watcher;
    return this.#calls.runForAll(indexes, operation, (batch, send) =>
      watcher === undefined ? send(batch) : watcher.trackAcknowledgment(batch, send, how),
    );
  }
}
