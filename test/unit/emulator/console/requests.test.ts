import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import type { RequestDetails, RequestSummary } from "../../../../src/emulator/console/protocol.js";
import { openConsole, type TestConsole } from "../../../support/console.js";

/** Calls a service, waits until the console shows the end of the call, and returns what it shows. */
async function observed(
  { emulator, events, get }: TestConsole,
  path: string,
  init: RequestInit = {},
): Promise<RequestDetails> {
  const stream = await events();
  await fetch(emulator.endpoint + path, {
    method: "POST",
    ...init,
    headers: { authorization: emulator.token, ...init.headers },
  }).then(
    (response) => response.arrayBuffer().catch(() => {}),
    () => {},
  );
  const [{ id }] = (await stream.next("requests", (list) => list.some(({ outcome }) => outcome !== undefined))) as [
    RequestSummary,
  ];
  return get(`/_console/requests/${id}`);
}

describe("a request in the console", () => {
  test("has its method, path, status, times, sizes and bodies", async () => {
    const details = await observed(await openConsole(), "/api/predict/echo?a=1", { body: "hello" });
    expect(details).toMatchObject({
      method: "POST",
      url: "/api/predict/echo?a=1",
      service: "echo",
      status: 200,
      outcome: "complete",
      auth: "token",
      requestBytes: 5,
      responseBytes: 5,
      requestBody: { text: "hello", isHex: false, isCut: false },
      responseBody: { text: "hello", isHex: false, isCut: false },
    });
    expect(details.headMs).toBeGreaterThan(0);
    expect(details.totalMs).toBeGreaterThanOrEqual(details.headMs as number);
    expect(details.responseHeaders).toContainEqual(["content-length", "5"]);
  });

  test("contains no token: in the headers, the query, the body and the response", async () => {
    const token = "secret-4711";
    const details = await observed(
      await openConsole({ token, services: { own: { handle: ({ body }) => body, token: "other-4711" } } }),
      `/api/predict/echo?token=abc-4711&text=${token}`,
      {
        body: `my tokens are ${token} and other-4711`,
        headers: { cookie: "session=cookie-4711", authorization: `Bearer ${token}` },
      },
    );
    expect(details.responseBody.text).toMatch(/^my tokens are •+ and •+$/);
    expect(details.requestHeaders).toContainEqual(["authorization", "Bearer ••••••"]);
    expect(JSON.stringify(details)).not.toContain("4711");
  });

  test("shows a wrong token as masked too", async () => {
    const details = await observed(await openConsole(), "/api/predict/echo", {
      headers: { authorization: "mistyped-4711" },
    });
    expect(details).toMatchObject({ status: 401, auth: "wrong" });
    expect(JSON.stringify(details)).not.toContain("4711");
  });

  test("shows binary bodies as a hexadecimal dump", async () => {
    const { requestBody } = await observed(await openConsole(), "/api/predict/echo", {
      body: new Uint8Array([0, 1, 255, 65]),
    });
    expect(requestBody).toEqual({ text: `0000  00 01 ff 41${" ".repeat(36)}  ···A`, isHex: true, isCut: false });
  });

  test("keeps only the beginning of long bodies, also in the middle of a character", async () => {
    const body = `a${"你好".repeat(100_000)}`;
    const details = await observed(await openConsole(), "/api/predict/echo", { body });
    expect(details.requestBytes).toBe(600_001);
    for (const { text, isHex, isCut } of [details.requestBody, details.responseBody]) {
      expect({ isHex, isCut }).toEqual({ isHex: false, isCut: true });
      expect(text.length).toBeLessThanOrEqual(4096);
      expect(body.startsWith(text)).toBe(true);
    }
  });

  test("is broken if a fault resets the connection", async () => {
    const opened = await openConsole();
    opened.emulator.fault({ reset: "before-headers" });
    expect(await observed(opened, "/api/predict/echo")).toMatchObject({ outcome: "broken" });
  });

  test("is shown while the service computes, and as disconnected when the caller leaves", async () => {
    const { emulator, events } = await openConsole({ services: { slow: () => new Promise(() => {}) } });
    const stream = await events();
    const caller = connect(emulator.port, "127.0.0.1");
    caller.write(`POST /api/predict/slow HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: ${emulator.token}\r\n`);
    caller.write("content-length: 0\r\n\r\n");
    const running = await stream.next("requests", (list) => list.length > 0);
    expect(running).toMatchObject([{ service: "slow", requestBytes: 0 }]);
    expect(Object.keys(running[0] ?? {})).not.toEqual(expect.arrayContaining(["outcome", "headMs"]));
    caller.destroy();
    await stream.next("requests", ([request]) => request?.outcome === "disconnected");
  });

  test("is a 101 for a WebSocket, and ends with it", async () => {
    const { emulator, events } = await openConsole();
    const stream = await events();
    const socket = new WebSocket(`ws://127.0.0.1:${emulator.port}/api/predict/echo`, {
      headers: { authorization: emulator.token },
    });
    socket.on("open", () => socket.close());
    await stream.next("requests", ([request]) => request?.status === 101 && request.outcome === "complete");
  });

  test("names the instance that was called directly", async () => {
    const opened = await openConsole({ instances: 1 });
    const origin = opened.emulator.instances[0]?.origin as string;
    const stream = await opened.events();
    await fetch(`${origin}/api/predict/echo`, { method: "POST", headers: { authorization: opened.emulator.token } });
    const [request] = await stream.next("requests", (list) => list.length > 0);
    expect(`http://${request?.instance}`).toBe(origin);
  });
});

describe("the console's memory", () => {
  test("has the latest 200 requests, which a page receives when it opens", async () => {
    const { emulator, events, send, command } = await openConsole();
    for (let i = 0; i < 205; i++) await (await fetch(`${emulator.endpoint}/none/${i}`)).text();
    const list = await (await events()).next("requests");
    expect(list).toHaveLength(200);
    expect(list[0]).toMatchObject({ url: "/none/5", status: 404 });
    expect((await send("/_console/requests/1")).status).toBe(404);
    expect(await command("clear", {})).toBe(200);
    expect(await (await events()).next("requests")).toEqual([]);
  });

  test("does not contain requests for the console itself", async () => {
    const { events, emulator } = await openConsole();
    expect(await (await events()).next("requests")).toEqual([]);
    expect(emulator.requests).toEqual([]);
  });
});
