import { platform } from "#platform";
import { bodyTooLarge } from "../call/build-plan.js";
import { ConnectionPool, createPool } from "../call/connections/connection-pool.js";
import type { CloseOptions, HeadersInput, Token } from "../config/options.js";
import { checkOptions, optionsOf, type Setting } from "../config/settings.js";
import { checkFunction } from "../config/validate.js";
import type { HeaderPair, WebSocketDialer } from "../platform/contract.js";
import { argumentTypeError, showUrl } from "../util/argument-errors.js";
import { closeOnDispose } from "../util/async-dispose.js";
import { listFacts, showAsText } from "../util/inspect.js";
import { checkOptionNames } from "../util/option-names.js";
import { randomUuid } from "../util/uuid.js";
import { headersWithin, LimitsCache, lastEntryOf, type QueueAttributes } from "./attributes.js";
import { type QueueCallOptions, QueueCalls, type QueueOperation } from "./calls.js";
import { CommitBatch } from "./commit-batch.js";
import type { FrameHandler } from "./consume/handler.js";
import type { ConsumeOptions } from "./consume/options.js";
import { type QueueWorker, startWorker } from "./consume/worker.js";
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
 * A client for one queue of the EAS queue service. Delivery is at least once: an item that one consumer does not
 * commit is delivered to another consumer. Setters apply to later calls.
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
  #worker: QueueWorker | undefined;

  /** Creates a client without connecting. Throws a `TypeError` or `RangeError` for an invalid option. */
  constructor(options?: QueueClientOptions);
  /** Creates a client from positional arguments, as in the official Python SDK. */
  constructor(endpoint?: string, queueName?: string, customUrl?: string);
  /** @internal Creates a client that shares another client's pool. */
  constructor(options: QueueClientOptions, pool: ConnectionPool);
  constructor(first?: string | QueueClientOptions, second?: string | ConnectionPool, customUrl?: string) {
    const [queueName, pool] = second instanceof ConnectionPool ? [undefined, second] : [second, undefined];
    const options = optionsOf<QueueClientOptions>("QueueClient", first, { queueName, customUrl });
    const { auth = "token", uid = randomUuid(), gid = "eas" } = options;
    checkOptionNames("QueueClient", options, QUEUE_OPTIONS);
    const settings = checkOptions(
      { ...options, serviceName: options.queueName, auth: checkQueueAuth(auth), logger: undefined },
      platform.environment,
    );
    refuseHedging(settings);
    // The logger of the environment variable EAS_LOG, which also logs calls. An explicit logger replaces it.
    const calls = options.logger === undefined ? settings.logger : undefined;
    const logger = { ...calls, warn: (message: string) => this.#logger.warn(message) };
    this.#calls = new QueueCalls(pool ?? createPool(platform, options), { ...settings, logger }, uid, gid);
    this.#commits = new CommitBatch((indexes) => this.#calls.run(indexesOperation("PUT", indexes, undefined)));
    this.#owner = {
      commit: (index) => this.#commits.commit(index),
      negative: (index, code, reason) => this.negative(index, { code, reason }),
      release: () => {},
    };
    this.#logger = checkLogger(options.logger === undefined ? (calls ?? console) : options.logger);
    const { dialWebSocket = this.#calls.pool.dialWebSocket } = options;
    if (dialWebSocket !== undefined) checkFunction("dialWebSocket", dialWebSocket);
    this.#dialWebSocket = dialWebSocket;
    closeOnDispose(this);
    showAsText(this);
  }

  /** This client's id among the consumers in its group. */
  get uid(): string {
    return this.#calls.uid;
  }

  /**
   * Sets this client's id and group, checks the settings and loads the transport's code. Calling this method is
   * optional. You may ignore its promise, because the next call rejects with the same errors.
   */
  init(uid?: string, gid?: string): Promise<void> {
    this.#calls.identify(uid, gid);
    return this.#calls.init();
  }

  /** Sets the gateway. Throws a `TypeError` for an invalid endpoint. */
  setEndpoint(endpoint: string): this {
    return this.#set("endpoint", endpoint);
  }

  /** Sets the token, or a function that returns a token before each attempt. `null` sends no token. */
  setToken(token: Token | null): this {
    if (token !== null) return this.#set("token", token);
    this.#calls.clear("token");
    return this;
  }

  /**
   * Sets the timeout for one attempt, in milliseconds. Default 5,000. For a `get`, the time that it waits for items is
   * added to this timeout.
   */
  setTimeout(timeout: number): this {
    return this.#set("timeout", timeout);
  }

  /**
   * Sets the maximum number of retries. Default 5. A put is retried only if the queue cannot have accepted the item.
   */
  setRetryCount(retryCount: number): this {
    return this.#set("retryCount", retryCount);
  }

  /** The maximum number of requests in flight to one host. */
  get maxConnectionCount(): number {
    return this.#calls.pool.connectionCount;
  }

  /**
   * Sets the maximum number of requests in flight to one host. On Node, the limit also applies to connections. At
   * least 1.
   */
  setMaxConnectionCount(maxConnectionCount: number): this {
    this.#calls.setMaxConnectionCount(maxConnectionCount);
    return this;
  }

  /** Sets the `Content-Type` of all requests. */
  setContentType(contentType: string): this {
    return this.#set("contentType", contentType);
  }

  /** Adds headers to all requests. Replaces headers with the same name. */
  addExtraHeaders(headers: HeadersInput): this {
    this.#calls.addHeaders(headers);
    return this;
  }

  /** Sets the logger for warnings. `null` disables warnings. */
  setLogger(logger: QueueLogger | null): this {
    const warner = checkLogger(logger);
    this.#logger = warner;
    this.#calls.change({ logger: warner });
    return this;
  }

  /** Logs a warning for a client that uses this client. @internal */
  warn(message: string): void {
    this.#logger.warn(message);
  }

  /**
   * Puts an item into the queue. A put that the queue may have accepted is not retried. Instead, the promise rejects
   * with an error whose `maybeAccepted` is true. The client reads the queue's size limit once, before the first put.
   * Throws a `RangeError` for an item that exceeds the limit. Bytes are not copied: do not modify them until the
   * promise settles.
   *
   * @example
   * const { index } = await queue.put(JSON.stringify({ prompt: "a cat" }), { tags: { task: "1" }, priority: 1 });
   */
  put<O extends PutOptions>(data: QueueData, options?: KnownOptions<PutOptions, O>): Promise<PutResult>;
  /** @internal `contentType` applies unless the client or the call sets a content type. */
  put(data: QueueData, options: PutOptions, contentType: HeaderPair[] | undefined): Promise<PutResult>;
  async put(data: QueueData, options: PutOptions = {}, contentType?: HeaderPair[]): Promise<PutResult> {
    const put = putOperation(options, this.#calls.mayResend ? randomUuid() : undefined);
    const template = this.#calls.template();
    if (!template.plan.hasContentType) put.headers = contentType;
    const body = await toBytes(data);
    if (body.length > template.maxRequestBytes) throw bodyTooLarge(body.length, template);
    return this.#calls.run(put, async (plan) => {
      const limits = await this.#limits.get(plan.target.origin + plan.target.path);
      return { body, headers: headersWithin(limits, plan, body.length, options.priority) };
    });
  }

  /**
   * Gets items and deletes them unless `autoDelete` is false. Resolves with an empty array if no items arrive within
   * `timeout`. If the response is lost, the items may have been deleted, and the error's `maybeTaken` is true.
   *
   * @example
   * const [frame] = await queue.get({ timeout: "10s" });
   * if (frame) console.log(frame.text());
   */
  get<O extends GetOptions>(options?: KnownOptions<GetOptions, O>): Promise<DataFrame[]>;
  async get(options: GetOptions = {}): Promise<DataFrame[]> {
    return this.#getter.get(options, this.#owner);
  }

  /** Returns the queue's attributes. */
  attributes(call?: QueueCallOptions): Promise<QueueAttributes> {
    return this.#calls.run(attributesOperation(call));
  }

  /**
   * Returns the position of an item, or undefined if the item is no longer in the queue. The client must be in the same
   * group as the consumers. An inference service's group has the name of the service.
   */
  async search(index: FrameIndex, call?: QueueCallOptions): Promise<SearchResult | undefined> {
    try {
      return await this.#calls.run(searchOperation(index, call));
    } catch (error) {
      if (isGone(error)) return undefined;
      throw error;
    }
  }

  /**
   * Returns the number of items. The options can restrict the count to items with a certain priority or certain tags.
   */
  count<O extends CountOptions>(options?: KnownOptions<CountOptions, O>): Promise<number>;
  async count(options: CountOptions = {}): Promise<number> {
    return this.#calls.run(countOperation(options));
  }

  /** Deletes items for all groups. */
  delete(indexes: FrameIndex | Iterable<FrameIndex>, call?: QueueCallOptions): Promise<void> {
    return this.#acknowledge(indexes, "DELETE", (batch) => indexesOperation("DELETE", batch, call));
  }

  /** Commits items, so that the service deletes them for this client's group. */
  commit(indexes: FrameIndex | Iterable<FrameIndex>, call?: QueueCallOptions): Promise<void> {
    return this.#acknowledge(indexes, "PUT", (batch) => indexesOperation("PUT", batch, call));
  }

  /** Returns items to the queue after a failure. The service delivers the items again and counts a failed attempt. */
  negative(indexes: FrameIndex | Iterable<FrameIndex>, options: NegativeOptions = {}): Promise<void> {
    return this.#acknowledge(indexes, options, (batch) => negativeOperation(batch, options));
  }

  /** Deletes all items before `index`, but not the item at `index`. */
  async truncate(index: FrameIndex, call?: QueueCallOptions): Promise<void> {
    return this.#calls.run(truncateOperation(index, call));
  }

  /** Deletes all items that are in the queue when the method is called. */
  async clear(call?: QueueCallOptions): Promise<void> {
    const last = lastEntryOf(await this.attributes(call));
    if (last !== undefined) await this.truncate(last + 1n, call);
  }

  /** Ends the queue, so that it accepts no more items. With `force`, undelivered items are lost. */
  async end(options: EndOptions = {}): Promise<void> {
    return this.#calls.run(endOperation(options));
  }

  /**
   * Watches the queue for items starting at `index`; -1 watches only for new items. `window` is the maximum number of
   * uncommitted items at any time, at least 1. The watcher starts connecting immediately. A client can have only one
   * watcher at a time, because two connections with the same `uid` would replace each other. Throws a `TypeError` while
   * another watcher is open.
   *
   * @example
   * for await (const frame of queue.watch(0, 5)) {
   *   console.log(frame.text());
   *   await frame.commit();
   * }
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
    this.#worker?.stop().catch(() => {});
    // Start closing both in the current event-loop turn, so that later calls reject immediately.
   *
   * @example
   * const worker = queue.consume(async (frame) => handle(frame.json()), { concurrency: 4, drainTimeout: 20_000 });
   * process.once("SIGTERM", () => worker.stop());
   * await worker;
   */
  consume(handler: FrameHandler, options: ConsumeOptions = {}): QueueWorker {
    this.#worker = startWorker(this, () => this.#calls.settings.token, handler, options);
    return this.#worker;
  }

  /**
   * Closes the watcher and the connections. Waits for attempts in flight, unless `force` is true. Calls that are
   * waiting for a retry reject immediately.
   */
  async close(options?: CloseOptions): Promise<void> {
    this.#commits.flush();
    this.#limits.close();
    this.#worker?.stop().catch(() => {});
    // Start closing both in the current event-loop turn, so that later calls reject immediately.
    await Promise.all([this.#watcher?.close(), this.#calls.pool.close(options)]);
  }

  /** Returns the queue, the endpoint, and the consumer's uid and gid for logs, without the token or a query. */
  toString(): string {
    const { settings, uid, gid } = this.#calls;
    const { serviceName: queue, customUrl, endpoint } = settings;
    return listFacts("QueueClient", { queue, endpoint: showUrl(customUrl || endpoint), uid, gid });
  }

  #set(...change: Setting): this {
    this.#calls.set(...change);
    return this;
  }

  /** Sends acknowledgments through the watcher, because the watcher tracks the items that it has delivered. */
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
