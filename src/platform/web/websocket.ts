import { systemCodeOf, TransportError, type WebSocketClose, type WebSocketDialer } from "../contract.js";
import { ABNORMAL, CallbackConnection, invalidDial, untilAborted, upgradeRefused } from "../websocket-connection.js";

/** The part of a standard WebSocket that this package uses, with extensions from some runtimes (Bun). */
export interface StandardSocket {
  binaryType: string;
  readonly readyState: number;
  readonly protocol: string;
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

/** The `WebSocket` constructor in Deno, Bun and Node 22, which accepts an options object. */
type SocketConstructor = new (
  url: string,
  options: { headers: Record<string, string>; protocols: string[]; perMessageDeflate: false },
) => StandardSocket;

const OPEN = 1;

/** Opens WebSockets with a global `WebSocket` that accepts headers, as in Deno, Bun, and Node 22 or later. */
export const dialWebSocket: WebSocketDialer = (url, { headers, protocols = [], signal }) =>
  untilAborted(
    signal,
    (life) =>
      new Promise((resolve, reject) => {
        const { WebSocket } = globalThis as unknown as { WebSocket: SocketConstructor };
        let socket: StandardSocket;
        try {
          // The constructor must be called with two arguments. With three, these runtimes silently connect without the
          // headers. `perMessageDeflate` is false because Bun offers compression by default.
          socket = new WebSocket(url, {
            headers: Object.fromEntries(headers),
            protocols: [...protocols],
            perMessageDeflate: false,
          });
        } catch (error) {
          reject(invalidDial(error));
          return;
        }
        // A standard WebSocket can be abandoned only with `close`.
        life.signal.addEventListener("abort", () => (socket.terminate ? socket.terminate() : socket.close()));
        const connection = connectionOver(socket, life);
        socket.addEventListener("open", () => resolve(connection));
        socket.addEventListener("error", ({ message = "", error }) => reject(dialFailure(message, error)));
        socket.addEventListener("close", () =>
          reject(dialFailure("the WebSocket was closed before it opened", undefined)),
        );
      }),
  );

/** Matches messages from Deno and Bun that mean that no connection was established and nothing was sent. */
const NEVER_SENT = /(?:tcp connect error|dns error|Failed to connect)$/;

function dialFailure(message: string, error: unknown): TransportError {
  // These runtimes report the status only in the message: "Invalid status code: 401" (Deno), "Expected 101 status
  // code: 401" (Bun).
  const status = /status code: (\d{3})$/.exec(message)?.[1];
  if (status !== undefined) return upgradeRefused(Number(status));
  // Do not set a cause, because the message of Bun's error contains the URL.
  return new TransportError(withoutUrl(message) || "no WebSocket", {
    sent: NEVER_SENT.test(message) ? "no" : "maybe",
    systemCode: systemCodeOf(error),
  });
}

/** Removes the URL at the start of Bun's messages, because the URL's query must not be logged. */
function withoutUrl(message: string): string {
  return message.replace(/^WebSocket connection to '.*' failed: /, "");
}

/**
 * Creates a connection over a standard socket. Aborting `life` abandons the socket. `protocol` overrides the
 * subprotocol that the socket reports.
 */
export function connectionOver(socket: StandardSocket, life: AbortController, protocol?: string): CallbackConnection {
  socket.binaryType = "arraybuffer";
  const connection = new CallbackConnection({
    get protocol() {
      return protocol ?? socket.protocol;
    },
    send(data) {
      // If the socket is not open, `send` throws on workerd, whereas the standard specifies no effect.
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
  // Handle error events, because workerd reports some broken connections only in this way. In other runtimes, the error
  // event has more details than the close event that follows.
  socket.addEventListener("error", ({ message = "" }) =>
    connection.end({ code: ABNORMAL, reason: withoutUrl(message) }),
  );
  // Deno reports code 0 for a broken connection.
  socket.addEventListener("close", ({ code, reason }) => connection.end({ code: code || ABNORMAL, reason }));
  return connection;
}
