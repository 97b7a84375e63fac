import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import type { AcceptedSocket, AttachedSocket } from "./socket.js";

/** Connects a socket of `ws` with the queue or service that has accepted it. @internal */
export function attach(accepted: AcceptedSocket, webSocket: WebSocket): void {
  let attached: AttachedSocket | undefined;
  // A broken frame: `ws` closes the connection by itself.
  webSocket.on("error", () => {});
  webSocket.on("close", (code, reason) => attached?.closed(code, reason.toString()));
  webSocket.on("message", (data, isBinary) => {
    // Always one Buffer: the other forms of the type are of other binaryTypes.
    const bytes = data as Buffer;
    attached?.received(isBinary ? new Uint8Array(bytes) : bytes.toString());
  });
  // Pongs are sent here, and not by `ws`, since a service may not answer a ping.
  webSocket.on("ping", (data) => {
    if (attached?.pinged?.() ?? true) webSocket.pong(data);
  });
  attached = accepted.attach({
    // In one frame: the Go SDK takes each fragment as a message. What is sent has no other owner.
    send: (message) => webSocket.send(message, { binary: typeof message !== "string" }, () => attached?.drained()),
    get bufferedBytes() {
      // What is given to a socket that is closing is lost.
      return webSocket.readyState === webSocket.OPEN ? webSocket.bufferedAmount : Number.POSITIVE_INFINITY;
    },
    close: (code, reason) => webSocket.close(code, reason),
    terminate: () => webSocket.terminate(),
    // Bun's `ws` has no `pause`.
    pause: () => webSocket.pause?.(),
  });
}

/** Answers an upgrade with a status that refuses it. @internal */
export function refuseUpgrade(
  socket: Duplex,
  status: number,
  reason: string,
  headers: readonly (readonly [string, string])[],
  body: string,
): void {
  const lines = headers
    .filter(([name]) => name !== "content-length" && name !== "connection")
    .map(([name, value]) => `${name}: ${value}`);
  const length = `content-length: ${new TextEncoder().encode(body).length}`;
  socket.end(
    [`HTTP/1.1 ${status} ${reason || "Refused"}`, ...lines, length, "connection: close", "", body].join("\r\n"),
  );
}

/** Breaks a connection so that the caller sees it as broken; a stream that is not a socket can only end. @internal */
export function reset(socket: Duplex): void {
  if ("resetAndDestroy" in socket) (socket as Duplex & { resetAndDestroy(): void }).resetAndDestroy();
  else socket.destroy();
}
