// The service that sends chat streams, in a process of its own, on bare sockets and with prepared bytes.

import { bareServer, listen } from "../bare-server.mjs";
import { serve } from "../child.mjs";
import { PATH, planOf } from "./stream-data.mjs";

const headOf = (type) =>
  Buffer.from(
    "HTTP/1.1 200 OK\r\nServer: bench\r\nConnection: keep-alive\r\nKeep-Alive: timeout=600\r\n" +
      `Content-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n`,
  );
const BAD = Buffer.from("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
const END = Buffer.from("0\r\n\r\n");

const plans = new Map();

/** Returns the writes of a service, each framed as an HTTP chunk. Created once. */
function framedPlanOf(service) {
  if (!plans.has(service)) {
    const plan = planOf(service);
    const writes = plan?.writes.map((values) =>
      Buffer.concat([Buffer.from(`${values.length.toString(16)}\r\n`), values, Buffer.from("\r\n")]),
    );
    // The last values and the end of the body share a write.
    writes?.push(Buffer.concat([writes.pop(), END]));
    plans.set(service, plan && { head: headOf(plan.type), writes, rate: plan.rate });
  }
  return plans.get(service);
}

/** Streams that send one write per turn of the event loop, so that they progress together. */
const running = new Set();
let isTurning = false;

function turn() {
  isTurning = false;
  for (const stream of running) {
    const { socket, writes } = stream;
    const hasRoom = socket.write(writes[stream.next++]);
    if (stream.next === writes.length || socket.destroyed) running.delete(stream);
    else if (!hasRoom) {
      running.delete(stream);
      socket.once("drain", () => start(stream));
    }
  }
  if (running.size > 0) again();
}

function again() {
  if (isTurning) return;
  isTurning = true;
  setImmediate(turn);
}

function start(stream) {
  running.add(stream);
  again();
}

/** Sends at a fixed rate. Each stream starts at a random offset, so that streams are not in step. */
function sendPaced({ socket, writes }, rate) {
  const begun = performance.now() + (Math.random() * 1000) / rate;
  let next = 0;
  const send = () => {
    while (next < writes.length && performance.now() >= begun + (next * 1000) / rate) socket.write(writes[next++]);
    if (next === writes.length || socket.destroyed) return;
    setTimeout(send, Math.max(1, begun + (next * 1000) / rate - performance.now()));
  };
  send();
}

const LINE = new RegExp(`^POST /(?:api/predict/)?(\\w+)${PATH} HTTP/1\\.1\r\n`);

const server = bareServer(
  (head) => ({ service: LINE.exec(head)?.[1], skipsBody: false }),
  (socket, { service }, body) => {
    const plan = framedPlanOf(service);
    if (plan === undefined || JSON.parse(Buffer.concat(body)).stream !== true) {
      socket.write(BAD);
      return;
    }
    socket.write(plan.head);
    const stream = { socket, writes: plan.writes, next: 0 };
    if (plan.rate === 0) start(stream);
    else sendPaced(stream, plan.rate);
  },
);

serve({ listen: () => listen(server) });
