import { request as httpRequest } from "node:http";
import { connect, createServer } from "node:net";
import { text as textOf } from "node:stream/consumers";
import { afterEach, expect, test, vi } from "vitest";
import {
  createEmulator,
  type RunningEmulator,
  type StartEmulatorOptions,
  startEmulator,
} from "../../../src/emulator/index.js";
import { PredictClient } from "../../../src/index.js";
import { errorOf } from "../../support/calls.js";

const running: RunningEmulator[] = [];

async function start(options: StartEmulatorOptions = {}): Promise<RunningEmulator> {
  const emulator = await startEmulator(options);
  running.push(emulator);
  return emulator;
}

afterEach(async () => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  await Promise.all(running.splice(0).map((emulator) => emulator.close()));
});

/** Sends a request like an HTTP client that uses the emulator as its proxy. */
function throughProxy(emulator: RunningEmulator, target: string, method: string, body?: string) {
  return new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
    const asked = httpRequest(
      {
        port: emulator.port,
        host: "127.0.0.1",
        method,
        path: target,
        headers: {
          host: target.startsWith("/") ? `127.0.0.1:${emulator.port}` : "proxy.invalid",
          authorization: emulator.token,
        },
      },
      async (response) => resolve({ status: response.statusCode, body: await textOf(response) }),
    );
    asked.on("error", reject).end(body);
  });
}

/** Sends bytes and returns the whole response. */
function onSocket(emulator: RunningEmulator, head: string): Promise<string> {
  const socket = connect(emulator.port, "127.0.0.1");
  socket.end(head);
  return textOf(socket);
}

test("uses a target in absolute form as the URL and ignores the Host header", async () => {
  const emulator = await start();
  const target = "http://1234.cn-shanghai.pai-eas.aliyuncs.com/api/predict/echo/path?a=b";
  expect(await throughProxy(emulator, target, "POST", "hello")).toEqual({ status: 200, body: "hello" });
  expect(
    await throughProxy(emulator, target.toUpperCase().replace(/\/API.*/, "/api/predict/echo"), "POST", "x"),
  ).toEqual({
    status: 200,
    body: "x",
  });
  expect(emulator.requests.map(({ url, body }) => [url, body.length])).toEqual([
    ["/api/predict/echo/path?a=b", 5],
    ["/api/predict/echo", 1],
  ]);
});

test("accepts a watch over WebSocket with a target in absolute form", async () => {
  const emulator = await start({ queues: { q: {} } });
  const head = [
    "GET http://gateway.example/api/predict/q?_watch_=true HTTP/1.1",
    "host: gateway.example",
    `authorization: ${emulator.token}`,
    "upgrade: websocket",
    "connection: upgrade",
    "sec-websocket-version: 13",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    "",
    "",
  ].join("\r\n");
  const socket = connect(emulator.port, "127.0.0.1");
  socket.write(head);
  const [first] = (await socket[Symbol.asyncIterator]().next()).value.toString().split("\r\n");
  expect(first).toBe("HTTP/1.1 101 Switching Protocols");
  socket.destroy();
});

test.each(["*", "http://", "http://[/"])("responds with 400 to the target %j", async (target) => {
  const emulator = await start();
  const response = await onSocket(
    emulator,
    `OPTIONS ${target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`,
  );
  expect(response).toMatch(/^HTTP\/1\.1 400 /);
});

test.each([
  ["/exported/apis/eas.alibaba-inc.k8s.io/v1/upstreams/none", undefined],
  ["/api/v1/servicediscovery/upstreams/none", undefined],
  // The path never belongs to the root queue, even if discovery is disabled on it.
  ["/api/v1/servicediscovery/upstreams/q", ["exported-apis"]],
] as const)("responds with 404 to %s next to a root queue, and takes no item", async (path, discoveryPaths) => {
  const { fetch, queue, token } = createEmulator({ queues: { q: {} }, rootQueue: "q", discoveryPaths });
  const headers = { authorization: token };
  await fetch(new Request("http://e/", { method: "POST", body: "item", headers }));
  const response = await fetch(new Request(`http://e${path}?_auto_delete_=true`, { headers }));
  expect(response.status).toBe(404);
  expect(queue("q")?.input.length).toBe(1);
  expect(await (await fetch(new Request("http://e/?_index_=0", { headers }))).text()).toBe("item");
});

test("receives bodies if Blob and AbortController are from another realm, as in jsdom", async () => {
  class ForeignSignal extends EventTarget {
    aborted = false;
    reason: unknown = undefined;
  }
  class ForeignController {
    readonly signal = new ForeignSignal();
    abort(reason?: unknown) {
      if (this.signal.aborted) return;
      Object.assign(this.signal, { aborted: true, reason });
      this.signal.dispatchEvent(new Event("abort"));
    }
  }
  const emulator = await start();
  vi.stubGlobal("Blob", class {});
  vi.stubGlobal("AbortController", ForeignController);
  expect(await throughProxy(emulator, "/api/predict/echo", "POST", "foreign")).toEqual({
    status: 200,
    body: "foreign",
  });
});

test("logs an internal error before it breaks the connection", async () => {
  const logged = vi.spyOn(console, "error").mockImplementation(() => {});
  const failure = new Error("the log's disk is full");
  const log = {
    load: () => [],
    append: () => {
      throw failure;
    },
  };
  const emulator = await start({ queues: { q: { log } } });
  await expect(throughProxy(emulator, "/api/predict/q", "POST", "x")).rejects.toMatchObject({ code: "ECONNRESET" });
  expect(logged.mock.calls).toEqual([[expect.stringContaining("eas-prediction emulator"), failure]]);
});

test("does not log connections that a fault or the caller has ended", async () => {
  const logged = vi.spyOn(console, "error").mockImplementation(() => {});
  const emulator = await start({ instances: 1 });
  emulator.fault({ reset: "before-headers" });
  emulator.fault({ reset: "in-body" });
  emulator.fault({ stall: "before-headers" });
  for (let i = 0; i < 2; i++) await expect(throughProxy(emulator, "/api/predict/echo", "POST", "x")).rejects.toThrow();
  const client = new PredictClient({ endpoint: emulator.endpoint, serviceName: "echo", token: emulator.token });
  const controller = new AbortController();
  const call = errorOf(client.predict("x", { signal: controller.signal, retryCount: 0 }));
  await vi.waitFor(() => expect(emulator.requests.length).toBe(3), { timeout: 20_000 });
  controller.abort();
  await call;
  await client.close();
  await emulator.close();
  expect(logged).not.toHaveBeenCalled();
});

test.each([
  [408, undefined, "close"],
  [450, undefined, "close"],
  [450, false, null],
  [500, undefined, null],
  [500, true, "close"],
] as const)(
  "responds to a fault with status %i and close %s with the header connection: %s",
  async (status, close, wanted) => {
    const emulator = createEmulator();
    emulator.fault({ status, close });
    const response = await emulator.fetch(new Request("http://e/api/predict/echo", { method: "POST", body: "x" }));
    expect([response.status, response.headers.get("connection")]).toEqual([status, wanted]);
  },
);

test("responds to a GET of digits with the model's signature, like EAS's TensorFlow processor", async () => {
  const { fetch, token } = createEmulator();
  const response = await fetch(new Request("http://e/api/predict/digits", { headers: { authorization: token } }));
  expect([response.status, await response.json()]).toEqual([
    200,
    {
      inputs: [{ name: "images", shape: [-1, 64], type: "DT_FLOAT" }],
      outputs: [
        { name: "scores", shape: [-1, 10], type: "DT_FLOAT" },
        { name: "labels", shape: [-1], type: "DT_INT64" },
      ],
      signature_name: "predict_images",
    },
  ]);
});

test("lists the services of the same group in discovery", async () => {
  const { fetch } = createEmulator({
    services: { "shop.rank": () => "", "shop.embed": () => "", "other.rank": () => "" },
    queues: { "shop.jobs": {} },
  });
  const ask = async (service: string) => {
    const response = await fetch(new Request(`http://e/api/v1/servicediscovery/upstreams/${service}`));
    return ((await response.json()) as { correlative: string[] }).correlative;
  };
  expect(await ask("shop.rank")).toEqual(["shop.rank", "shop.embed", "shop.jobs"]);
  expect(await ask("other.rank")).toEqual(["other.rank"]);
  expect(await ask("echo")).toEqual(["echo"]);
});

/** Returns a port that was free, with as many free ports after it. */
async function freePorts(count: number): Promise<number> {
  for (;;) {
    const servers = [createServer()];
    const listen = (i: number, port: number) =>
      new Promise<number>((resolve, reject) => {
        const server = servers[i] as ReturnType<typeof createServer>;
        server
          .once("error", reject)
          .listen(port, "127.0.0.1", () => resolve((server.address() as { port: number }).port));
      });
    try {
      const first = await listen(0, 0);
      for (let i = 1; i < count; i++) {
        servers.push(createServer());
        await listen(i, first + i);
      }
      return first;
    } catch {
      // Another program has one of the ports.
    } finally {
      for (const server of servers) server.close();
    }
  }
}

test("assigns consecutive ports to instances, from instancePort on", async () => {
  const first = await freePorts(3);
  const emulator = await start({ instances: 3, instancePort: first });
  expect(emulator.instances.map(({ port }) => port)).toEqual([first, first + 1, first + 2]);
});

test("rejects if a port is in use, and leaves no server listening", async () => {
  const first = await freePorts(2);
  const blocker = createServer().listen(first + 1, "127.0.0.1");
  await new Promise((resolve) => blocker.once("listening", resolve));
  await expect(startEmulator({ instances: 2, instancePort: first })).rejects.toMatchObject({ code: "EADDRINUSE" });
  const again = createServer().listen(first, "127.0.0.1");
  await new Promise((resolve, reject) => again.once("listening", resolve).once("error", reject));
  again.close();
  blocker.close();
});

test.each([-1, 1.5, 65_535, "50001", Number.NaN])("rejects instancePort %j for two instances", async (instancePort) => {
  const error = await errorOf(startEmulator({ instances: 2, instancePort: instancePort as number }));
  expect(error).toMatchObject({ name: "RangeError", code: "ERR_EAS_ARG_OPTION" });
  expect(error.message).toMatch(/^instancePort is .*: it must be an integer from 0 to 65534/);
});
