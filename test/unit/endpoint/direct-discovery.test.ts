import { describe, expect, onTestFinished, test, vi } from "vitest";
import {
  AsyncInferenceClient,
  type DiscoveryOptions,
  EasDiscoveryError,
  EasError,
  ENDPOINT_TYPE_DIRECT,
  ENDPOINT_TYPE_GATEWAY,
  type EndpointSource,
  PredictClient,
  type PredictClientOptions,
  QueueClient,
  type QueueClientOptions,
  type ServiceInstance,
} from "../../../src/index.js";
import {
  errorOf,
  RecordingTransport,
  startServer,
  TOKEN,
  thrownBy,
  transportAnswer,
  turn,
  until,
  watch,
} from "../../support/calls.js";
import { askedSource, directClientOf, discoveryCalls, movableClock, startInstances } from "../../support/direct.js";
import { answer, raw, refusedOrigin, stallBeforeHeaders } from "../../support/misbehaving-server.js";

const EXPORTED = "/exported/apis/eas.alibaba-inc.k8s.io/v1/upstreams/";
const SERVICE_DISCOVERY = "/api/v1/servicediscovery/upstreams/";

const listOf = (...items: unknown[]) => JSON.stringify({ correlative: ["echo"], endpoints: { items } });

/** A client over a transport that answers discovery with `list`, and calls with "ok". */
function clientOfList(
  list: (count: number) => string | [status: number, body?: string],
  options: PredictClientOptions = {},
) {
  let lists = 0;
  const transport = new RecordingTransport(({ path }) => {
    if (!path.includes("/upstreams/")) return transportAnswer(200, {}, "ok");
    const answered = list(++lists);
    return typeof answered === "string"
      ? transportAnswer(200, {}, answered)
      : transportAnswer(answered[0], {}, answered[1]);
  });
  const client = directClientOf({ endpoint: "http://d" }, { transport, ...options });
  const asked = () => transport.requests.filter(({ path }) => path.includes("/upstreams/")).map(({ path }) => path);
  const called = () =>
    transport.requests.filter(({ path }) => !path.includes("/upstreams/")).map(({ origin }) => origin);
  return { client, transport, asked, called };
}

/** Over real sockets the first answer takes a while. */
const SOCKETS = { timeout: 1_500 };
const short = (options: DiscoveryOptions = {}): PredictClientOptions => ({ discovery: { timeout: 50, ...options } });

describe("the two paths", () => {
  test("both are known: the first that knows the service is kept", async () => {
    const clock = movableClock();
    const emulator = await startInstances(1, { discoveryPaths: ["service-discovery"] });
    const client = directClientOf(emulator);
    await client.predict("x");
    expect(discoveryCalls(emulator)).toEqual([`${EXPORTED}echo`, `${SERVICE_DISCOVERY}echo`]);
    clock.move(3_000);
    await client.predict("x");
    await until(() => discoveryCalls(emulator).length === 3);
    expect(discoveryCalls(emulator).at(-1)).toBe(`${SERVICE_DISCOVERY}echo`);
  });

  test("a path that was kept and knows the service no more gives way to the other", async () => {
    const clock = movableClock();
    const answers: [number, string?][] = [
      [200, listOf({ ip: "a", port: 1 })],
      [404],
      [200, listOf({ ip: "b", port: 1 })],
    ];
    const { client, asked, called } = clientOfList((count) => answers[count - 1] ?? [404]);
    await client.predict("x");
    clock.move(3_000);
    await client.predict("x");
    await until(() => asked().length === 3);
    await turn();
    await client.predict("x");
    expect(asked()).toEqual([`${EXPORTED}echo`, `${EXPORTED}echo`, `${SERVICE_DISCOVERY}echo`]);
    expect(called()).toEqual(["http://a:1", "http://a:1", "http://b:1"]);
  });

  test.each([
    ["exported-apis", EXPORTED],
    ["service-discovery", SERVICE_DISCOVERY],
  ] as const)("only %s, when it is chosen", async (path, prefix) => {
    const { client, asked } = clientOfList(() => [404], short({ path }));
    expect(await errorOf(client.predict("x"))).toBeInstanceOf(EasDiscoveryError);
    expect(new Set(asked())).toEqual(new Set([`${prefix}echo`]));
  });

  test("the first to know it counts, though the other is asked when it knows none", async () => {
    const { client, called } = clientOfList((count) => (count === 1 ? listOf() : listOf({ ip: "b", port: 1 })));
    await client.predict("x");
    expect(called()).toEqual(["http://b:1"]);
  });

  test("does not try the other path after a refused connection to the same host", async () => {
    const endpoint = await refusedOrigin();
    const error = (await errorOf(directClientOf({ endpoint }, short(SOCKETS)).predict("x"))) as EasDiscoveryError;
    expect(error).toBeInstanceOf(EasDiscoveryError);
    expect(error.message).toContain("ECONNREFUSED");
  });
});

describe("what is asked for", () => {
  test.each([
    ["echo", "echo"],
    ["echo/v2", "echo"],
    ["group.echo/v2/deep", "group.echo"],
    ["服务/x", encodeURIComponent("服务")],
  ])("service %s: the name ends at the first slash", async (serviceName, asked) => {
    const list = clientOfList(() => listOf({ ip: "a", port: 1 }), { serviceName });
    await list.client.predict("x");
    expect(list.asked()).toEqual([EXPORTED + asked]);
    expect(list.transport.requests.at(-1)?.path).toBe(encodeURI(`/api/predict/${serviceName}`));
  });

  test.each<[Record<string, string>, boolean | undefined, boolean]>([
    [{}, undefined, false],
    [{ NAMESPACE: "n" }, undefined, false],
    [{ POD_NAME: "p" }, undefined, false],
    [{ NAMESPACE: "n", POD_NAME: "p" }, undefined, true],
    [{ NAMESPACE: "n", POD_NAME: "p" }, false, false],
    [{}, true, true],
  ])("in %j with internal %s: %s", async (env, internal, isInternal) => {
    for (const name of ["NAMESPACE", "POD_NAME"]) vi.stubEnv(name, env[name]);
    onTestFinished(() => void vi.unstubAllEnvs());
    const { client, asked } = clientOfList(() => listOf({ ip: "a", port: 1 }), { discovery: { internal } });
    await client.predict("x");
    expect(asked()).toEqual([`${EXPORTED}echo${isInternal ? "?internal=true" : ""}`]);
  });

  test("an endpoint with a path before it", async () => {
    const { client, asked } = clientOfList(() => listOf({ ip: "a", port: 1 }), { endpoint: "d/eas/api/predict/echo" });
    await client.predict("x");
    expect(asked()).toEqual([`/eas${EXPORTED}echo`]);
  });

  test("discovery never gets the token, and is not followed to another host", async () => {
    const server = await startServer();
    server.always(answer(302, { Location: "http://elsewhere.test/" }));
    const client = directClientOf({ endpoint: server.origin }, { ...short(SOCKETS), auth: "token" });
    expect((await errorOf(client.predict("x"))).message).toContain("302");
    expect(server.requests.length).toBeGreaterThan(1);
    for (const { headers } of server.requests) expect(JSON.stringify(headers)).not.toContain(TOKEN);
  });
});

describe("when it is asked", () => {
  test("not before the first call, and not while the list is fresh", async () => {
    const clock = movableClock();
    const emulator = await startInstances(2);
    const client = directClientOf(emulator, { discovery: { interval: 600_000 } });
    expect(emulator.requests).toHaveLength(0);
    await Promise.all([1, 2, 3].map(() => client.predict("x")));
    clock.move(500_000);
    await client.predict("x");
    expect(discoveryCalls(emulator)).toHaveLength(1);
    clock.move(100_000);
    // Nothing runs while nothing is called.
    await turn();
    expect(discoveryCalls(emulator)).toHaveLength(1);
    await client.predict("x");
    await until(() => discoveryCalls(emulator).length === 2);
  });

  test("an old list serves while the new one is on its way, which is asked for once", async () => {
    const clock = movableClock();
    const { source, asked } = askedSource();
    const transport = new RecordingTransport();
    const client = directClientOf(
      { endpoint: "" },
      { transport, endpointSource: source, discovery: { interval: 500 } },
    );
    const first = client.predict("x");
    await until(() => asked.length === 1);
    asked[0]?.answer([{ host: "old", port: 1 }]);
    await first;
    clock.move(500);
    for (let i = 0; i < 5; i++) await client.predict("x");
    clock.move(10_000);
    await client.predict("x");
    expect(asked).toHaveLength(2);
    asked[1]?.answer([{ host: "new", port: 1 }]);
    await turn();
    await client.predict("x");
    expect(transport.requests.map(({ origin }) => origin)).toEqual([
      ...Array.from({ length: 7 }, () => "http://old:1"),
      "http://new:1",
    ]);
    expect(asked).toHaveLength(2);
  });

  test.each<[string, (count: number) => string | [number, string?]]>([
    ["an empty list", () => listOf()],
    ["no list", () => "{}"],
    ["null", () => "null"],
    ["no JSON", () => "<html>"],
    ["an error", () => [500, "down"]],
    ["nothing but weight 0", () => listOf({ ip: "b", port: 1, weight: 0 })],
    ["nothing that can be called", () => listOf({ ip: "b" }, null, 7)],
  ])("keeps the previous list after a source returns %s", async (_, list) => {
    const clock = movableClock();
    const { client, asked, called } = clientOfList((count) =>
      count === 1 ? listOf({ ip: "a", port: 1 }) : list(count),
    );
    await client.predict("x");
    for (let i = 0; i < 3; i++) {
      const before = asked().length;
      clock.move(3_000);
      await client.predict("x");
      await until(() => asked().length > before);
      await turn();
    }
    expect(new Set(called())).toEqual(new Set(["http://a:1"]));
    expect(called()).toHaveLength(4);
  });

  test("clients of one pool share the list: service(), and both queues of an asynchronous service", async () => {
    const emulator = await startInstances(2, { queues: { job: {}, "job/sink": {} } });
    const client = directClientOf(emulator);
    await client.predict("x");
    await client
      .service("echo/v2")
      .predict("x")
      .catch(() => {});
    await client.setToken(TOKEN).setTimeout(1000).predict("x");
    expect(discoveryCalls(emulator)).toHaveLength(1);
    await client
      .service("scorecard")
      .predict("[{}]")
      .catch(() => {});
    expect(discoveryCalls(emulator).map((path) => path.split("/").at(-1))).toEqual(["echo", "scorecard"]);
    const job = new AsyncInferenceClient({
      endpoint: emulator.endpoint,
      serviceName: "job",
      token: TOKEN,
      endpointType: ENDPOINT_TYPE_DIRECT,
    });
    await job.submit("x");
    await job.sink.attributes();
    await job.close();
    expect(discoveryCalls(emulator)).toHaveLength(3);
  });
});

describe("the first list", () => {
  test("init() waits for it", async () => {
    const { source, asked } = askedSource();
    const client = directClientOf({ endpoint: "" }, { transport: new RecordingTransport(), endpointSource: source });
    const ready = watch(client.init());
    await until(() => asked.length === 1);
    await turn();
    expect(ready.state).toBe("pending");
    asked[0]?.answer([{ host: "a", port: 1 }]);
    await until(() => ready.state === "resolved");
  });

  test.each(["predict", "queue"])("none in time: init() and calls reject with EasDiscoveryError (%s)", async (kind) => {
    const emulator = await startInstances(2);
    emulator.fault({ discovery: true, status: 500, times: Number.POSITIVE_INFINITY });
    const options: PredictClientOptions = {
      endpoint: emulator.endpoint,
      token: TOKEN,
      endpointType: ENDPOINT_TYPE_DIRECT,
      ...short(SOCKETS),
    };
    const client =
      kind === "predict"
        ? new PredictClient({ ...options, serviceName: "echo" })
        : new QueueClient({ ...(options as QueueClientOptions), queueName: "echo" });
    const call = () => (client instanceof PredictClient ? client.predict("x") : client.attributes());
    for (const error of [await errorOf(client.init()), await errorOf(call())] as EasDiscoveryError[]) {
      expect(error).toBeInstanceOf(EasDiscoveryError);
      expect(error).toBeInstanceOf(EasError);
      expect(error).toMatchObject({
        code: "ERR_EAS_DISCOVERY",
        attempts: 0,
        retryable: true,
        source: emulator.endpoint,
      });
      expect(error.message).toContain("echo");
      expect(error.message).toContain("1500 ms");
      expect(error.message).toContain("500");
      expect(error.message).not.toContain(TOKEN);
    }
    emulator.reset();
    // What failed before is not remembered.
    await client.init();
    await client.close();
  });

  test("a server that never answers is given up after the time", async () => {
    const server = await startServer();
    server.always(stallBeforeHeaders);
    const error = await errorOf(directClientOf({ endpoint: server.origin }, short()).predict("x"));
    expect(error).toMatchObject({ code: "ERR_EAS_DISCOVERY" });
    expect(error.message).toContain("no response within");
  });

  test("it comes late: asked again until then", async () => {
    const { client, called, asked } = clientOfList((count) => (count < 5 ? listOf() : listOf({ ip: "a", port: 1 })));
    await client.predict("x");
    expect(asked().length).toBeGreaterThanOrEqual(5);
    expect(called()).toEqual(["http://a:1"]);
  });

  test("the caller's abort and totalTimeout end the wait", async () => {
    const { source, asked } = askedSource();
    const transport = new RecordingTransport();
    const client = directClientOf({ endpoint: "" }, { transport, endpointSource: source });
    const controller = new AbortController();
    const aborted = errorOf(client.predict("x", { signal: controller.signal }));
    const late = errorOf(client.predict("x", { totalTimeout: 20 }));
    await until(() => asked.length === 1);
    const reason = new Error("stop");
    controller.abort(reason);
    expect(await aborted).toBe(reason);
    const error = await late;
    expect(error).toMatchObject({ code: "ERR_EAS_TIMEOUT", phase: "total", attempts: 0 });
    expect(error.message).toContain("any instance");
    asked[0]?.answer([{ host: "a", port: 1 }]);
    await client.predict("x");
    expect(transport.requests).toHaveLength(1);
  });

  test("close() ends the polls, and calls after it reject", async () => {
    const clock = movableClock();
    const { source, asked } = askedSource();
    const client = directClientOf({ endpoint: "" }, { transport: new RecordingTransport(), endpointSource: source });
    const first = client.predict("x");
    await until(() => asked.length === 1);
    asked[0]?.answer([{ host: "a", port: 1 }]);
    await first;
    clock.move(3_000);
    await client.predict("x");
    expect(asked).toHaveLength(2);
    await client.close();
    expect(asked[1]?.signal.aborted).toBe(true);
    expect((await errorOf(client.predict("x"))).message).toContain("closed");
    expect(asked).toHaveLength(2);
  });
});

describe("answers of discovery that are not as they should be", () => {
  const cases: [name: string, items: unknown[], origins: string[]][] = [
    ["a port as text", [{ ip: "10.0.0.1", port: "8080", weight: 1 }], ["http://10.0.0.1:8080"]],
    [
      "a weight as text",
      [
        { ip: "a", port: 1, weight: "2" },
        { ip: "b", port: 1, weight: "1" },
      ],
      ["http://a:1", "http://a:1", "http://b:1"],
    ],
    ["IPv6", [{ ip: "fd00::1", port: 80, weight: 1 }], ["http://[fd00::1]"]],
    ["IPv6 in brackets", [{ ip: "[FD00::1]", port: 8080 }], ["http://[fd00::1]:8080"]],
    ["an IPv4 address in IPv6", [{ ip: "::ffff:10.0.0.1", port: 8080 }], ["http://[::ffff:a00:1]:8080"]],
    ["a host name", [{ ip: "Pod-1.svc_x.local", port: 8080 }], ["http://pod-1.svc_x.local:8080"]],
    [
      "one of them twice: the last weight counts",
      [
        { ip: "a", port: 1, weight: 1 },
        { ip: "b", port: 1, weight: 1 },
        { ip: "a", port: "1", weight: 2 },
      ],
      ["http://a:1", "http://a:1", "http://b:1"],
    ],
    [
      "one address, two ports",
      [
        { ip: "a", port: 1 },
        { ip: "a", port: 2 },
      ],
      ["http://a:1", "http://a:2"],
    ],
    ...[undefined, null, Number.NaN, "many", {}, [], true].map((weight): [string, unknown[], string[]] => [
      `weight ${JSON.stringify(weight)} is as good as none`,
      [
        { ip: "a", port: 1, weight },
        { ip: "b", port: 1, weight: 100 },
      ],
      ["http://a:1", "http://b:1"],
    ]),
    ...[0, -1, -1e300, "0", "-5"].map((weight): [string, unknown[], string[]] => [
      `weight ${weight} takes it out`,
      [
        { ip: "a", port: 1, weight },
        { ip: "b", port: 1, weight: 3 },
      ],
      ["http://b:1", "http://b:1"],
    ]),
    ...[
      null,
      7,
      "10.0.0.1:80",
      [],
      {},
      { ip: "x" },
      { port: 1 },
      ...[undefined, null, 0, -1, 65_536, 1.5, "", "http", "80x", 1e21, Number.NaN, {}].map((port) => ({
        ip: "x",
        port,
      })),
      ...[
        "",
        " ",
        "a b",
        "x/../y",
        "x?y",
        "x#y",
        "user@x",
        "x:y",
        "http://x",
        "x\n",
        "x\r\nHost: y",
        "[::1",
        "fe80::1%eth0",
        ":::",
        "999.999.999.999",
        "x%2f",
        "名",
        7,
        null,
        {},
        ["x"],
      ].map((ip) => ({ ip, port: 1 })),
    ].map((item): [string, unknown[], string[]] => [
      `${JSON.stringify(item)} is passed over`,
      [item, { ip: "b", port: 1 }],
      ["http://b:1"],
    ]),
  ];

  test.each(cases)("%s", async (_, items, origins) => {
    const { client, called } = clientOfList(() => listOf(...items), { retryCount: 0 });
    for (const _ of origins) await client.predict("x");
    expect(called()).toEqual(origins);
  });

  test.each<[string, string | [number, string?]]>([
    ["no JSON", "<html>"],
    ["half of it", '{"endpoints":{"items":[{"ip":'],
    ["nothing", ""],
    ["a number", "5"],
    ["null", "null"],
    ["no endpoints", '{"correlative":["echo"]}'],
    ["endpoints null", '{"endpoints":null}'],
    ["items null", '{"endpoints":{"items":null}}'],
    ["items no list", '{"endpoints":{"items":{"0":{"ip":"a","port":1}}}}'],
    ["items as text", '{"endpoints":{"items":"a:1"}}'],
    ["prototype", '{"__proto__":{"items":[{"ip":"a","port":1}]}}'],
    ["only rubbish in it", listOf(null, {}, 5)],
    ["204", [204]],
    ["404", [404, "not found"]],
    ["503", [503, "no healthy upstream"]],
  ])("%s: EasDiscoveryError with the reason", async (_, list) => {
    const { client, called } = clientOfList(() => list, short());
    const error = (await errorOf(client.predict("x"))) as EasDiscoveryError;
    expect(error).toBeInstanceOf(EasDiscoveryError);
    expect(error.source).toBe("http://d");
    expect(error.cause).toBeInstanceOf(Error);
    expect(called()).toEqual([]);
  });

  // Far longer than these tests may take: what they expect must not depend on a timeout.
  const patient = { discovery: { timeout: 3_600_000, path: "exported-apis" } } as const;

  test.each([
    ["an oversized answer", { length: true }],
    ["an endless answer", { length: false }],
  ])("%s is downloaded once, and the error says so", async (_, { length }) => {
    const server = await startServer();
    const text = "x".repeat(8 * 1024 * 1024 + 1);
    // Without a length, and never ended.
    server.always(length ? answer(200, {}, text) : raw(`HTTP/1.1 200 OK\r\n\r\n${text}`));
    const error = await errorOf(directClientOf({ endpoint: server.origin }, patient).predict("x"));
    expect(error).toMatchObject({ code: "ERR_EAS_DISCOVERY" });
    expect(error.message).toMatch(/no instance of echo was found at .*8388608 bytes/);
    expect(server.requests).toHaveLength(1);
  });

  test("with two paths, an oversized answer of the first leads to the second", async () => {
    const server = await startServer();
    const instance = JSON.stringify({ ip: "127.0.0.1", port: Number(new URL(server.origin).port) });
    const list = `{"endpoints":{"items":[${instance}]}}`;
    server.play(answer(200, {}, "x".repeat(8 * 1024 * 1024 + 1)), answer(200, {}, list));
    server.always(answer(200, {}, "hello"));
    const client = directClientOf({ endpoint: server.origin }, { discovery: { timeout: 3_600_000 } });
    expect(String(await client.predict("x"))).toBe("hello");
    expect(server.requests.map(({ path }) => path)).toEqual([
      "/exported/apis/eas.alibaba-inc.k8s.io/v1/upstreams/echo",
      "/api/v1/servicediscovery/upstreams/echo",
      "/api/predict/echo",
    ]);
  });

  test("a server that stops answering does not hide what it answered before", async () => {
    const server = await startServer();
    server.play(answer(500, {}, "out of order"));
    server.always(stallBeforeHeaders);
    const options = { discovery: { timeout: 1_000, path: "exported-apis" } } as const;
    const error = await errorOf(directClientOf({ endpoint: server.origin }, options).predict("x"));
    expect(error).toMatchObject({ code: "ERR_EAS_DISCOVERY" });
    expect(error.message).toContain("the response has status 500");
    expect(error.message).not.toContain("no response within");
  });
});

describe("a call of a client that is closed while discovery has not answered", () => {
  test.each([false, true])("force: %s: it ends at once, and the error says so", async (force) => {
    const { source, asked } = askedSource();
    const discovery = { timeout: 3_600_000 };
    const options = { endpointSource: source, discovery, timeout: 3_600_000, totalTimeout: 3_600_000 };
    const client = directClientOf({ endpoint: "" }, options);
    const error = errorOf(client.predict("x"));
    await until(() => asked.length > 0);
    await client.close({ force });
    expect(await error).toMatchObject({ code: "ERR_EAS_NETWORK", retryable: true });
    expect((await error).message).toContain("the client was closed");
  });
});

describe("a watch that is closed while discovery has not answered", () => {
  test.each([
    ["at once", () => Promise.resolve()],
    ["after discovery was asked", (asked: readonly unknown[]) => until(() => asked.length > 0)],
  ])("%s: it closes, though discovery never answers", async (_, when) => {
    const { source, asked } = askedSource();
    const queue = new QueueClient({
      endpointType: ENDPOINT_TYPE_DIRECT,
      endpointSource: source,
      queueName: "echo",
      token: TOKEN,
      // Far longer than this test may take.
      discovery: { timeout: 3_600_000 },
    });
    const watcher = queue.watch(0, 5);
    await when(asked);
    await watcher.close();
    await queue.close();
  });
});

describe("a source of the user's own", () => {
  const clientOfSource = (endpointSource: EndpointSource, options: PredictClientOptions = short()) => {
    const transport = new RecordingTransport();
    return { transport, client: directClientOf({ endpoint: "" }, { transport, endpointSource, ...options }) };
  };

  test.each<[string, EndpointSource]>([
    ["a list", () => [{ host: "a", port: 8080 }]],
    ["a promise", async () => [{ host: "a", port: 8080 }]],
    ["a set", () => new Set([{ host: "a", port: 8080 }])],
    [
      "a generator",
      function* (): Generator<ServiceInstance> {
        yield { host: "a", port: 8080 };
      },
    ],
  ])("accepts a source that returns %s and passes it the service name", async (_, source) => {
    const endpointSource = vi.fn(source);
    const { client, transport } = clientOfSource(endpointSource);
    await client.predict("x");
    expect(transport.requests.map(({ origin }) => origin)).toEqual(["http://a:8080"]);
    expect(endpointSource.mock.calls.map(([{ serviceName }]) => serviceName)).toEqual(["echo"]);
    expect(endpointSource.mock.calls[0]?.[0].signal).toBeInstanceOf(AbortSignal);
  });

  test("https, and weights", async () => {
    const { client, transport } = clientOfSource(() => [
      { protocol: "https", host: "a", port: 443, weight: 2 },
      { host: "b", port: 80, weight: 1 },
    ]);
    for (let i = 0; i < 3; i++) await client.predict("x");
    expect(transport.requests.map(({ origin }) => origin)).toEqual(["https://a", "https://a", "http://b"]);
  });

  test.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw new Error("no registry");
      },
    ],
    [
      "throws no error",
      () => {
        throw "no registry";
      },
    ],
    ["rejects", () => Promise.reject(new Error("no registry"))],
    ["gives undefined", () => undefined],
    ["gives null", () => null],
    ["gives a number", () => 5],
    ["gives text", () => "a:8080"],
    ["gives an object", () => ({ host: "a", port: 1 })],
    ["gives text in a list", () => ["a:8080"]],
    ["gives another protocol", () => [{ protocol: "ftp", host: "a", port: 1 }]],
    ["gives nothing", () => []],
    [
      "throws while it is read",
      function* () {
        yield { host: "a", port: 1 };
        throw new Error("cut");
      },
    ],
    ["never answers", () => new Promise(() => {})],
  ])("that %s: EasDiscoveryError", async (_, source) => {
    const { client, transport } = clientOfSource(source as EndpointSource);
    expect(await errorOf(client.predict("x"))).toMatchObject({
      code: "ERR_EAS_DISCOVERY",
      source: "the endpointSource",
      attempts: 0,
    });
    expect(transport.requests).toHaveLength(0);
  });

  test("that fails later: the list before stays", async () => {
    const clock = movableClock();
    let asked = 0;
    const { client, transport } = clientOfSource(() => {
      if (++asked > 1) throw new Error("no registry");
      return [{ host: "a", port: 1 }];
    });
    for (let i = 0; i < 4; i++) {
      await client.predict("x");
      clock.move(3_000);
    }
    expect(asked).toBe(4);
    expect(transport.requests).toHaveLength(4);
  });
});

describe("settings", () => {
  const options = (more: object): PredictClientOptions => ({ endpoint: "h", serviceName: "s", ...more });
  const direct = { endpointType: ENDPOINT_TYPE_DIRECT };

  test.each<[object, RegExp]>([
    [{ endpointSource: "nacos" }, /endpointSource is "nacos": it must be a function/],
    [{ endpointSource: null }, /endpointSource is null/],
    [{ balancer: "random" }, /balancer is "random": it must be "weighted-round-robin" or "least-inflight"/],
    [{ balancer: null }, /balancer is null/],
    [{ discovery: null }, /discovery is null/],
    [{ discovery: 3000 }, /discovery is 3000/],
    [{ discovery: { path: "/x" } }, /discovery\.path is "\/x"/],
    [{ discovery: { internal: "true" } }, /discovery\.internal is "true"/],
    [{ discovery: { interval: 0 } }, /discovery\.interval is 0/],
    [{ discovery: { interval: "3s" } }, /discovery\.interval is "3s"/],
    [{ discovery: { timeout: Number.POSITIVE_INFINITY } }, /discovery\.timeout is Infinity/],
  ])("%j is refused when the client is made", (more, message) => {
    for (const Client of [PredictClient, QueueClient]) {
      const { serviceName, ...common } = options(more);
      const name = Client === QueueClient ? { queueName: serviceName } : { serviceName };
      const error = thrownBy(() => new (Client as typeof PredictClient)({ ...common, ...name } as never));
      expect(error.code).toMatch(/^ERR_EAS_ARG_(OPTION|TIMEOUT)$/);
      expect(error.message).toMatch(message);
    }
  });

  test.each<[object, string, RegExp]>([
    [{ ...direct, endpoint: "" }, "ERR_EAS_ARG_ENDPOINT", /pai-eas-vpc/],
    [{ ...direct, serviceName: "" }, "ERR_EAS_ARG_SERVICE_NAME", /is empty/],
    [{ ...direct, endpoint: "h/api/predict/other" }, "ERR_EAS_ARG_SERVICE_NAME", /other/],
    [{ ...direct, customUrl: "http://x/y" }, "ERR_EAS_ARG_ENDPOINT", /customUrl/],
    [{ endpointSource: () => [] }, "ERR_EAS_ARG_OPTION", /ENDPOINT_TYPE_DIRECT/],
  ])("%j cannot work together", async (more, code, message) => {
    const transport = new RecordingTransport();
    const act = async () => new PredictClient(options({ ...more, transport })).predict("x");
    const error = await errorOf(act());
    expect(error).toMatchObject({ name: "TypeError", code });
    expect(error.message).toMatch(message);
    expect(transport.requests).toHaveLength(0);
  });

  test("to the instances and back to the gateway", async () => {
    const emulator = await startInstances(2);
    const client = directClientOf(emulator, { endpointType: ENDPOINT_TYPE_GATEWAY });
    const endpointOf = async () => (await client.predictDetailed("x")).endpoint;
    expect(await endpointOf()).toBe(emulator.endpoint);
    client.setEndpointType(ENDPOINT_TYPE_DIRECT);
    expect(emulator.instances.map(({ origin }) => origin)).toContain(await endpointOf());
    client.setEndpointType(ENDPOINT_TYPE_GATEWAY);
    expect(await endpointOf()).toBe(emulator.endpoint);
  });

  test("the shared gateway's limit on bodies is not the instances'", async () => {
    const endpoint = "123.cn-shanghai.pai-eas.aliyuncs.com";
    const transport = new RecordingTransport();
    const endpointSource = () => [{ host: "a", port: 1 }];
    const body = new Uint8Array(1024 * 1024 + 1);
    await directClientOf({ endpoint }, { transport, endpointSource }).predict(body);
    expect(transport.requests).toHaveLength(1);
    const limited = directClientOf({ endpoint }, { transport, endpointSource, maxRequestBytes: 1024 });
    expect(await errorOf(limited.predict(body))).toMatchObject({ code: "ERR_EAS_ARG_BODY_SIZE" });
  });

  test("diagnose() says when no instance is found", async () => {
    const { client } = clientOfList(() => [404], short());
    expect(await client.diagnose()).toMatchObject({ ok: false, finding: "network" });
  });
});
