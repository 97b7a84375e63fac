import { describe, expect, test } from "vitest";
import { EasNetworkError, EasTimeoutError, PredictClient } from "../../../src/index.js";
import { createRelay, type RelayClient, type RelayOptions } from "../../../src/relay/index.js";
import { errorOf, thrownBy } from "../../support/calls.js";
import { memoryRelay, memoryService, type RelayedCall, refusalOf } from "../../support/relay.js";

const PAGE = "https://page.example";
const { client } = memoryService();

test.each<[string, Record<string, unknown>, string]>([
  ["no client", { client: undefined }, "client is undefined"],
  ["client and services", { services: { a: client } }, "one of the two"],
  ["a client without fetch", { client: {} }, "client is a plain object: it must be a PredictClient"],
  ["a client in place of services", { client: undefined, services: client }, "clients by name"],
  ["no services", { client: undefined, services: {} }, "services is a plain object"],
  ["an empty name", { client: undefined, services: { "": client } }, "serviceName"],
  ["a name with dot segments", { client: undefined, services: { "../a": client } }, "serviceName"],
  ["a service without fetch", { client: undefined, services: { a: 1 } }, "services.a is 1"],
  ["no rules", { allow: [] }, "allow is an array"],
  ["one rule without a list", { allow: { paths: ["/"] } }, "allow is a plain object"],
  ["a rule that is null", { allow: [null] }, "allow[0].paths is undefined"],
  ["a rule without paths", { allow: [{ methods: ["GET"] }] }, "allow[0].paths is undefined"],
  ["paths as a string", { allow: [{ paths: "/" }] }, 'allow[0].paths is "/"'],
  ["an empty list of paths", { allow: [{ paths: [] }] }, "allow[0].paths"],
  ["a path without a slash", { allow: [{ paths: ["v1"] }] }, 'allow[0].paths is "v1"'],
  ["an empty path", { allow: [{ paths: [""] }] }, 'allow[0].paths is ""'],
  ["a number as a path", { allow: [{ paths: [1] }] }, "allow[0].paths is 1"],
  ["a path with a query", { allow: [{ paths: ["/a?b=1"] }] }, 'allow[0].paths is "/a?b=1"'],
  ["a path with dot segments", { allow: [{ paths: ["/a/../b"] }] }, "allow[0].paths"],
  ["a path with escaped dot segments", { allow: [{ paths: ["/a/%2e%2E/b"] }] }, "allow[0].paths"],
  ["a path with dot segments and escaped slashes", { allow: [{ paths: ["/a%2f..%2fb"] }] }, "allow[0].paths"],
  ["a path with an empty segment", { allow: [{ paths: ["/a//b"] }] }, "allow[0].paths"],
  ["a path with a lone surrogate", { allow: [{ paths: ["/\ud800"] }] }, "allow[0].paths"],
  ["a star within a segment", { allow: [{ paths: ["/v1*"] }] }, 'have no "*"'],
  ["a star in the middle", { allow: [{ paths: ["/*/a"] }] }, 'have no "*"'],
  ["two stars", { allow: [{ paths: ["/*/*"] }] }, 'have no "*"'],
  ["an empty list of methods", { allow: [{ methods: [], paths: ["/"] }] }, "allow[0].methods is undefined"],
  ["a method in lower case", { allow: [{ methods: ["GET", "post"], paths: ["/"] }] }, 'allow[0].methods is "post"'],
  ["OPTIONS", { allow: [{ methods: ["OPTIONS"], paths: ["/"] }] }, 'allow[0].methods is "OPTIONS"'],
  [
    "a rule for an unknown service",
    { client: undefined, services: { a: client }, allow: [{ paths: ["/b"] }] },
    "name of a service: /a",
  ],
  ["a rule for all services", { client: undefined, services: { a: client }, allow: [{ paths: ["/"] }] }, "name of a"],
  ["an origin with a slash", { origins: ["https://page.example/"] }, 'origins is "https://page.example/"'],
  ["an origin in upper case", { origins: ["https://Page.example"] }, "origins"],
  ["the opaque origin null", { origins: ["null"] }, 'origins is "null"'],
  ["a star among origins", { origins: ["*"] }, 'origins is "*"'],
  ["one origin without a list", { origins: "https://page.example" }, 'origins is "https://page.example"'],
  ["a base without a slash", { base: "eas" }, 'base is "eas"'],
  ["a base that is a URL", { base: "https://my.site/eas" }, "base"],
  ["maxBytes as a string", { maxBytes: "1MB" }, "maxBytes"],
  ["a negative maxBytes", { maxBytes: -1 }, "maxBytes"],
  ["a timeout of 0", { timeout: 0 }, "timeout"],
  ["an idleTimeout of 0", { idleTimeout: 0 }, "idleTimeout"],
  ["idleTimeout as a string", { idleTimeout: "1s" }, "idleTimeout"],
  ["headers as a string", { requestHeaders: "x-own" }, "requestHeaders"],
  ["an invalid header name", { requestHeaders: ["x own"] }, "header name"],
  ["the request header Cookie", { requestHeaders: ["Cookie"] }, 'requestHeaders is "Cookie"'],
  ["the request header Authorization", { requestHeaders: ["Authorization"] }, 'requestHeaders is "Authorization"'],
  ["the request header X-Forwarded-For", { requestHeaders: ["X-Forwarded-For"] }, "requestHeaders"],
  ["the response header Content-Length", { responseHeaders: ["content-length"] }, "content-length"],
  ["the response header Set-Cookie", { responseHeaders: ["Set-Cookie"] }, 'responseHeaders is "Set-Cookie"'],
  ["authorize that is not a function", { authorize: true }, "authorize is true"],
  ["onError that is not a function", { onError: console }, "onError"],
])("throws at creation for an invalid option: %s", (_, wrong, words) => {
  const error = thrownBy(() => createRelay({ client, allow: [{ paths: ["/"] }], ...wrong } as RelayOptions));
  expect(error.code).toMatch(/^ERR_EAS_ARG_/);
  expect(error.message).toContain(words);
});

test("throws for options that are not an object", () => {
  expect(thrownBy(() => createRelay(undefined as never)).code).toBe("ERR_EAS_ARG_OPTION");
  expect(thrownBy(() => createRelay({ client } as never)).message).toContain("allow is undefined");
});

describe("paths", () => {
  const allow: RelayOptions["allow"] = [
    { paths: ["/", "/v1/chat/completions", "/模型 1/*"] },
    { methods: ["GET", "HEAD"], paths: ["/v1/models", "/files/*"] },
  ];
  test.each([
    ["POST", "/eas", ""],
    ["POST", "/eas/", ""],
    ["POST", "/eas?x=1&y=%2F..", "?x=1&y=%2F.."],
    ["POST", "/eas/v1/chat/completions", "/v1/chat/completions"],
    ["POST", "/eas/v1/../v1/chat/completions", "/v1/chat/completions"],
    ["POST", "/eas/x/%2e%2e/v1/chat/completions", "/v1/chat/completions"],
    ["POST", "/eas\\v1\\chat\\completions", "/v1/chat/completions"],
    ["POST", "/eas/模型 1/甲", "/%E6%A8%A1%E5%9E%8B%201/%E7%94%B2"],
    ["GET", "/eas/v1/models", "/v1/models"],
    ["HEAD", "/eas/v1/models", "/v1/models"],
    ["GET", "/eas/files/", "/files/"],
    ["GET", "/eas/files/a/b.c;d|e", "/files/a/b.c;d%7Ce"],
  ])("forwards %s %s", async (method, path, sent) => {
    const { ask, calls } = memoryRelay({ base: "/eas", allow });
    expect((await ask(path, { method })).status).toBe(200);
    expect(calls.map((call) => [call.method, call.path])).toEqual([[method, sent]]);
  });

  test.each([
    ["GET", "/eas"],
    ["PUT", "/eas"],
    ["PATCH", "/eas"],
    ["patch", "/eas"],
    ["OPTIONS", "/eas"],
    ["OPTIONS", "/eas/v1/models"],
    ["POST", "/eas/v1/chat/completions/"],
    ["POST", "/eas/v1/chat/Completions"],
    ["POST", "/eas/v1/chat/%63ompletions"],
    ["POST", "/eas/v1/chat%2Fcompletions"],
    ["POST", "/eas//v1/chat/completions"],
    ["POST", "/eas/v1/chat/completions;x"],
    ["POST", "/eas/v1/models"],
    ["GET", "/eas/files"],
    ["GET", "/eas/filesystem/a"],
    ["GET", "/eas/files//a"],
    ["GET", "/eas/files/..;/v1"],
    ["GET", "/eas/files/%2e%2e;x=1/v1"],
    ["GET", "/eas/files/..%20/v1"],
    ["GET", "/eas/files/..%2fv1"],
    ["GET", "/eas/files/..%5Cv1"],
    ["GET", "/eas/files/%252e%252e/v1"],
    ["GET", "/eas/files/..%252fv1"],
    ["GET", "/eas/files/%c0%ae%c0%ae/v1"],
    ["GET", "/eas/files/．．/v1"],
    ["GET", "/eas/files/‥/v1"],
    ["GET", "/eas/files/..／v1"],
    ["GET", "/eas/files/..＼v1"],
    ["GET", "/eas/files/％2e％2e/v1"],
    ["GET", "/eas/files/..%e2%88%95v1"],
    ["GET", "/eas/files/..%e2%81%84v1"],
    ["GET", "/eas/files/..∕v1"],
    ["GET", "/eas/files/a%e2%a7%b8b"],
    ["GET", "/eas/files/a%e2%88%96b"],
    ["GET", "/eas/files/․․/v1"],
    ["GET", "/eas/files/…/v1"],
    ["GET", "/eas/files/a。b"],
    ["GET", "/eas/files/.%e2%80%8b./v1"],
    ["GET", "/eas/files/a%e2%84%80b"],
    ["GET", "/eas/files/%c0%af"],
    ["GET", "/eas/files/%e0%80%af"],
    ["GET", "/eas/files/%ed%a0%80"],
    ["GET", "/eas/files/a%ff"],
    ["GET", "/eas/files/%f"],
    ["GET", "/eas/files/a%3Fb"],
    ["GET", "/eas/files/a%23b"],
    ["GET", "/eas/files/%00"],
    ["GET", "/eas/files/a%0d%0aHost:x"],
    ["GET", "/eas/files/%"],
    ["GET", "/eas/files/%zz"],
  ])("returns 403 and sends nothing: %s %s", async (method, path) => {
    const { ask, calls } = memoryRelay({ base: "/eas", allow });
    const [status, error] = await refusalOf(await ask(path, { method }));
    expect([status, error]).toEqual([403, `this relay does not allow ${method} on this path`]);
    expect(calls).toEqual([]);
  });

  test.each(["/", "/other", "/easy", "/EAS", "/eas%2f", "//eas", "/eas/../v1", "/eas/..", "/%65as"])(
    "returns 404 outside the base: %s",
    async (path) => {
      const { ask, calls } = memoryRelay({ base: "/eas" });
      expect((await refusalOf(await ask(path)))[0]).toBe(404);
      expect(calls).toEqual([]);
    },
  );

  test.each(["", "/"])("serves the root: base %j", async (base) => {
    const { ask, calls } = memoryRelay({ base, allow: [{ paths: ["/", "/a"] }] });
    await ask("/");
    await ask("/a?b");
    expect(calls.map(({ path }) => path)).toEqual(["", "/a?b"]);
  });

  test("ignores a slash at the end of the base", async () => {
    const { ask, calls } = memoryRelay({ base: "/my/eas/" });
    for (const path of ["/my/eas", "/my/eas/", "/my/eas/a"]) await ask(path);
    expect(calls.map(({ path }) => path)).toEqual(["", "", "/a"]);
  });

  test("ignores the fragment and the host of a URL", async () => {
    const { relay, calls } = memoryRelay({ base: "/eas", allow: [{ paths: ["/a"] }] });
    await relay(new Request("http://user.evil.example:81/eas/a?b#/../c", { method: "POST" }));
    expect(calls.map(({ path }) => path)).toEqual(["/a?b"]);
  });
});

describe("several services", () => {
  function setUp(allow: RelayOptions["allow"]) {
    const names = ["scorecard", "chat", "chat/v2", "jobs", "组.模型"];
    const services = Object.fromEntries(names.map((name) => [name, memoryService()]));
    const clients = Object.fromEntries(Object.entries(services).map(([name, { client }]) => [name, client]));
    const { ask } = memoryRelay({ base: "/eas", services: clients, allow });
    const seen = () =>
      Object.entries(services).flatMap(([name, { calls }]) =>
        calls.map(({ method, path }) => `${name} ${method} ${path}`),
      );
    return { ask, seen };
  }

  test("calls each service by its name and applies the rules of its paths", async () => {
    const { ask, seen } = setUp([
      { paths: ["/scorecard", "/chat/v1/*", "/chat/v2/", "/组.模型"] },
      { paths: ["/jobs/sink"], operations: ["watch", "commit"] },
    ]);
    const at = async (path: string, method = "POST") => (await ask(`/eas/api/predict${path}`, { method })).status;
    expect(await at("/scorecard")).toBe(200);
    expect(await at("/scorecard/?a=1")).toBe(200);
    expect(await at("/scorecard/v1")).toBe(403);
    expect(await at("/chat")).toBe(403);
    expect(await at("/chat/v1/x")).toBe(200);
    // The longest matching name applies.
    expect(await at("/chat/v2")).toBe(200);
    expect(await at("/chat/v2/x")).toBe(403);
    expect(await at("/jobs")).toBe(403);
    expect(await at("/jobs/sink")).toBe(403);
    expect(await at("/jobs/sink?_watch_=true", "GET")).toBe(200);
    expect(await at("/组.模型")).toBe(200);
    expect(seen()).toEqual([
      "scorecard POST ",
      "scorecard POST ?a=1",
      "chat POST /v1/x",
      "chat/v2 POST ",
      "jobs GET /sink?_watch_=true",
      "组.模型 POST ",
    ]);
  });

  test.each([
    "",
    "/",
    "/other",
    "/Scorecard",
    "/scorecards",
    "/constructor",
    "/__proto__",
    "/scorecard%2f",
    "//scorecard",
  ])("returns 404 for a path without a service: %j", async (path) => {
    const { ask, seen } = setUp([{ paths: ["/*"] }]);
    expect((await ask(`/eas/api/predict${path}`)).status).toBe(404);
    expect(seen()).toEqual([]);
  });

  test("returns 404 without /api/predict", async () => {
    const { ask, seen } = setUp([{ paths: ["/*"] }]);
    for (const path of ["/eas", "/eas/", "/eas/scorecard", "/eas/api/predictor/scorecard", "/api/predict/scorecard"]) {
      expect((await ask(path)).status).toBe(404);
    }
    expect(seen()).toEqual([]);
  });
});

describe("headers", () => {
  test("forwards the request headers that calls need, and drops the caller's own", async () => {
    const { ask, calls } = memoryRelay({ requestHeaders: ["X-Own"] });
    const passed = {
      accept: "text/event-stream",
      "accept-language": "zh",
      "content-encoding": "gzip",
      "content-type": "application/json",
      traceparent: "00-1-2-01",
      tracestate: "a=1",
      "x-lz4-original-length": "7",
      "x-own": "1",
      "x-request-id": "r",
    };
    await ask("/", {
      headers: {
        ...passed,
        authorization: "Bearer session",
        cookie: "session=1",
        forwarded: "for=1.2.3.4",
        "x-forwarded-for": "1.2.3.4",
        "x-real-ip": "1.2.3.4",
        referer: "https://my.site/secret",
        "user-agent": "browser",
        "x-stainless-os": "unknown",
        "x-eas-other": "1",
        "x-unknown": "1",
      },
    });
    expect(Object.fromEntries(calls[0]?.headers ?? [])).toEqual(passed);
  });

  test("drops response headers about the server, and lets pages read the rest", async () => {
    const passed = {
      "content-encoding": "snappy",
      "content-language": "zh",
      "content-type": "text/html",
      "retry-after": "3",
      "x-eas-queueservice-request-id": "q",
      "x-lz4-original-length": "7",
      "x-own": "1",
      "x-request-id": "r",
    };
    const hidden = {
      "access-control-allow-origin": "*",
      "access-control-allow-credentials": "true",
      "cache-control": "public, max-age=600",
      "content-length": "2",
      date: "today",
      etag: "1",
      location: "http://10.0.0.1/",
      server: "istio-envoy",
      "set-cookie": "a=1",
      via: "1.1 inner",
      "www-authenticate": "EAS",
      "x-envoy-upstream-service-time": "5",
      "x-powered-by": "Express",
    };
    const { ask } = memoryRelay(
      { origins: [PAGE], responseHeaders: ["X-Own"] },
      () => new Response("ok", { status: 418, headers: { ...hidden, ...passed } }),
    );
    const response = await ask("/", { headers: { origin: PAGE } });
    expect(response.status).toBe(418);
    expect(Object.fromEntries(response.headers)).toEqual({
      ...passed,
      "access-control-allow-origin": PAGE,
      "access-control-expose-headers": Object.keys(passed).join(", "),
      "cache-control": "no-store",
      "content-security-policy": "default-src 'none'; sandbox",
      vary: "Origin",
      "x-content-type-options": "nosniff",
    });
    expect(await response.text()).toBe("ok");
  });
});

describe("origins", () => {
  const OTHER = "https://other.example";
  const SAME = { "sec-fetch-site": "same-origin" };
  const CROSS = { "sec-fetch-site": "cross-site" };
  test.each<[string, RelayOptions["origins"], Record<string, string>, boolean]>([
    ["a listed page", [OTHER, PAGE], { origin: PAGE, ...CROSS }, true],
    ["an unlisted page", [PAGE], { origin: OTHER, ...CROSS }, false],
    ["a listed page with another port", [PAGE], { origin: `${PAGE}:8443` }, false],
    ["a listed page with another scheme", [PAGE], { origin: PAGE.replace("https", "http") }, false],
    ["a host that begins with a listed host", [PAGE], { origin: `${PAGE}.evil.example` }, false],
    ["a subdomain of a listed host", [PAGE], { origin: PAGE.replace("page", "sub.page") }, false],
    ["a sandboxed page", [PAGE], { origin: "null" }, false],
    ["two origins at once", [PAGE], { origin: `${PAGE}, ${OTHER}` }, false],
    ["an origin in upper case", [PAGE], { origin: PAGE.toUpperCase() }, false],
    ["a page, without listed origins", undefined, { origin: PAGE, ...CROSS }, false],
    ["the relay's own origin, according to its URL", undefined, { origin: "https://my.site" }, false],
    ["the relay's own origin, according to the browser", undefined, { origin: "https://my.site", ...SAME }, true],
    ["a GET of the relay's own page", undefined, SAME, true],
    ["an image in another page", [PAGE], CROSS, false],
    ["an image in a page of a sibling host", [PAGE], { "sec-fetch-site": "same-site" }, false],
    ["an unknown value of Sec-Fetch-Site", [PAGE], { "sec-fetch-site": "same-origin, cross-site" }, false],
    ["a navigation from the address bar", [PAGE], { "sec-fetch-site": "none" }, true],
    ["a server", [PAGE], {}, true],
    ["any page, with origins *", "*", { origin: OTHER, ...CROSS }, true],
    ["a sandboxed page, with origins *", "*", { origin: "null" }, true],
    ["an image in any page, with origins *", "*", CROSS, true],
  ])("%s", async (_, origins, headers, passes) => {
    const { ask, calls } = memoryRelay({ ...(origins && { origins }), allow: [{ methods: ["GET"], paths: ["/"] }] });
    const response = await ask("/", { method: "GET", headers });
    expect(response.status).toBe(passes ? 200 : 403);
    expect(calls).toHaveLength(passes ? 1 : 0);
    if (!passes) expect((await refusalOf(response))[1]).toBe("this relay does not serve pages from this origin");
    const allowed = response.headers.get("access-control-allow-origin");
    const listed = Array.isArray(origins) && origins.includes(headers.origin ?? "");
    expect(allowed).toBe(headers.origin && origins === "*" ? "*" : listed ? (headers.origin ?? "") : null);
    expect(response.headers.get("vary")).toBe(origins === "*" ? null : "Origin");
  });

  const preflight = (names?: string) => ({
    method: "OPTIONS",
    headers: {
      origin: PAGE,
      "access-control-request-method": "DELETE",
      ...(names && { "access-control-request-headers": names }),
    },
  });

  test("responds to a preflight itself and lists the allowed headers", async () => {
    let asked = 0;
    const { ask, calls } = memoryRelay({ origins: [PAGE], requestHeaders: ["x-own"], authorize: () => ++asked > 0 });
    const names =
      "authorization,content-type,X-Eas-QueueService-Redis-Uid,traceparent,x-own,x-stainless-os,x-unknown,cookie";
    const response = await ask("/", preflight(names));
    expect(response.status).toBe(204);
    expect(response.body).toBe(null);
    const { headers } = response;
    expect(headers.get("access-control-allow-origin")).toBe(PAGE);
    expect(headers.get("access-control-allow-methods")).toBe("GET, HEAD, POST, PUT, PATCH, DELETE");
    expect(headers.get("access-control-allow-headers")).toBe(
      "authorization, content-type, X-Eas-QueueService-Redis-Uid, traceparent, x-own, x-stainless-os",
    );
    expect(headers.get("access-control-max-age")).toBe("7200");
    expect(headers.get("access-control-allow-credentials")).toBe(null);
    expect(headers.get("vary")).toBe("Origin");
    expect([calls.length, asked]).toEqual([0, 0]);
  });

  test.each(["/", "/other", "/eas/not/allowed"])(
    "responds to a preflight for any path, so that the page can read the refusal of the call: %s",
    async (path) => {
      const { ask } = memoryRelay({ base: "/eas", origins: [PAGE], allow: [{ paths: ["/"] }] });
      expect((await ask(path, preflight("content-type"))).status).toBe(204);
    },
  );

  test("allows no headers in a preflight that requests none", async () => {
    const { ask } = memoryRelay({ origins: "*" });
    const { headers } = await ask("/", preflight());
    expect(headers.get("access-control-allow-origin")).toBe("*");
    expect(headers.has("access-control-allow-headers")).toBe(false);
  });

  test("refuses a preflight of another page", async () => {
    const { ask } = memoryRelay({ origins: ["https://other.example"] });
    const response = await ask("/", preflight("content-type"));
    expect(response.status).toBe(403);
    expect([...response.headers.keys()].filter((name) => name.startsWith("access-control-"))).toEqual([]);
  });

  test("lets the page read the reason of a refusal", async () => {
    const { ask } = memoryRelay({ base: "/eas", origins: [PAGE], allow: [{ paths: ["/a"] }], maxBytes: 3 });
    const headers = { origin: PAGE };
    const responses = [
      await ask("/other", { headers }),
      await ask("/eas/b", { headers }),
      await ask("/eas/a", { headers: { ...headers, "content-length": "4" }, body: "four" }),
    ];
    expect(responses.map(({ status }) => status)).toEqual([404, 403, 413]);
    for (const response of responses) {
      expect(response.headers.get("access-control-allow-origin")).toBe(PAGE);
      expect(response.headers.get("content-type")).toBe("application/json");
      expect((await refusalOf(response))[1]).toMatch(/^[a-z].*[^.]$/);
    }
  });
});

describe("authorize", () => {
  test.each<[string, RelayOptions["authorize"], number, number]>([
    ["true", () => true, 200, 1],
    ["a promise of true", async () => true, 200, 1],
    ["false", () => false, 403, 0],
    ["a promise of false", async () => false, 403, 0],
    ["a Response", () => new Response("log in", { status: 401 }), 401, 0],
    ["a redirect", () => Response.redirect("https://my.site/login", 303), 303, 0],
    ["undefined", (() => {}) as never, 500, 0],
    ["another value", (() => "yes") as never, 500, 0],
    ["an exception", () => Promise.reject(new Error("no database")), 500, 0],
  ])("%s", async (_, authorize, status, count) => {
    const { ask, calls, errors } = memoryRelay({ origins: [PAGE], ...(authorize && { authorize }) });
    const response = await ask("/", { body: "x", headers: { origin: PAGE } });
    expect(response.status).toBe(status);
    expect(calls).toHaveLength(count);
    expect(response.headers.get("access-control-allow-origin")).toBe(PAGE);
    expect(errors).toHaveLength(status === 500 ? 1 : 0);
    expect(await response.text()).not.toContain("database");
  });

  test("receives the unchanged request, and can read a clone of its body", async () => {
    const seen: unknown[] = [];
    const { ask, calls } = memoryRelay({
      async authorize(request) {
        seen.push(request.method, request.url, request.headers.get("cookie"), await request.clone().text());
        return true;
      },
    });
    await ask("/a?b", { body: "text", headers: { cookie: "session=1" } });
    expect(seen).toEqual(["POST", "https://my.site/a?b", "session=1", "text"]);
    expect(await new Response(calls[0]?.body).text()).toBe("text");
  });

  test("is reported to onError if it reads the body itself", async () => {
    const { ask, calls, errors } = memoryRelay({ authorize: async (request) => (await request.text()) === "text" });
    expect((await ask("/", { body: "text" })).status).toBe(500);
    expect(calls).toEqual([]);
    expect(String(errors[0])).toContain("request.clone()");
  });

  test.each([
    ["is read", (request: Request) => request.clone().text()],
    ["is read twice", (request: Request) => request.clone().clone().arrayBuffer()],
  ])("receives a clone whose body is limited by maxBytes without a Content-Length: the clone %s", async (_, read) => {
    let made = 0;
    const pull = (controller: ReadableStreamDefaultController) => {
      controller.enqueue(new Uint8Array(10));
      // Without a limit, a relay would fill the memory here.
      if (++made === 1000) controller.close();
    };
    const { ask, calls, errors } = memoryRelay({
      maxBytes: 100,
      authorize: async (request) => !!(await read(request)),
    });
    const response = await ask("/", { body: new ReadableStream({ pull }, { highWaterMark: 0 }) });
    expect(await refusalOf(response)).toEqual([413, "the body is larger than 100 bytes"]);
    expect(made).toBeLessThan(20);
    expect([calls, errors]).toEqual([[], []]);
  });

  test("can read a clone of a body without a Content-Length", async () => {
    const { ask, calls } = memoryRelay({ authorize: async (request) => (await request.clone().text()) === "text" });
    expect((await ask("/", { body: new Blob(["text"]).stream() })).status).toBe(200);
    expect(await new Response(calls[0]?.body).text()).toBe("text");
  });

  test("is not called for requests that the relay refuses", async () => {
    let asked = 0;
    const { ask } = memoryRelay({ allow: [{ paths: ["/a"] }], maxBytes: 1, authorize: () => ++asked > 0 });
    await ask("/b");
    await ask("/a", { body: "xx", headers: { "content-length": "2" } });
    await ask("/a", { headers: { origin: PAGE } });
    expect(asked).toBe(0);
  });
});

describe("failures behind the relay", () => {
  const failing: [string, () => Promise<Response>, number, RegExp][] = [
    [
      "the token is refused",
      async () => new Response("token abc", { status: 401 }),
      502,
      /responded to the relay with status 401.*token/,
    ],
    [
      "the gateway refuses",
      async () => new Response("no", { status: 403 }),
      502,
      /responded to the relay with status 403/,
    ],
    [
      "a redirect",
      async () => Response.redirect("http://10.0.0.1/"),
      502,
      /responded to the relay with status 302.*redirects are not followed/,
    ],
    ["a hidden redirect", async () => Response.error(), 502, /responded to the relay with status 0/],
    [
      "an invalid status",
      async () => Object.defineProperty(new Response(), "status", { value: 700 }),
      502,
      /responded to the relay with status 700/,
    ],
    ["the network", () => Promise.reject(new EasNetworkError("connect 10.0.0.1", {})), 502, /10\.0\.0\.1/],
    ["a timeout", () => Promise.reject(new EasTimeoutError("10.0.0.1", { phase: "headers", timeout: 1 })), 504, /10/],
    ["a runtime's timeout", () => Promise.reject(new DOMException("10.0.0.1", "TimeoutError")), 504, /10/],
    ["another value", () => Promise.reject("10.0.0.1"), 502, /10/],
    ["undefined", () => Promise.reject(), 502, /undefined/],
    ["no response", () => Promise.resolve(undefined as never), 502, /undefined/],
  ];
  test.each(failing)(
    "hides the cause from the caller and reports it to onError: %s",
    async (_, response, status, reported) => {
      const { ask, errors } = memoryRelay({ origins: "*" }, response);
      const answered = await ask("/", { headers: { origin: PAGE } });
      expect(answered.headers.get("access-control-allow-origin")).toBe("*");
      const [found, error] = await refusalOf(answered);
      expect(found).toBe(status);
      expect(error).toMatch(
        /^the (relay got no response from the service|service sent no response within the relay's timeout|relay cannot forward the service's response)$/,
      );
      expect(errors).toHaveLength(1);
      expect(String(errors[0])).toMatch(reported);
      expect(JSON.stringify(errors[0]) ?? "").not.toContain("abc");
    },
  );

  test.each<[string, RelayOptions["onError"]]>([
    [
      "throws",
      () => {
        throw new Error("no log");
      },
    ],
    ["rejects", () => Promise.reject(new Error("no log"))],
  ])("ignores an onError that %s", async (_, onError) => {
    const { ask } = memoryRelay({ ...(onError && { onError }) }, () => new Response("", { status: 401 }));
    expect((await ask("/")).status).toBe(502);
  });

  test("returns 502 if the client throws synchronously", async () => {
    const client: RelayClient = {
      fetch() {
        throw new Error("not set up");
      },
    };
    const { relay } = memoryRelay({ client });
    expect((await relay(new Request("https://my.site/", { method: "POST" }))).status).toBe(502);
  });

  test("returns 400 for a path or header that the client refuses", async () => {
    const { ask, errors } = memoryRelay({}, () => {
      throw Object.assign(new TypeError("header x has a line break"), { code: "ERR_EAS_ARG_HEADER" });
    });
    expect(await refusalOf(await ask("/"))).toEqual([400, "the path or a header cannot be forwarded"]);
    expect(errors).toEqual([]);
  });

  test("returns 413 for a body that the client refuses as too large", async () => {
    const { ask, errors } = memoryRelay({}, () => {
      throw Object.assign(new RangeError("the limit is 10"), { code: "ERR_EAS_ARG_BODY_SIZE" });
    });
    expect(await refusalOf(await ask("/", { body: "x" }))).toEqual([413, "the body is too large for the service"]);
    expect(errors).toEqual([]);
  });

  test("returns 504 and aborts the call if there is no response within the timeout", async () => {
    let reason: unknown;
    const { ask, errors } = memoryRelay({ timeout: 1 }, ({ signal }) =>
      untilAborted(signal, (it) => {
        reason = it;
      }),
    );
    expect((await ask("/")).status).toBe(504);
    expect(errors).toEqual([reason]);
    expect(reason).toMatchObject({ code: "ERR_EAS_TIMEOUT", phase: "headers", timeout: 1 });
  });

  test("forwards the service's own errors", async () => {
    for (const status of [400, 404, 429, 450, 500, 503]) {
      const { ask, errors } = memoryRelay({}, () => new Response("words", { status, headers: { "retry-after": "1" } }));
      const response = await ask("/");
      expect([response.status, response.headers.get("retry-after"), await response.text()]).toEqual([
        status,
        "1",
        "words",
      ]);
      expect(errors).toEqual([]);
    }
  });

  test("marks its own responses, so that a page's client does not attribute them to the gateway", async () => {
    for (const [response, options, status, hint] of [
      [
        () => Promise.reject(new Error("down")),
        {},
        502,
        "the relay itself failed; its onError option receives the cause",
      ],
      [() => Promise.reject(new EasTimeoutError("", { phase: "headers", timeout: 1 })), {}, 504, "its onError option"],
      [undefined, { allow: [{ paths: ["/other"] }] }, 403, "the relay itself refused the request"],
      [
        async ({ body }: RelayedCall) => new Response(await new Response(body).text()),
        { maxBytes: 0 },
        413,
        "the relay itself refused the request",
      ],
      [undefined, { base: "/eas" }, 404, "the relay itself refused the request"],
      [() => new Response("", { status: 503 }), {}, 503, "no instance is ready"],
    ] as const) {
      const { relay } = memoryRelay(options, response);
      const fetch = (url: string | URL | Request, init?: RequestInit) => relay(new Request(url, init));
      const page = new PredictClient({ customUrl: "https://my.site/", fetch: fetch as never, retryCount: 0 });
      const error = await errorOf(page.predict("x"));
      expect([error.status, error.hint]).toEqual([status, expect.stringContaining(hint)]);
      await page.close();
    }
  });

  test("forwards responses without a body", async () => {
    for (const status of [204, 205]) {
      const { ask } = memoryRelay({}, () => new Response(null, { status }));
      expect((await ask("/")).body).toBe(null);
    }
    const { ask } = memoryRelay({ allow: [{ methods: ["HEAD"], paths: ["/"] }] }, () => new Response("of a HEAD"));
    expect((await ask("/", { method: "HEAD" })).body).toBe(null);
  });
});

test("refuses a WebSocket upgrade", async () => {
  const { relay, calls } = memoryRelay({ allow: [{ paths: ["/"], operations: ["watch", "commit"] }] });
  // `Request` does not let callers set this header, but servers can.
  const request = new Request("https://my.site/?_watch_=true");
  Object.defineProperty(request, "headers", { value: new Headers({ upgrade: "websocket" }) });
  expect(await refusalOf(await relay(request))).toEqual([
    403,
    "this relay does not support WebSockets: watch a queue over HTTP",
  ]);
  expect(calls).toEqual([]);
});

test.each([{ "content-length": "1" }, { "transfer-encoding": "chunked" }])(
  "refuses a GET with a body: %j",
  async (headers) => {
    const { relay, calls } = memoryRelay({ allow: [{ methods: ["GET"], paths: ["/"] }] });
    const request = new Request("https://my.site/");
    Object.defineProperty(request, "headers", { value: new Headers(headers as Record<string, string>) });
    expect(await refusalOf(await relay(request))).toEqual([400, "a GET has no body"]);
    expect(calls).toEqual([]);
  },
);

/** Never resolves. Rejects when the call is aborted. */
function untilAborted(signal: RelayedCall["signal"], onAbort: (reason: unknown) => void): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => {
      onAbort(signal.reason);
      reject(signal.reason);
    });
  });
}
