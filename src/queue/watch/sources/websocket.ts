import type { CallPlan } from "../../../call/call-plan.js";
import type { ConnectionPool } from "../../../call/connections/connection-pool.js";
import { describeCall } from "../../../call/failures/failure.js";
import { redactTruncated } from "../../../call/failures/redact-truncated.js";
import { CLOSE_MS, type DialedSocket, dialSocket, Heartbeat, PING_MS } from "../../../call/websocket.js";
import { EasNetworkError } from "../../../errors.js";
import type { WebSocketConnection, WebSocketDialer } from "../../../platform/contract.js";
import type { FrameSource, IndexReader, OpenSource, SourceEvents } from "./frame-source.js";
import { FRAME_HEAD_BYTES, frameTooLarge } from "./frame-splitter.js";

/** Time without a pong or data after which a pinged connection is considered dead, in milliseconds. */
const PONG_MS = 8_000;
/** Idle time after which the connection is reopened in runtimes that cannot send pings, in milliseconds. */
const SILENCE_MS = 60_000;

/**
 * Returns a function that opens a watch over a WebSocket. Each message contains one frame. `ask` sends an HTTP request
 * to the same queue. Its response shows why an upgrade failed in runtimes that do not report the reason.
 */
export function websocketSource(
  pool: ConnectionPool,
  plan: CallPlan,
  dial: WebSocketDialer,
  ask: () => Promise<unknown>,
  readIndex: IndexReader,
): OpenSource {
  return async (events, signal) => {
    const dialed = await dialSocket(pool, plan, { dial, signal, ask });
    return new WebSocketSource(dialed, events, readIndex);
  };
}

class WebSocketSource implements FrameSource {
  readonly pause: (() => void) | undefined;
  readonly resume: (() => void) | undefined;
  readonly #connection: WebSocketConnection;
  readonly #heartbeat: Heartbeat;
  readonly #ended: Promise<void>;
  #failure: Error | undefined;
  #closing = false;

  constructor({ connection, call: { plan, token } }: DialedSocket, events: SourceEvents, readIndex: IndexReader) {
    this.#connection = connection;
    const { ping, pause, resume } = connection;
    const name = describeCall(plan);
    const maxBytes = plan.maxResponseBytes;
    const limit = ping ? PONG_MS : SILENCE_MS;
    this.#heartbeat = new Heartbeat(connection, limit, PING_MS, () => {
      const reason = ping ? `no pong within ${limit} ms` : `nothing received for ${limit} ms`;
      this.#failure = new EasNetworkError(`${name} timed out: ${reason}`, { attempts: 1, retryable: true });
      connection.terminate();
    });
    this.pause = pause && (() => this.#heartbeat.pause());
    this.resume = resume && (() => this.#heartbeat.resume());
    this.#ended = new Promise((resolve) => {
      connection.onClose = ({ code, reason: given, tooLarge }) => {
        const reason = redactTruncated(given, token);
        if (tooLarge) {
          this.#failure = frameTooLarge(maxBytes, undefined);
          // Do not start a closing handshake, which would wait for a server that is busy sending.
          connection.terminate();
        }
        this.#heartbeat.stop();
        const suffix = reason === "" ? "" : `: ${reason}`;
        const cause =
          this.#failure ??
          new EasNetworkError(`${name} was closed with ${code}${suffix}`, { attempts: 1, retryable: true });
        resolve();
        events.onEnd({ graceful: code === 1000, asked: this.#closing, tooLarge, cause, closeCode: code, reason });
      };
    });
    connection.onMessage = (data) => {
      this.#heartbeat.touch();
      // Ignore text messages, as the official Java SDK does. EAS does not send any.
      if (typeof data === "string") return;
      if (data.length <= maxBytes) return events.onFrame(data);
      const error = frameTooLarge(maxBytes, data.length);
      const index = readIndex(data.subarray(0, FRAME_HEAD_BYTES));
      if (index !== undefined) return events.onUnreadable(error, index);
      this.#failure = error;
      connection.terminate();
    };
  }

  async close(): Promise<void> {
    this.#closing = true;
    const timer = setTimeout(() => this.#connection.terminate(), CLOSE_MS);
    // Drop unread data, because the server's close frame arrives only after it.
    this.#connection.onMessage = () => {};
    this.resume?.();
    this.#connection.close(1000, "");
    await this.#ended;
    clearTimeout(timer);
  }
}
