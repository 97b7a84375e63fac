import { describe, expect, test } from "vitest";
import { QueueClient } from "../../../../src/index.js";
import { openConsole, type TestConsole } from "../../../support/console.js";

/** Returns the status of a call to the service `echo`. */
async function callEcho({ emulator }: TestConsole, service = "echo"): Promise<number> {
  const headers = { authorization: emulator.token };
  const response = await fetch(`${emulator.endpoint}/api/predict/${service}`, { method: "POST", headers, body: "[]" });
  await response.text();
  return response.status;
}

describe("a switch for faults", () => {
  test("applies to each request until it is switched off", async () => {
    const opened = await openConsole();
    expect(await opened.command("fault", { id: "unavailable", service: null, on: true })).toBe(200);
    expect([await callEcho(opened), await callEcho(opened)]).toEqual([503, 503]);
    expect(await opened.command("fault", { id: "unavailable", service: null, on: false })).toBe(200);
    expect(await callEcho(opened)).toBe(200);
  });

  test("can be limited to a service", async () => {
    const opened = await openConsole();
    await opened.command("fault", { id: "busy", service: "scorecard", on: true });
    expect([await callEcho(opened), await callEcho(opened, "scorecard")]).toEqual([200, 429]);
  });

  test("has no effect when it is switched on twice, and off once", async () => {
    const opened = await openConsole();
    for (const on of [true, true, false]) await opened.command("fault", { id: "full", service: null, on });
    expect(await callEcho(opened)).toBe(200);
  });

  test("is off after reset(), and leaves the faults of a program alone", async () => {
    const { emulator, command, events } = await openConsole();
    await command("fault", { id: "busy", service: "echo", on: true });
    emulator.fault({ status: 500 });
    const before = await (await events()).next("state");
    expect(before).toMatchObject({ activeFaults: [{ id: "busy", service: "echo" }], otherFaults: 1 });
    emulator.reset();
    const after = await (await events()).next("state");
    expect(after).toMatchObject({ activeFaults: [], otherFaults: 0 });
  });

  test("announces its change to all open pages", async () => {
    const { command, events } = await openConsole();
    const streams = [await events(), await events()];
    await command("fault", { id: "delay", service: null, on: true });
    for (const stream of streams) await stream.next("state", ({ activeFaults }) => activeFaults.length === 1);
  });
});

describe("instances in the console", () => {
  test("are stopped and started", async () => {
    const opened = await openConsole({ instances: 2 });
    const [first, second] = opened.emulator.instances.map(({ origin }) => origin);
    expect(await opened.command("instance", { origin: first, running: false })).toBe(200);
    await expect(fetch(first as string)).rejects.toThrow();
    expect((await fetch(second as string)).status).toBe(404);
    expect(await opened.command("instance", { origin: first, running: true })).toBe(200);
    expect((await fetch(first as string)).status).toBe(404);
  });
});

describe("queues in the console", () => {
  test("have their lengths and consumers", async () => {
    const { emulator, events } = await openConsole({ queues: { jobs: {} } });
    const { endpoint, token } = emulator;
    const stream = await events();
    expect(await stream.next("queues")).toEqual([
      { name: "jobs", length: 0, sinkLength: 0, pending: 0, consumers: [] },
    ]);
    const queue = new QueueClient({ endpoint, queueName: "jobs", token, uid: "worker", gid: "team" });
    for (const text of ["a", "b", "c"]) await queue.put(text);
    const watcher = await queue.watch(0n, 2);
    const [sample] = await stream.next("queues", ([sample]) => sample?.pending === 2);
    expect(sample).toMatchObject({ length: 3, consumers: ["team.worker"] });
    watcher.close();
    await queue.close();
  });
});

describe("a command of the console", () => {
  test.each<[string, string, unknown, number]>([
    ["an unknown fault", "fault", { id: "none" }, 400],
    ["an unknown instance", "instance", { origin: "http://127.0.0.1:1", running: false }, 400],
    ["an unknown command", "stop", {}, 404],
    ["a list instead of an object", "fault", [], 400],
    ["null", "clear", null, 400],
    ["an oversized object", "clear", { text: "x".repeat(70_000) }, 400],
  ])("is refused with %s", async (_, name, body, status) => {
    const { command } = await openConsole();
    expect(await command(name, body)).toBe(status);
  });

  test("is refused without the content type of JSON, which a form cannot send", async () => {
    const { send } = await openConsole();
    const post = { method: "POST", headers: { "content-type": "text/plain" }, body: "{}" };
    expect((await send("/_console/clear", post)).status).toBe(400);
    expect((await send("/_console/clear", { method: "PUT" })).status).toBe(405);
  });
});

describe("the stream of events", () => {
  test("ends when the emulator is closed", async () => {
    const { emulator, events } = await openConsole();
    const stream = await events();
    await stream.next("state");
    await emulator.close();
    await stream.ended;
  });

  test("ends for the oldest page when more than 16 pages are open", async () => {
    const { events } = await openConsole();
    const first = await events();
    await first.next("state");
    for (let i = 0; i < 16; i++) await (await events()).next("state");
    await first.ended;
  });
});
