import { connect } from "node:net";
import { text as textOf } from "node:stream/consumers";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { createEmulator, type StartEmulatorOptions, startEmulator } from "../../../src/emulator/index.js";
import { EasHttpError, PredictClient } from "../../../src/index.js";
import { errorOf } from "../../support/calls.js";

async function start(options: StartEmulatorOptions = {}) {
  const emulator = await startEmulator({ queues: { q: {} }, instances: 1, ...options });
  onTestFinished(() => emulator.close());
  return emulator;
}

/** Sends one request and returns the response as text. */
function send(port: number, firstLine: string, headers: readonly string[], body = ""): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.end([firstLine, ...headers, `content-length: ${body.length}`, "connection: close", "", body].join("\r\n"));
  return textOf(socket);
}

type Started = Awaited<ReturnType<typeof start>>;

/** Sends a put request with this `Host` header, and returns the status line. */
async function put({ port, token }: Pick<Started, "port" | "token">, host: string, version = "1.1"): Promise<string> {
  const headers = [...(version === "1.1" ? [`host: ${host}`] : []), `authorization: ${token}`];
  return (await send(port, `POST /api/predict/q HTTP/${version}`, headers, "item")).split("\r\n", 1)[0] as string;
}

const REFUSED = "HTTP/1.1 403 Forbidden";
const ANSWERED = "HTTP/1.1 200 OK";

describe("the Host header", () => {
  test.each([
    "localhost",
    "LocalHost:8080",
    "localhost.",
    "127.0.0.1",
    "127.0.0.1:1",
    "127.1.2.3:65535",
    "[::1]",
    "[::1]:8080",
    "[0:0:0:0:0:0:0:1]:8080",
    "app.localhost:3000",
  ])("%s is accepted", async (host) => {
    const emulator = await start();
    expect(await put(emulator, host)).toBe(ANSWERED);
    expect(emulator.queue("q")?.input.length).toBe(1);
  });

  test.each([
    "evil.example",
    "evil.example:80",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evillocalhost",
    "127.0.0.1@evil.example",
    "evil.example#.localhost",
    "evil.example/.localhost",
    "10.0.0.1",
    "0.0.0.0",
    "[::2]:80",
    "::1",
    "localhost:80:80",
    "",
  ])("%j is refused before it reaches a queue or the log", async (host) => {
    const emulator = await start();
    expect(await put(emulator, host)).toBe(REFUSED);
    expect([emulator.requests.length, emulator.queue("q")?.input.length]).toEqual([0, 0]);
  });

  test("is explained if it is refused, also on the port of an instance", async () => {
    const emulator = await start();
    for (const port of [emulator.port, emulator.instances[0]?.port as number]) {
      const response = await send(port, "GET /api/predict/echo HTTP/1.1", ["host: evil.example"]);
      expect(response).toMatch(/^HTTP\/1\.1 403 /);
      expect(response).toMatch(/\r\n\r\nThe host "evil\.example" is not allowed.*option "hosts" of startEmulator/);
    }
    expect(emulator.requests).toEqual([]);
  });

  test("is checked after the body is read, so that the client sees the response", async () => {
    const emulator = await start();
    const body = "x".repeat(20 * 1024 * 1024);
    expect(await send(emulator.port, "POST /api/predict/echo HTTP/1.1", ["host: evil.example"], body)).toMatch(
      /^HTTP\/1\.1 403 .*The host .* is not allowed/s,
    );
  });

  test("is checked before preflights are answered", async () => {
    const emulator = await start({ cors: true });
    const headers = ["host: evil.example", "origin: http://evil.example", "access-control-request-method: POST"];
    expect(await send(emulator.port, "OPTIONS /api/predict/echo HTTP/1.1", headers)).toMatch(/^HTTP\/1\.1 403 /);
  });

  test.each(["websocket", "h2c"])("is checked for upgrades to %s", async (protocol) => {
    const logged = vi.spyOn(console, "error").mockImplementation(() => {});
    onTestFinished(() => logged.mockRestore());
    const emulator = await start();
    const socket = connect(emulator.port, "127.0.0.1");
    const head = [
      "GET /api/predict/q?_watch_=true HTTP/1.1",
      "host: evil.example",
      `authorization: ${emulator.token}`,
      `upgrade: ${protocol}`,
      "connection: upgrade",
      "sec-websocket-version: 13",
      "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    socket.write([...head, "", ""].join("\r\n"));
    expect(await textOf(socket)).toMatch(/^HTTP\/1\.1 403 .*The host "evil\.example" is not allowed/s);
    expect(emulator.requests).toEqual([]);
    expect(logged).not.toHaveBeenCalled();
  });

  test("may be absent in HTTP/1.0, and is ignored for a target in absolute form", async () => {
    const emulator = await start();
    expect(await put(emulator, "", "1.0")).toBe(ANSWERED);
    const headers = ["host: evil.example", `authorization: ${emulator.token}`];
    const target = "http://1234.cn-shanghai.pai-eas.aliyuncs.com/api/predict/echo";
    expect(await send(emulator.port, `POST ${target} HTTP/1.1`, headers, "x")).toMatch(/^HTTP\/1\.1 200 .*x$/s);
  });

  test("is reported in the client's error", async () => {
    const emulator = await start();
    // Clients cannot set `Host`. They reach the emulator by a name from /etc/hosts or Docker.
    const body = (await send(emulator.port, "GET /api/predict/echo HTTP/1.1", ["host: host.docker.internal"])).split(
      "\r\n\r\n",
    )[1] as string;
    const client = new PredictClient({
      endpoint: "http://e",
      serviceName: "echo",
      token: "t",
      transport: createEmulator({ services: { echo: () => new Response(body, { status: 403 }) }, token: "" }).transport,
    });
    const error = await errorOf(client.predict("x"));
    expect(error).toBeInstanceOf(EasHttpError);
    expect(error.message).toContain('"host.docker.internal"');
    expect(error.message).toContain('option "hosts" of startEmulator allows others');
  });
});

describe("the option hosts", () => {
  test.each([
    [["host.docker.internal"], "Host.Docker.Internal:8080", ANSWERED],
    [["host.docker.internal"], "other.internal", REFUSED],
    [["host.docker.internal"], "localhost", ANSWERED],
    [["*.aliyuncs.com"], "1234.cn-shanghai.pai-eas.aliyuncs.com", ANSWERED],
    [["*.aliyuncs.com"], "aliyuncs.com", REFUSED],
    [["*.aliyuncs.com"], "evilaliyuncs.com", REFUSED],
    [["*.aliyuncs.com"], "a.aliyuncs.com.evil.example", REFUSED],
    [["bücher.example"], "xn--bcher-kva.example", ANSWERED],
    [["[fe80::1]", "10.0.0.1"], "10.0.0.1:80", ANSWERED],
    [["[fe80::1]"], "[fe80:0::1]:80", ANSWERED],
    ["*", "evil.example", ANSWERED],
    [["*"], "evil.example", ANSWERED],
    [[], "evil.example", REFUSED],
  ] as const)("%j with the Host header %s: %s", async (hosts, host, status) => {
    expect(await put(await start({ hosts }), host)).toBe(status);
  });

  test("applies to an existing emulator", async () => {
    const emulator = createEmulator({ queues: { q: {} } });
    const running = await start({ emulator, hosts: ["gateway.example"] });
    expect(running.token).toBe(emulator.token);
    expect(await put(running, "gateway.example")).toBe(ANSWERED);
    expect(await put(running, "evil.example")).toBe(REFUSED);
  });

  test.each([
    ["localhost", 'hosts is "localhost"'],
    [[""], 'hosts has ""'],
    [["http://a.example"], 'hosts has "http://a.example"'],
    [["a.example:80"], 'hosts has "a.example:80"'],
    [["a.*.example"], 'hosts has "a.*.example"'],
    [["*."], 'hosts has "*."'],
    [["*a.example"], 'hosts has "*a.example"'],
    [[1], "hosts has 1"],
    [true, "hosts is true"],
  ])("%j is refused", async (hosts, start) => {
    const error = await errorOf(startEmulator({ hosts: hosts as never }));
    expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_OPTION" });
    expect(error.message).toContain(`${start}: it must be a list of host names without scheme and port`);
  });
});

describe("options that only a server has", () => {
  test.each(["hosts", "port", "instancePort", "emulator"])("%s is refused by createEmulator", (name) => {
    expect(() => createEmulator({ [name]: undefined } as never)).toThrow(`unknown option "${name}"`);
  });

  test("throws for unknown options even with an existing emulator", async () => {
    await expect(startEmulator({ emulator: createEmulator(), host: "0.0.0.0" } as never)).rejects.toMatchObject({
      code: "ERR_EAS_ARG_OPTION",
    });
  });
});

describe("the default token", () => {
  test("is random for each emulator and does not change", async () => {
    const tokens = await Promise.all([start(), start(), start()]);
    expect(new Set(tokens.map(({ token }) => token)).size).toBe(3);
    const emulator = createEmulator();
    expect(emulator.token).toMatch(/^emulator-token-[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
    expect(emulator.token).toBe(emulator.token);
    const ask = (authorization: string) =>
      emulator.fetch(
        new Request("http://e/api/predict/echo", { method: "POST", body: "x", headers: { authorization } }),
      );
    expect((await ask(emulator.token)).status).toBe(200);
    expect((await ask(tokens[0].token)).status).toBe(401);
    expect((await ask("emulator-token")).status).toBe(401);
  });

  test("is required even if the caller never read it", async () => {
    const { fetch } = createEmulator();
    expect((await fetch(new Request("http://e/api/predict/echo", { method: "POST", body: "x" }))).status).toBe(401);
  });
});
