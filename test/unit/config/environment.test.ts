import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import {
  AsyncInferenceClient,
  ENDPOINT_TYPE_DIRECT,
  PredictClient,
  type PredictClientOptions,
  QueueClient,
} from "../../../src/index.js";
import { platform as browser } from "../../../src/platform/browser/platform.js";
import { platform as web } from "../../../src/platform/web/platform.js";
import { platform as workerd } from "../../../src/platform/workerd/platform.js";
import { errorOf, startServer, TOKEN, thrownBy } from "../../support/calls.js";
import type { MisbehavingServer } from "../../support/misbehaving-server.js";
import { answer } from "../../support/misbehaving-server.js";

const NAMES = [
  "EAS_ENDPOINT",
  "EAS_SERVICE_NAME",
  "EAS_TOKEN",
  "EAS_SERVICE_URL",
  "EAS_SERVICE_TOKEN",
  "EAS_LOG",
  "NAMESPACE",
  "POD_NAME",
];

beforeEach(() => {
  for (const name of NAMES) vi.stubEnv(name, undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

function setEnvironment(variables: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
}

/** Calls a service and returns the path and the authorization that the server received. */
async function seenOf(server: MisbehavingServer, options?: PredictClientOptions) {
  const client = new PredictClient({ auth: "token", ...options });
  onTestFinished(() => client.close());
  await client.predict("x");
  const { path, headers } = server.requests.at(-1) as MisbehavingServer["requests"][number];
  return { path, token: headers.authorization };
}

describe("the address and token of the environment", () => {
  test("are used by a client without options", async () => {
    const server = await startServer();
    server.always(answer(200));
    setEnvironment({ EAS_ENDPOINT: server.origin, EAS_SERVICE_NAME: "svc", EAS_TOKEN: TOKEN });
    const client = new PredictClient();
    onTestFinished(() => client.close());
    await client.predict("x");
    expect(server.requests[0]?.path).toBe("/api/predict/svc");
    expect(await seenOf(server)).toEqual({ path: "/api/predict/svc", token: TOKEN });
  });

  test.each([
    ["with the path of a service", "/api/predict/svc", "/api/predict/svc"],
    ["with a path behind the service", "/api/predict/svc/v1", "/api/predict/svc/v1"],
    ["of a server that is not behind a gateway", "/own/path?x=1", "/own/path?x=1"],
  ])("are read from EAS_SERVICE_URL %s", async (_, path, expected) => {
    const server = await startServer();
    server.always(answer(200));
    setEnvironment({ EAS_SERVICE_URL: server.origin + path, EAS_SERVICE_TOKEN: TOKEN });
    expect(await seenOf(server)).toEqual({ path: expected, token: TOKEN });
  });

  test.each<[string, Record<string, string>, PredictClientOptions, string, string | undefined]>([
    ["the option serviceName", {}, { serviceName: "own" }, "own", "env-token"],
    ["the option token", {}, { token: "own-token" }, "svc", "own-token"],
    ["the option token: null", {}, { token: null }, "svc", undefined],
    ["the service in EAS_ENDPOINT", { EAS_SERVICE_NAME: "" }, {}, "", "env-token"],
    ["EAS_SERVICE_TOKEN for EAS_TOKEN", { EAS_TOKEN: "", EAS_SERVICE_TOKEN: "other" }, {}, "svc", "other"],
    ["EAS_TOKEN before EAS_SERVICE_TOKEN", { EAS_SERVICE_TOKEN: "other" }, {}, "svc", "env-token"],
    [
      "EAS_ENDPOINT before EAS_SERVICE_URL",
      { EAS_SERVICE_URL: "http://127.0.0.1:9/api/predict/other", EAS_SERVICE_TOKEN: "other" },
      {},
      "svc",
      "env-token",
    ],
    [
      "no token of EAS_SERVICE_URL for EAS_ENDPOINT",
      { EAS_TOKEN: "", EAS_SERVICE_URL: "http://127.0.0.1:9/api/predict/other", EAS_SERVICE_TOKEN: "other" },
      {},
      "svc",
      undefined,
    ],
  ])("precedence: %s", async (_, variables, options, service, token) => {
    const server = await startServer();
    server.always(answer(200));
    const address = service === "" ? `${server.origin}/api/predict/in-path` : server.origin;
    setEnvironment({ EAS_ENDPOINT: address, EAS_SERVICE_NAME: "svc", EAS_TOKEN: "env-token", ...variables });
    expect(await seenOf(server, options)).toEqual({ path: `/api/predict/${service || "in-path"}`, token });
  });

  test("an explicit address keeps its own service", async () => {
    const server = await startServer();
    server.always(answer(200));
    setEnvironment({ EAS_SERVICE_NAME: "svc", EAS_TOKEN: TOKEN });
    const own = { path: "/api/predict/own", token: TOKEN };
    expect(await seenOf(server, { endpoint: `${server.origin}/api/predict/own` })).toEqual(own);
    expect((await seenOf(server, { customUrl: `${server.origin}/x` })).path).toBe("/x");
  });

  test("sends the token to no other host than that of the environment", async () => {
    const server = await startServer();
    const other = await startServer();
    server.always(answer(200));
    other.always(answer(200));
    setEnvironment({ EAS_ENDPOINT: server.origin, EAS_SERVICE_NAME: "svc", EAS_TOKEN: TOKEN });
    expect((await seenOf(server, { endpoint: server.origin })).token).toBe(TOKEN);
    expect((await seenOf(server, { customUrl: `${server.origin}/x?y=1` })).token).toBe(TOKEN);
    expect((await seenOf(other, { endpoint: other.origin })).token).toBeUndefined();
    expect((await seenOf(other, { customUrl: `${other.origin}/x` })).token).toBeUndefined();
    const { hostname } = new URL(other.origin);
    const endpointSource = () => [{ host: hostname, port: other.port }];
    const direct = { endpointType: ENDPOINT_TYPE_DIRECT, endpointSource } as PredictClientOptions;
    expect((await seenOf(other, direct)).token).toBeUndefined();

    const moved = new PredictClient({ auth: "token" });
    await moved.setEndpoint(`${server.origin}/`).predict("x");
    expect(server.requests.at(-1)?.headers.authorization).toBe(TOKEN);
    await moved.setEndpoint(other.origin).predict("x");
    expect(other.requests.at(-1)?.headers.authorization).toBeUndefined();
    await moved.setToken("own-token").setEndpoint(server.origin).setEndpoint(other.origin).predict("x");
    expect(other.requests.at(-1)?.headers.authorization).toBe("own-token");
    await moved.close();
  });

  test("sends EAS_TOKEN to an explicit address if the environment names no address", async () => {
    const server = await startServer();
    server.always(answer(200));
    setEnvironment({ EAS_TOKEN: TOKEN });
    expect((await seenOf(server, { endpoint: server.origin, serviceName: "svc" })).token).toBe(TOKEN);
  });

  test("later changes of the environment do not affect a client", async () => {
    const server = await startServer();
    server.always(answer(200));
    setEnvironment({ EAS_ENDPOINT: server.origin, EAS_SERVICE_NAME: "svc", EAS_TOKEN: TOKEN });
    const client = new PredictClient({ auth: "token" });
    onTestFinished(() => client.close());
    setEnvironment({ EAS_SERVICE_NAME: "other", EAS_TOKEN: "other" });
    await client.predict("x");
    expect(server.requests[0]).toMatchObject({ path: "/api/predict/svc", headers: { authorization: TOKEN } });
  });
});

test.each<[variables: Record<string, string>, options: PredictClientOptions, message: string]>([
  [{ EAS_ENDPOINT: "ftp://h" }, {}, "environment variable EAS_ENDPOINT: endpoint"],
  [{ EAS_ENDPOINT: "http://u:s3cret@h" }, {}, "environment variable EAS_ENDPOINT: endpoint has a user name"],
  [{ EAS_SERVICE_URL: "http://a b/" }, {}, "environment variable EAS_SERVICE_URL: customUrl"],
  [{ EAS_SERVICE_NAME: "a/../b" }, {}, "environment variable EAS_SERVICE_NAME: serviceName"],
  [{ EAS_TOKEN: "s3cret\n" }, {}, "environment variable EAS_TOKEN: token ends with a line break"],
  [{ EAS_TOKEN: "Bearer s3cret" }, {}, 'environment variable EAS_TOKEN: token begins with "Bearer "'],
  [{ EAS_SERVICE_TOKEN: " " }, {}, "environment variable EAS_SERVICE_TOKEN: token is empty"],
  [
    { EAS_SERVICE_URL: "http://h/api/predict/a" },
    { serviceName: "b" },
    'environment variable EAS_SERVICE_URL: serviceName is "b", but the endpoint names the service "a"',
  ],
  [
    { EAS_ENDPOINT: "http://h/api/predict/a", EAS_SERVICE_NAME: "b" },
    {},
    'environment variable EAS_SERVICE_NAME: serviceName is "b", but the endpoint names the service "a"',
  ],
])("names the variable of an invalid value: %j", (variables, options, message) => {
  setEnvironment(variables);
  const error = thrownBy(() => new PredictClient(options));
  expect(error).toBeInstanceOf(TypeError);
  expect(error.message).toContain(message);
  expect(error.message).not.toContain("s3cret");
  expect(error.code).toMatch(/^ERR_EAS_ARG_/);
});

test("errors for a missing address, service or token name the option and the variable", async () => {
  const server = await startServer();
  server.always(answer(401));
  const noEndpoint = await errorOf(new PredictClient({ serviceName: "svc" }).predict("x"));
  expect(noEndpoint.message).toMatch(/^endpoint is empty: set it \(or the variable EAS_ENDPOINT\)/);
  const noService = await errorOf(new PredictClient({ endpoint: server.origin }).predict("x"));
  expect(noService.message).toContain("set serviceName (or the variable EAS_SERVICE_NAME)");
  const noToken = await errorOf(new PredictClient({ endpoint: server.origin, serviceName: "svc" }).predict("x"));
  expect(noToken.message).toContain("set the token option or the variable EAS_TOKEN");
  const noName = thrownBy(() => new AsyncInferenceClient());
  expect(noName.message).toContain("set it (or the variable EAS_SERVICE_NAME)");
});

test.each<[string, Record<string, string>]>([
  ["two variables", { EAS_ENDPOINT: "http://h", EAS_SERVICE_NAME: "svc" }],
  ["the service in the path", { EAS_SERVICE_URL: "http://h/api/predict/svc" }],
])("queue clients use the service's name as the name of the queue: %s", (_, variables) => {
  setEnvironment(variables);
  const own = "EAS_SERVICE_URL" in variables;
  expect(String(new QueueClient())).toMatch(own ? /endpoint: "http:\/\/h\/api\/predict\/svc"/ : /queue: svc,/);
  const jobs = new AsyncInferenceClient();
  expect(String(jobs)).toContain("service: svc");
  expect(String(jobs.sink)).toMatch(/queue: svc\/sink, endpoint: "http:\/\/h"/);
  expect(String(new AsyncInferenceClient({ serviceName: "svc" }).input)).toContain("queue: svc");
});

test("queue clients send the token of the environment, and no token to another host", async () => {
  const server = await startServer();
  const other = await startServer();
  for (const each of [server, other]) each.always(answer(200, {}, "{}"));
  setEnvironment({ EAS_ENDPOINT: server.origin, EAS_SERVICE_NAME: "svc", EAS_TOKEN: TOKEN });
  const queue = new QueueClient();
  const jobs = new AsyncInferenceClient();
  const foreign = new QueueClient({ endpoint: other.origin });
  await Promise.all([queue.attributes(), jobs.input.attributes(), jobs.sink.attributes(), foreign.attributes()]);
  expect(server.requests.map(({ headers }) => headers.authorization)).toEqual([TOKEN, TOKEN, TOKEN]);
  jobs.input.setEndpoint(other.origin);
  await jobs.input.attributes();
  expect(other.requests.map(({ headers }) => headers.authorization)).toEqual([undefined, undefined]);
  await Promise.all([queue.close(), jobs.close(), foreign.close()]);
});

describe("runtimes", () => {
  test("a page has no environment", () => {
    expect(browser.environment).toBeUndefined();
    expect(browser.env("PATH")).toBeUndefined();
  });

  test.each([web, workerd])("platform $name reads process.env if it exists and is readable", ({ env, environment }) => {
    vi.stubEnv("EAS_LOG", "warn");
    expect(env("EAS_LOG")).toBe("warn");
    expect(environment?.logger()).toBeDefined();
    const { process } = globalThis;
    const denied = new Proxy(
      {},
      {
        get: () => {
          throw new Error("NotCapable: requires env access");
        },
      },
    );
    try {
      for (const value of [undefined, {}, { env: undefined }, { env: { EAS_LOG: 5 } }, { env: denied }]) {
        vi.stubGlobal("process", value);
        expect(env("EAS_LOG")).toBeUndefined();
        expect(environment?.logger()).toBeUndefined();
      }
    } finally {
      vi.stubGlobal("process", process);
      vi.unstubAllGlobals();
    }
  });

  test("no variable is read at import", async () => {
    const read: string[] = [];
    const { env } = process;
    const recording = new Proxy(env, {
      get(target, name) {
        read.push(String(name));
        return Reflect.get(target, name);
      },
    });
    vi.resetModules();
    Object.defineProperty(process, "env", { value: recording, configurable: true, writable: true });
    const ofOurs = () => read.filter((name) => /^EAS_|PROXY$|^(NAMESPACE|POD_NAME)$/i.test(name));
    try {
      const { PredictClient } = await import("../../../src/index.js");
      const { nodeTransport } = await import("../../../src/node.js");
      expect(ofOurs()).toEqual([]);
      nodeTransport();
      expect(ofOurs()).toEqual([]);
      new PredictClient();
      expect(ofOurs()).toContain("EAS_ENDPOINT");
    } finally {
      Object.defineProperty(process, "env", { value: env, configurable: true, writable: true });
    }
  });
});

describe("EAS_LOG", () => {
  const lines = () => {
    const seen: string[] = [];
    for (const method of ["debug", "info", "log", "warn", "error"] as const) {
      vi.spyOn(console, method).mockImplementation((line: string) => void seen.push(`${method}: ${line}`));
    }
    return seen;
  };
  const SENT = /^warn: eas-prediction: POST http.*\/api\/predict\/svc \(attempt \d\): sending 8 bytes$/;
  const DONE = /^warn: eas-prediction: POST http.*: 200, 8 bytes after \d+ ms$/;
  const RETRY = /^warn: eas-prediction: POST http.*failed, retrying in /;
  const FAILED = /^error: eas-prediction: POST http.*failed: /;

  test.each([
    ["debug", [SENT, RETRY, SENT, DONE, SENT, FAILED]],
    ["info", [RETRY, DONE, FAILED]],
    ["warn", [RETRY, FAILED]],
    ["error", [FAILED]],
  ])("%s logs calls to stderr, without token and body", async (level, expected) => {
    const server = await startServer();
    server.play(
      answer(503, { "Retry-After": "0" }),
      answer(200, {}, "a-result"),
      answer(400, {}, `an-error-body ${TOKEN}`),
    );
    setEnvironment({ EAS_LOG: level });
    const seen = lines();
    const client = new PredictClient({ endpoint: server.origin, serviceName: "svc", token: TOKEN });
    await client.predict("the-body", { query: { key: "the-query" } });
    await errorOf(client.predict("the-body"));
    await client.close();
    expect(seen).toEqual(expected.map((pattern) => expect.stringMatching(pattern)));
    for (const secret of [TOKEN, "the-body", "a-result", "an-error-body", "the-query"])
      expect(seen.join()).not.toContain(secret);
  });

  test("an explicit logger replaces it", async () => {
    const server = await startServer();
    server.always(answer(200, {}, "{}"));
    setEnvironment({ EAS_LOG: "debug" });
    const seen = lines();
    const address = { endpoint: server.origin, serviceName: "svc", token: TOKEN };
    const messages: string[] = [];
    const logger = { debug: (line: string) => messages.push(line), warn: () => {}, error: () => {} };
    await new PredictClient({ ...address, logger }).predict("x");
    await new PredictClient({ ...address, logger: null }).predict("x");
    const { serviceName: queueName, ...rest } = address;
    await new QueueClient({ ...rest, queueName, logger: null }).attributes();
    const queue = new QueueClient({ ...rest, queueName });
    await queue.setLogger(logger).attributes();
    expect(seen).toEqual([]);
    expect(messages).toHaveLength(1);
    expect(messages[0]).toContain("200");
  });

  test("logs the calls of queues", async () => {
    const server = await startServer();
    server.always(answer(200, {}, "{}"));
    setEnvironment({ EAS_LOG: "info" });
    const seen = lines();
    await new QueueClient({ endpoint: server.origin, queueName: "q", token: TOKEN }).attributes();
    expect(seen).toEqual([expect.stringMatching(/^warn: eas-prediction: GET .*\/api\/predict\/q.* 200, 2 bytes/)]);
  });

  test("warns once about an unknown value and names the allowed values", async () => {
    vi.resetModules();
    const { PredictClient } = await import("../../../src/index.js");
    setEnvironment({ EAS_LOG: "verbose" });
    const seen = lines();
    new PredictClient();
    new PredictClient();
    expect(seen).toEqual(['warn: eas-prediction: EAS_LOG is "verbose": it must be debug, info, warn or error']);
  });
});
