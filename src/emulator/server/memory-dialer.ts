import type { Bytes } from "../../formats/request.js";
import {
  TransportError,
  type WebSocketClose,
  type WebSocketConnection,
  type WebSocketDialer,
} from "../../platform/contract.js";
import {
  ABNORMAL,
  CallbackConnection,
  invalidDial,
  refusedFetch,
  untilAborted,
} from "../../platform/websocket-connection.js";
import { isResponse, messageOf } from "../../util/realms.js";
import { createRequest } from "../gateway/incoming-request.js";
import type { AcceptedSocket, SocketHandlers } from "./socket.js";

/** Opens WebSockets to an emulator without a network. */
export function memoryDialer(connect: (request: Request) => Promise<Response | AcceptedSocket>): WebSocketDialer {
  return (url, { headers, protocols = [], signal }) =>
    untilAborted(signal, async (life) => {
      const sent = [...headers] as [string, string][];
      if (protocols.length > 0) sent.push(["sec-websocket-protocol", protocols.join(", ")]);
      let request: Request;
      try {
        request = createRequest(url.replace(/^ws/, "http"), { headers: sent, signal });
      } catch (error) {
        throw invalidDial(error);
      }
      let accepted: Response | AcceptedSocket;
      try {
        accepted = await connect(request);
      } catch (cause) {
        throw new TransportError(messageOf(cause), { sent: "maybe", cause });
      }
      life.signal.throwIfAborted();
      if (isResponse(accepted)) throw await refusedFetch(accepted);
      return openPair(accepted);
    });
}

/** Creates the client's side of an accepted connection. Delivers every message in a later task, as a network would. */
function openPair(accepted: AcceptedSocket): WebSocketConnection {
  /** Messages from the server that the client's callbacks have not received yet. */
  const buffered: (Bytes | string)[] = [];
  let bufferedBytes = 0;
  let isPaused = false;
  let isOver = false;
  /** Whether the server reads the client's messages. */
  let isRead = true;
  let isScheduled = false;
  /** The server's close frame, which is delivered after all messages. */
  let closing: WebSocketClose | undefined;

  const deliver = () => {
    isScheduled = false;
    for (let message = next(); message !== undefined; message = next()) connection.receive(message);
    if (closing !== undefined && buffered.length === 0 && !isOver) end(closing);
    else if (!isOver && buffered.length === 0) attached?.onDrain();
  };
  const next = (): Bytes | string | undefined => {
    if (isPaused || isOver) return undefined;
    const message = buffered.shift();
    bufferedBytes -= message === undefined ? 0 : sizeOf(message);
    return message;
  };
  const schedule = () => {
    if (isScheduled) return;
    isScheduled = true;
    setTimeout(deliver, 0);
  };
  /** Ends the connection for both sides. */
  const end = (close: WebSocketClose) => {
    if (isOver) return;
    isOver = true;
    buffered.length = 0;
    attached?.onClose(close.code, close.reason);
    setTimeout(() => connection.end(close), 0);
  };

  const ping = () => {
    if (!isOver && isRead && (attached?.onPing?.() ?? true)) connection.onPong?.();
  };

  const connection = new CallbackConnection({
    protocol: accepted.protocol,
    send: (data) => {
      const message = typeof data === "string" ? data : data.slice();
      setTimeout(() => !isOver && isRead && attached?.onMessage(message), 0);
    },
    close: (code, reason) => void setTimeout(() => isRead && end(closing ?? { code, reason }), 0),
    terminate: () => end({ code: ABNORMAL, reason: "" }),
    ping: () => void setTimeout(ping, 0),
    pause: () => {
      isPaused = true;
    },
    resume: () => {
      isPaused = false;
      schedule();
    },
  });
  let attached: SocketHandlers | undefined;
  attached = accepted.attach({
    send(message) {
      buffered.push(message);
      bufferedBytes += sizeOf(message);
      schedule();
    },
    get bufferedBytes() {
      return bufferedBytes;
    },
    close(code, reason) {
      closing = { code, reason };
      schedule();
    },
    terminate: () => end({ code: ABNORMAL, reason: "" }),
    pause() {
      isRead = false;
    },
  });
  // `attach` may have terminated the connection before `attached` was assigned.
  if (isOver) attached.onClose(ABNORMAL, "");
  return connection;
}

function sizeOf(message: Bytes | string): number {
  return typeof message === "string" ? new TextEncoder().encode(message).length : message.length;
}
