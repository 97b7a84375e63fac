import { connect } from "node:net";
import { text as textOf } from "node:stream/consumers";
import { describe, expect, onTestFinished, test } from "vitest";
import { createEmulator, type StartEmulatorOptions, startEmulator } from "../../../src/emulator/index.js";
import { PredictClient, type PredictClientOptions, TransportError } from "../../../src/index.js";
import { nodeTransport } from "../../../src/node.js";
import { errorOf } from "../../support/calls.js";

const DOMAIN = "1234.cn-shanghai.pai-eas.aliyuncs.com";
const HOSTS = [
  `my-chat.${DOMAIN}`,
  "my-chat.1234.vpc.cn-shanghai.pai-eas.aliyuncs.com",
  "my-chat.gw-x1y2-vpc.cn-shanghai.pai-eas.aliyuncs.com",
];

/** Responds with the properties of the call. */
const services = {
  my_chat: {
    methods: ["GET", "POST"],
    handle: ({ service, path }: { service: string; path: string }) => JSON.stringify([service, path]),
  },
};

async function start(options: StartEmulatorOptions = {}) {
  const emulator = await startEmulator({ services, token: "t", ...options });
  onTestFinished(() => emulator.close());
  return emulator;
}

/** Sends a GET request with this `Host` header over a socket, and returns the status and the body. */
async function get(port: number, host: string, path: string): Promise<[status: number, body: string]> {
  const socket = connect(port, "127.0.0.1");
  socket.end(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\nauthorization: t\r\nconnection: close\r\n\r\n`);
  const [head, body] = (await textOf(socket)).split("\r\n\r\n") as [string, string];
  return [Number(head.split(" ")[1]), body];
}

describe("the host of a service", () => {
  test.each(HOSTS)("routes requests with the Host header %s to the service", async (host) => {
    const { port } = await start({ hosts: ["*.aliyuncs.com"] });
    const rows: [path: string, seen: string][] = [
      ["/", ""],
      ["/v1/models?a=b", "/v1/models"],
      ["/v1/", "/v1/"],
      ["/api/predict/my_chat", "/api/predict/my_chat"],
    ];
    for (const [path, seen] of rows)
      expect(await get(port, `${host}:80`, path)).toEqual([200, JSON.stringify(["my_chat", seen])]);
  });

  test("matches case-insensitively, and accepts _ or . instead of -", async () => {
    const { port } = await start({ hosts: "*", services: { "Group.My_Chat": services.my_chat } });
    for (const name of ["group-my-chat", "GROUP.my-chat", "group.my_chat"]) {
      expect(await get(port, `${name}.${DOMAIN}`, "/x")).toEqual([200, '["Group.My_Chat","/x"]']);
    }
  });

  test("responds with 404 if no service has the host", async () => {
    const { port, requests } = await start({ hosts: "*" });
    expect(await get(port, `other.${DOMAIN}`, "/")).toEqual([404, `service of other.${DOMAIN} not found`]);
    // The path does not select a service.
    expect((await get(port, `other.${DOMAIN}`, "/api/predict/my_chat"))[0]).toBe(404);
    expect(requests.map(({ service }) => service)).toEqual([undefined, undefined]);
  });

  test("serves neither discovery nor the root queue", async () => {
    const { port } = await start({ hosts: "*", queues: { q: {} }, rootQueue: "q" });
    const path = "/exported/apis/eas.alibaba-inc.k8s.io/v1/upstreams/my_chat";
    expect(await get(port, HOSTS[0] as string, path)).toEqual([200, JSON.stringify(["my_chat", path])]);
    expect((await get(port, `other.${DOMAIN}`, "/"))[0]).toBe(404);
  });

  test("is refused unless the option hosts allows it", async () => {
    const { port } = await start();
    expect((await get(port, HOSTS[0] as string, "/"))[0]).toBe(403);
  });

  test("serves /v1/models of the service", async () => {
    const { port } = await start({ hosts: "*", services: { ...services, "my_chat/v2": services.my_chat } });
    expect(await get(port, HOSTS[0] as string, "/v2/x")).toEqual([200, '["my_chat/v2","/x"]']);
    expect(await get(port, HOSTS[0] as string, "/v3/x")).toEqual([200, '["my_chat","/v3/x"]']);
  });

  test("serves all services under the host of a gateway", async () => {
    const { port } = await start({ hosts: "*" });
    for (const host of [DOMAIN, "gw-x1y2-vpc.cn-shanghai.pai-eas.aliyuncs.com", "nlb-1.cn-shanghai.nlb.aliyuncs.com"]) {
      expect(await get(port, host, "/api/predict/my_chat/v1")).toEqual([200, '["my_chat","/v1"]']);
      expect((await get(port, host, "/v1"))[0]).toBe(404);
    }
  });
});

describe("a client with the endpoint of a service", () => {
  test.each(HOSTS)("predicts with the endpoint %s over a socket", async (host) => {
    const emulator = await start();
    const transport = nodeTransport({ proxy: emulator.endpoint });
    onTestFinished(() => transport.close());
    const client = new PredictClient({ endpoint: host, token: "t", transport, logger: null });
    expect((await client.predict("x", { path: "/v1/models" })).json()).toEqual(["my_chat", "/v1/models"]);
    expect((await client.predict("x")).json()).toEqual(["my_chat", ""]);
    const stream = await client.stream("x", { path: "/s" });
    expect(await stream.text()).toBe('["my_chat","/s"]');
    expect((await client.ready()).attempts).toBe(1);
    expect(await client.diagnose()).toMatchObject({ ok: true, status: 200 });
    expect(emulator.requests.every(({ auth }) => auth === "token")).toBe(true);
  });

  test("sends a signature that the emulator verifies", async () => {
    const { transport, requests } = createEmulator({ services, token: "t", strictSignatures: true });
    const client = new PredictClient({ endpoint: HOSTS[0], token: "t", auth: "signature", transport });
    await client.predict("x");
    await client.predict("x", { path: "/v1/模", query: { a: "b c" } });
    expect(requests.map(({ auth }) => auth)).toEqual(["signature", "signature"]);
  });

  test("opens WebSockets", async () => {
    const { transport } = createEmulator({
      services: { my_chat: { handle: () => "", socket: ({ path }, socket) => socket.send(path) } },
      token: "t",
    });
    const socket = await new PredictClient({ endpoint: HOSTS[0], token: "t", transport }).connect("/ws");
    for await (const message of socket) {
      expect(message).toBe("/ws");
      break;
    }
    await socket.close();
  });

  test("reports the gateway's error for an unknown service", async () => {
    const { transport } = createEmulator({ services });
    const client = new PredictClient({ endpoint: `other.${DOMAIN}`, token: "t", transport, logger: null });
    expect(await errorOf(client.predict("x"))).toMatchObject({ name: "EasHttpError", status: 404 });
  });
});

describe("diagnose()", () => {
  const { transport } = createEmulator({
    services: {
      my_chat: { methods: ["GET"], handle: () => Response.json({ detail: "Not Found" }, { status: 404 }) },
      picky: { methods: ["GET"], handle: () => new Response("no", { status: 400 }) },
    },
    token: "t",
  });
  const diagnose = (options: PredictClientOptions, path?: string) =>
    new PredictClient({ token: "t", transport, logger: null, ...options }).diagnose({ path });

  test.each([
    [`http://my-chat.${DOMAIN}/api/predict/my_chat`, undefined, 404, "/api/predict/my_chat"],
    [`http://my-chat.${DOMAIN}/api/predict/my_chat/v1/models`, undefined, 404, "/api/predict/my_chat"],
    [`http://picky.${DOMAIN}`, "/api/predict/picky/v1", 400, "/api/predict/picky"],
    [`http://picky.${DOMAIN}`, "/api/predict", 400, "/api/predict"],
  ])("explains /api/predict after the host of a service: %s", async (customUrl, path, status, named) => {
    const { hostname } = new URL(customUrl);
    const diagnosis = await diagnose({ customUrl }, path);
    expect(diagnosis).toMatchObject({ ok: false, finding: "path", status });
    expect(diagnosis.message).toContain(
      `. The host ${hostname} leads to the service "${hostname.split(".")[0]}" and forwards paths unchanged: leave "${named}" out of the path`,
    );
  });

  test("explains /api/predict in the path of the call", async () => {
    const { finding, message } = await diagnose({ endpoint: `my-chat.${DOMAIN}` }, "/api/predict/my_chat/v1/models");
    expect(finding).toBe("path");
    expect(message).toContain('leave "/api/predict/my_chat" out of the path');
  });

  test("reports a ready service if the path is right", async () => {
    expect(await diagnose({ endpoint: `my-chat.${DOMAIN}` })).toMatchObject({ ok: true, finding: "ok" });
    expect((await diagnose({ endpoint: DOMAIN, serviceName: "nope" })).message).not.toContain("The host");
  });

  test("explains a gateway path without a known service", async () => {
    const diagnosis = await diagnose({ customUrl: `http://${DOMAIN}/v1/chat/completions` });
    expect(diagnosis).toMatchObject({ ok: false, finding: "path", status: 404 });
    expect(diagnosis.message).toContain(
      `. The host ${DOMAIN} is a gateway, but the path does not name a service: it must begin with "/api/predict/<service>"`,
    );
  });

  test("explains a missing service name", async () => {
    const diagnosis = await diagnose({ endpoint: DOMAIN });
    expect(diagnosis).toMatchObject({ ok: false, finding: "settings" });
    expect(diagnosis.message).toContain(
      "does not contain one: set serviceName (or the variable EAS_SERVICE_NAME), or customUrl",
    );
  });

  const failing = (message: string, systemCode?: string): PredictClientOptions => ({
    retryCount: 0,
    transport: {
      send: () => Promise.reject(new TransportError(message, { sent: "no", ...(systemCode && { systemCode }) })),
      close: async () => {},
    },
  });

  test.each([
    ["getaddrinfo ENOTFOUND my-chat", "ENOTFOUND"],
    ["error sending request: dns error: failed to lookup address information", undefined],
  ])("explains a service host that cannot be resolved: %s", async (message, systemCode) => {
    const diagnosis = await diagnose({ endpoint: `my-chat.${DOMAIN}`, ...failing(message, systemCode) });
    expect(diagnosis).toMatchObject({ ok: false, finding: "network" });
    expect(diagnosis.message).toContain(
      `. Check the service "my-chat", the gateway and the region in my-chat.${DOMAIN}, or use the gateway "${DOMAIN}" as the endpoint with a serviceName`,
    );
  });

  test("explains a gateway host that cannot be resolved", async () => {
    const { message } = await diagnose({ endpoint: DOMAIN, serviceName: "a", ...failing("x", "ENOTFOUND") });
    expect(message).toContain(`. Check the gateway and the region in ${DOMAIN}`);
  });

  test.each(HOSTS.slice(1))("explains that %s is reachable only from its VPC", async (endpoint) => {
    const { message } = await diagnose({ endpoint, ...failing("connect ECONNREFUSED", "ECONNREFUSED") });
    expect(message).toContain(`. The host ${endpoint} can be reached only inside its VPC`);
  });

  test.each([
    ["token", "Bearer t", 'auth: "bearer"'],
    ["bearer", "t", 'auth: "token"'],
  ] as const)(
    "explains a token that was sent as %s to a service that accepts only the other form",
    async (auth, taken, expected) => {
      const { transport } = createEmulator({
        services: {
          my_chat: {
            methods: ["GET", "POST"],
            handle: ({ headers }) => new Response("", { status: headers.get("authorization") === taken ? 200 : 401 }),
          },
        },
        token: "",
      });
      const client = new PredictClient({ endpoint: `my-chat.${DOMAIN}`, token: "t", auth, transport, logger: null });
      expect((await errorOf(client.predict("x"))).message).toContain(expected);
      const { finding, message } = await client.diagnose();
      expect(finding).toBe("token");
      expect(message).toContain(expected);
    },
  );
});
