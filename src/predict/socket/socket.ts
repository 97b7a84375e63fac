import type { ConnectionPool } from "../../call/connections/connection-pool.js";
import { describeCall } from "../../call/failures/failure.js";
import { redactTruncated } from "../../call/failures/redact-truncated.js";
import { sendable } from "../../call/sendable.js";
import { CLOSE_MS, type DialedSocket, Heartbeat } from "../../call/websocket.js";
import { EasDecodeError, EasSocketClosedError } from "../../errors.js";
import type { Bytes } from "../../formats/request.js";
import type { WebSocketClose, WebSocketConnection } from "../../platform/contract.js";
import { argumentTypeError } from "../../util/argument-errors.js";
import { closeOnDispose } from "../../util/async-dispose.js";
import { AsyncQueue } from "../../util/async-queue.js";
import { listFacts, showAsText } from "../../util/inspect.js";
import { linkSignal, unlinkSignal } from "../../util/timing/abort.js";
import { checkClose, checkMessage, type KeepAlive } from "./socket-options.js";

/** Total size of unread messages, in bytes, at which the client stops reading from the connection. */
const HIGH_WATER_BYTES = 1_048_576;
/** Approximate memory overhead per message, in bytes. */
const MESSAGE_OVERHEAD_BYTES = 64;
/** Close code of a connection that ended without a close frame. */
const ABNORMAL = 1006;
/**
 * Close codes for a normal end. 1005 means that the close frame had no code. 1001 (going away) is not included because
 * it may cut off a response.
 */
const NORMAL_CODES: readonly number[] = [1000, 1005];
/** Close codes after which another connection may succeed: going away, broken, restarting, overloaded, bad gateway. */
const RETRYABLE_CODES: readonly number[] = [1001, ABNORMAL, 1012, 1013, 1014];

/** Describes how a socket was closed. */
export interface SocketClose {
  /** The close code; 1005 if the close frame has no code, 1006 if the connection ended without a close frame. */
  readonly code: number;
  /** The reason that the service sent, or the runtime's message for a broken connection. It may be empty. */
  readonly reason: string;
}

/**
 * An open WebSocket to a service. Iterate over the socket once to receive its messages. Text messages are strings.
 * Binary messages are bytes that belong to the caller. Leaving the loop early closes the socket. Unread messages cause
 * backpressure. If the runtime does not support backpressure, the socket is terminated when there are more than
 * `maxResponseBytes` of unread messages.
 *
 * The iteration ends when the caller closes the socket, or when the service closes it with code 1000 or without a code.
 * Otherwise, the iteration rejects with `EasSocketClosedError`, with the reason of the signal, or with `EasDecodeError`
 * for a message larger than `maxResponseBytes`.
 *
 * @example
 * const socket = await client.connect("/ws", { protocols: "chat" });
 * socket.send(JSON.stringify({ prompt: "hello" }));
 * for await (const message of socket) console.log(message);
 */
export class PredictSocket implements AsyncIterable<string | Bytes> {
  /** The subprotocol that the service chose; `""` if there is none. */
  readonly protocol: string;
  /** Scheme, host and port of the server that responded. */
  readonly endpoint: string;
  /** Resolves when the socket is closed by either side. Never rejects. */
  readonly closed: Promise<SocketClose>;
  readonly #connection: WebSocketConnection;
  readonly #name: string;
  readonly #heartbeat: Heartbeat;
  readonly #messages: AsyncQueue<string | Bytes>;
  #isTaken = false;
  /** The close code that the caller passed to `close`. */
  #ownCode: number | undefined;
  #closing: ReturnType<typeof setTimeout> | undefined;
  /** The error that made the client terminate the socket. Undefined if there was none. */
  #cause: { readonly error: unknown } | undefined;
  #end: SocketClose | undefined;

  /** @internal `onEnd` is called once, when the connection is closed. */
  constructor(
    { connection, call }: DialedSocket,
    pool: ConnectionPool,
    signal: AbortSignal | undefined,
    { pingInterval, idleTimeout }: KeepAlive,
    onEnd: () => void,
  ) {
    const { plan, token } = call;
    const maxBytes = plan.maxResponseBytes;
    this.protocol = connection.protocol ?? "";
    this.endpoint = plan.target.origin;
    this.#connection = connection;
    this.#name = describeCall(plan);
    this.#heartbeat = new Heartbeat(connection, idleTimeout, pingInterval, () =>
      this.#terminate(this.#error(`timed out: nothing received for ${idleTimeout} ms (idleTimeout)`)),
    );
    this.#messages = new AsyncQueue({
      highWater: Math.min(HIGH_WATER_BYTES, maxBytes),
      weigh: memoryOf,
      onFull: () => this.#heartbeat.pause(),
      onDrain: () => this.#heartbeat.resume(),
    });
    const abortable = { abort: (reason: unknown) => this.#terminate(reason) };
    const stream = { cancel: () => this.#terminate(this.#error("was terminated: the client was closed")) };
    linkSignal(signal, abortable);
    pool.hold(stream);
    this.closed = new Promise((resolve) => {
      connection.onClose = (close) => {
        unlinkSignal(signal, abortable);
        pool.streams.delete(stream);
        clearTimeout(this.#closing);
        this.#heartbeat.stop();
        onEnd();
        if (close.tooLarge) {
          this.#cause ??= { error: tooLarge(maxBytes) };
          // Do not close gracefully, because that would wait for a service that is still sending.
          connection.terminate();
        }
        resolve(this.#finish({ code: close.code, reason: redactTruncated(close.reason, token) }));
      };
    });
    connection.onMessage = (data) => {
      this.#heartbeat.touch();
      if (isLarger(data, maxBytes)) this.#terminate(tooLarge(maxBytes));
      else this.#messages.push(withOwnMemory(data));
      if (!connection.pause && this.#messages.weight > maxBytes) {
        const unread = `more than ${maxBytes} received bytes (maxResponseBytes) are unread, and this runtime cannot pause the service`;
        this.#terminate(this.#error(`was terminated: ${unread}. Read faster, or raise maxResponseBytes`));
      }
    };
    closeOnDispose(this);
    showAsText(this);
  }

  /**
   * Sends a string as a text message, or bytes as a binary message. Bytes are copied. Throws `EasSocketClosedError` if the
   * socket is closed or closing. Messages sent while the connection breaks are lost.
   */
  send(data: string | Uint8Array): void {
    checkMessage(data);
    if (this.#isEnding) {
      throw this.#error("has ended or is closing: call connect() again to send more");
    }
    this.#connection.send(typeof data === "string" ? data : sendable(data as Bytes));
  }

  /**
   * Closes the socket. Terminates it if the service does not reply within 2 s. Resolves when the socket is closed.
   * The iteration still yields messages that were received before the call, and then ends. Later messages are
   * dropped. Has no effect on a closed socket.
   *
   * `code` must be 1000 or from 3000 to 4999, and `reason` at most 123 bytes. Otherwise, the promise rejects with a
   * `RangeError`.
   */
  async close(code = 1000, reason = ""): Promise<void> {
    checkClose(code, reason);
    if (!this.#isEnding) {
      this.#ownCode = code;
      this.#closing = setTimeout(() => this.#connection.terminate(), CLOSE_MS);
      // Drop further messages: the service's close frame arrives only after all unread messages have been read.
      this.#connection.onMessage = () => {};
      this.#heartbeat.resume();
      this.#connection.close(code, reason);
    }
    await this.closed;
  }

  /** Iterates over the messages. Throws a `TypeError` if called twice. */
  [Symbol.asyncIterator](): AsyncIterator<string | Bytes, undefined> {
    if (this.#isTaken) {
      throw argumentTypeError("ERR_EAS_ARG_REQUEST", "this socket is already being read: read it once");
    }
    this.#isTaken = true;
    return {
      next: () => this.#messages.next(),
      return: async () => {
        this.#messages.end(undefined, true);
        void this.close();
        return { done: true, value: undefined };
      },
    };
  }

  /** Returns the URL without its query, the subprotocol and the state, for logs. */
  toString(): string {
    const state = this.#end ? `closed with ${this.#end.code}` : this.#isEnding ? "closing" : "open";
    return listFacts("PredictSocket", { url: this.#name.split(" ")[1], protocol: this.protocol, state });
  }

  get #isEnding(): boolean {
    return this.#end !== undefined || this.#cause !== undefined || this.#ownCode !== undefined;
  }

  /** Closes the connection immediately. The iteration rejects with `error`. */
  #terminate(error: unknown): void {
    if (this.#end || this.#cause) return;
    this.#cause = { error };
    this.#messages.end(error, true);
    this.#connection.terminate();
  }

  #finish(close: SocketClose): SocketClose {
    this.#end = close;
    const { code, reason } = close;
    const isNormal = this.#ownCode !== undefined || NORMAL_CODES.includes(code);
    const suffix = reason === "" ? "" : `: ${reason}`;
    const { error } = this.#cause ?? { error: isNormal ? undefined : this.#error(`was closed with ${code}${suffix}`) };
    this.#messages.end(error, false);
    return close;
  }

  #error(happened: string): EasSocketClosedError {
    const { code: closeCode = this.#ownCode ?? ABNORMAL, reason = "" }: Partial<WebSocketClose> = this.#end ?? {};
    const retryable = RETRYABLE_CODES.includes(closeCode);
    return new EasSocketClosedError(`the WebSocket to ${this.#name} ${happened}`, {
      attempts: 1,
      retryable,
      closeCode,
      reason,
    });
  }
}

/** Copies a message if it is a view of a larger buffer, such as the runtime's read buffer. */
function withOwnMemory(data: Bytes | string): Bytes | string {
  return typeof data === "string" || data.byteLength === data.buffer.byteLength ? data : data.slice();
}

/**
 * Returns whether a message exceeds `maxBytes`. Text is encoded only if it could exceed the limit at three bytes per
 * code unit, the maximum.
 */
function isLarger(data: Bytes | string, maxBytes: number): boolean {
  if (typeof data !== "string" || data.length > maxBytes) return data.length > maxBytes;
  return data.length * 3 > maxBytes && new TextEncoder().encode(data).length > maxBytes;
}

function tooLarge(maxBytes: number): EasDecodeError {
  return new EasDecodeError(`a message is larger than ${maxBytes} bytes (maxResponseBytes)`, {
    format: "message",
    offset: maxBytes,
    attempts: 1,
  });
}

/** Returns a message's approximate memory use. Text uses at most two bytes per UTF-16 code unit. */
function memoryOf(message: string | Bytes): number {
  return MESSAGE_OVERHEAD_BYTES + (typeof message === "string" ? message.length * 2 : message.length);
}
