import { describe, expect, test } from "vitest";
import { startEmulator } from "../../../../src/emulator/index.js";
import { openConsole } from "../../../support/console.js";

const HTML = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };

describe("the console's page", () => {
  test("is served at / to browsers, without any data of the emulator", async () => {
    const { send, emulator, token } = await openConsole();
    const { status, headers, text } = await send("/", { headers: { ...HTML, "x-eas-console": undefined } });
    expect(status).toBe(200);
    expect(headers["content-type"]).toBe("text/html; charset=utf-8");
    expect(text).not.toContain(emulator.token);
    expect(text).not.toContain(token);
  });

  test("allows its own script and style only, and no frame", async () => {
    const { send } = await openConsole();
    const { headers } = await send("/", { headers: HTML });
    const policy = headers["content-security-policy"];
    expect(policy).toMatch(/^default-src 'none'; script-src 'sha256-[\w+/=]{44}'; style-src 'sha256-[\w+/=]{44}';/);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).toContain("connect-src 'self'");
    expect(headers).toMatchObject({
      "cache-control": "no-store",
      "cross-origin-resource-policy": "same-origin",
      "referrer-policy": "no-referrer",
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
    });
  });

  test("does not exist by default", async () => {
    const emulator = await startEmulator();
    try {
      expect(emulator.consoleUrl).toBeUndefined();
      expect((await fetch(emulator.endpoint, { headers: HTML })).status).toBe(404);
      expect((await fetch(`${emulator.endpoint}/_console/events`)).status).toBe(404);
    } finally {
      await emulator.close();
    }
  });

  test("leaves the root path to clients that are not browsers", async () => {
    const { emulator, send } = await openConsole({ queues: { q: {} }, rootQueue: "q" });
    emulator.queue("q")?.input.put("item");
    const authorization = emulator.token;
    const { text } = await send("/?_index_=0&_length_=1&_raw_=true", { headers: { accept: "*/*", authorization } });
    expect(text).toBe("item");
    expect((await send("/", { headers: HTML })).text).toMatch(/^<!doctype html>/);
  });

  test("is not served on the ports of instances", async () => {
    const { emulator } = await openConsole({ instances: 1 });
    expect((await fetch(emulator.instances[0]?.origin as string, { headers: HTML })).status).toBe(404);
  });

  test("is not served under foreign host names, even if the emulator accepts them", async () => {
    const { send } = await openConsole({ hosts: "*" });
    expect((await send("/", { headers: { ...HTML, host: "rebound.example" } })).status).toBe(404);
  });
});

describe("the console's data", () => {
  test.each<[string, Record<string, string | undefined>, RegExp]>([
    ["the token is missing", { "x-eas-console": undefined }, /token/],
    ["the token is wrong", { "x-eas-console": "00000000-0000-4000-8000-000000000000" }, /token/],
    ["the token is empty", { "x-eas-console": "" }, /token/],
    ["the host is foreign", { host: "rebound.example" }, /loopback/],
    ["the host resembles a loopback name", { host: "127.0.0.1.rebound.example" }, /loopback/],
    ["the origin is foreign", { origin: "https://evil.example" }, /origins/],
    ["the origin is another port of this machine", { origin: "http://127.0.0.1:1" }, /origins/],
    ["the origin is opaque", { origin: "null" }, /origins/],
    ["the request comes from another site", { "sec-fetch-site": "cross-site" }, /sites/],
    ["the request comes from another port", { "sec-fetch-site": "same-site" }, /sites/],
  ])("is refused if %s", async (_, headers, message) => {
    const { send, emulator } = await openConsole({ hosts: "*", cors: true, instances: 1 });
    for (const [method, path] of [
      ["GET", "/_console/events"],
      ["GET", "/_console/requests/1"],
      ["POST", "/_console/instance"],
    ] as const) {
      const response = await send(path, {
        method,
        headers: { "content-type": "application/json", ...headers },
        ...(method === "POST" && { body: JSON.stringify({ origin: emulator.instances[0]?.origin, running: false }) }),
      });
      expect(response.status).toBe(403);
      expect(response.text).toMatch(message);
      expect(response.text).not.toContain(emulator.token);
      expect(response.headers).not.toHaveProperty("access-control-allow-origin");
    }
    expect(emulator.instances[0]?.isRunning).toBe(true);
  });

  test("is refused to a preflight request, even if the services allow other origins", async () => {
    const { send } = await openConsole({ cors: true });
    const { status, headers } = await send("/_console/fault", {
      method: "OPTIONS",
      headers: {
        "x-eas-console": undefined,
        origin: "https://evil.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "x-eas-console",
      },
    });
    expect(status).toBe(403);
    expect(Object.keys(headers).filter((name) => name.startsWith("access-control"))).toEqual([]);
  });

  test("is given to the page itself", async () => {
    const { send, emulator } = await openConsole();
    const headers = {
      origin: emulator.endpoint,
      "sec-fetch-site": "same-origin",
      "content-type": "application/json",
      host: `127.0.0.1:${emulator.port}`,
    };
    expect((await send("/_console/clear", { method: "POST", headers, body: "{}" })).status).toBe(200);
  });

  test("has a token of its own for each emulator", async () => {
    const [first, second] = [await openConsole(), await openConsole()];
    expect(first.token).toMatch(/^[\da-f-]{36}$/);
    expect(first.token).not.toBe(second.token);
    expect(first.token).not.toBe(first.emulator.token);
  });
});
