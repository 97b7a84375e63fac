import { EasHttpError, EasNetworkError } from "../../errors.js";
import { headersOf } from "../../http/attempt-headers.js";
import type { CallPlan } from "../../http/call-plan.js";
import type { Channel } from "../../http/channel.js";
import { type FailedCall, httpFailure, nameOf, networkFailure, timeoutFailure } from "../../http/failure.js";
import { redactText } from "../../http/redact.js";
import {
  TransportError,
  type WebSocketConnection,
  type WebSocketDialer,
  type WebSocketDialOptions,
} from "../../platform/platform.js";
import type { FrameSource, OpenSource, SourceEvents } from "./frame-source.js";
import { frameTooLarge } from "./frame-splitter.js";
import { SilenceTimer } from "./silence-timer.js";

/** How often a ping goes out: gateways cut connections that are idle (github.com/pai-eas/eas-golang-sdk, commit 6787189). */
const PING_MS = 2_000;
/** Without any sign of life for so long, though it was pinged, the connection is dead. */
const PONG_MS = 8_000;
/** Where a runtime cannot ping, silence says little: an idle queue is silent too. */
const SILENCE_MS = 60_000;
/** The server's time for its half of the closing handshake. */
const CLOSE_MS = 2_000;

/**
 * A watch over a WebSocket, one frame in each message. `ask` makes some call of the same queue: where a runtime does not tell
 * why an upgrade failed, HTTP does.
 */
export function websocketSource(
  channel: Channel,
  plan: CallPlan,
  dial: WebSocketDialer,
  ask: () => Promise<unknown>,
): OpenSource {
  return async (events, signal) => {
    const { headers, token } = await headersOf(plan, signal);
    // It may have fired in the turn in which that ended.
    signal.throwIfAborted();
    const url = plan.target.origin.replace(/^http/, "ws") + plan.path;
    const call: FailedCall = { plan, token: token.trim(), attempts: 1 };
    // Not AbortSignal.any, which some runtimes do not have.
    const deadline = new AbortController();
    const onAbort = () => deadline.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    const expired = new Error("expired");
    const timer = setTimeout(() => deadline.abort(expired), plan.timeout);
    try {
      const options = { headers, signal: deadline.signal, maxMessageBytes: plan.maxResponseBytes };
      const connection = await dialInTime(dial, url, options);
      channel.reached.add(plan.target.origin);
      return new WebSocketSource(connection, events, call);
    } catch (error) {
      signal.throwIfAborted();
      if (error === expired) throw timeoutFailure(call, "headers").error;
      if (error instanceof TransportError && error.status !== undefined) {
        const response = {
          status: error.status,
          headers: new Headers(),
          body: new Uint8Array(0),
          contentEncoding: undefined,
        };
        throw httpFailure(call, response, response.body).error;
      }
      if (isUnexplained(error)) {
        await ask().catch((answer) => {
          if (answer instanceof EasHttpError) throw answer;
        });
      }
      throw networkFailure(call, error, "headers", channel.reached.has(plan.target.origin)).error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    }
  };
}

/** Whether all that is known is that there is no WebSocket, as with the `WebSocket` of Node itself, which edge VMs have. */
function isUnexplained(error: unknown): boolean {
  if (!(error instanceof TransportError)) return false;
  return error.sent === "maybe" && error.status === undefined && error.systemCode === undefined && !error.final;
}

/** Dials, and waits no longer than the signal allows, whether or not the dialer listens to it. */
function dialInTime(dial: WebSocketDialer, url: string, options: WebSocketDialOptions): Promise<WebSocketConnection> {
  const { signal } = options;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    const dialing = async () => {
      const connection = await dial(url, options);
      // Nobody waits for it any more.
      if (signal.aborted) connection.terminate();
      else resolve(connection);
    };
    dialing()
      .catch(reject)
      .finally(() => signal.removeEventListener("abort", onAbort));
  });
}

class WebSocketSource implements FrameSource {
  readonly pause: (() => void) | undefined;
  readonly resume: (() => void) | undefined;
  readonly #connection: WebSocketConnection;
  readonly #silence: SilenceTimer;
  readonly #ended: Promise<void>;
  #pinging: ReturnType<typeof setInterval> | undefined;
  #given: Error | undefined;
  #closing = false;
  #over = false;

  constructor(connection: WebSocketConnection, events: SourceEvents, { plan, token }: FailedCall) {
    this.#connection = connection;
    const { ping } = connection;
    const name = nameOf(plan);
    const mostBytes = plan.maxResponseBytes;
    const limit = ping ? PONG_MS : SILENCE_MS;
    this.#silence = new SilenceTimer(limit, () => {
      const heard = ping ? `no pong within ${limit} ms` : `nothing came within ${limit} ms`;
      this.#given = new EasNetworkError(`${name} is given up: ${heard}`, { attempts: 1, retryable: true });
      connection.terminate();
    });
    if (ping) {
      this.#pinging = setInterval(ping, PING_MS);
      connection.onPong = () => this.#silence.heard();
    }
    // While it is paused nothing is read, no pong either.
    this.pause =
      connection.pause &&
      (() => {
        this.#silence.stop();
        connection.pause?.();
      });
    this.resume =
      connection.resume &&
      (() => {
        // In the turn of the end nobody else knows of it yet.
        if (!this.#over) this.#silence.start();
        connection.resume?.();
      });
    this.#silence.start();
    this.#ended = new Promise((resolve) => {
      connection.onClose = ({ code, reason: given, tooLarge }) => {
        this.#over = true;
        const reason = redactText(given, token);
        if (tooLarge) {
          this.#given = frameTooLarge(mostBytes, undefined);
          // Else it waits for a server that is busy sending.
          connection.terminate();
        }
        clearInterval(this.#pinging);
        this.#silence.stop();
        const said = reason === "" ? "" : `: ${reason}`;
        const cause =
          this.#given ??
          new EasNetworkError(`${name} was closed with ${code}${said}`, { attempts: 1, retryable: true });
        resolve();
        events.onEnd({ graceful: code === 1000, asked: this.#closing, cause, closeCode: code, reason });
      };
    });
    connection.onMessage = (data) => {
      this.#silence.heard();
      // EAS sends no text; the official Java SDK passes over it too.
      if (typeof data === "string") return;
      if (data.length <= mostBytes) events.onFrame(data);
      else {
        this.#given = frameTooLarge(mostBytes, data.length);
        connection.terminate();
      }
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
