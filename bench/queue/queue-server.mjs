// The queue service of bench/queue/queue.mjs, in a process of its own: watches over WebSockets, commits, puts and
// attributes. It does not use `ws`, which would be slower than the clients that it measures.

import { createHash } from "node:crypto";
import { bareServer, listen } from "../bare-server.mjs";
import { serve } from "../child.mjs";
import { TOKEN } from "../data.mjs";
import { readQueue, TAGS } from "./queue-items.mjs";
import { indexOf, QueueStream, upgraded } from "./queue-stream.mjs";

const AUTHORIZED = new RegExp(`\\r\\nauthorization: *${TOKEN}(?:\\r|$)`, "i");
const KEY = /\r\nsec-websocket-key: *(\S+)/i;
/** Method, queue and query of a request. */
const REQUEST_LINE = /^(\w+) \/api\/predict\/(\w+)\??(\S*) HTTP\/1\.1\r\n/;

const ATTRIBUTES = JSON.stringify({
  "meta.name": "items",
  "meta.header.user": "X-EAS-QueueService-Redis-Uid",
  "meta.header.group": "X-EAS-QueueService-Redis-Gid",
  "meta.header.priority": "X-EAS-QueueService-Priority",
  "stream.length": "0",
});
const [OK, WRONG, NOBODY] = [answer("200 OK", "OK"), answer("400 Bad Request", "?"), answer("401 Unauthorized", "")];

/** The last watch of each queue. */
const streams = new Map();
const puts = { count: 0, bytes: 0, query: "", head: "", body: [] };

const server = bareServer(
  (head) => {
    const [, method, queue, query] = REQUEST_LINE.exec(head) ?? [];
    return { method, queue, query, head, isAuthorized: AUTHORIZED.test(head), key: KEY.exec(head)?.[1] };
  },
  (socket, request, body) => {
    const isWatch = request.key !== undefined && request.isAuthorized;
    if (isWatch) watch(socket, request);
    else socket.write(respond(request, body));
    return isWatch;
  },
);

function watch(socket, { queue, query, key }) {
  const parameters = new URLSearchParams(query);
  const window = parameters.get("_auto_commit_") === "true" ? Number.POSITIVE_INFINITY : parameters.get("_window_");
  socket.write(upgraded(key));
  streams.set(queue, new QueueStream(socket, readQueue(queue), Number(window)));
}

function respond({ method, queue, query, head, isAuthorized }, body) {
  if (!isAuthorized) return NOBODY;
  if (method === "GET") return query.startsWith("_attrs_=true") ? answer("200 OK", ATTRIBUTES) : WRONG;
  if (method === "PUT" && query.startsWith("_indexes_=")) {
    streams.get(queue).commit(query.slice("_indexes_=".length));
    return OK;
  }
  if (method !== "POST") return WRONG;
  puts.count++;
  for (const part of body) puts.bytes += part.length;
  Object.assign(puts, { query, head, body });
  return answer("200 OK", String(indexOf(puts.count)), `X-Eas-Queueservice-Request-Id: ${TAGS.requestId}\r\n`);
}

function answer(status, body, headers = "") {
  return (
    // Long, so that connections of idle contenders stay open.
    `HTTP/1.1 ${status}\r\nServer: bench\r\nConnection: keep-alive\r\nKeep-Alive: timeout=600\r\n${headers}` +
    `Content-Length: ${body.length}\r\n\r\n${body}`
  );
}

serve({
  listen: () => listen(server),
  /** Returns what the last watch of a queue was sent and has committed. */
  watched(queue) {
    const { sent, committed, wrong, commitRequests } = streams.get(queue);
    return { sent, committed, wrong, commitRequests };
  },
  /** Releases a number of items of a paced queue. */
  allow({ queue, items }) {
    streams.get(queue).allow(items);
  },
  /** Returns the number of items that were put, and the last one. */
  put() {
    const { count, bytes, query, head, body } = puts;
    const names = head
      .split("\r\n")
      .slice(1)
      .map((line) => line.slice(0, line.indexOf(":")).toLowerCase());
    return { count, bytes, query, names, md5: createHash("md5").update(Buffer.concat(body)).digest("hex") };
  },
});
