import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { QueueClient } from "../../../src/index.js";
import { clientOf, startServer, until } from "../../support/calls.js";
import { answer, type Behaviour, handOver } from "../../support/misbehaving-server.js";

// Tests the connection pool of Node by counting connections in the server.

type RequestBehaviour = Extract<Behaviour, { on: "request" }>;

const REQUEST_END = "\r\n\r\n";

/** A server that answers each request, and then runs `idle` on the connection. */
async function poolServer(headers: string, idle: (socket: Socket) => void) {
  const seen = { connections: 0, requests: 0, closedByClient: 0 };
  const server = createServer({ noDelay: true }, (socket) => {
    seen.connections++;
    socket.on("error", () => {});
    socket.once("end", () => seen.closedByClient++);
    socket.on("data", (data) => {
      if (!data.includes(REQUEST_END)) return;
      seen.requests++;
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n${headers}\r\nok`);
      idle(socket);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { seen, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

describe("the pool of Node", () => {
  test("64 concurrent calls with maxConnectionCount 4 open 4 sockets, and reuse them", async () => {
    const server = await startServer();
    // The first four responses wait for four sockets: with fewer, the test would hang.
    const held = Array.from({ length: 4 }, handOver);
    server.play(...held.map(({ behaviour }) => behaviour));
    server.always(answer(200, {}, ({ body }) => body));
    const client = clientOf(server, { maxConnectionCount: 4 });
    const answers = Promise.all(Array.from({ length: 64 }, (_, i) => client.predict(`call ${i}`)));
    await server.seen(4);
    expect(server.connections).toBe(4);
    const sockets = await Promise.all(held.map(({ socket }) => socket));
    for (const [i, socket] of sockets.entries()) {
      const body = server.requests[i]?.body.toString() as string;
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    }
    expect((await answers).map(String)).toEqual(Array.from({ length: 64 }, (_, i) => `call ${i}`));
    expect(server.connections).toBe(4);
    const used = new Set(server.requests.slice(4).map(({ connection }) => connection));
    expect(used.size).toBe(4);
    expect(server.requests).toHaveLength(64);
  });

  test.each([
    // Shorter than in any known gateway: the dedicated gateway of EAS has 600 s, and load balancers have at least 15 s.
    ["that names no time", "", 15_000],
    ["that names one", "Keep-Alive: timeout=3\r\n", 3000],
    ["that names one that is too short to wait for", "Keep-Alive: timeout=1\r\n", 1000],
  ])("an idle socket is closed before a gateway %s would close it", async (_name, header, milliseconds) => {
    let whoClosed: (who: string) => void = () => {};
    const closed = new Promise<string>((resolve) => {
      whoClosed = resolve;
    });
    const { origin } = await poolServer(header, (socket) => {
      const timer = setTimeout(() => whoClosed("the gateway"), milliseconds);
      socket.once("end", () => {
        clearTimeout(timer);
        whoClosed("the client");
      });
    });
    await clientOf({ origin }).predict("x");
    expect(await closed).toBe("the client");
  });

  test("close() closes idle sockets, regardless of the gateway's timeout", async () => {
    let closed = 0;
    const { seen, origin } = await poolServer("Keep-Alive: timeout=600\r\n", (socket) => {
      socket.once("close", () => closed++);
    });
    const client = clientOf({ origin }, { maxConnectionCount: 3 });
    await Promise.all([1, 2, 3].map(() => client.predict("x")));
    expect([seen.connections, closed]).toEqual([3, 0]);
    await client.close();
    await until(() => closed === 3);
  });

  test("a server that closes idle sockets causes no failure in 1,000 calls", async () => {
    // Some close while the next request is being sent, which cannot be avoided.
    const { seen, origin } = await poolServer("", (socket) => {
      setTimeout(() => socket.destroy(), Math.random() * 3);
    });
    const client = clientOf({ origin }, { maxConnectionCount: 4 });
    let answered = 0;
    const caller = async () => {
      for (let i = 0; i < 250; i++) {
        if (String(await client.predict("x")) === "ok") answered++;
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 4));
      }
    };
    await Promise.all(Array.from({ length: 4 }, caller));
    expect(answered).toBe(1000);
    expect(seen.requests).toBeGreaterThanOrEqual(1000);
    // Otherwise the test proves nothing: sockets must have been closed many times.
    expect(seen.connections).toBeGreaterThan(100);
  });

  test("six long polls do not block a call, with as few connections as a browser has", async () => {
    const server = await startServer();
    const count = answer(200, {}, "42") as RequestBehaviour;
    server.always({
      on: "request",
      run: (socket, request) => (request.path.includes("_count_") ? count.run(socket, request) : undefined),
    });
    const queue = new QueueClient({ endpoint: server.origin, queueName: "q", maxConnectionCount: 6, logger: null });
    const polls = Array.from({ length: 6 }, () => queue.get({ timeout: "60s" }).catch((error: Error) => error));
    await server.seen(3);
    expect(await queue.count()).toBe(42);
    expect(server.requests.filter(({ path }) => path.includes("_timeout_"))).toHaveLength(3);
    await server.close();
    await Promise.all([...polls, queue.close()]);
  });
});
