import { messageOf } from "../../util/realms.js";
import { TransportError, type WebSocketDialer } from "../contract.js";
import { connectionOver, type StandardSocket } from "../web/websocket.js";
import { refusedFetch, untilAborted } from "../websocket-connection.js";

/** A socket as workerd hands it out: silent until it is accepted. */
interface WorkerSocket extends StandardSocket {
  accept(): void;
}

const CLOSED = 3;

/** Dials by `fetch`, the only way to send headers with an upgrade from Cloudflare Workers. */
export const dialWebSocket: WebSocketDialer = (url, { headers, protocols = [], signal }) =>
  untilAborted(signal, async (life) => {
    const sent: Record<string, string> = { ...Object.fromEntries(headers), upgrade: "websocket" };
    if (protocols.length > 0) sent["sec-websocket-protocol"] = protocols.join(", ");
    let response: Response;
    try {
      // `fetch` knows http: and https: only. Its signal ends the open socket too, more surely than a close would.
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
    // The socket's own `protocol` is empty there.
    const connection = connectionOver(socket, life, response.headers.get("sec-websocket-protocol") ?? "");
    socket.addEventListener("close", ({ code, reason }) => {
      if (socket.readyState === CLOSED) return;
      // Before the compatibility date of 2026 workerd leaves it to us to answer the server's close. 1005 and 1006 are
      // no codes to send.
      if (code === 1005 || code === 1006) socket.close();
      else socket.close(code, reason);
    });
    socket.accept();
    return connection;
  });
