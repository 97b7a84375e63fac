// Faults of responses. Each receives the socket and the true response, which it damages. The request has been
// processed before, which is the worst case for a client that retries.

/** Returns the head of a response. */
export function headOf({ status, headers }, length) {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} Status\r\n${lines.join("")}${length}\r\n\r\n`;
}

export function bytesOf(answer) {
  return Buffer.concat([Buffer.from(headOf(answer, `content-length: ${answer.body.length}`)), answer.body]);
}

/** Writes a part of the response, and calls back after it has been sent. */
function writeThen(socket, bytes, end) {
  socket.write(bytes, () => setImmediate(() => end(socket)));
}

const reset = (socket) => socket.resetAndDestroy();
const finish = (socket) => socket.end();
const stall = () => {};

/** Returns the response up to the middle of its head. */
const inHead = (answer) => bytesOf(answer).subarray(0, 20);

/** Returns the response up to the middle of its body. A body is added if there is none. */
function inBody(answer) {
  const body = answer.body.length > 1 ? answer.body : Buffer.from("a body");
  const bytes = bytesOf({ ...answer, body });
  return bytes.subarray(0, bytes.length - Math.ceil(body.length / 2));
}

/** Sends the response byte by byte. */
async function drip(socket, bytes, pause) {
  for (const byte of bytes) {
    if (socket.destroyed) return;
    await new Promise((resolve) => socket.write(Buffer.of(byte), resolve));
    await pause();
  }
}

const turn = () => new Promise(setImmediate);
const milliseconds = (count) => () => new Promise((resolve) => setTimeout(resolve, count));

function status(code, text) {
  return (socket) => socket.write(bytesOf({ status: code, headers: {}, body: Buffer.from(text) }));
}

export const FAULTS = {
  "reset before headers": (socket) => reset(socket),
  "close before headers": (socket) => finish(socket),
  "reset in headers": (socket, answer) => writeThen(socket, inHead(answer), reset),
  "reset in body": (socket, answer) => writeThen(socket, inBody(answer), reset),
  "close in body": (socket, answer) => writeThen(socket, inBody(answer), finish),
  "stall before headers": stall,
  "stall in headers": (socket, answer) => writeThen(socket, inHead(answer), stall),
  "stall in body": (socket, answer) => writeThen(socket, inBody(answer), stall),
  "slow drip": (socket, answer) => drip(socket, bytesOf(answer), turn),
  "endless drip": (socket, answer) => drip(socket, bytesOf(answer), milliseconds(40)),
  "truncated chunks": (socket, answer) => {
    const half = answer.body.subarray(0, answer.body.length / 2).toString("latin1");
    const text = `${headOf(answer, "transfer-encoding: chunked")}ffff\r\n${half}`;
    writeThen(socket, Buffer.from(text, "latin1"), finish);
  },
  "length too short": (socket, answer) => {
    const head = Buffer.from(headOf(answer, `content-length: ${answer.body.length >> 1}`));
    socket.write(Buffer.concat([head, answer.body, Buffer.from("surplus")]));
  },
  "length too long": (socket, answer) => {
    const head = Buffer.from(headOf(answer, `content-length: ${answer.body.length + 10}`));
    writeThen(socket, Buffer.concat([head, answer.body]), finish);
  },
  "garbage status line": (socket) => writeThen(socket, "SSH-2.0-OpenSSH_9.6\r\n\r\n", finish),
  "status 500": status(500, "broken"),
  "status 503": status(503, "busy"),
};

/** Faults that refuse a request before it is processed. The client may retry any such request. */
export const REFUSALS = { "status 429": status(429, "too many") };

/** Faults of a connection before its first byte is read. */
export const CONNECTION_FAULTS = {
  "accept and close": (socket) => socket.end(),
  "reset on accept": (socket) => socket.resetAndDestroy(),
};
