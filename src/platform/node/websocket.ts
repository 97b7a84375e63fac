import type { createConnection, Socket } from "node:net";
import type { Bytes } from "../../formats/request.js";
import {
  TransportError,
  type WebSocketConnection,
  type WebSocketDialer,
  type WebSocketDialOptions,
} from "../contract.js";
import { CallbackConnection, invalidDial, refusalOf, untilAborted } from "../websocket-connection.js";
import { type Connect, connectionsOf } from "./http/connect.js";
import { loadFailure } from "./load-failure.js";
import { checkConnect } from "./options.js";

/** Maximum `maxPayload` that ws accepts. Larger values are truncated to 32 bits. */
const MAX_PAYLOAD = 2 ** 31 - 1;

/** Opens WebSockets with the default connection options of `nodeTransport`. */
export const dialWebSocket: WebSocketDialer = (url, options) =>
  dialerOver(async () => (await connectionsOf(checkConnect({}))).forSockets)(url, options);

/**
 * Returns a dialer that opens WebSockets over the connections that `connect` provides. The dialer uses `isomorphic-ws`,
 * which is `ws` on Node, and loads that package on first use.
 */
export const dialerOver =
  (connect: () => Promise<Connect>): WebSocketDialer =>
  (url, options) =>
    untilAborted(options.signal, async (life) => {
      const connector = await connect();
      // Use the default export: the named exports of isomorphic-ws are undefined at run time, although its types
      // declare them.
      const { default: WebSocket } = await import("isomorphic-ws").catch((error) => {
        throw loadFailure("isomorphic-ws", error);
      });
      // The import cannot be aborted, so check whether the caller aborted in the meantime. In that case, the caller
      // must not receive a socket.
      life.signal.throwIfAborted();
      return open(WebSocket, connector, url, options, life);
    });

function open(
  WebSocket: typeof import("isomorphic-ws"),
  connect: Connect,
  url: string,
  { headers, protocols = [], maxMessageBytes = Number.POSITIVE_INFINITY }: WebSocketDialOptions,
  life: AbortController,
): Promise<WebSocketConnection> {
  let sent: "no" | "maybe" = "no";
  const dial = () =>
    new WebSocket(url, [...protocols], {
      headers: Object.fromEntries(headers),
      followRedirects: false,
      // EAS refuses an upgrade request that offers extensions.
      perMessageDeflate: false,
      // 0 means no limit. Without the option, ws applies its own default.
      maxPayload: maxMessageBytes > MAX_PAYLOAD ? 0 : maxMessageBytes,
      createConnection: connectBy(connect, url, life.signal),
      finishRequest(request) {
        request.once("socket", () => (sent = "maybe"));
        request.end();
      },
    });
  let socket: ReturnType<typeof dial>;
  try {
    socket = dial();
  } catch (error) {
    throw invalidDial(error);
  }

  return new Promise((resolve, reject) => {
    let refused = false;
    // Add this listener first and never remove it, because an error event without a listener would end the process.
    socket.on("error", (error) => {
      // While a refused upgrade's body is being read, report the refusal instead of the connection error.
      if (!refused) reject(new TransportError(error.message, { sent, cause: error }));
      // The server sent an invalid frame. ws starts a closing handshake, which the server may not complete.
      const tooLarge = (error as NodeJS.ErrnoException).code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH" || undefined;
      connection.end({ code: 1006, reason: error.message, tooLarge });
    });
    life.signal.addEventListener("abort", () => socket.terminate());
    const connection = new CallbackConnection({
      get protocol() {
        return socket.protocol;
      },
      send: (data) => socket.send(data),
      close: (code, reason) => socket.close(code, reason),
      terminate: () => life.abort(),
      ping: () => socket.ping(),
      pause: () => socket.pause(),
      resume: () => socket.resume(),
    });
    socket.on("unexpected-response", (_request, response) => {
      refused = true;
      const headers = new Headers();
      const { rawHeaders, statusCode: status = 0 } = response;
      for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
        headers.append(rawHeaders[i] as string, rawHeaders[i + 1] as string);
      }
      const body = response[Symbol.asyncIterator]();
      void refusalOf(status, headers, () => body.next()).then((error) => {
        reject(error);
        // ws leaves closing the connection to this listener.
        socket.terminate();
      });
    });
    socket.on("message", (data, isBinary) => {
      // The data is always a single Buffer, even for a fragmented message. Its type also includes the forms for other
      // values of `binaryType`.
      const bytes = data as Buffer<ArrayBuffer>;
      connection.receive(isBinary ? viewOf(bytes) : bytes.toString());
    });
    socket.on("pong", () => connection.onPong?.());
    socket.on("close", (code, reason) => connection.end({ code, reason: reason.toString() }));
    socket.on("open", () => resolve(connection));
  });
}

/** Adapts a connector to the interface that `node:http` expects. */
function connectBy(connect: Connect, url: string, signal: AbortSignal): typeof createConnection {
  const { protocol, hostname, port, host } = new URL(url);
  const isSecure = protocol === "wss:";
  const target = {
    protocol: isSecure ? "https:" : "http:",
    hostname: hostname.replace(/^\[|\]$/g, ""),
    host,
    port: port || (isSecure ? "443" : "80"),
  };
  return ((_options: unknown, done: (error: Error | null, socket?: Socket) => void) => {
    const dialing = connect(target, (error, socket) => {
      if (signal.aborted) socket?.destroy();
      else done(error, socket ?? undefined);
    });
    signal.addEventListener("abort", () => dialing.destroy(), { once: true });
    // Return nothing, because node:http would treat a returned socket as an established connection.
    return undefined;
  }) as never;
}

/**
 * Returns a `Uint8Array` over a Buffer's memory, because `slice` on a Buffer shares memory, whereas `slice` on a
 * `Uint8Array` copies it.
 */
function viewOf(buffer: Buffer<ArrayBuffer>): Bytes {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
