import type { ConnectionPool } from "../../call/connections/connection-pool.js";
import { describeCall } from "../../call/failures/failure.js";
import { redactTruncated } from "../../call/failures/redact-cut.js";
import { Heartbeat } from "../../call/heartbeat.js";
import { sendable } from "../../call/sendable.js";
import { CLOSE_MS, type DialedSocket } from "../../call/websocket.js";
import { EasDecodeError, EasSocketClosedError } from "../../errors.js";
import type { Bytes } from "../../formats/request.js";
import type { WebSocketClose, WebSocketConnection } from "../../platform/contract.js";
import { argumentTypeError } from "../../util/argument-errors.js";
import { closeOnDispose } from "../../util/async-dispose.js";
import { showAsText } from "../../util/inspect.js";
import { listFacts } from "../../util/list-facts.js";
import { linkSignal, unlinkSignal } from "../../util/timing/abort.js";
import { MessageBuffer } from "./message-buffer.js";
import { checkClose, checkMessage, type KeepAlive } from "./socket-options.js";

/** Bytes that wait to be taken before the service is held back. */
const HIGH_WATER_BYTES = 1_048_576;
/** The connection ended without a close frame. */
const ABNORMAL = 1006;
/** Codes of an end in good order; 1005 is none at all. Not 1001: whoever is going away may have more to say. */
const IN_GOOD_ORDER: readonly number[] = [1000, 1005];
/** Codes after which the same may go well with another connection: gone away, broken, restarting, too busy, bad gateway. */
const RETRYABLE: readonly number[] = [1001, ABNORMAL, 1012, 1013, 1014];

/** How a socket ended. */
export interface SocketClose {
  /** The close code; 1005 when the service gave none, 1006 when the connection ended without a close frame. */
  readonly code: number;
  /** What the service said, or what the runtime says of a broken connection; may be empty. */
  readonly reason: string;
}

/**
 * An open WebSocket to a service. Its messages come once, by `for await`: text as text, binary ones as bytes that are the
 * receiver's own. Whoever leaves the loop early closes the socket. While nobody reads, the service is held back, or, where the
 * runtime cannot do that, the socket is cut off at `maxResponseBytes` that wait.
 *
 * The iteration ends when this side has closed the socket, or the service with 1000 or without a code. Else it rejects: with
 * `EasSocketClosedError`, with `EasDecodeError` for a message of more than `maxResponseBytes`, or with the signal's reason.
 */
export class PredictSocket implements AsyncIterable<string | Bytes> {
  /** The subprotocol that the service chose; empty when there is none. */
  readonly protocol: string;
  /** Scheme, host and port that answered. */
  readonly endpoint: string;
  /** Resolves when the socket is closed, whoever closed it; never rejects. */
  readonly closed: Promise<SocketClose>;
  readonly #connection: WebSocketConnection;
  readonly #name: string;
  readonly #heartbeat: Heartbeat;
  readonly #messages: MessageBuffer;
  #isTaken = false;
  /** What this side has closed it with. */
  #asked: number | undefined;
  #closing: ReturnType<typeof setTimeout> | undefined;
  /** Why this side has given it up. */
  #cause: { readonly error: unknown } | undefined;
  #end: SocketClose | undefined;

  /** @internal `atEnd` is called once, when the connection is over. */
  constructor(
    { connection, call }: DialedSocket,
    pool: ConnectionPool,
    signal: AbortSignal | undefined,
    { pingInterval, idleTimeout }: KeepAlive,
    atEnd: () => void,
  ) {
    const { plan, token } = call;
    const mostBytes = plan.maxResponseBytes;
    this.protocol = connection.protocol ?? "";
    this.endpoint = plan.target.origin;
    this.#connection = connection;
    this.#name = describeCall(plan);
    this.#heartbeat = new Heartbeat(connection, idleTimeout, pingInterval, () =>
      this.#giveUp(this.#error(`timed out: nothing received for ${idleTimeout} ms (idleTimeout)`)),
    );
    this.#messages = new MessageBuffer(Math.min(HIGH_WATER_BYTES, mostBytes), {
      onFull: () => this.#heartbeat.pause(),
      onRoom: () => this.#heartbeat.resume(),
    });
    const abortable = { abort: (reason: unknown) => this.#giveUp(reason) };
    const stream = { cancel: () => this.#giveUp(this.#error("was terminated: the client was closed")) };
    linkSignal(signal, abortable);
    pool.hold(stream);
    this.closed = new Promise((resolve) => {
      connection.onClose = (close) => {
        unlinkSignal(signal, abortable);
        pool.streams.delete(stream);
        clearTimeout(this.#closing);
        this.#heartbeat.stop();
        atEnd();
        if (close.tooLarge) {
          this.#cause ??= { error: tooLarge(mostBytes) };
          // Else it waits for a service that is busy sending.
          connection.terminate();
        }
        resolve(this.#finish({ code: close.code, reason: redactTruncated(close.reason, token) }));
      };
    });
    connection.onMessage = (data) => {
      this.#heartbeat.touch();
      if (isLarger(data, mostBytes)) this.#giveUp(tooLarge(mostBytes));
      else this.#messages.push(owned(data));
      if (!connection.pause && this.#messages.bytes > mostBytes) {
        const held = `more than ${mostBytes} received bytes (maxResponseBytes) are unread, and this runtime cannot pause the service`;
        this.#giveUp(this.#error(`was terminated: ${held}. Read faster, or raise maxResponseBytes`));
      }
    };
    closeOnDispose(this);
    showAsText(this);
  }

  /**
   * Sends text as a text message, bytes as a binary one; they are copied. Throws `EasSocketClosedError` when the socket has ended
   * or is ending. What is sent while the connection breaks is lost.
   */
  send(data: string | Uint8Array): void {
    checkMessage(data);
    if (this.#isEnding) {
      throw this.#error("has ended or is closing: call connect() again to send more");
    }
    this.#connection.send(typeof data === "string" ? data : sendable(data as Bytes));
  }

  /**
   * Closes the socket in good order, and by force when the service does not answer within 2 s; resolves when it is closed. What
   * has come before is still given to the iteration, which then ends; what comes later is dropped. `code` is 1000 or 3000 to
   * 4999, `reason` at most 123 bytes; else it rejects with a `RangeError`. Without effect after the end.
   */
  async close(code = 1000, reason = ""): Promise<void> {
    checkClose(code, reason);
    if (!this.#isEnding) {
      this.#asked = code;
      this.#closing = setTimeout(() => this.#connection.terminate(), CLOSE_MS);
      // The service's answer is behind all that was not read yet.
      this.#connection.onMessage = () => {};
      this.#heartbeat.resume();
      this.#connection.close(code, reason);
    }
    await this.closed;
  }

  /** The messages, as they come. Once for a socket. */
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
    return this.#end !== undefined || this.#cause !== undefined || this.#asked !== undefined;
  }

  /** Ends the socket at once, and the iteration with `error`. */
  #giveUp(error: unknown): void {
    if (this.#end || this.#cause) return;
    this.#cause = { error };
    this.#messages.end(error, true);
    this.#connection.terminate();
  }

  #finish(close: SocketClose): SocketClose {
    this.#end = close;
    const { code, reason } = close;
    const isGood = this.#asked !== undefined || IN_GOOD_ORDER.includes(code);
    const said = reason === "" ? "" : `: ${reason}`;
    const given = this.#cause ?? { error: isGood ? undefined : this.#error(`was closed with ${code}${said}`) };
    this.#messages.end(given.error, false);
    return close;
  }

  #error(happened: string): EasSocketClosedError {
    const { code: closeCode = this.#asked ?? ABNORMAL, reason = "" }: Partial<WebSocketClose> = this.#end ?? {};
    const retryable = RETRYABLE.includes(closeCode);
    return new EasSocketClosedError(`the WebSocket of ${this.#name} ${happened}`, {
      attempts: 1,
      retryable,
      closeCode,
      reason,
    });
  }
}

/** The message in memory of its own: a runtime may hand out a view of what it has read. */
function owned(data: Bytes | string): Bytes | string {
  return typeof data === "string" || data.byteLength === data.buffer.byteLength ? data : data.slice();
}

/** Whether a message has more bytes than it may have. Text is counted only where it may matter: a unit takes up to three. */
function isLarger(data: Bytes | string, mostBytes: number): boolean {
  if (typeof data !== "string" || data.length > mostBytes) return data.length > mostBytes;
  return data.length * 3 > mostBytes && new TextEncoder().encode(data).length > mostBytes;
}

function tooLarge(mostBytes: number): EasDecodeError {
  return new EasDecodeError(`a message has more than ${mostBytes} bytes (maxResponseBytes)`, {
    format: "message",
    offset: mostBytes,
    attempts: 1,
  });
}
