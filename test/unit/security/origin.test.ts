import { describe, expect, onTestFinished, test } from "vitest";
import { PredictClient, QueueClient } from "../../../src/index.js";
import { clientOf, errorOf, startServer, TOKEN } from "../../support/calls.js";
import { answer, type MisbehavingServer } from "../../support/misbehaving-server.js";
import { watchWith } from "../../support/queue-watch.js";
import { callsOf } from "../../support/queues.js";

// No response makes the client send anything to another origin. A server that all redirects point to proves it.

const REDIRECTS = [301, 302, 303, 307, 308];

/** Headers that point to another location. */
function headersTo(origin: string): Record<string, string> {
  const { port } = new URL(origin);
  return {
    Location: `${origin}/api/predict/svc`,
    "Content-Location": `${origin}/api/predict/svc`,
    Refresh: `0; url=${origin}/`,
    Link: `<${origin}/>; rel=preload, <${origin}/>; rel=canonical`,
    "Alt-Svc": `http/1.1="127.0.0.1:${port}"`,
    "Proxy-Authenticate": "Basic realm=x",
    "WWW-Authenticate": "Basic realm=x",
  };
}

async function servers(): Promise<{ server: MisbehavingServer; trap: MisbehavingServer }> {
  return { server: await startServer(), trap: await startServer() };
}

const queueOf = ({ origin }: MisbehavingServer, options = {}): QueueClient => {
  const client = new QueueClient({ endpoint: origin, queueName: "q", token: TOKEN, logger: null, ...options });
  onTestFinished(() => client.close());
  return client;
};

describe.each(REDIRECTS)("a redirect with %i to another origin is not followed", (status) => {
  test.each([
    ["with the runtime's connections", {}],
    ["with fetch", { fetch: globalThis.fetch as never }],
  ])("by predict and diagnose, %s", async (_, options) => {
    const { server, trap } = await servers();
    server.always(answer(status, headersTo(trap.origin), "moved"));
    for (const auth of ["token", "bearer", "signature"] as const) {
      const client = clientOf(server, { auth, ...options });
      expect(await errorOf(client.predict("x"))).toMatchObject({ code: "ERR_EAS_HTTP", status, attempts: 1 });
      await client.diagnose();
    }
    expect(server.requests).toHaveLength(6);
    expect(trap.connections).toBe(0);
  });

  test("by any call of a queue", async () => {
    const { server, trap } = await servers();
    server.always(answer(status, headersTo(trap.origin)));
    const client = queueOf(server);
    for (const call of callsOf(client)) {
      expect(await errorOf(call())).toMatchObject({ code: "ERR_EAS_HTTP", status });
    }
    expect(trap.connections).toBe(0);
  });

  test.each(["websocket", "http", "poll"] as const)("by a watch over %s", async (transport) => {
    const { server, trap } = await servers();
    for (const scheme of ["http", "ws"]) {
      const { port } = trap;
      server.always(answer(status, { ...headersTo(trap.origin), Location: `${scheme}://127.0.0.1:${port}/` }));
      const { told, done } = watchWith(queueOf(server), 0, 1, { transport });
      // A watch ends if its first connection is refused with a final status.
      await done;
      expect(told.statuses).toMatchObject([{ state: "closed", error: { code: "ERR_EAS_HTTP", status } }]);
    }
    expect(server.requests.length).toBeGreaterThan(0);
    expect(trap.connections).toBe(0);
  });

  test("to another path of the same origin either", async () => {
    const { server } = await servers();
    server.always(answer(status, { Location: "/elsewhere" }));
    await errorOf(clientOf(server).predict("x"));
    expect(server.requests.map(({ path }) => path)).toEqual(["/api/predict/svc"]);
  });
});

test.each([200, 401, 404, 407, 421, 503])("follows no header of a response with status %i", async (status) => {
  const { server, trap } = await servers();
  server.always(answer(status, headersTo(trap.origin), "x"));
  const client = clientOf(server, { retryCount: 1, auth: "token" });
  for (let i = 0; i < 3; i++) await client.predict("x").catch(() => {});
  expect(server.requests.length).toBeGreaterThanOrEqual(3);
  expect(trap.connections).toBe(0);
});

test("sends each client's token only to its own endpoint, also after setEndpoint and with a shared pool", async () => {
  const [first, second] = [await startServer(), await startServer()];
  const client = clientOf(first, { auth: "token" });
  const other = client.service("other", { token: "other-token" });
  await client.predict("x");
  await other.predict("x");
  client.setEndpoint(second.origin).setToken("second-token");
  await client.predict("x");
  await other.predict("x");
  const sent = ({ requests }: MisbehavingServer) => requests.map(({ path, headers }) => [path, headers.authorization]);
  expect(sent(first)).toEqual([
    ["/api/predict/svc", TOKEN],
    ["/api/predict/other", "other-token"],
    ["/api/predict/other", "other-token"],
  ]);
  expect(sent(second)).toEqual([["/api/predict/svc", "second-token"]]);
});

test("ignores proxies of the environment", async () => {
  const { server, trap } = await servers();
  const names = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
  const before = names.map((name) => process.env[name]);
  for (const name of names) process.env[name] = trap.origin;
  onTestFinished(() => {
    for (const [i, name] of names.entries()) {
      if (before[i] === undefined) delete process.env[name];
      else process.env[name] = before[i];
    }
  });
  const client = new PredictClient({ endpoint: server.origin, serviceName: "svc", token: TOKEN });
  await client.predict("x");
  await client.close();
  expect(trap.connections).toBe(0);
});
