import type { ClientOptions, CloseOptions } from "../../config/options.js";
import { RetryBudget } from "../../config/retry.js";
import { checkCount, checkFunction, checkTransport, OWN_CONNECTIONS } from "../../config/validate.js";
import type { Route } from "../../endpoint/direct-route.js";
import { RouterCache } from "../../endpoint/router-cache.js";
import { EasClosedError, EasDiscoveryError, EasNetworkError } from "../../errors.js";
import {
  type Platform,
  type StreamedResponse,
  type Transport,
  TransportError,
  type WebSocketDialer,
} from "../../platform/contract.js";
import { type FetchFunction, fetchTransport, usesOwnFetch } from "../../platform/web/fetch-transport.js";
import { argumentTypeError } from "../../util/argument-errors.js";
import { checkOptionNames } from "../../util/option-names.js";
import { isError, messageOf } from "../../util/realms.js";
import { linkSignal, pause, raceAbort, unlinkSignal } from "../../util/timing/abort.js";
import { clockNow } from "../../util/timing/clock.js";
import { Timeouts } from "../../util/timing/timers.js";
import { FORCED } from "../failures/failure.js";
import { Limiter } from "./limiter.js";

/** The connections, limits, timers and retry budget of one or more clients. */
export class ConnectionPool {
  readonly platform: Platform;
  readonly budget: RetryBudget = new RetryBudget();
  readonly timeouts: Timeouts = new Timeouts();
  /**
   * Origins that have responded. If a browser later reports "failed to fetch" for one of them, the cause is a
   * network fault, not CORS.
   */
  readonly respondedOrigins: Set<string> = new Set();
  /** Routers that select instances for services with `ENDPOINT_TYPE_DIRECT`. */
  readonly routers: RouterCache;
  /** Open streams, sockets and waits, which `close` cancels. */
  readonly streams: Set<Pick<StreamedResponse, "cancel">> = new Set();
  readonly #limiters = new Map<string, Limiter>();
  readonly #custom: Transport | undefined;
  #connectionCount: number;
  #transport: Transport | undefined;
  #closing: Promise<void> | undefined;
  /** Tail of a linked list of work in flight, which `close` waits for or ends. A `Set` would be slower. */
  #last: Running | undefined;
  #idle: (() => void) | undefined;

  constructor(platform: Platform, connectionCount: number, transport: Transport | undefined) {
    this.platform = platform;
    this.#connectionCount = connectionCount;
    this.#custom = transport;
    this.routers = new RouterCache({
      transport: () => this.transport,
      env: platform.env,
      tools: {
        linkSignal,
        unlinkSignal,
        pause,
        raceAbort,
        clockNow,
        isError,
        messageOf,
        discoveryError: (message, source, cause) => new EasDiscoveryError(message, { source, cause, retryable: true }),
      },
      forget: (origin) => {
        this.#limiters.delete(origin);
        this.respondedOrigins.delete(origin);
      },
    });
  }

  /** Maximum number of requests in flight to one host. */
  get connectionCount(): number {
    return this.#connectionCount;
  }

  /** Changes the limit for later calls. Calls in flight keep their connections. */
  set connectionCount(value: number) {
    if (value === this.#connectionCount) return;
    this.#connectionCount = value;
    for (const limiter of this.#limiters.values()) limiter.limit = value;
    void this.#transport?.close().catch(() => {});
    this.#transport = undefined;
  }

  /** Whether `close` was called. */
  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** Throws `EasClosedError` if the pool is closed. */
  checkOpen(): void {
    if (this.closed) throw new EasClosedError();
  }

  /** The client's custom transport, or the runtime's own transport, which is created on first use. */
  get transport(): Transport {
    if (this.#custom) return this.#custom;
    this.#transport ??= this.platform.createTransport({ connections: this.#connectionCount });
    return this.#transport;
  }

  /** Opens WebSockets. Undefined if the runtime, the custom transport or the custom `fetch` does not support them. */
  get dialWebSocket(): WebSocketDialer | undefined {
    const { platform } = this;
    // Node's `fetch` may use a proxy. A WebSocket would bypass that proxy.
    const isOwn = !this.#custom || (platform.name !== "node" && usesOwnFetch(this.#custom));
    return this.#custom?.dialWebSocket ?? (isOwn ? platform.dialWebSocket : undefined);
  }

  /** The reason why `dialWebSocket` is undefined, for use in error messages. */
  get webSocketsUnavailable(): string {
    return this.#custom
      ? "the transport or fetch of this client cannot open WebSockets, and a separate connection would bypass its proxy and certificates"
      : "this runtime cannot send headers with a WebSocket, and the token is a header";
  }

  /**
   * Loads the code that the first call needs. For a service with direct connections, also loads the list of instances.
   */
  async ready({ route }: { readonly route: Route | undefined }): Promise<void> {
    await this.transport.ready?.();
    if (route !== undefined) await (await this.routers.get(route)).ready();
  }

  /** Returns the limiter for an origin. */
  limiter(origin: string): Limiter {
    let limiter = this.#limiters.get(origin);
    if (limiter === undefined) {
      limiter = new Limiter(this.#connectionCount);
      this.#limiters.set(origin, limiter);
    }
    return limiter;
  }

  /**
   * Registers a stream, socket or wait, so that `close` cancels it. If the pool is already closed, cancels it
   * immediately.
   */
  hold(stream: Pick<StreamedResponse, "cancel">): void {
    this.streams.add(stream);
    if (this.closed) stream.cancel(closedError());
  }

  /**
   * Runs `work` as a call in flight: `close` waits for `work`, and `close({ force: true })` ends it. Used while the
   * code for a call is loading.
   */
  track<T>(work: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const running: Running = {
        endNow: () => reject(new EasNetworkError(`the call failed: ${FORCED}`, { retryable: true })),
      };
      this.enter(running);
      work()
        .then(resolve, reject)
        .finally(() => this.leave(running));
    });
  }

  /** Adds a call to the list of calls in flight. */
  enter(call: Running): void {
    call.before = this.#last;
    if (this.#last) this.#last.after = call;
    this.#last = call;
  }

  /** Removes a call from the list of calls in flight. */
  leave(call: Running): void {
    const { before, after } = call;
    if (before) before.after = after;
    if (after) after.before = before;
    else this.#last = before;
    call.before = call.after = undefined;
    if (!this.#last) this.#idle?.();
  }

  /**
   * Waits for calls in flight, or ends them if `force` is true. Cancels open streams and retry delays. Closes the
   * connections that this pool created, but not a custom transport.
   */
  close(options: CloseOptions = {}): Promise<void> {
    checkOptionNames("close", options, { force: 1 });
    const { force = false } = options;
    if (force) for (let call = this.#last; call; call = call.before) call.endNow();
    if (this.#closing === undefined) {
      this.#closing = this.#whenIdle().then(() => {
        this.routers.close();
        return this.#transport?.close();
      });
      // Cancel streams first, because calls in flight may be waiting for their connections.
      for (const stream of this.streams) stream.cancel(closedError());
    }
    return this.#closing;
  }

  #whenIdle(): Promise<void> {
    return new Promise((resolve) => {
      if (!this.#last) resolve();
      else this.#idle = resolve;
    });
  }
}

/** Work in flight that `close({ force: true })` can end. */
export interface Running {
  /** Previous element in the list of work in flight. Set by the pool. */
  before?: Running | undefined;
  /** Next element in the list of work in flight. Set by the pool. */
  after?: Running | undefined;
  /** Ends the work immediately with an error whose message mentions `close`. */
  endNow(): void;
}

function closedError(): TransportError {
  return new TransportError("the client was closed", { sent: "maybe", final: true });
}

/** Creates the pool that a client's options describe. Throws a `TypeError` or `RangeError` for an invalid option. */
export function createPool(
  platform: Platform,
  { maxConnectionCount = platform.connectionCount, transport, fetch }: ClientOptions,
): ConnectionPool {
  return new ConnectionPool(
    platform,
    checkCount("maxConnectionCount", maxConnectionCount, 1),
    customTransport(platform, transport, fetch),
  );
}

function customTransport(
  platform: Platform,
  transport: Transport | undefined,
  fetch: FetchFunction | undefined,
): Transport | undefined {
  if (fetch === undefined) return transport === undefined ? undefined : checkTransport(transport);
  if (transport !== undefined) {
    throw argumentTypeError("ERR_EAS_ARG_OPTION", "transport and fetch are both set: leave one of them out");
  }
  checkFunction("fetch", fetch, OWN_CONNECTIONS);
  return fetchTransport({ fetch, opaque: platform.name === "browser" });
}
