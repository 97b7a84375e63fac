// An HTTP/1.1 server on bare sockets, because `node:http` would be slower than the clients that it measures.

import { once } from "node:events";
import { createServer } from "node:net";

const HEAD_END = Buffer.from("\r\n\r\n");
const LENGTH = /\r\ncontent-length: *(\d+)/i;

/**
 * Calls `onRequest(socket, request, body)` for each complete request. `requestOf` parses the head. A request with
 * `skipsBody` has no body argument. If `onRequest` returns true, the caller owns the socket from then on.
 */
export function bareServer(requestOf, onRequest) {
  return createServer({ noDelay: true }, (socket) => {
    /** Bytes of the body that have not arrived yet. */
    let missing = 0;
    /** The beginning of a head that arrived in several chunks. */
    let held;
    let request;
    let body = [];

    const onData = (chunk) => {
      let rest = held === undefined ? chunk : Buffer.concat([held, chunk]);
      held = undefined;
      while (rest.length > 0) {
        if (missing === 0) {
          const end = rest.indexOf(HEAD_END);
          if (end === -1) {
            held = rest;
            return;
          }
          const head = rest.latin1Slice(0, end);
          request = requestOf(head);
          missing = Number(LENGTH.exec(head)?.[1] ?? 0);
          body = [];
          rest = rest.subarray(end + HEAD_END.length);
        }
        const part = rest.length > missing ? rest.subarray(0, missing) : rest;
        if (!request.skipsBody) body.push(part);
        missing -= part.length;
        rest = rest.subarray(part.length);
        if (missing > 0) continue;
        if (onRequest(socket, request, body)) {
          socket.off("data", onData);
          return;
        }
      }
    };
    socket.on("data", onData);
    // Contenders close their connections when they are done, some of them with a reset.
    socket.on("error", () => {});
  });
}

/** Listens on loopback. Returns the origin. */
export async function listen(server) {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${server.address().port}`;
}
