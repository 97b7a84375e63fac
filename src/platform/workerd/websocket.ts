import { messageOf } from "../../util/realms.js";
import { TransportError, type WebSocketDialer } from "../contract.js";
import { connectionOver, type StandardSocket } from "../web/websocket.js";
import { refusedFetch, untilAborted } from "../websocket-connection.js";

/** A workerd socket, which delivers no events until it is accepted. */
interface WorkerSocket extends StandardSocket {
  accept(): void;
}

const CLOSED = 3;

/** Opens WebSockets with `fetch`, the only way to send headers with an upgrade request on Cloudflare Workers. */
export const dialWebSocket: WebSocketDialer = (url, { headers, protocols = [], signal }) =>
  untilAborted(signal, async (life) => {
    const sent: Record<string, string> = { ...Object.fromEntries(headers), upgrade: "websocket" };
    if (protocols.length > 0) sent["sec-websocket-protocol"] = protocols.join(", ");
    let response: Response;
    try {
      // `fetch` accepts only http: and https: URLs. The signal passed to `fetch` also ends the open socket, and does so
      // more reliably than `close`.
      response = await fetch(url.replace(/^ws/, "http"), {
        headers: sent,
        redirect: "manual",
        signal: life.signal,
      });
    } catch (error) {
      throw new TransportError(messageOf(error), { sent: "maybe", cause: error });
    }
    const { webSocket: socket } = response as Response & { webSocket?: WorkerSocket | null };
    if (!socket) {
      throw await refusedFetch(response);
    }
    // Pass the subprotocol, because the socket's `protocol` is empty on workerd.
    const connection = connectionOver(socket, life, response.headers.get("sec-websocket-protocol") ?? "");
    socket.addEventListener("close", ({ code, reason }) => {
      if (socket.readyState === CLOSED) return;
      // With a compatibility date before 2026, workerd does not respond to the server's close frame, so do that here.
      // The codes 1005 and 1006 cannot be sent.
      if (code === 1005 || code === 1006) socket.close();
      else socket.close(code, reason);
    });
    socket.accept();
    return connection;
  });
