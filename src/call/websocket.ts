import { type EasError, EasHttpError } from "../errors.js";
import {
  type HeaderPair,
  MAX_ERROR_BYTES,
  type TransportResponse,
  type WebSocketConnection,
  type WebSocketDialer,
  type WebSocketDialOptions,
} from "../platform/contract.js";
import { linkSignal, raceAbort, unlinkSignal } from "../util/timing/abort.js";
import { IdleTimer } from "../util/timing/idle-timer.js";
import { authorize, currentToken, secretsOf } from "./auth.js";
import type { CallPlan } from "./call-plan.js";
import type { ConnectionPool } from "./connections/connection-pool.js";
import { DECODING_TOOLS } from "./decoding/decoding.js";
import { type FailedCall, httpFailure, isTransportError, networkFailure, timeoutFailure } from "./failures/failure.js";

/** Time that the server has to complete the closing handshake, in milliseconds. */
export const CLOSE_MS = 2_000;

/** Statuses that often come with a `Retry-After` header. */
const BUSY: readonly number[] = [429, 503];
const NO_BODY = { body: new Uint8Array(0), contentEncoding: undefined };

/** Parameters for opening a WebSocket. */
export interface DialSettings {
  readonly dial: WebSocketDialer;
  /** Subprotocols to offer, in order of preference. */
  readonly protocols?: readonly string[] | undefined;
  /** Cancels opening the connection. Has no effect once the connection is open. */
  readonly signal: AbortSignal;
  /** Makes an HTTP call to the same service. Used to find out why an upgrade failed in runtimes that hide the cause. */
  readonly ask: () => Promise<unknown>;
}

/** An open WebSocket and the call details that errors need. */
export interface DialedSocket {
  readonly connection: WebSocketConnection;
  readonly call: FailedCall;
}

/** Opens a WebSocket within `plan.timeout`. Rejects with an `EasError`, or with the signal's reason. */
export async function dialSocket(
  pool: ConnectionPool,
  plan: CallPlan,
  { dial, protocols, signal, ask }: DialSettings,
): Promise<DialedSocket> {
  const { headers, token } = await attemptHeaders(plan, signal);
  // The signal may have fired in the same event-loop turn in which the headers became available.
  signal.throwIfAborted();
  const url = plan.target.origin.replace(/^http/, "ws") + plan.path;
  const call: FailedCall = { plan, token: secretsOf(plan.token, token), attempts: 1 };
  // Some supported runtimes do not have AbortSignal.any.
  const deadline = new AbortController();
  const abortable = { abort: (reason: unknown) => deadline.abort(reason) };
  linkSignal(signal, abortable);
  const expired = new Error("expired");
  const timer = setTimeout(() => deadline.abort(expired), plan.timeout);
  try {
    const options = { headers, protocols, signal: deadline.signal, maxMessageBytes: plan.maxResponseBytes };
    const connection = await dialInTime(dial, url, options);
    pool.respondedOrigins.add(plan.target.origin);
    return { connection, call };
  } catch (error) {
    signal.throwIfAborted();
    if (error === expired) throw timeoutFailure(call, "headers").error;
    if (isTransportError(error) && error.status !== undefined) {
      const { status, response } = error;
      // Deno and Bun report only the status. If a `Retry-After` header is likely, make an HTTP call to get the headers
      // as well.
      if (!response && BUSY.includes(status)) {
        await ask().catch((error) => {
          if (error instanceof EasHttpError && error.status === status) throw error;
        });
        signal.throwIfAborted();
      }
      throw await refusal(pool, call, response ?? { ...NO_BODY, status, headers: new Headers() });
    }
    if (isUnexplained(error)) {
      await ask().catch((error) => {
        if (error instanceof EasHttpError) throw error;
      });
    }
    throw networkFailure(call, error, "headers", pool.respondedOrigins.has(plan.target.origin)).error;
  } finally {
    clearTimeout(timer);
    unlinkSignal(signal, abortable);
  }
}

/**
 * Returns the headers for one unsigned attempt and the token that they contain. Rejects with the signal's reason if the
 * signal fires while the token function runs.
 */
async function attemptHeaders(
  plan: CallPlan,
  signal: AbortSignal,
): Promise<{ readonly headers: readonly HeaderPair[]; readonly token: string }> {
  signal.throwIfAborted();
  const given = currentToken(plan.token);
  const token = typeof given === "string" ? given : await raceAbort(given, signal);
  signal.throwIfAborted();
  if (token === "") return { headers: plan.headers, token };
  return { headers: [...plan.headers, ...(await authorize(plan, token, undefined))], token };
}

/** Returns the error for a refused upgrade. Decompresses the response body if possible. */
async function refusal({ platform }: ConnectionPool, call: FailedCall, response: TransportResponse): Promise<EasError> {
  const decoding = { codecs: [], always: undefined };
  const loading = import("./decoding/content-encoding.js");
  const decoded = loading.then((all) =>
    all.decodeContent(response, platform, MAX_ERROR_BYTES, decoding, false, DECODING_TOOLS),
  );
  const { error } = await httpFailure(call, response, await decoded.catch(() => response.body), true);
  return error;
}

/** Whether an error hides its cause, as errors from the global `WebSocket` in Node and edge runtimes do. */
function isUnexplained(error: unknown): boolean {
  if (!isTransportError(error)) return false;
  return error.sent === "maybe" && error.status === undefined && error.systemCode === undefined && !error.final;
}

/** Opens the connection. Rejects when the signal fires, even if the dialer ignores the signal. */
async function dialInTime(
  dial: WebSocketDialer,
  url: string,
  options: WebSocketDialOptions,
): Promise<WebSocketConnection> {
  const dialing = (async () => dial(url, options))();
  try {
    return await raceAbort(dialing, options.signal);
  } catch (error) {
    // Close a connection that opened anyway: the dialer may have ignored the signal, or the connection may have opened
    // in the same event-loop turn.
    void dialing.then((connection) => connection.terminate()).catch(() => {});
    throw error;
  }
}

/**
 * Interval between pings on a queue watch's connection, in milliseconds. Without pings, gateways close idle connections
 * (github.com/pai-eas/eas-golang-sdk, commit 6787189).
 */
export const PING_MS = 2_000;

/** Keeps a WebSocket alive if the runtime can send pings, and detects a server that no longer responds. */
export class Heartbeat {
  readonly #connection: WebSocketConnection;
  readonly #idle: IdleTimer | undefined;
  readonly #pinging: ReturnType<typeof setInterval> | undefined;
  #isOver = false;

  /**
   * Calls `onIdle` when nothing has been received for `limit` milliseconds, and sends a ping every `interval`
   * milliseconds. An undefined `limit` disables the idle check, and an undefined `interval` disables the pings.
   */
  constructor(
    connection: WebSocketConnection,
    limit: number | undefined,
    interval: number | undefined,
    onIdle: () => void,
  ) {
    this.#connection = connection;
    this.#idle = limit === undefined ? undefined : new IdleTimer(limit, onIdle);
    const { ping } = connection;
    if (ping && interval !== undefined) {
      this.#pinging = setInterval(ping, interval);
      connection.onPong = () => this.touch();
    }
    this.#idle?.start();
  }

  /** Records that data was received. */
  touch(): void {
    this.#idle?.touch();
  }

  /** Pauses the connection and the idle check. While paused, nothing is read, not even pongs. */
  pause(): void {
    this.#idle?.stop();
    this.#connection.pause?.();
  }

  /** Resumes the connection and the idle check. */
  resume(): void {
    // The connection may have ended in the same event-loop turn in which the caller resumed it.
    if (!this.#isOver) this.#idle?.start();
    this.#connection.resume?.();
  }

  /** Stops the pings and the idle check. Call it when the connection ends. */
  stop(): void {
    this.#isOver = true;
    clearInterval(this.#pinging);
    this.#idle?.stop();
  }
}
