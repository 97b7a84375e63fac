import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import type { AcceptedSocket, SocketHandlers } from "./socket.js";

/** Connects a socket of `ws` to the queue or service that accepted it. @internal */
export function attach(accepted: AcceptedSocket, webSocket: WebSocket): void {
  let attached: SocketHandlers | undefined;
  // `ws` closes the connection itself after a malformed frame.
  webSocket.on("error", () => {});
  webSocket.on("close", (code, reason) => attached?.onClose(code, reason.toString()));
  webSocket.on("message", (data, isBinary) => {
    // The data is always a single Buffer: `ws` uses the other types only for other values of `binaryType`.
    const bytes = data as Buffer;
    attached?.onMessage(isBinary ? new Uint8Array(bytes) : bytes.toString());
  });
  // Send the pong here instead of leaving it to `ws`, because a service may choose not to respond to pings.
  webSocket.on("ping", (data) => {
    if (attached?.onPing?.() ?? true) webSocket.pong(data);
  });
  attached = accepted.attach({
    // Send each message in one frame, because the Go SDK treats every fragment as a message. The bytes are not shared,
    // so `ws` may keep them.
    send: (message) => webSocket.send(message, { binary: typeof message !== "string" }, () => attached?.onDrain()),
    get bufferedBytes() {
      // A closing socket discards everything sent on it.
      return webSocket.readyState === webSocket.OPEN ? webSocket.bufferedAmount : Number.POSITIVE_INFINITY;
    },
    close: (code, reason) => webSocket.close(code, reason),
    terminate: () => webSocket.terminate(),
    // Bun's `ws` does not have `pause`.
    pause: () => webSocket.pause?.(),
  });
}

/** Refuses an upgrade with an HTTP response. @internal */
export function refuseUpgrade(
  socket: Duplex,
  status: number,
  reason: string,
  headers: readonly (readonly [string, string])[],
  body: string,
): void {
  const lines = headers
    .filter(([name]) => !/^(content-length|connection)$/i.test(name))
    .map(([name, value]) => `${name}: ${value}`);
  const length = `content-length: ${new TextEncoder().encode(body).length}`;
  socket.end(
    [`HTTP/1.1 ${status} ${reason || "Refused"}`, ...lines, length, "connection: close", "", body].join("\r\n"),
  );
}

/** Resets a connection so that the caller sees an error. Streams that are not sockets are destroyed. @internal */
export function reset(socket: Duplex): void {
  if ("resetAndDestroy" in socket) (socket as Duplex & { resetAndDestroy(): void }).resetAndDestroy();
  else socket.destroy();
}
