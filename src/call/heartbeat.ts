import type { WebSocketConnection } from "../platform/contract.js";
import { IdleTimer } from "../util/timing/idle-timer.js";

/** How often a queue's watch pings: gateways cut connections that are idle (github.com/pai-eas/eas-golang-sdk, commit 6787189). */
export const PING_MS = 2_000;

/** Keeps a WebSocket alive, where the runtime can ping, and finds out that nobody is at its other end. */
export class Heartbeat {
  readonly #connection: WebSocketConnection;
  readonly #silence: IdleTimer | undefined;
  readonly #pinging: ReturnType<typeof setInterval> | undefined;
  #isOver = false;

  /**
   * Calls `onIdle` when nothing was received for `limit` milliseconds, and pings every `interval` milliseconds. Each is left out
   * if it is undefined.
   */
  constructor(
    connection: WebSocketConnection,
    limit: number | undefined,
    interval: number | undefined,
    onIdle: () => void,
  ) {
    this.#connection = connection;
    this.#silence = limit === undefined ? undefined : new IdleTimer(limit, onIdle);
    const { ping } = connection;
    if (ping && interval !== undefined) {
      this.#pinging = setInterval(ping, interval);
      connection.onPong = () => this.touch();
    }
    this.#silence?.start();
  }

  /** Takes note of a sign of life. */
  touch(): void {
    this.#silence?.touch();
  }

  /** Pauses the connection: while it is paused nothing is read, no pong either. */
  pause(): void {
    this.#silence?.stop();
    this.#connection.pause?.();
  }

  resume(): void {
    // In the turn of the end nobody else knows of it yet.
    if (!this.#isOver) this.#silence?.start();
    this.#connection.resume?.();
  }

  /** Ends with the connection. */
  stop(): void {
    this.#isOver = true;
    clearInterval(this.#pinging);
    this.#silence?.stop();
  }
}
