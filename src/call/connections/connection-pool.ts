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

/** What the clients of one pool share: connections, limits, timers and the retry budget. */
export class ConnectionPool {
  readonly platform: Platform;
  readonly budget: RetryBudget = new RetryBudget();
  readonly timeouts: Timeouts = new Timeouts();
  /** Origins that have answered: from then on a browser's bare "failed to fetch" is a network fault, not CORS. */
  readonly respondedOrigins: Set<string> = new Set();
  /** Who chooses instances, for services that are reached directly. */
  readonly routers: RouterCache;
  /** What `close` ends: answers that are being read piece by piece, sockets, waits for a service. */
  readonly streams: Set<Pick<StreamedResponse, "cancel">> = new Set();
  readonly #limiters = new Map<string, Limiter>();
  readonly #given: Transport | undefined;
  #connectionCount: number;
  #transport: Transport | undefined;
  #closing: Promise<void> | undefined;
  /** The last of what is under way: `close` waits for all of it, or ends it when it is forced. A list, since a set is slower. */
  #last: Running | undefined;
  #idle: (() => void) | undefined;

  constructor(platform: Platform, connectionCount: number, transport: Transport | undefined) {
    this.platform = platform;
    this.#connectionCount = connectionCount;
    this.#given = transport;
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

  get connectionCount(): number {
    return this.#connectionCount;
  }

  /** Changes the limit from the next call on; calls in flight end on the connections that they have. */
  set connectionCount(value: number) {
    if (value === this.#connectionCount) return;
    this.#connectionCount = value;
    for (const limiter of this.#limiters.values()) limiter.limit = value;
    void this.#transport?.close().catch(() => {});
    this.#transport = undefined;
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** Throws when the client was closed. */
  checkOpen(): void {
    if (this.closed) throw new EasClosedError();
  }

  get transport(): Transport {
    if (this.#given) return this.#given;
    this.#transport ??= this.platform.createTransport({ connections: this.#connectionCount });
    return this.#transport;
  }

  /** Opens WebSockets; undefined where the runtime cannot, and where the given transport or `fetch` cannot. */
  get dialWebSocket(): WebSocketDialer | undefined {
    const { platform } = this;
    // Node's own `fetch` may have a proxy, which its WebSockets would bypass.
    const isOwn = !this.#given || (platform.name !== "node" && usesOwnFetch(this.#given));
    return this.#given?.dialWebSocket ?? (isOwn ? platform.dialWebSocket : undefined);
  }

  /** Says why there is no `dialWebSocket`, and what to do instead. */
  get webSocketsUnavailable(): string {
    return this.#given
      ? "the transport or fetch of this client cannot open WebSockets, and a separate connection would bypass its proxy and certificates"
      : "this runtime cannot send headers with a WebSocket, and the token is a header";
  }

  /** Loads what the first call would load, and finds the instances that it could go to. */
  async ready({ route }: { readonly route: Route | undefined }): Promise<void> {
    await this.transport.ready?.();
    if (route !== undefined) await (await this.routers.get(route)).ready();
  }

  limiter(origin: string): Limiter {
    let limiter = this.#limiters.get(origin);
    if (limiter === undefined) {
      limiter = new Limiter(this.#connectionCount);
      this.#limiters.set(origin, limiter);
    }
    return limiter;
  }

  /** Notes a stream for `close` to end: at once when that was called before. */
  hold(stream: Pick<StreamedResponse, "cancel">): void {
    this.streams.add(stream);
    if (this.closed) stream.cancel(closedError());
  }

  /** Does what is a call under way from its first turn on, though it has to be loaded first. */
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

  /** A call begins. */
  enter(call: Running): void {
    call.before = this.#last;
    if (this.#last) this.#last.after = call;
    this.#last = call;
  }

  /** A call has ended. */
  leave(call: Running): void {
    const { before, after } = call;
    if (before) before.after = after;
    if (after) after.before = before;
    else this.#last = before;
    call.before = call.after = undefined;
    if (!this.#last) this.#idle?.();
  }

  /**
   * Lets calls in flight end, or ends them with `force`; ends waits for a retry, cuts streams off, and closes the connections that
   * this pool created. Those given to it stay open.
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
      // Now: calls in flight may wait for the slots that they have.
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

/** Work that `close({ force: true })` can end. */
export interface Running {
  /** The work that began before this, and after it, as long as it is under way; set by the pool. */
  before?: Running | undefined;
  after?: Running | undefined;
  /** Ends it at once with an error that says so. */
  endNow(): void;
}

function closedError(): TransportError {
  return new TransportError("the client was closed", { sent: "maybe", final: true });
}

/** Creates the pool for a client's options. Throws a `TypeError` or `RangeError` for an invalid option. */
export function createPool(
  platform: Platform,
  { maxConnectionCount = platform.connectionCount, transport, fetch }: ClientOptions,
): ConnectionPool {
  return new ConnectionPool(
    platform,
    checkCount("maxConnectionCount", maxConnectionCount, 1),
    givenTransport(platform, transport, fetch),
  );
}

function givenTransport(
  platform: Platform,
  transport: Transport | undefined,
  fetch: FetchFunction | undefined,
): Transport | undefined {
  if (fetch === undefined) return transport === undefined ? undefined : checkTransport(transport);
  if (transport !== undefined) {
    throw argumentTypeError("ERR_EAS_ARG_OPTION", "transport and fetch are both given: leave one of them out");
  }
  checkFunction("fetch", fetch, OWN_CONNECTIONS);
  return fetchTransport({ fetch, opaque: platform.name === "browser" });
}
