// Connections that end while a slow reader applies backpressure. No server may crash the client's process.
import { fork } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { BYTE_AT, FRAMINGS, runOf } from "./end-runs.mjs";

export function ends({ counts }) {
  return [{ name: "ends during backpressure", kind: "stream", calls: counts.ends, run: manyEnds }];
}

async function manyEnds(_, { name, kind, calls, seed }) {
  const server = createServer(answerRun(seed));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const problems = [];
  const results = [];
  let crashes = 0;
  for (let first = 0; first < calls; ) {
    const reader = fork(new URL("end-reader.mjs", import.meta.url), [server.address().port, seed, first, calls], {
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      execArgv: [],
    });
    let stderr = "";
    reader.stderr.on("data", (data) => {
      stderr += data;
    });
    const before = results.length;
    reader.on("message", (result) => results.push(result));
    const [code] = await once(reader, "close");
    if (code === 0) break;
    crashes++;
    problems.push(`the client's process exited with ${code}: ${stderr.trim().split("\n").slice(0, 8).join(" | ")}`);
    // Continues after the reported runs and those under way.
    first += results.length - before + 8;
  }
  server.close();
  if (crashes === 0 && results.length !== calls) problems.push(`${results.length} of ${calls} runs were reported`);
  for (const { at, wrong } of results) {
    if (wrong) problems.push(`run ${at} (${Object.values(runOf(seed, at)).join(", ")}): ${wrong}`);
  }
  const whole = results.filter(({ error }) => error === undefined).length;
  const failed = `${results.length - whole} broke off, ${crashes} crashes`;
  return { row: { name, mode: "-", kind, calls, answered: whole, failed }, problems };
}

/** Responds according to the number of the run, and ends the connection. */
function answerRun(seed) {
  return (socket) => {
    socket.on("error", () => {});
    socket.once("data", async (data) => {
      const { framing, ending, bytes, sent, lag } = runOf(seed, Number(/\/run-(\d+)/.exec(data.toString("latin1"))[1]));
      const { head, isChunked } = FRAMINGS[framing];
      socket.write(head.replace("LENGTH", String(bytes)));
      for (let at = 0; at < sent && !socket.destroyed; at += 16_384) {
        const piece = Buffer.alloc(Math.min(16_384, sent - at));
        for (let i = 0; i < piece.length; i++) piece[i] = BYTE_AT(at + i);
        const frame = isChunked
          ? [Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n")]
          : [piece];
        if (!socket.write(Buffer.concat(frame))) await Promise.race([once(socket, "drain"), once(socket, "close")]);
      }
      if (isChunked && sent === bytes) socket.write("0\r\n\r\n");
      setTimeout(() => (ending === "RST" ? socket.resetAndDestroy() : socket.end()), lag);
    });
  };
}
