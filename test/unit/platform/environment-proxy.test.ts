import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { startEmulator } from "../../../src/emulator/index.js";
import { PredictClient, QueueClient } from "../../../src/index.js";
import { nodeTransport } from "../../../src/node.js";
import { errorOf, startServer, TOKEN, thrownBy } from "../../support/calls.js";
import { answer } from "../../support/misbehaving-server.js";
import { startProxy } from "../../support/recording-proxy.js";

const NAMES = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "REQUEST_METHOD"];

beforeEach(() => {
  for (const name of NAMES) vi.stubEnv(name, undefined);
});
afterEach(() => vi.unstubAllEnvs());

/** Creates a client whose proxies are those of the environment at this moment. */
function clientOver(origin: string) {
  const transport = nodeTransport({ proxy: "environment" });
  const client = new PredictClient({ endpoint: origin, serviceName: "svc", token: TOKEN, transport, retryCount: 0 });
  onTestFinished(async () => {
    await client.close();
    await transport.close();
  });
  return client;
}

test.each([
  ["HTTP_PROXY", "http", true],
  ["http_proxy", "http", true],
  ["HTTPS_PROXY", "http", false],
  ["HTTPS_PROXY", "https", true],
  ["https_proxy", "https", true],
  ["HTTP_PROXY", "https", true],
])("%s for %s: uses the proxy %s", async (variable, scheme, isUsed) => {
  const service = await startServer();
  service.always(answer(200));
  const proxy = await startProxy({ refuse: () => (scheme === "https" ? 403 : undefined) });
  vi.stubEnv(variable, proxy.origin);
  await clientOver(service.origin.replace("http:", `${scheme}:`))
    .predict("x")
    .catch(() => {});
  expect(proxy.seen.length).toBe(isUsed ? 1 : 0);
});

test.each([
  ["127.0.0.1", true],
  ["*", true],
  ["other.example, 127.0.0.1", true],
  ["127.0.0.1:{port}", true],
  ["127.0.0.1:1", false],
  [".0.0.1", true],
  ["*.0.0.1", true],
  ["7.0.0.1", false],
  ["other.example", false],
  ["", false],
])("NO_PROXY=%s: connects directly: %s", async (list, isDirect) => {
  const service = await startServer();
  service.always(answer(200));
  const proxy = await startProxy();
  vi.stubEnv("HTTP_PROXY", proxy.origin);
  vi.stubEnv("NO_PROXY", list.replace("{port}", String(service.port)));
  await clientOver(service.origin).predict("x");
  expect(proxy.seen.length).toBe(isDirect ? 0 : 1);
  expect(service.requests).toHaveLength(1);
});

test("names in lower case take precedence, and a scheme is optional", async () => {
  const service = await startServer();
  service.always(answer(200));
  const proxy = await startProxy();
  vi.stubEnv("http_proxy", `127.0.0.1:${proxy.port}`);
  vi.stubEnv("HTTP_PROXY", "http://127.0.0.1:9");
  await clientOver(service.origin).predict("x");
  expect(proxy.seen).toHaveLength(1);
});

test("ignores HTTP_PROXY in a CGI program, where a caller sets it by a header", async () => {
  const service = await startServer();
  service.always(answer(200));
  vi.stubEnv("HTTP_PROXY", "http://127.0.0.1:9");
  vi.stubEnv("REQUEST_METHOD", "GET");
  await clientOver(service.origin).predict("x");
  expect(service.requests).toHaveLength(1);
});

test("variables are ignored without the option", async () => {
  const service = await startServer();
  service.always(answer(200));
  vi.stubEnv("HTTP_PROXY", "http://127.0.0.1:9");
  const transport = nodeTransport();
  const client = new PredictClient({ endpoint: service.origin, serviceName: "svc", token: TOKEN, transport });
  await client.predict("x");
  await client.close();
  await transport.close();
  expect(service.requests).toHaveLength(1);
});

describe("credentials", () => {
  test("are sent to the proxy and are not in errors", async () => {
    const service = await startServer();
    const proxy = await startProxy({ refuse: () => 407 });
    vi.stubEnv("HTTPS_PROXY", `http://user:s3cret@127.0.0.1:${proxy.port}`);
    const error = await errorOf(clientOver(service.origin.replace("http:", "https:")).predict("x"));
    const credentials = Buffer.from("user:s3cret").toString("base64");
    expect(proxy.seen[0]?.headers["proxy-authorization"]).toBe(`Basic ${credentials}`);
    expect(error.message).toContain("407");
    expect(`${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`).not.toMatch(/s3cret|dXNlcj/);
  });

  test.each(["HTTP_PROXY", "https_proxy"])("are not in the error for an invalid %s, which names it", (name) => {
    vi.stubEnv(name, "socks5://user:s3cret@proxy:1080");
    const error = thrownBy(() => nodeTransport({ proxy: "environment" }));
    expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_OPTION" });
    expect(error.message).toContain(`the proxy in the environment variable ${name} is "socks5://proxy:1080"`);
    expect(error.message).not.toContain("s3cret");
  });
});

test("WebSockets of services and queues go through a tunnel", async () => {
  const emulator = await startEmulator();
  onTestFinished(() => emulator.close());
  emulator.addQueue("q");
  const proxy = await startProxy();
  vi.stubEnv("HTTP_PROXY", proxy.origin);
  const transport = nodeTransport({ proxy: "environment" });
  const { endpoint, token } = emulator;
  const client = new PredictClient({ endpoint, serviceName: "echo", token, transport });
  const socket = await client.connect("/ws");
  socket.close();
  const authority = endpoint.replace("http://", "");
  const tunnels = () => proxy.seen.filter(({ line }) => line === `CONNECT ${authority}`).length;
  expect(tunnels()).toBe(1);

  const queue = new QueueClient({ endpoint, queueName: "q", token, transport });
  await queue.put("item");
  const watcher = queue.watch(0, 1, { transport: "websocket" });
  for await (const frame of watcher) {
    await frame.commit();
    break;
  }
  expect(tunnels()).toBe(2);
  await Promise.all([client.close(), queue.close()]);
  await transport.close();
});
