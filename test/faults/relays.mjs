// Callers that try to block a relay by pipelining, by not reading, or by sending slowly.
import { fork } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:net";

const MIB = 1024 * 1024;
/** Requests of each round before the measurement. */
const WARM_UP = 500;
/** Milliseconds after which a hang counts as a failure. */
const PATIENCE_MS = 120_000;
const MAX_GROWTH = 50 * MIB;
const MAX_ROUNDS = 4;
/** Maximum number of concurrent calls of a client with default settings and long responses. */
const PLACES = 50;
const IDLE_MS = 1_500;

export function relays({ counts }) {
  return [
    { name: "relay: pipelined requests", mode: "relay", kind: "relay", calls: counts.pipelined, run: runPipelined },
    { name: "relay: callers that never read", mode: "relay", kind: "relay", calls: PLACES, run: runSlow(neverRead) },
    {
      name: "relay: callers that read in drips",
      mode: "relay",
      kind: "relay",
      calls: PLACES,
      run: runSlow(readInDrips),
    },
    { name: "relay: bodies that stall", mode: "relay", kind: "relay", calls: PLACES, run: runSlow(stall) },
    { name: "relay: bodies that drip", mode: "relay", kind: "relay", calls: PLACES, run: runSlow(drip) },
    {
      name: "relay: bodies of a length that drip",
      mode: "relay",
      kind: "relay",
      calls: PLACES,
      run: runSlow(dripOfLength),
    },
  ];
}

async function startRelay(options) {
  const child = fork(new URL("relay-process.mjs", import.meta.url), [JSON.stringify(options)], {
    execArgv: ["--expose-gc"],
  });
  const [{ result: port }] = await once(child, "message");
  const ask = async (command) => {
    child.send(command);
    const [{ result }] = await once(child, "message");
    return result;
  };
  const end = async () => {
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
  };
  return { port, ask, end };
}

/** Sends many pipelined requests on one socket, and counts the responses. */
async function pipeline(port, count) {
  const socket = connect(port, "127.0.0.1");
  let answers = 0;
  let rest = "";
  const all = new Promise((resolve, reject) => {
    socket.on("error", () => {}).on("close", () => reject(new Error(`only ${answers} of ${count} answers`)));
    socket.setEncoding("latin1").on("data", (text) => {
      const found = (rest + text).split("HTTP/1.1 200 OK");
      answers += found.length - 1;
      rest = found.at(-1).slice(-20);
      if (answers === count) resolve();
    });
  });
  const one = "GET /v1/models HTTP/1.1\r\nhost: relay.example\r\n\r\n";
  for (let sent = 0; sent < count; sent += 1_000) socket.write(one.repeat(Math.min(1_000, count - sent)));
  await within(all);
  socket.destroy();
  return answers;
}

async function runPipelined(_server, { calls, ...row }) {
  const measure = async (kind) => {
    const relay = await startRelay({ kind });
    try {
      // A first round, so that compilation does not count.
      for (let i = 0; i < 5; i++) await pipeline(relay.port, WARM_UP);
      await relay.ask("begin");
      const answered = await pipeline(relay.port, calls);
      return { ...(await relay.ask("end")), answered };
    } finally {
      await relay.end();
    }
  };
  const mib = (bytes) => `${Math.round(bytes / MIB)} MiB`;
  let bare;
  let growth;
  let longest;
  let answered;
  let problems;
  // The garbage collector and other processes add to both figures, so the best of a few rounds counts.
  for (let round = 0; round < MAX_ROUNDS && problems?.length !== 0; round++) {
    bare = await measure("bare");
    ({ growth, longest, answered } = await measure("memory"));
    problems = [
      growth > MAX_GROWTH && `memory grew by ${mib(growth)}`,
      longest > Math.max(bare.longest, 20) &&
        `the event loop was blocked for ${longest.toFixed(0)} ms, that of bare node:http for ${bare.longest.toFixed(0)} ms`,
    ].filter(Boolean);
  }
  const extra = `RSS +${mib(growth)} (bare +${mib(bare.growth)}), bare loop ${bare.longest.toFixed(0)} ms`;
  return { row: { ...row, calls, answered, loop: longest, extra }, problems };
}

const POST = (headers) => `POST /v1/x HTTP/1.1\r\nhost: relay.example\r\n${headers}\r\n\r\n`;

/** Each function opens a slow call, and returns a function that stops it. */
function neverRead(socket) {
  socket.pause();
  socket.write(POST("content-length: 1").concat("x"));
}

function readInDrips(socket) {
  neverRead(socket);
  return setInterval(() => socket.read(1), 100);
}

function stall(socket) {
  socket.write(POST("transfer-encoding: chunked").concat("1\r\nx\r\n"));
}

function drip(socket) {
  stall(socket);
  return setInterval(() => socket.write("1\r\nx\r\n"), 100);
}

function dripOfLength(socket) {
  socket.write(POST("content-length: 100000"));
  return setInterval(() => socket.write("x"), 100);
}

function runSlow(open) {
  return async (_server, { calls, ...row }) => {
    // A service that responds immediately with more bytes than all buffers on the way hold.
    const service = createServer((incoming, outgoing) => {
      incoming.resume().on("error", () => {});
      if (incoming.url.endsWith("/ok")) return void outgoing.end("ok");
      const more = () => {
        while (!outgoing.destroyed && outgoing.write(Buffer.alloc(65_536))) {
          // Until the caller's side is full.
        }
      };
      outgoing.on("drain", more);
      more();
    }).listen(0, "127.0.0.1");
    await once(service, "listening");
    const url = `http://127.0.0.1:${service.address().port}`;
    const relay = await startRelay({ kind: "service", service: url, idleTimeout: IDLE_MS });
    const sockets = [];
    const timers = [];
    try {
      await relay.ask("begin");
      let refused = 0;
      for (let i = 0; i < calls; i++) {
        const socket = connect(relay.port, "127.0.0.1");
        socket.on("error", () => {}).on("close", () => refused++);
        await once(socket, "connect");
        sockets.push(socket);
        timers.push(open(socket));
      }
      const began = performance.now();
      // One more call, which must succeed although all slots of the client are occupied.
      const answer = await within(fetch(`http://127.0.0.1:${relay.port}/ok`, { method: "POST", body: "x" }));
      const text = await answer.text();
      const waited = performance.now() - began;
      const { longest } = await relay.ask("end");
      const problems = text === "ok" ? [] : [`the next call was answered with ${answer.status}: ${text}`];
      const extra = `the next call waited ${waited.toFixed(0)} ms (idleTimeout ${IDLE_MS})`;
      return { row: { ...row, calls: calls + 1, answered: 1, loop: longest, extra }, problems };
    } finally {
      for (const timer of timers) clearInterval(timer);
      for (const socket of sockets) socket.destroy();
      await relay.end();
      service.close();
      service.closeAllConnections();
    }
  };
}

async function within(promise) {
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing within ${PATIENCE_MS} ms`)), PATIENCE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
