import { describe, expect, onTestFinished, test } from "vitest";
import { createEmulator, startEmulator } from "../../../src/emulator/index.js";
import { ENDPOINT_TYPE_DIRECT, PredictClient } from "../../../src/index.js";
import { errorOf, TOKEN } from "../../support/calls.js";
import { startInstances } from "../../support/direct.js";

const EXPORTED = "/exported/apis/eas.alibaba-inc.k8s.io/v1/upstreams/";
const SERVICE_DISCOVERY = "/api/v1/servicediscovery/upstreams/";

/** Sends one prediction to an address, like any HTTP client. */
const post = (origin: string, service = "echo") =>
  fetch(`${origin}/api/predict/${service}`, { method: "POST", body: "x", headers: { authorization: TOKEN } });

describe("discovery", () => {
  test.each([EXPORTED, SERVICE_DISCOVERY])(
    "responds on %s without a token, in the form that the official SDKs read",
    async (path) => {
      const emulator = await startInstances([{ weight: 1 }, { weight: 2 }]);
      const response = await fetch(`${emulator.endpoint}${path}echo?internal=true`);
      expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/json"]);
      const items = emulator.instances.map(({ port }, i) => ({
        app: "echo",
        name: `echo-${i}`,
        service: "echo",
        ip: "127.0.0.1",
        port,
        weight: i + 1,
      }));
      expect(await response.json()).toEqual({ correlative: ["echo"], endpoints: { items } });
    },
  );

  test("finds services and queues, with or without a path after the name, and no others", async () => {
    const emulator = await startInstances(1, { queues: { q: {} } });
    const statusOf = async (path: string) => (await fetch(emulator.endpoint + path)).status;
    for (const name of ["echo", "q", "q/sink", "echo/v2", "e%63ho"])
      expect([name, await statusOf(EXPORTED + name)]).toEqual([name, 200]);
    for (const name of ["other", "", "__proto__"]) expect([name, await statusOf(EXPORTED + name)]).toEqual([name, 404]);
  });

  test("responds on a single path with discoveryPaths", async () => {
    const emulator = await startInstances(1, { discoveryPaths: ["exported-apis"] });
    expect((await fetch(`${emulator.endpoint}${EXPORTED}echo`)).status).toBe(200);
    expect((await fetch(`${emulator.endpoint}${SERVICE_DISCOVERY}echo`)).status).toBe(404);
  });

  test("returns the gateway's address without instances", async () => {
    const emulator = await startEmulator({ token: TOKEN });
    onTestFinished(() => emulator.close());
    const { endpoints } = await (await fetch(`${emulator.endpoint}${EXPORTED}echo`)).json();
    expect(endpoints.items).toEqual([
      { app: "echo", name: "echo-0", service: "echo", ip: "127.0.0.1", port: emulator.port, weight: 100 },
    ]);
  });

  test("returns current weights and omits instances that are not listed", async () => {
    const emulator = await startInstances(3);
    const [a, b, c] = emulator.instances;
    if (a && b) {
      a.weight = 0;
      b.isListed = false;
    }
    const { endpoints } = await (await fetch(`${emulator.endpoint}${EXPORTED}echo`)).json();
    expect(endpoints.items.map(({ port, weight }: { port: number; weight: number }) => [port, weight])).toEqual([
      [a?.port, 0],
      [c?.port, 100],
    ]);
  });

  test("is affected only by discovery faults", async () => {
    const emulator = await startInstances(1);
    emulator.fault({ status: 500 });
    emulator.fault({ discovery: true, status: 502, times: 2 });
    const list = async () => (await fetch(`${emulator.endpoint}${EXPORTED}echo`)).status;
    expect([await list(), await list(), await list()]).toEqual([502, 502, 200]);
    expect((await post(emulator.endpoint)).status).toBe(500);
  });
});

describe("instances", () => {
  test("serve all services at their own loopback addresses, and the log names the called instance", async () => {
    const emulator = await startInstances(3);
    expect(new Set([emulator.port, ...emulator.instances.map(({ port }) => port)]).size).toBe(4);
    for (const { origin, ip } of emulator.instances) {
      expect(ip).toBe("127.0.0.1");
      expect(await (await post(origin)).text()).toBe("x");
    }
    await post(emulator.endpoint);
    expect(emulator.requests.map(({ instance }) => instance && `http://${instance}`)).toEqual([
      ...emulator.instances.map(({ origin }) => origin),
      undefined,
    ]);
  });

  test("can be stopped, and started again at the same address", async () => {
    const emulator = await startInstances(2);
    const [one, other] = emulator.instances as [(typeof emulator.instances)[0], (typeof emulator.instances)[0]];
    const { origin } = one;
    for (let i = 0; i < 3; i++) {
      await one.stop();
      expect(one.isRunning).toBe(false);
      await expect(post(origin)).rejects.toThrow();
      expect((await post(other.origin)).status).toBe(200);
      await one.start();
      await one.start();
      expect([one.isRunning, one.origin, (await post(origin)).status]).toEqual([true, origin, 200]);
    }
  });

  test("break calls in progress when they stop", async () => {
    const emulator = await startInstances(1);
    const [one] = emulator.instances;
    one?.fault({ stall: "before-headers" });
    const call = errorOf(post(one?.origin as string));
    while (emulator.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await one?.stop();
    expect(await call).toBeInstanceOf(TypeError);
  });

  test("apply their own faults before those of the emulator, until the faults are cleared", async () => {
    const emulator = await startInstances(2);
    const [one, other] = emulator.instances as [(typeof emulator.instances)[0], (typeof emulator.instances)[0]];
    one.fault({ status: 503, times: Number.POSITIVE_INFINITY });
    emulator.fault({ status: 500 });
    expect((await post(one.origin)).status).toBe(503);
    expect((await post(other.origin)).status).toBe(500);
    expect((await post(other.origin)).status).toBe(200);
    one.clearFaults();
    expect((await post(one.origin)).status).toBe(200);
    one.fault({ status: 503 });
    emulator.reset();
    expect((await post(one.origin)).status).toBe(200);
  });

  test("close together with the server, whose emulator another server can use then", async () => {
    const first = await startEmulator({ token: TOKEN, instances: 2 });
    const origins = first.instances.map(({ origin }) => origin);
    await first.close();
    for (const origin of origins) await expect(post(origin)).rejects.toThrow();
    const second = await startEmulator({ emulator: first });
    onTestFinished(() => second.close());
    for (const { origin } of second.instances) expect((await post(origin)).status).toBe(200);
  });

  test("also work without a server", async () => {
    const emulator = createEmulator({ token: TOKEN, instances: 3 });
    const client = new PredictClient({
      endpoint: "discovery.test",
      serviceName: "echo",
      token: TOKEN,
      endpointType: ENDPOINT_TYPE_DIRECT,
      transport: emulator.transport,
    });
    const [one] = emulator.instances;
    await client.predict("x");
    await one?.stop();
    const endpoints = new Set<string>();
    for (let i = 0; i < 12; i++) endpoints.add((await client.predictDetailed("x")).endpoint);
    expect([...endpoints].sort()).toEqual(emulator.instances.slice(1).map(({ origin }) => origin));
    await one?.start();
    expect(one?.isRunning).toBe(true);
  });
});
