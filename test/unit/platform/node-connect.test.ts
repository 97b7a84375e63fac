import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { type NodeTransportOptions, nodeTransport } from "../../../src/platform/node/http/transport.js";
import { clientOf, errorOf, startServer, watch } from "../../support/calls.js";
import { handOver, stallBeforeHeaders } from "../../support/misbehaving-server.js";

// Tests how connections are established and abandoned.

/** A server or proxy that accepts connections and never writes a byte. */
async function startSilent() {
  const sockets: Socket[] = [];
  const lines: string[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.on("data", (data) => lines.push(data.toString("latin1").split("\r\n", 1)[0] as string));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, sockets, lines };
}

/** Resolves when all sockets are closed. */
const allClosed = (sockets: readonly Socket[]) =>
  Promise.all(sockets.map((socket) => socket.destroyed || once(socket, "close")));

test("connectTimeout includes the tunnel of a proxy that does not answer", async () => {
  const proxy = await startSilent();
  const transport = nodeTransport({ proxy: `http://127.0.0.1:${proxy.port}`, connectTimeout: 200, connections: 1 });
  const client = clientOf({ origin: "https://eas.invalid" }, { transport, retryCount: 1 });
  // The pool continues: the second call opens its own tunnel.
  for (let i = 1; i <= 2; i++) {
    const error = await errorOf(client.predict("x"));
    expect(error).toMatchObject({ code: "ERR_EAS_NETWORK", systemCode: "UND_ERR_CONNECT_TIMEOUT", attempts: 2 });
    expect(error.message).toMatch(/nothing was sent .*eas\.invalid.*200 ms \(connectTimeout\)/);
    expect(proxy.lines).toEqual(Array(2 * i).fill("CONNECT eas.invalid:443 HTTP/1.1"));
  }
  await allClosed(proxy.sockets);
  await transport.close();
});

test("connectTimeout includes TLS", async () => {
  const server = await startSilent();
  const transport = nodeTransport({ connectTimeout: 200 });
  const client = clientOf({ origin: `https://127.0.0.1:${server.port}` }, { transport, retryCount: 0 });
  expect(await errorOf(client.predict("x"))).toMatchObject({ systemCode: "UND_ERR_CONNECT_TIMEOUT" });
  await allClosed(server.sockets);
  await transport.close();
});

test.each([
  ["a tunnel", "https", true],
  ["TLS", "https", false],
])("close() does not wait for %s of an aborted call", async (_name, scheme, isProxy) => {
  const silent = await startSilent();
  const proxy = isProxy ? `http://127.0.0.1:${silent.port}` : undefined;
  const transport = nodeTransport({ proxy, connectTimeout: 2_147_483_647 });
  const origin = isProxy ? `${scheme}://eas.invalid` : `${scheme}://127.0.0.1:${silent.port}`;
  const client = clientOf({ origin }, { transport, timeout: 200, retryCount: 0 });
  expect(await errorOf(client.predict("x"))).toMatchObject({ code: "ERR_EAS_TIMEOUT", phase: "connect" });
  await transport.close();
  await allClosed(silent.sockets);
});

test("close() waits only for calls in progress", async () => {
  const server = await startServer();
  const transport = nodeTransport({ connections: 1 });
  const client = clientOf(server, { transport, retryCount: 0 });
  const { behaviour, socket } = handOver();
  server.play(behaviour, stallBeforeHeaders);
  const first = client.predict("x");
  const sending = await socket;
  // The aborted call waits for the connection of the first.
  const controller = new AbortController();
  const second = errorOf(client.predict("y", { signal: controller.signal }));
  controller.abort("enough");
  expect(await second).toBe("enough");
  const closing = transport.close();
  expect(transport.close()).toBe(closing);
  await new Promise((resolve) => setImmediate(resolve));
  expect(watch(closing).state).toBe("pending");
  sending.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  expect(String(await first)).toBe("ok");
  await closing;
  expect(server.requests).toHaveLength(1);
  expect(await errorOf(client.predict("z"))).toMatchObject({ code: "ERR_EAS_NETWORK", attempts: 1 });
});

test.each<[NodeTransportOptions, RegExp]>([
  [{ maxHeaderSize: 1_023 }, /maxHeaderSize is 1023: it must be an integer number of bytes from 1,024 to 16,777,216/],
  [{ maxHeaderSize: 16_777_217 }, /maxHeaderSize/],
  [{ maxHeaderSize: 2_048.5 }, /maxHeaderSize/],
  [{ maxHeaderSize: "4096" as never }, /maxHeaderSize is "4096"/],
  [{ maxHeaderSize: Number.NaN }, /maxHeaderSize/],
  [{ connectTimeout: 0 }, /connectTimeout is 0: it must be a number of milliseconds from 1 to 2,147,483,647/],
  [{ connectTimeout: Number.POSITIVE_INFINITY }, /connectTimeout/],
  [{ connectTimeout: "1" as never }, /connectTimeout is "1"/],
  [{ reuseConnections: 1 as never }, /reuseConnections is 1: it must be true or false/],
])("%o is rejected by the constructor", (options, message) => {
  expect(() => nodeTransport(options)).toThrow(message);
  expect(() => nodeTransport(options)).toThrow(expect.objectContaining({ code: "ERR_EAS_ARG_OPTION" }));
});

test.each<NodeTransportOptions>([
  { maxHeaderSize: 1_024 },
  { maxHeaderSize: 16_777_216, connectTimeout: 1, reuseConnections: true },
  { maxHeaderSize: undefined, connectTimeout: undefined, reuseConnections: undefined },
])("%o is accepted", async (options) => {
  await nodeTransport(options).close();
});
