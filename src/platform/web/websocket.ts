import { systemCodeOf, TransportError, type WebSocketClose, type WebSocketDialer } from "../contract.js";
import { ABNORMAL, CallbackConnection, invalidDial, untilAborted, upgradeRefused } from "../websocket-connection.js";

/** The part of a standard WebSocket that is used, and what some runtimes (Bun) add to it. */
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

/** The constructor as Deno, Bun and Node 22 have it, beyond the standard. */
type SocketConstructor = new (
  url: string,
  options: { headers: Record<string, string>; protocols: string[]; perMessageDeflate: false },
) => StandardSocket;

const OPEN = 1;

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
        socket.addEventListener("close", () =>
          reject(dialFailure("the WebSocket was closed before it was open", undefined)),
        );
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

/** A connection over a standard socket. `life` is aborted to give the socket up; `protocol` says what the socket does not. */
export function connectionOver(socket: StandardSocket, life: AbortController, protocol?: string): CallbackConnection {
  socket.binaryType = "arraybuffer";
  const connection = new CallbackConnection({
    get protocol() {
      return protocol ?? socket.protocol;
    },
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
