import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { inspect } from "node:util";
import { gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { createEmulator } from "../../../src/emulator/index.js";
import { QueueClient, TransportError, type WatchStatus, type WebSocketDialer } from "../../../src/index.js";
import { clientOf, errorOf, TOKEN } from "../../support/calls.js";

/** Starts a server that sends `refusal` for each upgrade, and `status` for other requests. */
async function refusingServer(refusal: (request: IncomingMessage) => (string | Uint8Array)[], status = 200) {
  const upgrades: IncomingMessage[] = [];
  const requests: IncomingMessage[] = [];
  const sockets: Socket[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    response.writeHead(status, { "retry-after": "7" }).end("over HTTP");
  });
  server.on("upgrade", (request: IncomingMessage, socket: Socket) => {
    upgrades.push(request);
    sockets.push(socket);
    socket.on("error", () => {});
    for (const part of refusal(request)) socket.write(part);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.closeAllConnections();
    server.close();
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { origin, upgrades, requests, sockets };
}

const textOf = (body: Uint8Array | undefined) => new TextDecoder().decode(body);

describe("a refused upgrade", () => {
  test("reports status, headers, Retry-After and the body, without the token", async () => {
    const body = `too many requests of ${TOKEN}\n`;
    const server = await refusingServer(() => [
      `HTTP/1.1 429 No\r\nRetry-After: 3\r\nX-Request-Id: r-1\r\nX-Echo: ${TOKEN}\r\nContent-Length: ${body.length}\r\n\r\n`,
      body,
    ]);
    const error = await errorOf(clientOf(server).connect("chat"));
    expect(error).toMatchObject({
      code: "ERR_EAS_HTTP",
      status: 429,
      retryAfter: 3_000,
      requestId: "r-1",
      retryable: true,
    });
    expect(error.headers?.get("x-echo")).toBe("***");
    expect(textOf(error.body)).toMatch(/^too many requests of \*+\n$/);
    expect(error.message).toContain("Response: too many requests of");
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(TOKEN);
    expect(server.upgrades).toHaveLength(1);
    expect(server.requests).toHaveLength(0);
    await vi.waitFor(() => expect(server.sockets[0]?.destroyed || server.sockets[0]?.readableEnded).toBe(true));
  });

  test("decompresses the body", async () => {
    const packed = gzipSync("the model is busy");
    const server = await refusingServer(() => [
      `HTTP/1.1 503 No\r\nContent-Encoding: gzip\r\nContent-Length: ${packed.length}\r\n\r\n`,
      packed,
    ]);
    const error = await errorOf(clientOf(server).connect("chat"));
    expect(error.message).toMatch(/503.*Response: the model is busy$/);
  });

  test("reports the received part of an endless body", async () => {
    for (const end of [(_: Socket) => {}, (socket: Socket) => void setTimeout(() => socket.resetAndDestroy(), 20)]) {
      const server = await refusingServer((request) => {
        end(request.socket);
        return ["HTTP/1.1 503 No\r\nContent-Length: 1000\r\n\r\n", "half a body"];
      });
      const error = await errorOf(clientOf(server).connect("chat"));
      expect(error).toMatchObject({ status: 503 });
      expect(textOf(error.body)).toBe("half a body");
    }
  });

  test("reads only as much of an endless body as an error keeps", async () => {
    const server = await refusingServer(() => [
      "HTTP/1.1 500 No\r\nContent-Length: 50000000\r\n\r\n",
      new Uint8Array(4_000_000).fill(120),
    ]);
    const error = await errorOf(clientOf(server).connect("chat"));
    expect(error.body).toHaveLength(65_536);
  });

  test("explains that status 200 is a page and not a WebSocket, and is not retryable", async () => {
    const server = await refusingServer(() => ["HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n", "<html></html>"]);
    const error = await errorOf(clientOf(server).connect("chat"));
    expect(error).toMatchObject({ code: "ERR_EAS_HTTP", status: 200, retryable: false });
    expect(error.message).toMatch(/an HTTP response instead of opening a WebSocket: check the path.*<html>/);
  });

  test.each([400, 405, 426, 501])("does not mention input names for status %i", async (status) => {
    const server = await refusingServer(() => [`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n\r\n`]);
    const { hint } = await errorOf(clientOf(server).connect("chat"));
    expect(hint).toBe("the service does not accept this WebSocket: check the path, the headers and the subprotocols");
  });

  test("an emulator without a network reports the response as well", async () => {
    const { transport, dialWebSocket } = createEmulator();
    const client = clientOf({ origin: "http://h" }, { serviceName: "none", transport, dialWebSocket });
    const error = await errorOf(client.connect());
    expect(error).toMatchObject({ code: "ERR_EAS_HTTP", status: 404 });
    expect(error.headers?.get("content-type")).not.toBeNull();
  });

  test("a watch waits as long as the server asks", async () => {
    const server = await refusingServer(() => ["HTTP/1.1 503 No\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n"]);
    const queue = new QueueClient({ endpoint: server.origin, queueName: "q", token: TOKEN, logger: null });
    onTestFinished(() => queue.close());
    const statuses: WatchStatus[] = [];
    const watcher = queue.watch(0, 5, { onStatus: (status) => statuses.push(status) });
    onTestFinished(() => watcher.close());
    await vi.waitFor(() => expect(statuses).toHaveLength(1), { timeout: 10_000 });
    expect(statuses[0]).toMatchObject({
      state: "reconnecting",
      failures: 1,
      cause: { status: 503, retryAfter: 3_000 },
    });
    expect((statuses[0] as { delay: number }).delay).toBeGreaterThanOrEqual(3_000);
    expect(server.upgrades).toHaveLength(1);
  });
});

describe("a runtime that reports only the status", () => {
  const dialWebSocket = (status: number): WebSocketDialer =>
    vi.fn(() => Promise.reject(new TransportError("refused", { sent: "maybe", status })));

  test.each([429, 503])("sends a GET for the headers of a %i", async (status) => {
    const server = await refusingServer(() => [], status);
    const error = await errorOf(clientOf(server, { dialWebSocket: dialWebSocket(status) }).connect("chat"));
    expect(error).toMatchObject({ status, retryAfter: 7_000 });
    expect(server.requests).toHaveLength(1);
  });

  test("keeps the status if the GET has another one, and sends no GET for other statuses", async () => {
    const server = await refusingServer(() => [], 401);
    const busy = await errorOf(clientOf(server, { dialWebSocket: dialWebSocket(503) }).connect("chat"));
    expect(busy).toMatchObject({ status: 503, retryAfter: undefined });
    const refused = await errorOf(clientOf(server, { dialWebSocket: dialWebSocket(404) }).connect("chat"));
    expect(refused).toMatchObject({ status: 404 });
    expect(server.requests).toHaveLength(1);
  });
});
