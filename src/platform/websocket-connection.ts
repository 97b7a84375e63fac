import type { Bytes } from "../formats/request.js";
import { isError } from "../util/realms.js";
import { joinChunks, totalLength } from "./chunks.js";
import {
  MAX_ERROR_BYTES,
  TransportError,
  type TransportResponse,
  type WebSocketClose,
  type WebSocketConnection,
} from "./contract.js";

/** The close code of a connection that ended without a close frame. */
export const ABNORMAL = 1006;

/** Maximum time to read the body of a refused upgrade. The status and headers are reported even if the body never ends. */
const REFUSAL_BODY_MS = 1_000;

/** Returns the error for a WebSocket upgrade that the server refused with an HTTP response. */
export function upgradeRefused(status: number, response?: TransportResponse): TransportError {
  return new TransportError(`the server responded to the WebSocket upgrade with status ${status}`, {
    sent: "maybe",
    status,
    response,
  });
}

/**
 * Returns the error for a refused upgrade. The error includes the status, the headers and the beginning of the body,
 * which `next` reads.
 */
export async function refusalOf(
  status: number,
  headers: Headers,
  next: () => Promise<{ readonly done?: boolean | undefined; readonly value?: Uint8Array | undefined }>,
): Promise<TransportError> {
  const chunks: Uint8Array[] = [];
  const read = async () => {
    for (let length = 0; length < MAX_ERROR_BYTES; ) {
      const { done, value } = await next();
      if (done || !value) return;
      chunks.push(value);
      length += value.length;
    }
  };
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, REFUSAL_BODY_MS);
  });
  // If reading the body fails, the error includes the part that was received.
  await Promise.race([read(), late]).catch(() => {});
  clearTimeout(timer);
  const contentEncoding = headers.get("content-encoding") ?? undefined;
  return upgradeRefused(status, { status, headers, body: joinChunks(chunks, totalLength(chunks)), contentEncoding });
}

/** Returns the error for a refused upgrade if the request was sent with `fetch`. */
export async function refusedFetch({ status, headers, body }: Response): Promise<TransportError> {
  const reader = body?.getReader();
  const error = await refusalOf(status, headers, async () => (await reader?.read()) ?? { done: true });
  void reader?.cancel().catch(() => {});
  return error;
}

/**
 * Returns the error for arguments that the runtime rejects. Omits the runtime's message because Deno's message contains
 * the header's value.
 */
export function invalidDial(error: unknown): TransportError {
  const name = isError(error) ? error.name : "error";
  return new TransportError(`cannot open a WebSocket with this URL, these headers and protocols (${name})`, {
    sent: "no",
    final: true,
  });
}

/**
 * Runs a dial until it settles or `signal` aborts. On abort, rejects immediately with the signal's reason and aborts
 * `life`. Does not leave a listener on the signal.
 */
export function untilAborted<T>(signal: AbortSignal, dial: (life: AbortController) => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    // Use a separate controller, because the caller's signal must not end the connection once it is open.
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

/** The socket operations that a connection uses. */
export type SocketControls = Pick<
  WebSocketConnection,
  "protocol" | "send" | "close" | "terminate" | "ping" | "pause" | "resume"
>;

/** Delivers a socket's messages and close event to the callbacks in order. Queues them until the callbacks are set. */
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
    // A network read can contain many messages, so messages that arrive after a pause are queued.
    this.pause = socket.pause && (() => this.#pause(true));
    this.resume = socket.resume && (() => this.#pause(false));
  }

  // This is a getter because runtimes know the subprotocol only once the connection is open, not when it is created.
  get protocol(): string | undefined {
    return this.#socket.protocol;
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
    // Deliver queued items in a microtask, because the caller may not be ready for them while setting a callback.
    queueMicrotask(() => this.#deliver());
  }

  /** Receives a message from the socket. */
  receive(data: Bytes | string): void {
    if (this.#close) return;
    const onMessage = this.#onMessage;
    if (onMessage === undefined || this.#delivering || this.#paused || this.#held.length > 0) {
      this.#held.push(data);
      return;
    }
    this.#delivering = true;
    try {
      onMessage(data);
    } finally {
      this.#delivering = false;
    }
    // Try again, because the callback may have set another callback or resumed the connection.
    if (this.#held.length > 0 || this.#close !== undefined) this.#deliver();
  }

  /** Receives the end of the connection from the socket. Only the first call counts. */
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
    // A callback may set callbacks or resume the connection; the loop that called it continues with the queued items.
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
