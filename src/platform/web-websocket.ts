import type { Bytes } from "../request.js";
import {
  systemCodeOf,
  TransportError,
  type WebSocketClose,
  type WebSocketConnection,
  type WebSocketDialer,
} from "./platform.js";

/** The part of a standard WebSocket that is used, and what some runtimes (Bun) add to it. */
export interface StandardSocket {
  binaryType: string;
  readonly readyState: number;
  addEventListener(type: "message", listener: (event: { data: string | ArrayBuffer }) => void): void;
  addEventListener(type: "close", listener: (event: WebSocketClose) => void): void;
  addEventListener(type: "error", listener: (event: { message?: string; error?: unknown }) => void): void;
  addEventListener(type: "open" | "pong", listener: () => void): void;
  send(data: Uint8Array | string): void;
  close(code?: number, reason?: string): void;
  ping?(): void;
  pause?(): void;
  resume?(): void;
  terminate?(): void;
}

/** The constructor as Deno, Bun and Node 22 have it, beyond the standard. */
type SocketConstructor = new (
  url: string,
  options: { headers: Record<string, string>; protocols: string[]; perMessageDeflate: false },
) => StandardSocket;

const OPEN = 1;
/** The code of a connection that ended without a close frame. */
const ABNORMAL = 1006;

/** Dials by a global `WebSocket` that takes headers: Deno's, Bun's, that of Node 22 and later. */
export const dialWebSocket: WebSocketDialer = (url, { headers, protocols = [], signal }) =>
  untilAborted(
    signal,
    (life) =>
      new Promise((resolve, reject) => {
        const { WebSocket } = globalThis as unknown as { WebSocket: SocketConstructor };
        let socket: StandardSocket;
        try {
          // Two arguments: given three, these runtimes connect without the headers and say nothing. Bun would offer
          // compression by itself.
          socket = new WebSocket(url, {
            headers: Object.fromEntries(headers),
            protocols: [...protocols],
            perMessageDeflate: false,
          });
        } catch (error) {
          reject(invalidDial(error));
          return;
        }
        // The standard knows no other way to give a socket up than to close it.
        life.signal.addEventListener("abort", () => (socket.terminate ? socket.terminate() : socket.close()));
        const connection = connectionOver(socket, life);
        socket.addEventListener("open", () => resolve(connection));
        socket.addEventListener("error", ({ message = "", error }) => reject(dialFailure(message, error)));
        socket.addEventListener("close", () => reject(dialFailure("closed before it was open", undefined)));
      }),
  );

/** What Deno and Bun say when there was no connection, so that no byte can have left. */
const NEVER_SENT = /(?:tcp connect error|dns error|Failed to connect)$/;

function dialFailure(message: string, error: unknown): TransportError {
  // The status is in the text alone: "Invalid status code: 401" (Deno), "Expected 101 status code: 401" (Bun).
  const status = /status code: (\d{3})$/.exec(message)?.[1];
  if (status !== undefined) return upgradeRefused(Number(status));
  // No cause: its text has the URL in Bun.
  return new TransportError(withoutUrl(message) || "no WebSocket", {
    sent: NEVER_SENT.test(message) ? "no" : "maybe",
    systemCode: systemCodeOf(error),
  });
}

/** Bun's messages begin with the URL and its query, which belongs in no log. */
function withoutUrl(message: string): string {
  return message.replace(/^WebSocket connection to '.*' failed: /, "");
}

/** The error for an HTTP answer in place of an open WebSocket. */
export function upgradeRefused(status: number): TransportError {
  return new TransportError(`the WebSocket upgrade was answered with ${status}`, { sent: "maybe", status });
}

/** The error for arguments that a runtime makes no WebSocket of. Has no text of theirs: Deno's quotes the header's value. */
export function invalidDial(error: unknown): TransportError {
  const name = error instanceof Error ? error.name : "error";
  return new TransportError(`no WebSocket can be made with this URL, these headers and protocols (${name})`, {
    sent: "no",
    final: true,
  });
}

/** A connection over a standard socket. `life` is aborted to give the socket up. */
export function connectionOver(socket: StandardSocket, life: AbortController): CallbackConnection {
  socket.binaryType = "arraybuffer";
  const connection = new CallbackConnection({
    send(data) {
      // workerd throws where the standard says that nothing happens.
      if (socket.readyState === OPEN) socket.send(data);
    },
    close: (code, reason) => socket.close(code, reason),
    terminate: () => life.abort(),
    ping: socket.ping && (() => socket.ping?.()),
    pause: socket.pause && (() => socket.pause?.()),
    resume: socket.resume && (() => socket.resume?.()),
  });
  socket.addEventListener("message", ({ data }) =>
    connection.receive(typeof data === "string" ? data : new Uint8Array(data)),
  );
  socket.addEventListener("pong", () => connection.onPong?.());
  // workerd ends some broken connections with an error alone; elsewhere the error says more than the close after it.
  socket.addEventListener("error", ({ message = "" }) =>
    connection.end({ code: ABNORMAL, reason: withoutUrl(message) }),
  );
  // Deno's code of a broken connection is 0.
  socket.addEventListener("close", ({ code, reason }) => connection.end({ code: code || ABNORMAL, reason }));
  return connection;
}

/**
 * Runs a dial until it settles or `signal` fires: then it rejects at once with the signal's reason and aborts `life`.
 * Leaves no listener on the signal.
 */
export function untilAborted<T>(signal: AbortSignal, dial: (life: AbortController) => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    // The caller's signal may fire when the connection is open already, and must not end it then.
    const life = new AbortController();
    const onAbort = () => {
      reject(signal.reason);
      life.abort();
    };
    signal.addEventListener("abort", onAbort, { once: true });
    dial(life).then(
      (opened) => {
        signal.removeEventListener("abort", onAbort);
        resolve(opened);
      },
      (error) => {
        signal.removeEventListener("abort", onAbort);
        reject(error);
      },
    );
  });
}

/** What a connection does with its socket. */
export type SocketControls = Pick<WebSocketConnection, "send" | "close" | "terminate" | "ping" | "pause" | "resume">;

/** Hands what a socket receives to the connection's callbacks, in order, and keeps what has no callback yet. */
export class CallbackConnection implements WebSocketConnection {
  onPong: (() => void) | undefined = undefined;
  readonly ping: (() => void) | undefined;
  readonly pause: (() => void) | undefined;
  readonly resume: (() => void) | undefined;
  readonly #socket: SocketControls;
  readonly #held: (Bytes | string)[] = [];
  #onMessage: ((data: Bytes | string) => void) | undefined = undefined;
  #onClose: ((close: WebSocketClose) => void) | undefined = undefined;
  #close: WebSocketClose | undefined = undefined;
  #paused = false;
  #delivering = false;
  #told = false;

  constructor(socket: SocketControls) {
    this.#socket = socket;
    this.ping = socket.ping;
    // One network read holds many messages: what is behind the one that asked for a pause is kept here.
    this.pause = socket.pause && (() => this.#pause(true));
    this.resume = socket.resume && (() => this.#pause(false));
  }

  get onMessage(): ((data: Bytes | string) => void) | undefined {
    return this.#onMessage;
  }

  set onMessage(callback: ((data: Bytes | string) => void) | undefined) {
    this.#onMessage = callback;
    this.#deliver();
  }

  get onClose(): ((close: WebSocketClose) => void) | undefined {
    return this.#onClose;
  }

  set onClose(callback: ((close: WebSocketClose) => void) | undefined) {
    this.#onClose = callback;
    this.#deliver();
  }

  send(data: Uint8Array | string): void {
    this.#socket.send(data);
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  terminate(): void {
    this.#held.length = 0;
    this.#close ??= { code: ABNORMAL, reason: "" };
    this.#socket.terminate();
    // Not inside the call: the caller may be in the middle of something.
    queueMicrotask(() => this.#deliver());
  }

  /** Takes a message from the socket. */
  receive(data: Bytes | string): void {
    if (this.#close) return;
    this.#held.push(data);
    this.#deliver();
  }

  /** Takes the end of the connection from the socket; the first counts. */
  end(close: WebSocketClose): void {
    if (this.#close) return;
    this.#close = close;
    this.#deliver();
  }

  #pause(paused: boolean): void {
    this.#paused = paused;
    if (paused) this.#socket.pause?.();
    else this.#socket.resume?.();
    this.#deliver();
  }

  #deliver(): void {
    // A callback may set callbacks or resume: the loop below goes on for it.
    if (this.#delivering) return;
    this.#delivering = true;
    try {
      while (this.#onMessage && !this.#paused && this.#held.length > 0) {
        const onMessage = this.#onMessage;
        onMessage(this.#held.shift() as Bytes | string);
      }
      if (this.#close && this.#onClose && this.#held.length === 0 && !this.#told) {
        this.#told = true;
        const onClose = this.#onClose;
        onClose(this.#close);
      }
    } finally {
      this.#delivering = false;
    }
  }
}
