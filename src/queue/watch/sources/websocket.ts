import type { CallPlan } from "../../../call/call-plan.js";
import type { ConnectionPool } from "../../../call/connections/connection-pool.js";
import { describeCall } from "../../../call/failures/failure.js";
import { redactTruncated } from "../../../call/failures/redact-truncated.js";
import { CLOSE_MS, type DialedSocket, dialSocket, Heartbeat, PING_MS } from "../../../call/websocket.js";
import { EasNetworkError } from "../../../errors.js";
import type { WebSocketConnection, WebSocketDialer } from "../../../platform/contract.js";
import type { FrameSource, IndexReader, OpenSource, SourceEvents } from "./frame-source.js";
import { FRAME_HEAD_BYTES, frameTooLarge } from "./frame-splitter.js";

/** Time in milliseconds without a pong or data after which a pinged connection is considered dead. */
const PONG_MS = 8_000;
/** Idle time in milliseconds after which the connection is reopened, in runtimes that cannot send pings. */
const SILENCE_MS = 60_000;

/**
 * Returns a function that opens a watch over a WebSocket. Each message contains one frame. `ask` sends an HTTP
 * request to the same queue. In runtimes that do not report why an upgrade failed, the response shows the reason.
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
          // A close handshake would have to wait for a server that is busy sending.
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
      // EAS does not send text messages. The official Java SDK also ignores them.
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
    // The server's close frame arrives after all data that was not read yet.
    this.#connection.onMessage = () => {};
    this.resume?.();
    this.#connection.close(1000, "");
    await this.#ended;
    clearTimeout(timer);
  }
}
