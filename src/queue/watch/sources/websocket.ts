import type { CallPlan } from "../../../call/call-plan.js";
import type { ConnectionPool } from "../../../call/connections/connection-pool.js";
import { describeCall } from "../../../call/failures/failure.js";
import { redactTruncated } from "../../../call/failures/redact-truncated.js";
import { CLOSE_MS, type DialedSocket, dialSocket, Heartbeat, PING_MS } from "../../../call/websocket.js";
import { EasNetworkError } from "../../../errors.js";
import type { WebSocketConnection, WebSocketDialer } from "../../../platform/contract.js";
import type { FrameSource, IndexReader, OpenSource, SourceEvents } from "./frame-source.js";
import { FRAME_HEAD_BYTES, frameTooLarge } from "./frame-splitter.js";

/** Without any sign of life for so long, though it was pinged, the connection is dead. */
const PONG_MS = 8_000;
/** Where a runtime cannot ping, silence says little: an idle queue is silent too. */
const SILENCE_MS = 60_000;

/**
 * A watch over a WebSocket, one frame in each message. `ask` makes some call of the same queue: where a runtime does not tell
 * why an upgrade failed, HTTP does.
 */
export function websocketSource(
  pool: ConnectionPool,
  plan: CallPlan,
  dial: WebSocketDialer,
  ask: () => Promise<unknown>,
  readIndex: IndexReader,
): OpenSource {
  return async (events, signal) => {
    const dialled = await dialSocket(pool, plan, { dial, signal, ask });
    return new WebSocketSource(dialled, events, readIndex);
  };
}

class WebSocketSource implements FrameSource {
  readonly pause: (() => void) | undefined;
  readonly resume: (() => void) | undefined;
  readonly #connection: WebSocketConnection;
  readonly #heartbeat: Heartbeat;
  readonly #ended: Promise<void>;
  #given: Error | undefined;
  #closing = false;

  constructor({ connection, call: { plan, token } }: DialedSocket, events: SourceEvents, readIndex: IndexReader) {
    this.#connection = connection;
    const { ping, pause, resume } = connection;
    const name = describeCall(plan);
    const mostBytes = plan.maxResponseBytes;
    const limit = ping ? PONG_MS : SILENCE_MS;
    this.#heartbeat = new Heartbeat(connection, limit, PING_MS, () => {
      const heard = ping ? `no pong within ${limit} ms` : `nothing received for ${limit} ms`;
      this.#given = new EasNetworkError(`${name} timed out: ${heard}`, { attempts: 1, retryable: true });
      connection.terminate();
    });
    this.pause = pause && (() => this.#heartbeat.pause());
    this.resume = resume && (() => this.#heartbeat.resume());
    this.#ended = new Promise((resolve) => {
      connection.onClose = ({ code, reason: given, tooLarge }) => {
        const reason = redactTruncated(given, token);
        if (tooLarge) {
          this.#given = frameTooLarge(mostBytes, undefined);
          // Otherwise it waits for a server that is busy sending.
          connection.terminate();
        }
        this.#heartbeat.stop();
        const said = reason === "" ? "" : `: ${reason}`;
        const cause =
          this.#given ??
          new EasNetworkError(`${name} was closed with ${code}${said}`, { attempts: 1, retryable: true });
        resolve();
        events.onEnd({ graceful: code === 1000, asked: this.#closing, tooLarge, cause, closeCode: code, reason });
      };
    });
    connection.onMessage = (data) => {
      this.#heartbeat.touch();
      // EAS sends no text; the official Java SDK passes over it too.
      if (typeof data === "string") return;
      if (data.length <= mostBytes) return events.onFrame(data);
      const error = frameTooLarge(mostBytes, data.length);
      const index = readIndex(data.subarray(0, FRAME_HEAD_BYTES));
      if (index !== undefined) return events.onUnreadable(error, index);
      this.#given = error;
      connection.terminate();
    };
  }

  async close(): Promise<void> {
    this.#closing = true;
    const timer = setTimeout(() => this.#connection.terminate(), CLOSE_MS);
    // The server's answer is behind all that was not read yet.
    this.#connection.onMessage = () => {};
    this.resume?.();
    this.#connection.close(1000, "");
    await this.#ended;
    clearTimeout(timer);
  }
}
