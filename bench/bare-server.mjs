// A server of HTTP/1.1 on bare sockets, since `node:http` would be slower than the clients that it is to measure.

import { once } from "node:events";
import { createServer } from "node:net";

const HEAD_END = Buffer.from("\r\n\r\n");
const LENGTH = /\r\ncontent-length: *(\d+)/i;

/**
 * Calls `onRequest(socket, request, body)` when a request has come whole. `requestOf` makes the request of its head; one with
 * `skipsBody` is given none. A socket for which `onRequest` returns true is the caller's from then on.
 */
export function bareServer(requestOf, onRequest) {
  return createServer({ noDelay: true }, (socket) => {
    /** Bytes of the body that are still to come. */
    let missing = 0;
    /** The beginning of a head that came in pieces. */
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
    // Contenders close when they are done, some of them with a reset.
    socket.on("error", () => {});
  });
}

/** Listens on loopback; the origin. */
export async function listen(server) {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${server.address().port}`;
}
