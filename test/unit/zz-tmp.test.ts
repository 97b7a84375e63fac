import { createServer } from "node:net";
import { test } from "vitest";
import { clientOf, errorOf, startServer, turn } from "../support/calls.js";
import { answer, answerWhen } from "../support/misbehaving-server.js";
for (const mode of ["end", "end-read", "reset"]) test(`early 413 ${mode}`, async () => {
  let n = 0;
  const s = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      n++;
      if (mode !== "end-read") socket.pause();
      socket.write("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig", () => {
        if (mode === "reset") setTimeout(() => socket.destroy(), 20); else socket.end();
      });
    });
  });
  await new Promise<void>((r) => s.listen(0, "127.0.0.1", r));
  const c = clientOf({ origin: `http://127.0.0.1:${(s.address() as any).port}` }, { auth: "token", retryCount: 3, timeout: 2000 });
  const e = await errorOf(c.predict(new Uint8Array(16 * 1024 * 1024)));
  console.log(mode, e.message, e.attempts, n);
  s.close();
});
test("blank token", async () => {
  const server = await startServer();
  server.always(answer(400, {}, (r) => `you sent ${r.headers.authorization}`));
  for (const token of [" tok-abc-123 ", "tok-abc-123 "]) { const e = await errorOf(clientOf(server, { token, auth: "token" }).predict("x")); console.log(JSON.stringify(token), e.message); }
});
test("token asked while queued", async () => {
  const server = await startServer();
  let free = () => {};
  server.play(answerWhen(new Promise<void>((r) => (free = r)), 200));
  let asked = 0;
  const c = clientOf(server, { maxConnectionCount: 1, auth: "token", token: () => `t${++asked}` });
  const a = c.predict("x"); await server.seen(); const b = c.predict("y"); await turn();
  console.log("asked while queued", asked); free(); await a; await b;
});
