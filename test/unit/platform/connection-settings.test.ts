import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { createServer as createSecureServer, type ServerOptions } from "node:https";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { inspect } from "node:util";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { WebSocketServer } from "ws";
import { ConnectionPool } from "../../../src/call/connections/connection-pool.js";
import {
  ENDPOINT_TYPE_DIRECT,
  fetchTransport,
  type PredictClientOptions,
  QueueClient,
  type Transport,
  type WatchStatus,
} from "../../../src/index.js";
import { type NodeTransportOptions, nodeTransport } from "../../../src/node.js";
import type { Platform } from "../../../src/platform/contract.js";
import { platform } from "../../../src/platform/node/platform.js";
import { clientOf, errorOf, TOKEN, thrownBy } from "../../support/calls.js";
import { CA, type Certificate, CLIENT, ELSEWHERE, EXPIRED, SELF_SIGNED, SERVER } from "../../support/certificates.js";
import { startProxy } from "../../support/recording-proxy.js";

/** A service that answers "ok" and echoes over WebSockets, with TLS if it has a certificate. */
async function startService(tls?: Certificate & ServerOptions) {
  const requests: IncomingMessage[] = [];
  const upgrades: IncomingMessage[] = [];
  const sockets: Socket[] = [];
  const server = tls ? createSecureServer(tls) : createServer();
  server.on("connection", (socket: Socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
  });
  server.on("tlsClientError", () => {});
  server.on("request", (request: IncomingMessage, response) => {
    requests.push(request);
    response.end("ok");
  });
  const accepting = new WebSocketServer({ noServer: true });
  server.on("upgrade", (request: IncomingMessage, socket, head) => {
    upgrades.push(request);
    accepting.handleUpgrade(request, socket, head, (peer) => {
      peer.on("error", () => {});
      peer.on("message", (data, binary) => peer.send(data, { binary }));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { port, origin: `${tls ? "https" : "http"}://127.0.0.1:${port}`, requests, upgrades, sockets };
}

function transportOf(options: NodeTransportOptions): Transport {
  const transport = nodeTransport(options);
  onTestFinished(() => transport.close());
  return transport;
}

const clientWith = (service: { origin: string }, options: NodeTransportOptions, more: PredictClientOptions = {}) =>
  clientOf(service, { transport: transportOf(options), auth: "token", ...more });

const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** Sends "hello" over a WebSocket and checks that it comes back. */
async function expectEcho(client: ReturnType<typeof clientOf>) {
  const socket = await client.connect("chat");
  socket.send("hello");
  for await (const message of socket) {
    expect(message).toBe("hello");
    break;
  }
  await socket.closed;
}

describe("options of nodeTransport", () => {
  test.each([
    ["127.0.0.1:3128", 'proxy is "127.0.0.1:3128": it must have a scheme: "http://127.0.0.1:3128"'],
    ["proxy.corp:8080", 'proxy is "proxy.corp:8080": it must have a scheme: "http://proxy.corp:8080"'],
    ["user:s3cret@proxy:8080", 'proxy is "proxy:8080": it must have a scheme: "http://proxy:8080"'],
    ["socks5://proxy:1080", "SOCKS and other proxies are not supported"],
    ["ftp://proxy", "it must begin with http:// or https://"],
    ["http://u:s3cret@", 'it must be a URL such as "http://127.0.0.1:3128"'],
    ["http://proxy/path", "it must have no path"],
    ["", "be left out for connections without a proxy"],
    [3128, "proxy is 3128"],
    [null, "proxy is null"],
  ])("proxy %j", (proxy, message) => {
    const error = thrownBy(() => nodeTransport({ proxy } as NodeTransportOptions));
    expect(error).toBeInstanceOf(TypeError);
    expect(error).toMatchObject({ code: "ERR_EAS_ARG_OPTION", message: expect.stringContaining(message) });
    expect(error.message).not.toContain("s3cret");
  });

  test.each<[NodeTransportOptions | Record<string, unknown>, RegExp]>([
    [{ ca: 7 }, /^ca has a value of type number: it must be PEM/],
    [{ ca: [CA, null] }, /^ca has a value of type null/],
    [{ ca: [] }, /^ca is "\[\]"/],
    [{ ca: "/etc/ssl/ca.pem" }, /^ca is not PEM.*read files first/],
    [{ ca: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" }, /^ca cannot be read/],
    [{ cert: CLIENT.cert }, /^cert is given without key/],
    [{ key: CLIENT.key }, /^key is given without cert/],
    [{ cert: CLIENT.cert, key: "secret-key" }, /^key is not PEM/],
    [{ cert: CLIENT.cert, key: { pem: CLIENT.key } }, /^key has a value of type object/],
    [{ cert: CLIENT.cert, key: SERVER.key }, /^cert or key cannot be read.*must match/],
    [{ connections: 0 }, /^connections is 0/],
    [{ connections: 1.5 }, /^connections is 1.5/],
    [{ connectTimeout: -1 }, /^connectTimeout is -1/],
    [{ connectTimeout: "5s" }, /^connectTimeout is "5s"/],
    [
      { rejectUnauthorized: false },
      /^nodeTransport: unknown option "rejectUnauthorized"; the options are connections, proxy, ca/,
    ],
  ])("%o is rejected", (options, message) => {
    const error = thrownBy(() => nodeTransport(options as NodeTransportOptions));
    expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_EAS_ARG_(OPTION|TIMEOUT)$/) });
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain("secret-key");
    expect(error.message).not.toContain("PRIVATE KEY");
  });

  test("certificates can be text, Buffers, bytes and lists of them", async () => {
    const service = await startService({ ...SERVER, ca: CA, requestCert: true, rejectUnauthorized: true });
    const bytes = (text: string) => new TextEncoder().encode(text);
    const forms: NodeTransportOptions[] = [
      { ca: CA, cert: CLIENT.cert, key: CLIENT.key },
      { ca: Buffer.from(CA), cert: Buffer.from(CLIENT.cert), key: Buffer.from(CLIENT.key) },
      { ca: [SELF_SIGNED.cert, bytes(CA)], cert: [bytes(CLIENT.cert)], key: [bytes(CLIENT.key)] },
    ];
    for (const form of forms) {
      const client = clientWith(service, form);
      expect(String(await client.predict("x"))).toBe("ok");
      await expectEcho(client);
    }
    expect(service.upgrades).toHaveLength(3);
  });
});

describe("an http endpoint behind a proxy", () => {
  test("requests have the absolute form, and no CONNECT goes to a port other than 443", async () => {
    const service = await startService();
    const proxy = await startProxy({ refuse: (authority) => (authority.endsWith(":443") ? undefined : 403) });
    const client = clientWith(service, { proxy: `http://us%40er:p%3Ass@127.0.0.1:${proxy.port}` });
    for (let i = 0; i < 3; i++) expect(String(await client.predict("x", { query: { n: i } }))).toBe("ok");
    const stream = await client.stream("y");
    expect(textOf(await stream.bytes())).toBe("ok");
    expect(proxy.seen.map(({ line }) => line)).toEqual([
      ...[0, 1, 2].map((n) => `POST ${service.origin}/api/predict/svc?n=${n}`),
      `POST ${service.origin}/api/predict/svc`,
    ]);
    const credentials = `Basic ${Buffer.from("us@er:p:ss").toString("base64")}`;
    for (const { headers } of proxy.seen) {
      expect(headers).toMatchObject({ host: `127.0.0.1:${service.port}`, "proxy-authorization": credentials });
    }
    // Connections to the proxy are reused, and the service does not see the credentials of the proxy.
    expect(proxy.sockets.size).toBeLessThan(4);
    for (const { headers } of service.requests) expect(headers).not.toHaveProperty("proxy-authorization");
  });

  test("the connection limit applies", async () => {
    const service = await startService();
    const proxy = await startProxy();
    const client = clientWith(service, { proxy: proxy.origin, connections: 2 });
    await Promise.all(Array.from({ length: 20 }, () => client.predict("x")));
    expect(proxy.sockets.size).toBeLessThanOrEqual(2);
  });

  test("a proxy that requires credentials is reported with 407", async () => {
    const service = await startService({ ...SERVER });
    const proxy = await startProxy({ refuse: () => 407 });
    const client = clientWith(service, { proxy: `http://user:s3cret@127.0.0.1:${proxy.port}`, ca: CA });
    const error = await errorOf(client.predict("x"));
    expect(error).toMatchObject({
      code: "ERR_EAS_NETWORK",
      systemCode: "ERR_PROXY_REFUSED",
      retryable: false,
      attempts: 1,
    });
    expect(error.message).toMatch(
      /nothing was sent.*responded to CONNECT 127\.0\.0\.1:\d+ with status 407: put the credentials/,
    );
    expect(inspect(error, { depth: 9, showHidden: true })).not.toMatch(/s3cret|dXNlcjpzM2NyZXQ/);
    expect(proxy.seen).toHaveLength(1);
    expect(service.sockets).toHaveLength(0);
  });

  test("a proxy that fails is retried", async () => {
    const service = await startService({ ...SERVER });
    let count = 0;
    const proxy = await startProxy({ refuse: () => (++count < 3 ? 502 : undefined) });
    const client = clientWith(service, { proxy: proxy.origin, ca: CA });
    expect(String(await client.predict("x"))).toBe("ok");
    expect(proxy.seen).toHaveLength(3);
  });
});

describe.each([
  ["http", false, false],
  ["https", true, false],
  ["https, the proxy over TLS", true, true],
  ["http, the proxy over TLS", false, true],
])("everything goes through the proxy: %s", (_, isSecure, isProxySecure) => {
  test("requests, streams, WebSockets, client.fetch, ready, diagnose", async () => {
    const service = await startService(isSecure ? { ...SERVER } : undefined);
    const proxy = await startProxy({ tls: isProxySecure ? SERVER : undefined });
    const client = clientWith(service, { proxy: proxy.origin.replace("://", "://user:pass@"), ca: CA });
    await client.predict("x");
    await (await client.stream("x")).bytes();
    await expectEcho(client);
    await (await client.fetch("/v1/models")).text();
    await client.ready();
    expect(await client.diagnose()).toMatchObject({ ok: true });
    const credentials = `Basic ${Buffer.from("user:pass").toString("base64")}`;
    for (const { headers } of proxy.seen) expect(headers["proxy-authorization"]).toBe(credentials);
    const isTunnel = ({ line }: { line: string }) => line === `CONNECT 127.0.0.1:${service.port}`;
    expect(proxy.seen.filter(isTunnel).length).toBeGreaterThanOrEqual(1);
    if (isSecure) expect(proxy.seen.every(isTunnel)).toBe(true);
    else expect(proxy.seen.filter((seen) => !isTunnel(seen))).toHaveLength(service.requests.length);
    // Every connection of the service came from the proxy.
    const fromProxy = new Set([...proxy.sockets].map(({ localPort }) => localPort));
    for (const { remotePort } of service.sockets) if (isSecure) expect(fromProxy).toContain(remotePort);
    expect(service.upgrades).toHaveLength(1);
    for (const { headers } of [...service.requests, ...service.upgrades]) {
      expect(headers.authorization).toBe(TOKEN);
      expect(headers).not.toHaveProperty("proxy-authorization");
    }
  });
});

test("discovery goes through the proxy", async () => {
  const discovery = createServer((_, response) => response.writeHead(500).end());
  discovery.listen(0, "127.0.0.1");
  await once(discovery, "listening");
  onTestFinished(() => void discovery.close());
  const origin = `http://127.0.0.1:${(discovery.address() as AddressInfo).port}`;
  const proxy = await startProxy();
  const client = clientWith(
    { origin },
    { proxy: proxy.origin },
    { endpointType: ENDPOINT_TYPE_DIRECT, totalTimeout: 2_000 },
  );
  await errorOf(client.predict("x"));
  expect(proxy.seen.length).toBeGreaterThanOrEqual(1);
  expect(proxy.seen.every(({ line }) => line.includes(origin))).toBe(true);
});

describe("a queue", () => {
  test("a watch over WebSocket uses the proxy, and never bypasses it", async () => {
    const service = await startService({ ...SERVER });
    const proxy = await startProxy();
    const transport = transportOf({ proxy: proxy.origin, ca: CA });
    const queue = new QueueClient({ endpoint: service.origin, queueName: "q", token: TOKEN, transport, logger: null });
    onTestFinished(() => queue.close());
    const statuses: WatchStatus[] = [];
    const watcher = queue.watch(0, 5, { onStatus: (status) => statuses.push(status) });
    await vi.waitFor(() => expect(statuses.map(({ state }) => state)).toContain("open"), { timeout: 10_000 });
    await watcher.close();
    expect(service.upgrades).toHaveLength(1);
    expect(service.upgrades[0]?.headers.authorization).toBe(TOKEN);
    const fromProxy = new Set([...proxy.sockets].map(({ localPort }) => localPort));
    for (const { remotePort } of service.sockets) expect(fromProxy).toContain(remotePort);
  });

  test("a proxy that refuses the tunnel ends a watch", async () => {
    const service = await startService();
    const proxy = await startProxy({ refuse: () => 403 });
    const transport = transportOf({ proxy: proxy.origin });
    const queue = new QueueClient({ endpoint: service.origin, queueName: "q", token: TOKEN, transport, logger: null });
    onTestFinished(() => queue.close());
    const reading = async () => {
      for await (const _ of queue.watch(0, 5)) break;
    };
    const error = await errorOf(reading());
    expect(error.message).toContain(`responded to CONNECT 127.0.0.1:${service.port} with status 403`);
    expect(proxy.seen.filter(({ line }) => line.startsWith("CONNECT"))).toHaveLength(1);
    expect(service.upgrades).toHaveLength(0);
  });
});

test("a transport over the own fetch of Deno, Bun or a Worker uses the WebSockets of that runtime", () => {
  const dialWebSocket = vi.fn();
  const dialerOf = (name: Platform["name"], transport: Transport) =>
    new ConnectionPool({ ...platform, name, dialWebSocket }, 1, transport).dialWebSocket;
  for (const name of ["web", "workerd"] as const) {
    expect(dialerOf(name, fetchTransport())).toBe(dialWebSocket);
    expect(dialerOf(name, fetchTransport({ decodes: [] }))).toBe(dialWebSocket);
    expect(dialerOf(name, fetchTransport({ fetch: vi.fn() }))).toBeUndefined();
  }
  expect(dialerOf("node", fetchTransport())).toBeUndefined();
});

describe("a transport or fetch without WebSockets is never bypassed", () => {
  const foreign: [string, () => PredictClientOptions][] = [
    ["fetchTransport()", () => ({ transport: fetchTransport() })],
    ["fetch", () => ({ fetch: globalThis.fetch })],
    [
      "transport",
      () => {
        const { dialWebSocket: _, ...rest } = transportOf({});
        return { transport: rest };
      },
    ],
  ];

  test.each(foreign)("%s: connect() is rejected, and nothing is sent", async (_, options) => {
    const service = await startService();
    const error = await errorOf(clientOf(service, options()).connect("chat"));
    expect(error).toMatchObject({ code: "ERR_EAS_UNSUPPORTED" });
    expect(error.message).toMatch(/would bypass its proxy and certificates.*dialWebSocket/);
    expect(service.sockets).toHaveLength(0);
  });

  test.each(foreign)("%s: a watch uses HTTP, and rejects WebSockets", async (_, options) => {
    const service = await startService();
    const queue = new QueueClient({
      endpoint: service.origin,
      queueName: "q",
      token: TOKEN,
      logger: null,
      ...(options() as object),
    });
    onTestFinished(() => queue.close());
    const refused = thrownBy(() => queue.watch(0, 5, { transport: "websocket" }));
    expect(refused).toMatchObject({
      code: "ERR_EAS_UNSUPPORTED",
      message: expect.stringContaining("bypass its proxy"),
    });
    expect(service.sockets).toHaveLength(0);
    const watcher = queue.watch(0, 5);
    await vi.waitFor(() => expect(service.requests.some(({ url }) => url?.includes("_watch_=true"))).toBe(true));
    await watcher.close();
    expect(service.upgrades).toHaveLength(0);
  });

  test.each(foreign)("%s: the client's own dialWebSocket is used", async (_, options) => {
    const service = await startService();
    const dialWebSocket = vi.fn(transportOf({}).dialWebSocket as NonNullable<Transport["dialWebSocket"]>);
    await expectEcho(clientOf(service, { ...options(), dialWebSocket }));
    expect(dialWebSocket).toHaveBeenCalledOnce();
  });
});

describe("connectTimeout", () => {
  test.each(["predict", "connect"] as const)(
    "limits the time of a proxy that never answers CONNECT: %s",
    async (call) => {
      const proxy = await startProxy({ hang: true });
      const client = clientWith(
        { origin: "https://127.0.0.1:9" },
        { proxy: proxy.origin, connectTimeout: 60 },
        { retryCount: 0, timeout: 60_000 },
      );
      const error = await errorOf(call === "predict" ? client.predict("x") : client.connect("x"));
      expect(error).toMatchObject({ code: "ERR_EAS_NETWORK", systemCode: "UND_ERR_CONNECT_TIMEOUT", retryable: true });
      expect(error.message).toMatch(/nothing was sent.*within 60 ms \(connectTimeout\)/);
      await vi.waitFor(() => expect([...proxy.sockets].every(({ destroyed }) => destroyed)).toBe(true));
    },
  );

  test("limits the time of a WebSocket's TLS handshake", async () => {
    const silent = createTcpServer((socket) => void socket.on("error", () => {}).resume()).listen(0, "127.0.0.1");
    await once(silent, "listening");
    onTestFinished(() => void silent.close());
    const { port } = silent.address() as AddressInfo;
    const client = clientWith({ origin: `https://127.0.0.1:${port}` }, { connectTimeout: 300 }, { timeout: 60_000 });
    const error = await errorOf(client.connect("x"));
    expect(error).toMatchObject({ code: "ERR_EAS_NETWORK", systemCode: "UND_ERR_CONNECT_TIMEOUT" });
  });

  test("an abort closes a tunnel that is being established", async () => {
    const proxy = await startProxy({ hang: true });
    const client = clientWith({ origin: "https://127.0.0.1:9" }, { proxy: proxy.origin });
    const abort = new AbortController();
    const dialling = errorOf(client.connect("x", { signal: abort.signal }));
    await vi.waitFor(() => expect(proxy.seen).toHaveLength(1));
    abort.abort("enough");
    expect(await dialling).toBe("enough");
    await vi.waitFor(() => expect([...proxy.sockets].every(({ destroyed }) => destroyed)).toBe(true));
  });
});

describe("certificate errors are final and say what to do", () => {
  const cases: [string, Certificate, NodeTransportOptions, RegExp][] = [
    ["an unknown authority", SERVER, {}, /UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT_LOCALLY/],
    ["a self-signed certificate", SELF_SIGNED, {}, /DEPTH_ZERO_SELF_SIGNED_CERT/],
    ["an expired certificate", EXPIRED, { ca: CA }, /CERT_HAS_EXPIRED/],
    ["another host name", ELSEWHERE, { ca: CA }, /ERR_TLS_CERT_ALTNAME_INVALID/],
  ];
  test.each(cases)("%s", async (_, certificate, options, code) => {
    const service = await startService({ ...certificate });
    const client = clientWith(service, options);
    for (const call of [() => client.predict("x"), () => client.connect("chat"), () => client.stream("x")]) {
      const before = service.sockets.length;
      const error = await errorOf(call());
      expect(error).toMatchObject({ code: "ERR_EAS_NETWORK", retryable: false, attempts: 1 });
      expect(error.systemCode).toMatch(code);
      expect(error.message).toMatch(/nothing was sent.*ca \(nodeTransport\) or NODE_EXTRA_CA_CERTS/);
      expect(error.message).not.toContain("\n");
      expect(service.sockets.length - before).toBe(1);
    }
    expect(service.requests).toHaveLength(0);
  });

  test("https to a port without TLS", async () => {
    const service = await startService();
    const client = clientWith({ origin: service.origin.replace("http:", "https:") }, {});
    for (const call of [() => client.predict("x"), () => client.connect("chat")]) {
      const error = await errorOf(call());
      expect(error).toMatchObject({ retryable: false, attempts: 1 });
      expect(error.message).toMatch(/^.*this is not a TLS port: use http:\/\/ \([a-z ]+\)\)$/);
    }
    expect(service.sockets).toHaveLength(2);
  });

  test("ends a queue watch at the first error", async () => {
    const service = await startService({ ...SERVER });
    const queue = new QueueClient({ endpoint: service.origin, queueName: "q", token: TOKEN, logger: null });
    onTestFinished(() => queue.close());
    const reading = async () => {
      for await (const _ of queue.watch(0n, 5)) break;
    };
    expect((await errorOf(reading())).message).toContain("NODE_EXTRA_CA_CERTS");
    expect(service.sockets).toHaveLength(1);
  });
});
