import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import {
  createEmulator,
  type EmulatorService,
  type Fault,
  type RunningEmulator,
  startEmulator,
} from "../../../src/emulator/index.js";

const running: RunningEmulator[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((emulator) => emulator.close()));
});

const STREAM = () =>
  new Response(
    new ReadableStream({
      start(controller) {
        for (const text of ["a", "b", "c"]) controller.enqueue(new TextEncoder().encode(text));
        controller.close();
      },
    }),
  );

/** Returns the way in which a request's connection ends: `"FIN"`, or the code of its error. */
async function endOf(fault: Fault): Promise<{ received: string; end: string }> {
  const emulator = await startEmulator({ token: "", services: { s: STREAM } });
  running.push(emulator);
  emulator.fault(fault);
  const socket = connect(emulator.port, "127.0.0.1");
  let received = "";
  socket.on("data", (data) => {
    received += data.toString();
  });
  const end = new Promise<string>((resolve) => {
    socket.on("end", () => resolve("FIN")).on("error", ({ code }: NodeJS.ErrnoException) => resolve(String(code)));
  });
  socket.write("POST /api/predict/s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
  return { end: await end, received };
}

describe("a fault on a real socket", () => {
  test("end closes the connection gracefully after some chunks", async () => {
    const { end, received } = await endOf({ end: "in-body", chunks: 2 });
    expect(end).toBe("FIN");
    expect(received).toMatch(/\r\n1\r\na\r\n1\r\nb\r\n$/);
  });

  test("end closes the connection gracefully before the response", async () => {
    expect(await endOf({ end: "before-headers" })).toEqual({ end: "FIN", received: "" });
  });
});

test("breaks a body in memory with the fault end", async () => {
  const emulator = createEmulator({ token: "", services: { s: STREAM } });
  const call = () => emulator.fetch(new Request("http://e/api/predict/s", { method: "POST" }));
  emulator.fault({ end: "in-body", chunks: 1 });
  await expect(call().then((response) => response.text())).rejects.toThrow("connection closed by an injected fault");
  emulator.fault({ end: "before-headers" });
  await expect(call()).rejects.toThrow("connection closed by an injected fault");
  expect(await (await call()).text()).toBe("abc");
});

describe("a service with accept()", () => {
  async function start(accept: NonNullable<EmulatorService["accept"]>) {
    const emulator = await startEmulator({ token: "", services: { s: { handle: () => "", accept } } });
    running.push(emulator);
    return new WebSocket(`ws://127.0.0.1:${emulator.port}/api/predict/s`);
  }

  test("refuses a WebSocket with its own response", async () => {
    const refuse = () => new Response("not now", { status: 503, statusText: "Later", headers: { "retry-after": "3" } });
    const socket = await start(refuse);
    socket.on("error", () => {});
    const [, response] = await once(socket, "unexpected-response");
    expect([response.statusCode, response.statusMessage, response.headers["retry-after"]]).toEqual([503, "Later", "3"]);
    const body = await response.toArray();
    expect(Buffer.concat(body).toString()).toBe("not now");
  });

  test("receives pings and may leave them unanswered", async () => {
    let pings = 0;
    const socket = await start(() => (own) => ({
      onMessage: (message) => own.send(message),
      onDrain: () => {},
      onClose: () => {},
      onPing: () => ++pings > 1,
    }));
    await once(socket, "open");
    socket.ping("first");
    socket.ping("second");
    const [data] = await once(socket, "pong");
    expect([String(data), pings]).toEqual(["second", 2]);
    socket.terminate();
  });

  test("stops reading messages of the caller", async () => {
    const received: unknown[] = [];
    const socket = await start(() => (own) => ({
      onMessage(message) {
        received.push(message);
        own.send("pausing");
        own.pause?.();
      },
      onDrain: () => {},
      onClose: () => {},
    }));
    await once(socket, "open");
    socket.send("1");
    await once(socket, "message");
    // A server that reads would respond to the close frame after these messages.
    socket.send("2");
    socket.close(1000);
    const closed = once(socket, "close");
    socket.terminate();
    await closed;
    expect(received).toEqual(["1"]);
  });
});
