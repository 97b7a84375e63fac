import type { Bytes } from "../../formats/request.js";
import { clockNow } from "../../util/timing/clock.js";
import type { AcceptedSocket, EmulatorSocket, SocketHandlers } from "../server/socket.js";
import { describeBody, firstDifference } from "./matching.js";
import { scaled, waitUntil } from "./pacing.js";
import type { RecordedMessage, RecordedSocket } from "./recording.js";
import type { Redaction } from "./redaction.js";

/** Close code for a message that the cassette does not contain. */
const POLICY_VIOLATION = 1008;
/** Close code for a connection that ended without a close frame. */
const ABNORMAL = 1006;
/** Close code for a close frame without a code. It cannot be sent. */
const NO_STATUS = 1005;
/** Number of unsent bytes above which the replay waits. */
const MAX_BUFFERED_BYTES = 1024 * 1024;

/**
 * Returns a function that replays the messages of a WebSocket. A service message is sent after all messages that the
 * client sent before it in the recording. A client message that differs from the recording closes the connection with
 * 1008.
 */
export function replaySocket(recorded: RecordedSocket, speed: number, redaction: Redaction): AcceptedSocket["attach"] {
  return (socket) => {
    const replay = new SocketReplay(recorded, speed, redaction, socket);
    // The replay starts in a microtask, so that the emulator can attach its handlers first.
    void Promise.resolve().then(() => replay.run());
    return replay;
  };
}

class SocketReplay implements SocketHandlers {
  readonly #recorded: RecordedSocket;
  readonly #speed: number;
  readonly #redaction: Redaction;
  readonly #socket: EmulatorSocket;
  readonly #closed: AbortController = new AbortController();
  readonly #expected: readonly RecordedMessage[];
  #receivedCount = 0;
  /** Continues the replay after a client message, a drain, or the end. */
  #wake: () => void = () => {};

  constructor(recorded: RecordedSocket, speed: number, redaction: Redaction, socket: EmulatorSocket) {
    this.#recorded = recorded;
    this.#speed = speed;
    this.#redaction = redaction;
    this.#socket = socket;
    this.#expected = recorded.messages.filter(({ by }) => by === "client");
  }

  async run(): Promise<void> {
    let before = 0;
    let precedingCount = 0;
    for (const { by, at, data } of this.#recorded.messages) {
      const wait = scaled(at - before, this.#speed);
      before = at;
      if (by === "client") {
        precedingCount++;
        continue;
      }
      await this.#until(() => this.#receivedCount >= precedingCount && this.#socket.bufferedBytes < MAX_BUFFERED_BYTES);
      await waitUntil(clockNow() + wait, this.#closed.signal).catch(() => {});
      if (this.#closed.signal.aborted) return;
      this.#socket.send(typeof data === "string" ? data : data.slice());
    }
    await this.#until(() => this.#receivedCount >= precedingCount);
    if (this.#closed.signal.aborted) return;
    const { code, reason, by } = this.#recorded.close;
    if (by === "client") return;
    if (code === ABNORMAL || by === "recorder") this.#socket.terminate();
    else this.#end(code === NO_STATUS ? 1000 : code, reason);
  }

  onMessage(message: Bytes | string): void {
    if (this.#closed.signal.aborted) return;
    const expected = this.#expected[this.#receivedCount++];
    const bytes = typeof message === "string" ? new TextEncoder().encode(message) : message;
    const actual = this.#redaction.request().whole(bytes);
    const recorded = typeof expected?.data === "string" ? new TextEncoder().encode(expected.data) : expected?.data;
    if (recorded === undefined)
      return this.#end(POLICY_VIOLATION, "cassette: the recording contains no further client message");
    if (typeof message !== typeof expected?.data || firstDifference(actual, recorded) !== -1) {
      const number = this.#receivedCount;
      return this.#end(POLICY_VIOLATION, `cassette: message ${number}: ${describeBody(actual, recorded)}`);
    }
    this.#wake();
  }

  onDrain(): void {
    this.#wake();
  }

  onClose(): void {
    this.#closed.abort();
    this.#wake();
  }

  #end(code: number, reason: string): void {
    // A close reason can be at most 123 bytes long. `encodeInto` writes only whole characters.
    const { read } = new TextEncoder().encodeInto(reason, new Uint8Array(123));
    this.#closed.abort();
    this.#wake();
    this.#socket.close(code, reason.slice(0, read));
  }

  /** Resolves when the condition holds, or when the connection has ended. */
  async #until(condition: () => boolean): Promise<void> {
    while (!condition() && !this.#closed.signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
