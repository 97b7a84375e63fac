import { afterEach, describe, expect, test, vi } from "vitest";
import {
  type CallOptions,
  EasUnsupportedError,
  ENDPOINT_TYPE_DIRECT,
  ENDPOINT_TYPE_GATEWAY,
  PredictClient,
  type PredictClientOptions,
  StringRequest,
  TFRequest,
} from "../../../src/index.js";
import {
  clientOf,
  errorOf,
  RecordingTransport,
  startServer,
  TOKEN,
  thrownBy,
  transportAnswer,
  turn,
  until,
} from "../../support/calls.js";
import { answer, answerWhen, finInBody, refusedOrigin, stallBeforeHeaders } from "../../support/misbehaving-server.js";

afterEach(() => {
  vi.restoreAllMocks();
});

// JavaScript callers may pass values that TypeScript rejects.
const any = (value: unknown): never => value as never;

describe("invalid options throw in the constructor", () => {
  const cases: [name: string, options: Record<string, unknown>, code: string, type: typeof Error][] = [
    ["service name with ..", { serviceName: "a/../b" }, "ERR_EAS_ARG_SERVICE_NAME", TypeError],
    ["service name with .. alone", { serviceName: ".." }, "ERR_EAS_ARG_SERVICE_NAME", TypeError],
    ["service name with %2e%2e", { serviceName: "a/%2E%2e/b" }, "ERR_EAS_ARG_SERVICE_NAME", TypeError],
    ["service name with a backslash", { serviceName: "a\\b" }, "ERR_EAS_ARG_SERVICE_NAME", TypeError],
    ["service name with ?", { serviceName: "svc?x=1" }, "ERR_EAS_ARG_SERVICE_NAME", TypeError],
    ["service name with #", { serviceName: "svc#1" }, "ERR_EAS_ARG_SERVICE_NAME", TypeError],
    ["service name with a blank before", { serviceName: " svc" }, "ERR_EAS_ARG_SERVICE_NAME", TypeError],
    ["service name with a blank after", { serviceName: "svc\n" }, "ERR_EAS_ARG_SERVICE_NAME", TypeError],
    ["service name with a control character", { serviceName: "s\u0000c" }, "ERR_EAS_ARG_SERVICE_NAME", TypeError],
    ["service name with a line break", { serviceName: "s\r\nc" }, "ERR_EAS_ARG_SERVICE_NAME", TypeError],
    ["service name with a slash before", { serviceName: "/svc" }, "ERR_EAS_ARG_SERVICE_NAME", TypeError],
    ["service name with a slash after", { serviceName: "svc/" }, "ERR_EAS_ARG_SERVICE_NAME", TypeError],
    ["service name that is a number", { serviceName: 5 }, "ERR_EAS_ARG_SERVICE_NAME", TypeError],
    ["service names that contradict", { endpoint: "h/api/predict/other" }, "ERR_EAS_ARG_SERVICE_NAME", TypeError],
    ["endpoint with another scheme", { endpoint: "ftp://h" }, "ERR_EAS_ARG_ENDPOINT", TypeError],
    ["endpoint with a query", { endpoint: "http://h?x=1" }, "ERR_EAS_ARG_ENDPOINT", TypeError],
    ["endpoint with a fragment", { endpoint: "http://h#x" }, "ERR_EAS_ARG_ENDPOINT", TypeError],
    ["endpoint with credentials", { endpoint: "http://u:secret@h" }, "ERR_EAS_ARG_ENDPOINT", TypeError],
    ["endpoint of blanks", { endpoint: "  " }, "ERR_EAS_ARG_ENDPOINT", TypeError],
    ["endpoint that is no host", { endpoint: "http://a b" }, "ERR_EAS_ARG_ENDPOINT", TypeError],
    ["endpoint that is a number", { endpoint: 80 }, "ERR_EAS_ARG_ENDPOINT", TypeError],
    [
      "endpoint with a broken escape",
      { endpoint: "h/api/predict/%zz", serviceName: "" },
      "ERR_EAS_ARG_ENDPOINT",
      TypeError,
    ],
    ["token that is a number", { token: 5 }, "ERR_EAS_ARG_TOKEN", TypeError],
    ["token that is undefined", { token: undefined }, "ERR_EAS_ARG_TOKEN", TypeError],
    ["token that is empty", { token: "" }, "ERR_EAS_ARG_TOKEN", TypeError],
    ["token with a line break at its end", { token: "tok\n" }, "ERR_EAS_ARG_TOKEN", TypeError],
    ["token with the form of its header", { token: "Bearer tok" }, "ERR_EAS_ARG_TOKEN", TypeError],
    ["unknown auth", { auth: "basic" }, "ERR_EAS_ARG_OPTION", TypeError],
    ["unknown compression", { compression: "brotli" }, "ERR_EAS_ARG_OPTION", TypeError],
    ["compression without compress()", { compression: { name: "x" } }, "ERR_EAS_ARG_OPTION", TypeError],
    ["unknown endpointType", { endpointType: "TUNNEL" }, "ERR_EAS_ARG_OPTION", TypeError],
    ["endpointType in lower case", { endpointType: "gateway" }, "ERR_EAS_ARG_OPTION", TypeError],
    ...["timeout", "totalTimeout"].flatMap((name) =>
      [Number.NaN, -1, 0, 2 ** 31, Number.POSITIVE_INFINITY, "5000", null, 5n].map(
        (value): [string, Record<string, unknown>, string, typeof Error] => [
          `${name} ${String(value)} (${typeof value})`,
          { [name]: value },
          "ERR_EAS_ARG_TIMEOUT",
          RangeError,
        ],
      ),
    ),
    ...["retryCount", "maxConnectionCount", "maxRequestBytes", "maxResponseBytes"].flatMap((name) =>
      [-1, 1.5, Number.NaN, Number.NEGATIVE_INFINITY, "5"].map(
        (value): [string, Record<string, unknown>, string, typeof Error] => [
          `${name} ${String(value)} (${typeof value})`,
          { [name]: value },
          "ERR_EAS_ARG_OPTION",
          RangeError,
        ],
      ),
    ),
    ["maxConnectionCount 0", { maxConnectionCount: 0 }, "ERR_EAS_ARG_OPTION", RangeError],
    ["retryCount Infinity", { retryCount: Number.POSITIVE_INFINITY }, "ERR_EAS_ARG_OPTION", RangeError],
    ["maxResponseBytes 0", { maxResponseBytes: 0 }, "ERR_EAS_ARG_OPTION", RangeError],
    ["header name with a line break", { headers: { "x\r\ny": "1" } }, "ERR_EAS_ARG_HEADER", TypeError],
    ["header name with a blank", { headers: { "x y": "1" } }, "ERR_EAS_ARG_HEADER", TypeError],
    ["header name that is empty", { headers: { "": "1" } }, "ERR_EAS_ARG_HEADER", TypeError],
    ["header name in Chinese", { headers: { 名: "1" } }, "ERR_EAS_ARG_HEADER", TypeError],
    ["header value with CR LF", { headers: { x: "1\r\nEvil: 1" } }, "ERR_EAS_ARG_HEADER", TypeError],
    ["header value with LF", { headers: { x: "1\n2" } }, "ERR_EAS_ARG_HEADER", TypeError],
    ["header value with LF at its end", { headers: { x: "1\n" } }, "ERR_EAS_ARG_HEADER", TypeError],
    ["header value with NUL", { headers: { x: "1\u0000" } }, "ERR_EAS_ARG_HEADER", TypeError],
    ["header value outside Latin-1", { headers: { x: "名" } }, "ERR_EAS_ARG_HEADER", TypeError],
    ["header value that is a number", { headers: { x: 1 } }, "ERR_EAS_ARG_HEADER", TypeError],
    ["header value that is undefined", { headers: { x: undefined } }, "ERR_EAS_ARG_HEADER", TypeError],
    ...[
      "Content-Length",
      "transfer-encoding",
      "Connection",
      "Keep-Alive",
      "TE",
      "Trailer",
      "Upgrade",
      "Expect",
      "Proxy-Connection",
    ].map((name): [string, Record<string, unknown>, string, typeof Error] => [
      `framing header ${name}`,
      { headers: { [name]: "1" } },
      "ERR_EAS_ARG_HEADER",
      TypeError,
    ]),
    ["contentType with a line break", { contentType: "text/plain\r\nX: 1" }, "ERR_EAS_ARG_HEADER", TypeError],
    ["contentType that is a number", { contentType: 1 }, "ERR_EAS_ARG_HEADER", TypeError],
    ["requestPath with ..", { requestPath: "/../other" }, "ERR_EAS_ARG_PATH", TypeError],
    ["requestPath with %2e%2e", { requestPath: "/a/%2e%2E/b" }, "ERR_EAS_ARG_PATH", TypeError],
    ["requestPath with .%2e", { requestPath: "/.%2e/b" }, "ERR_EAS_ARG_PATH", TypeError],
    ["requestPath with a dot", { requestPath: "/./b" }, "ERR_EAS_ARG_PATH", TypeError],
    ["requestPath with #", { requestPath: "/a#b" }, "ERR_EAS_ARG_PATH", TypeError],
    ["requestPath with a line break", { requestPath: "/a\r\nb" }, "ERR_EAS_ARG_PATH", TypeError],
    ["requestPath that is a number", { requestPath: 5 }, "ERR_EAS_ARG_PATH", TypeError],
    ["headers that are text", { headers: "x: 1" }, "ERR_EAS_ARG_HEADER", TypeError],
    ["headers that are null", { headers: null }, "ERR_EAS_ARG_HEADER", TypeError],
    ["customUrl with another scheme", { customUrl: "ftp://h" }, "ERR_EAS_ARG_ENDPOINT", TypeError],
    ["customUrl with a fragment", { customUrl: "http://h/#x" }, "ERR_EAS_ARG_ENDPOINT", TypeError],
    ["customUrl that is a number", { customUrl: 5 }, "ERR_EAS_ARG_ENDPOINT", TypeError],
    ["retryOn that is no function", { retryOn: true }, "ERR_EAS_ARG_OPTION", TypeError],
    ["transport without send()", { transport: {} }, "ERR_EAS_ARG_OPTION", TypeError],
    ["fetch that is no function", { fetch: "fetch" }, "ERR_EAS_ARG_OPTION", TypeError],
  ];

  test.each(cases)("%s", (_, options, code, type) => {
    const error = thrownBy(() => new PredictClient({ endpoint: "http://h", serviceName: "svc", ...options }));
    expect(error).toBeInstanceOf(type);
    expect(error.code).toBe(code);
    expect(error.message).not.toContain("secret");
  });

  test.each([
    ["a number", 5],
    ["null", null],
  ])("%s instead of the options", (_, value) => {
    expect(thrownBy(() => new PredictClient(any(value)))).toMatchObject({ code: "ERR_EAS_ARG_OPTION" });
  });

  test("accepts values at the limits", () => {
    const options: PredictClientOptions = {
      timeout: 2 ** 31 - 1,
      totalTimeout: 0.5,
      retryCount: 0,
      maxConnectionCount: 1,
      maxRequestBytes: 0,
      maxResponseBytes: Number.MAX_SAFE_INTEGER,
    };
    expect(() => new PredictClient(options)).not.toThrow();
  });

  test("explains that VIPSERVER is not supported", () => {
    const error = thrownBy(() => new PredictClient({ endpointType: any("VIPSERVER") }));
    expect(error).toBeInstanceOf(EasUnsupportedError);
    expect(error.message).toContain("ENDPOINT_TYPE_GATEWAY");
    expect(thrownBy(() => new PredictClient().setEndpointType(any("VIPSERVER"))).code).toBe("ERR_EAS_UNSUPPORTED");
  });

  test("setters check like options, and a failed one leaves the client unchanged", async () => {
    const transport = new RecordingTransport();
    const client = clientOf({ origin: "http://h" }, { transport });
    const bad: [() => unknown, string][] = [
      [() => client.setEndpoint("ftp://h"), "ERR_EAS_ARG_ENDPOINT"],
      [() => client.setServiceName(""), "ERR_EAS_ARG_SERVICE_NAME"],
      [() => client.setServiceName("a?b"), "ERR_EAS_ARG_SERVICE_NAME"],
      [() => client.setEndpointType(any("X")), "ERR_EAS_ARG_OPTION"],
      [() => client.setToken(any(5)), "ERR_EAS_ARG_TOKEN"],
      [() => client.setRetryCount(-1), "ERR_EAS_ARG_OPTION"],
      [() => client.setMaxConnectionCount(0), "ERR_EAS_ARG_OPTION"],
      [() => client.setTimeout(Number.NaN), "ERR_EAS_ARG_TIMEOUT"],
      [() => client.setContentType("a\nb"), "ERR_EAS_ARG_HEADER"],
      [() => client.setRequestPath("/.."), "ERR_EAS_ARG_PATH"],
      [() => client.addExtraHeaders({ connection: "close" }), "ERR_EAS_ARG_HEADER"],
      [() => client.setCompression(any("x")), "ERR_EAS_ARG_OPTION"],
      [() => client.service(".."), "ERR_EAS_ARG_SERVICE_NAME"],
    ];
    for (const [act, code] of bad) expect(thrownBy(act).code).toBe(code);
    await client.predict("x");
    expect(transport.requests[0]).toMatchObject({ origin: "http://h", path: "/api/predict/svc" });
  });
});

describe("invalid options of a call reject before anything is sent", () => {
  const cases: [name: string, call: Record<string, unknown>, code: string][] = [
    ["path with ..", { path: "/a/../b" }, "ERR_EAS_ARG_PATH"],
    ["path with ../ at its start", { path: "../b" }, "ERR_EAS_ARG_PATH"],
    ["path with %2e%2e", { path: "/%2e%2e/b" }, "ERR_EAS_ARG_PATH"],
    ["path with ..\\", { path: "/..\\b" }, "ERR_EAS_ARG_PATH"],
    ["path with #", { path: "/a#b" }, "ERR_EAS_ARG_PATH"],
    ["path that is a number", { path: 5 }, "ERR_EAS_ARG_PATH"],
    ["query with an object in it", { query: { a: {} } }, "ERR_EAS_ARG_QUERY"],
    ["query with an array in it", { query: { a: [1] } }, "ERR_EAS_ARG_QUERY"],
    ["query with a function in it", { query: { a: () => 1 } }, "ERR_EAS_ARG_QUERY"],
    ["query with a symbol in it", { query: { a: Symbol("s") } }, "ERR_EAS_ARG_QUERY"],
    ["header with a line break", { headers: { x: "1\r\n" } }, "ERR_EAS_ARG_HEADER"],
    ["framing header", { headers: [["Transfer-Encoding", "chunked"]] }, "ERR_EAS_ARG_HEADER"],
    ["header that the token sets", { headers: { Authorization: "x" } }, "ERR_EAS_ARG_HEADER"],
    ["header that the signature sets", { headers: { Date: "x" } }, "ERR_EAS_ARG_HEADER"],
    ["timeout", { timeout: 0 }, "ERR_EAS_ARG_TIMEOUT"],
    ["totalTimeout", { totalTimeout: 2 ** 31 }, "ERR_EAS_ARG_TIMEOUT"],
    ["retryCount", { retryCount: 0.5 }, "ERR_EAS_ARG_OPTION"],
    ["query that is text", { query: "a=1" }, "ERR_EAS_ARG_QUERY"],
    ["query that is URLSearchParams", { query: new URLSearchParams("a=1") }, "ERR_EAS_ARG_QUERY"],
    ["path with half a character", { path: "/\ud800" }, "ERR_EAS_ARG_PATH"],
    ["query with half a character", { query: { a: "\ud800" } }, "ERR_EAS_ARG_QUERY"],
    ["signal that is none", { signal: {} }, "ERR_EAS_ARG_OPTION"],
    ["headers that are text", { headers: "x: 1" }, "ERR_EAS_ARG_HEADER"],
  ];

  test.each(cases)("%s", async (_, call, code) => {
    const server = await startServer();
    const error = await errorOf(clientOf(server, { retryCount: 0 }).predict("x", call as CallOptions));
    expect(server.requests).toHaveLength(0);
    expect(server.connections).toBe(0);
    expect(error.code).toBe(code);
  });

  test.each([
    ["nothing", undefined],
    ["a number", 5],
    ["a promise", Promise.resolve("x")],
    ["an object without toBinary()", { parseResponse: () => 1 }],
    ["an object without parseResponse()", { toBinary: () => new Uint8Array(1) }],
  ])("predict(%s)", async (_, input) => {
    const server = await startServer();
    const error = await errorOf(clientOf(server).predict(any(input)));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.code).toBe("ERR_EAS_ARG_REQUEST");
    expect(server.connections).toBe(0);
  });

  test("contradictory settings reject and do not throw", async () => {
    const cases: [PredictClient, string][] = [
      [new PredictClient(), "ERR_EAS_ARG_SERVICE_NAME"],
      [new PredictClient({ endpoint: "http://h" }), "ERR_EAS_ARG_SERVICE_NAME"],
      [new PredictClient({ serviceName: "svc" }), "ERR_EAS_ARG_ENDPOINT"],
      [
        new PredictClient({ endpoint: "h", serviceName: "svc", token: "a", headers: { authorization: "b" } }),
        "ERR_EAS_ARG_HEADER",
      ],
    ];
    for (const [client, code] of cases) {
      const error = await errorOf(client.predict("x"));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.code).toBe(code);
    }
  });

  test.each(["a\nb", "a\r\nX: 1", "名"])(
    "a token that cannot be a header, %j: refused where it would be one",
    async (token) => {
      const server = await startServer();
      for (const auth of ["token", "bearer"] as const) {
        for (const given of [token, () => token, async () => token]) {
          const error = await errorOf(clientOf(server, { token: given, auth }).predict("x"));
          expect(error).toBeInstanceOf(TypeError);
          expect(error.code).toBe("ERR_EAS_ARG_TOKEN");
          expect(error.message).not.toContain(token);
        }
      }
      expect(server.connections).toBe(0);
    },
  );

  test.each([undefined, 5, null, {}, "", " ", "tok\n", "Bearer x"])(
    "a token function that returns %j",
    async (given) => {
      const server = await startServer();
      for (const token of [() => any(given), async () => any(given)]) {
        expect(await errorOf(clientOf(server, { token }).predict("x"))).toMatchObject({ code: "ERR_EAS_ARG_TOKEN" });
      }
      expect(server.connections).toBe(0);
    },
  );

  test("rejects with the error of a token function", async () => {
    const server = await startServer();
    const mistake = new Error("no token today");
    const tokens = [
      () => {
        throw mistake;
      },
      () => Promise.reject(mistake),
    ];
    for (const token of tokens) expect(await errorOf(clientOf(server, { token }).predict("x"))).toBe(mistake);
    expect(server.connections).toBe(0);
  });
});

describe("body size", () => {
  test("maxRequestBytes: rejects with size, limit and remedy, and sends nothing", async () => {
    const server = await startServer();
    const client = clientOf(server, { maxRequestBytes: 10 });
    await client.predict("0123456789");
    const error = await errorOf(client.predict("0123456789a"));
    expect(error).toBeInstanceOf(RangeError);
    expect(error.code).toBe("ERR_EAS_ARG_BODY_SIZE");
    for (const part of ["11 bytes", "10", "compress", "object storage", "smaller"]) {
      expect(error.message).toContain(part);
    }
    expect(server.requests).toHaveLength(1);
  });

  test("is measured after compression", async () => {
    const server = await startServer();
    const client = clientOf(server, { maxRequestBytes: 100, compression: "gzip" });
    await client.predict("x".repeat(10_000));
    expect(await errorOf(client.setCompression(null).predict("x".repeat(101)))).toMatchObject({
      code: "ERR_EAS_ARG_BODY_SIZE",
    });
    expect(server.requests).toHaveLength(1);
  });

  test.each([
    ["1234567890.cn-shanghai.pai-eas.aliyuncs.com", true],
    ["https://1234567890.vpc.cn-shanghai.pai-eas.aliyuncs.com", true],
    ["http://1234567890.cn-shanghai.pai-eas.aliyuncs.com:80/", true],
    ["1234567890.CN-Shanghai.PAI-EAS.aliyuncs.com", true],
    ["gateway.cn-shanghai.pai-eas.aliyuncs.com", false],
    ["1234567890.cn-shanghai.pai-eas.aliyuncs.com.example.com", false],
    ["127.0.0.1:8080", false],
  ])("%s: shared gateway %j", async (endpoint, isShared) => {
    const transport = new RecordingTransport();
    const client = clientOf({ origin: endpoint }, { transport });
    const mebibyte = new Uint8Array(1024 * 1024);
    await client.predict(mebibyte);
    const more = new Uint8Array(mebibyte.length + 1);
    if (isShared) {
      const error = await errorOf(client.predict(more));
      expect(error).toMatchObject({ name: "RangeError", code: "ERR_EAS_ARG_BODY_SIZE" });
      expect(error.message).toContain("1048577");
      expect(error.message).toContain("1048576");
      await clientOf({ origin: endpoint }, { transport, maxRequestBytes: 2 ** 21 }).predict(more);
    } else {
      await client.predict(more);
    }
    expect(transport.requests).toHaveLength(2);
  });
});

describe("setters", () => {
  test("return the client and apply to the next call", async () => {
    const transport = new RecordingTransport();
    const client = new PredictClient({ transport, headers: { "X-One": "1" } });
    const same = client
      .setEndpoint("https://h:444")
      .setServiceName("a.b")
      .setEndpointType(ENDPOINT_TYPE_GATEWAY)
      .setToken("tok-1")
      .setRetryCount(2)
      .setMaxConnectionCount(3)
      .setTimeout(1234)
      .setContentType("application/json")
      .setRequestPath("v1/x")
      .addExtraHeaders({ "X-Two": "2" })
      .addExtraHeaders(new Headers({ "x-one": "one" }))
      .setCompression("gzip")
      .setCompression(null);
    expect(same).toBe(client);
    await client.predict("{}");
    expect(transport.requests[0]).toMatchObject({ origin: "https://h:444", path: "/api/predict/a.b/v1/x" });
    expect(Object.fromEntries(transport.requests[0]?.headers ?? [])).toEqual({
      "x-one": "one",
      "x-two": "2",
      "content-type": "application/json",
      authorization: "tok-1",
    });
    await client.setServiceName("c").setRequestPath("").setToken(null).setEndpoint("http://other/").predict("{}");
    expect(transport.requests[1]).toMatchObject({ origin: "http://other", path: "/api/predict/c" });
    expect(transport.header("authorization")).toBeUndefined();
  });

  test("do not affect calls in flight and their retries", async () => {
    let fail = () => {};
    const failed = new Promise<void>((resolve) => (fail = resolve));
    const transport = new RecordingTransport(async (_, count) => {
      if (count > 1) return transportAnswer(200);
      await failed;
      return transportAnswer(503, { "retry-after": "0" });
    });
    const client = clientOf({ origin: "https://old" }, { transport, headers: { "x-a": "old" } });
    const call = client.predictDetailed("x", { path: "/p" });
    await until(() => transport.requests.length === 1);
    client.setEndpoint("https://new").setServiceName("new").setToken("new-token").addExtraHeaders({ "x-a": "new" });
    client.setRetryCount(0).setTimeout(1).setContentType("text/new").setRequestPath("/new").setCompression("gzip");
    fail();
    expect(await call).toMatchObject({ attempts: 2, endpoint: "https://old" });
    const [first, second] = transport.requests;
    expect(second).toMatchObject({ origin: "https://old", path: "/api/predict/svc/p" });
    expect(second?.headers).toEqual(first?.headers);
    expect(second?.body).toEqual(first?.body);
  });

  test("sends the values that the request had when predict was called", async () => {
    const server = await startServer();
    const content = new Float32Array([1, 2]);
    const request = new TFRequest("sig").addFeed("x", [2], "DT_FLOAT", content);
    const expected = request.toBinary();
    const headers = { "x-a": "old" };
    const client = clientOf(server);
    const call = client.predict(new StringRequest("ignored"), { headers });
    const feed = errorOf(client.predict(request));
    content.fill(9);
    headers["x-a"] = "new";
    await call;
    await feed;
    expect(server.requests.find(({ body }) => body.toString() === "ignored")?.headers["x-a"]).toBe("old");
    expect(server.requests.some(({ body }) => body.equals(expected))).toBe(true);
  });

  test("setMaxConnectionCount changes the limit without an error of calls in flight", async () => {
    const server = await startServer();
    let free = () => {};
    server.always(answerWhen(new Promise<void>((resolve) => (free = resolve)), 200, "ok"));
    const client = clientOf(server, { maxConnectionCount: 1 });
    const calls = Array.from({ length: 4 }, () => client.predict("x"));
    await server.seen(1);
    client.setMaxConnectionCount(3);
    await server.seen(3);
    for (let i = 0; i < 5; i++) await turn();
    expect(server.requests).toHaveLength(3);
    client.setMaxConnectionCount(1);
    free();
    expect((await Promise.all(calls)).map(String)).toEqual(["ok", "ok", "ok", "ok"]);
  });
});

describe("init, service and close", () => {
  test("init is optional, and the next call rejects with its error", async () => {
    const server = await startServer();
    const client = clientOf(server);
    expect(await client.init()).toBeUndefined();
    await client.predict("x");
    expect(server.requests).toHaveLength(1);

    const unhandled: unknown[] = [];
    const onUnhandled = (reason: unknown) => unhandled.push(reason);
    process.on("unhandledRejection", onUnhandled);
    const bad = new PredictClient({ serviceName: "svc" });
    void bad.init();
    for (let i = 0; i < 3; i++) await turn();
    process.off("unhandledRejection", onUnhandled);
    expect(unhandled).toEqual([]);
    expect(await errorOf(bad.init())).toMatchObject({ code: "ERR_EAS_ARG_ENDPOINT" });
    expect(await errorOf(bad.predict("x"))).toMatchObject({ code: "ERR_EAS_ARG_ENDPOINT" });
    await bad.setEndpoint(server.origin).predict("x");
  });

  test("accepts the positional arguments of the official SDK", async () => {
    const server = await startServer();
    const one = new PredictClient(server.origin, "svc");
    await one.init();
    await one.predict("x");
    const two = new PredictClient("", "", `${server.origin}/own/path`);
    await two.predict("x");
    const three = new PredictClient().setEndpoint(server.origin).setServiceName("late");
    await three.predict("x");
    expect(server.requests.map(({ path }) => path)).toEqual(["/api/predict/svc", "/own/path", "/api/predict/late"]);
    await Promise.all([one.close(), two.close(), three.close()]);
  });

  test("service() shares settings and connections, with its own name and token", async () => {
    const server = await startServer();
    const client = clientOf(server, { auth: "token", maxConnectionCount: 1, headers: { "x-a": "1" } });
    const other = client.service("other");
    const third = client.service("group.third", { token: "third-token" });
    for (const each of [client, other, third]) await each.predict("x");
    expect(server.requests.map(({ path, headers }) => [path, headers.authorization, headers["x-a"]])).toEqual([
      ["/api/predict/svc", TOKEN, "1"],
      ["/api/predict/other", TOKEN, "1"],
      ["/api/predict/group.third", "third-token", "1"],
    ]);
    expect(server.connections).toBe(1);
    other.setTimeout(1).setToken("changed");
    await client.predict("x");
    expect(server.requests.at(-1)?.headers.authorization).toBe(TOKEN);
    await client.close();
    expect(await errorOf(third.predict("x"))).toMatchObject({ code: "ERR_EAS_CLOSED" });
  });

  test("service() throws for a client with a customUrl", () => {
    const client = new PredictClient({ customUrl: "http://h/x" });
    expect(thrownBy(() => client.service("a"))).toMatchObject({ code: "ERR_EAS_ARG_SERVICE_NAME" });
  });

  test("close waits for calls in flight, rejects later calls, and may be called twice", async () => {
    const server = await startServer();
    let free = () => {};
    server.always(answerWhen(new Promise<void>((resolve) => (free = resolve)), 200, "ok"));
    const client = clientOf(server);
    const calls = [client.predict("x"), client.predict("y")];
    await server.seen(2);
    const closing = client.close();
    expect(await errorOf(client.predict("z"))).toMatchObject({ code: "ERR_EAS_CLOSED" });
    expect((await errorOf(client.predict("z"))).message).toContain("closed");
    free();
    expect((await Promise.all(calls)).map(String)).toEqual(["ok", "ok"]);
    await closing;
    await client.close();
    expect(server.requests).toHaveLength(2);
  });

  test("close waits for a call that waits for a slot", async () => {
    const server = await startServer();
    let free = () => {};
    server.always(answerWhen(new Promise<void>((resolve) => (free = resolve)), 200, "ok"));
    const client = clientOf(server, { maxConnectionCount: 1 });
    const calls = [client.predict("x"), client.predict("y")];
    await server.seen(1);
    const closing = client.close();
    free();
    expect((await Promise.all(calls)).map(String)).toEqual(["ok", "ok"]);
    await closing;
  });

  test("close works before the first call, and leaves a custom transport open", async () => {
    await new PredictClient().close();
    const transport = new RecordingTransport();
    const close = vi.spyOn(transport, "close");
    const client = clientOf({ origin: "http://h" }, { transport });
    await client.predict("x");
    await client.close();
    expect(close).not.toHaveBeenCalled();
  });

  test("sends with the option fetch", async () => {
    const server = await startServer();
    const seen: string[] = [];
    const client = clientOf(server, {
      fetch: (url, init) => {
        seen.push(`${init.method} ${url}`);
        return fetch(url, init);
      },
    });
    const { response, attempts } = await client.predictDetailed("body", { path: "/p", query: { q: 1 } });
    expect([response.toString(), attempts]).toEqual(["ok", 1]);
    expect(seen).toEqual([`POST ${server.origin}/api/predict/svc/p?q=1`]);
    expect(server.requests[0]?.body.toString()).toBe("body");
    server.play(finInBody);
    expect(await errorOf(client.predict("x", { retryCount: 0 }))).toMatchObject({ code: "ERR_EAS_NETWORK" });
    server.play(stallBeforeHeaders);
    const late = await errorOf(client.predict("x", { retryCount: 0, timeout: 60 }));
    expect(late).toMatchObject({ code: "ERR_EAS_TIMEOUT", phase: "headers" });
    const refused = clientOf({ origin: await refusedOrigin() }, { fetch, retryCount: 0 });
    const error = await errorOf(refused.predict("x"));
    expect(error).toMatchObject({ code: "ERR_EAS_NETWORK", systemCode: "ECONNREFUSED" });
    expect(error.message).toContain("nothing was sent");
  });
});

describe("diagnose", () => {
  test.each([
    ["200", answer(200, {}, "ok"), "ok", true, 200],
    ["405", answer(405), "ok", true, 405],
    ["400", answer(400), "ok", true, 400],
    ["401", answer(401), "token", false, 401],
    ["403", answer(403), "token", false, 403],
    ["404, empty", answer(404), "not-ready", false, 404],
    ["404 with a body", answer(404, {}, "no such path"), "path", false, 404],
    ["503, empty", answer(503), "not-ready", false, 503],
    ["503 no healthy upstream", answer(503, {}, "no healthy upstream"), "not-ready", false, 503],
    ["503 with a body", answer(503, {}, "crashed"), "service", false, 503],
    ["500", answer(500, {}, "oops"), "service", false, 500],
    ["302", answer(302, { Location: "/x" }), "service", false, 302],
    ["no answer", stallBeforeHeaders, "timeout", false, undefined],
  ] as const)("%s", async (_, behaviour, finding, ok, status) => {
    const server = await startServer();
    server.always(behaviour);
    const client = clientOf(server);
    const diagnosis = await client.diagnose({ timeout: finding === "timeout" ? 200 : 5000, path: "/health" });
    expect(diagnosis).toMatchObject({ finding, ok, status });
    expect(diagnosis.message.length).toBeGreaterThan(20);
    expect(diagnosis.message).not.toContain(TOKEN);
    expect(server.requests).toHaveLength(1);
    expect(server.requests[0]).toMatchObject({ method: "GET", path: "/api/predict/svc/health" });
    // A GET is never signed.
    expect(server.requests[0]?.headers.authorization).toBe(TOKEN);
  });

  test("nothing listens on the port", async () => {
    const diagnosis = await clientOf({ origin: await refusedOrigin() }).diagnose();
    expect(diagnosis).toMatchObject({ ok: false, finding: "network", status: undefined });
    expect(diagnosis.message).toContain("ECONNREFUSED");
  });

  test.each([
    ["no endpoint", { endpoint: "" }],
    ["DIRECT with a custom URL", { endpointType: ENDPOINT_TYPE_DIRECT, customUrl: "http://h/x" }],
  ] as [string, PredictClientOptions][])("settings that cannot work: %s", async (_, options) => {
    const diagnosis = await clientOf({ origin: "http://h" }, options).diagnose();
    expect(diagnosis).toMatchObject({ ok: false, finding: "settings", status: undefined });
  });

  test("never rejects for invalid input", async () => {
    const server = await startServer();
    const client = clientOf(server);
    expect((await client.diagnose({ signal: AbortSignal.abort("stop") })).ok).toBe(false);
    expect((await client.diagnose({ path: "/.." })).finding).toBe("settings");
    await client.close();
    expect((await client.diagnose()).ok).toBe(false);
    expect(server.connections).toBe(0);
  });
});
