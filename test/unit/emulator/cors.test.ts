import { connect } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  createEmulator,
  type EmulatorCors,
  type EmulatorOptions,
  type RunningEmulator,
  startEmulator,
} from "../../../src/emulator/index.js";
import { PredictClient, QueueClient, type QueueClientOptions } from "../../../src/index.js";
import { errorOf, TOKEN, thrownBy } from "../../support/calls.js";

const PAGE = "https://page.example";
const OTHER = "https://other.example";

async function start(cors: EmulatorOptions["cors"], options: EmulatorOptions = {}): Promise<RunningEmulator> {
  const emulator = await startEmulator({ token: TOKEN, queues: { q: {} }, ...(cors && { cors }), ...options });
  onTestFinished(() => emulator.close());
  return emulator;
}

function preflight(emulator: RunningEmulator, headers: Record<string, string>, method = "OPTIONS") {
  return fetch(`${emulator.endpoint}/api/predict/echo`, { method, headers });
}

/** Headers of the preflight that a browser sends before a call with a token. */
const ASKED = {
  origin: PAGE,
  "access-control-request-method": "POST",
  "access-control-request-headers": "authorization,content-type,x-own",
};

/** Returns the CORS headers and the Vary header of a response. */
const sharing = ({ headers }: Response) =>
  Object.fromEntries([...headers].filter(([name]) => name.startsWith("access-control-") || name === "vary"));

/** Methods and headers that need no preflight, and headers that pages may always read (Fetch standard). */
const SIMPLE_METHODS = ["GET", "HEAD", "POST"];
const SIMPLE_HEADERS = ["accept", "accept-language", "content-language"];
const READABLE =
  "cache-control content-language content-length content-type expires last-modified pragma access-control-".split(" ");

/** Emulates the `fetch` of a page: sends preflights, checks responses, and hides headers that are not exposed. */
function fetchOf(page: string): NonNullable<QueueClientOptions["fetch"]> {
  const blocked = () => new TypeError("Failed to fetch");
  const list = (headers: Headers, name: string) => (headers.get(name) ?? "").toLowerCase().split(/\s*,\s*/);
  const isAllowed = ({ headers }: Response) => {
    const origin = headers.get("access-control-allow-origin");
    return origin === "*" || (origin === page && /(^|,)\s*origin\s*(,|$)/i.test(headers.get("vary") ?? ""));
  };
  return async (url, init) => {
    const names = init.headers.map(([name]) => name.toLowerCase()).filter((name) => !SIMPLE_HEADERS.includes(name));
    if (names.length > 0 || !SIMPLE_METHODS.includes(init.method)) {
      const asked = await fetch(url, {
        method: "OPTIONS",
        headers: {
          origin: page,
          "access-control-request-method": init.method,
          "access-control-request-headers": names.sort().join(","),
        },
      });
      const methods = list(asked.headers, "access-control-allow-methods");
      const allowed = list(asked.headers, "access-control-allow-headers");
      const fits = asked.ok && isAllowed(asked) && names.every((name) => allowed.includes(name));
      if (!fits || !methods.includes(init.method.toLowerCase())) throw blocked();
    }
    const response = await fetch(url, { ...init, headers: [...init.headers, ["origin", page]] });
    if (!isAllowed(response)) throw blocked();
    const exposed = [...READABLE, ...list(response.headers, "access-control-expose-headers")];
    const { body, status } = response;
    return new Response(body, {
      status,
      headers: [...response.headers].filter(([name]) => exposed.includes(name)),
    });
  };
}

describe("a preflight", () => {
  test("is answered for every page by default, with methods, header names and a maximum age", async () => {
    const emulator = await start(true);
    const response = await preflight(emulator, ASKED);
    expect([response.status, await response.text()]).toEqual([204, ""]);
    expect(sharing(response)).toEqual({
      "access-control-allow-origin": "*",
      "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
      "access-control-allow-headers": "authorization,content-type,x-own",
      "access-control-max-age": "7200",
    });
    const bare = await preflight(emulator, { origin: PAGE, "access-control-request-method": "DELETE" });
    expect([bare.status, bare.headers.has("access-control-allow-headers")]).toEqual([204, false]);
  });

  test("names the page if only some pages may call, so that caches keep them apart", async () => {
    const emulator = await start({ origins: [PAGE, "http://localhost:3000"], exposeHeaders: ["X-A"] });
    for (const origin of [PAGE, "http://localhost:3000"]) {
      const response = await preflight(emulator, { ...ASKED, origin });
      expect(response.status).toBe(204);
      expect(sharing(response)).toMatchObject({ "access-control-allow-origin": origin, vary: "Origin" });
      // Meaningless in the response to a preflight.
      expect(response.headers.has("access-control-expose-headers")).toBe(false);
    }
  });

  test.each([
    ["from another page", { origins: [PAGE] }, { ...ASKED, origin: OTHER }],
    [
      "from a page whose origin only starts like an allowed origin",
      { origins: [PAGE] },
      { ...ASKED, origin: `${PAGE}.evil.example` },
    ],
    ["if no page may call", { origins: [] }, ASKED],
    ["without CORS", undefined, ASKED],
  ] as const)("%s is handled like any OPTIONS request", async (_name, cors, headers) => {
    const emulator = await start(cors as EmulatorCors | undefined);
    const response = await preflight(emulator, headers);
    expect([response.status, sharing(response)]).toEqual([401, cors === undefined ? {} : { vary: "Origin" }]);
    expect(emulator.requests.map(({ method }) => method)).toEqual(["OPTIONS"]);
  });

  test("is not logged, needs neither token nor service, and does not consume faults", async () => {
    const emulator = await start(true);
    emulator.fault({ status: 503 });
    expect((await preflight(emulator, ASKED)).status).toBe(204);
    expect((await fetch(`${emulator.endpoint}/nowhere`, { method: "OPTIONS", headers: ASKED })).status).toBe(204);
    expect(emulator.requests).toEqual([]);
    const client = new PredictClient({ endpoint: emulator.endpoint, serviceName: "echo", token: TOKEN });
    expect(await errorOf(client.predict("x", { retryCount: 0 }))).toMatchObject({ status: 503 });
  });

  test("is recognized by its headers: other OPTIONS requests are calls", async () => {
    const emulator = await start(true, {
      services: { echo: { handle: ({ method }) => method, methods: ["OPTIONS", "POST"], token: "" } },
    });
    for (const headers of [{ origin: PAGE }, { "access-control-request-method": "POST" }]) {
      const response = await preflight(emulator, headers as Record<string, string>);
      expect([response.status, await response.text()]).toEqual([200, "OPTIONS"]);
    }
    const post = await preflight(emulator, ASKED, "POST");
    expect([post.status, await post.text()]).toEqual([200, "POST"]);
    expect(emulator.requests).toHaveLength(3);
  });
});

describe("a response", () => {
  test("to a request without an origin has only the Vary header", async () => {
    for (const [cors, expected] of [
      [true, {}],
      [{ origins: [PAGE] }, { vary: "Origin" }],
    ] as const) {
      const emulator = await start(cors as EmulatorOptions["cors"]);
      const response = await fetch(`${emulator.endpoint}/api/predict/echo`, {
        method: "POST",
        headers: { authorization: TOKEN },
        body: "x",
      });
      expect([response.status, sharing(response)]).toEqual([200, expected]);
    }
  });

  test("overrides the CORS headers of a service and keeps its Vary header", async () => {
    const headers = {
      "access-control-allow-origin": "https://service.example",
      "access-control-expose-headers": "x-service",
      vary: "Accept",
      "x-a": "1",
    };
    const handle = () => new Response("ok", { headers });
    for (const [cors, page, expected] of [
      [
        { origins: [PAGE], exposeHeaders: ["X-A", "X-B"] },
        PAGE,
        { "access-control-allow-origin": PAGE, "access-control-expose-headers": "X-A, X-B", vary: "Accept, Origin" },
      ],
      [{ origins: [PAGE] }, OTHER, { vary: "Accept, Origin" }],
      [true, OTHER, { "access-control-allow-origin": "*", vary: "Accept" }],
    ] as const) {
      const emulator = await start(cors as EmulatorOptions["cors"], { services: { own: handle } });
      const response = await fetch(`${emulator.endpoint}/api/predict/own`, {
        method: "POST",
        headers: { origin: page, authorization: TOKEN },
        body: "x",
      });
      expect([response.status, response.headers.get("x-a"), await response.text()]).toEqual([200, "1", "ok"]);
      expect(sharing(response)).toEqual(expected);
    }
  });

  test("has CORS headers with fetch(), and none with the transport", async () => {
    const emulator = createEmulator({ cors: { origins: [PAGE] } });
    const request = new Request("http://e/api/predict/echo", { method: "POST", body: "x", headers: { origin: PAGE } });
    expect(sharing(await emulator.fetch(request))).toEqual({ "access-control-allow-origin": PAGE, vary: "Origin" });
    expect(emulator.corsHeaders(OTHER)).toEqual([["vary", "Origin"]]);
    expect(createEmulator().corsHeaders(PAGE)).toEqual([]);
    const { transport, token } = emulator;
    const client = new PredictClient({ endpoint: "http://e", serviceName: "echo", transport, token });
    expect((await client.predictDetailed("x")).headers.has("access-control-allow-origin")).toBe(false);
  });
});

describe("a page", () => {
  const clientOn = ({ endpoint }: RunningEmulator, page = PAGE, serviceName = "echo", token = TOKEN) =>
    new PredictClient({ endpoint, serviceName, token, fetch: fetchOf(page), retryCount: 0 });

  test("calls and reads responses and errors", async () => {
    const emulator = await start({ origins: [PAGE] });
    expect(String(await clientOn(emulator).predict("text"))).toBe("text");
    emulator.fault({ status: 503, body: "busy", headers: { "retry-after": "1" } });
    expect(await errorOf(clientOn(emulator).predict("x"))).toMatchObject({ status: 503 });
    for (const [client, status] of [
      [clientOn(emulator, PAGE, "echo", "wrong"), 401],
      [clientOn(emulator, PAGE, "nowhere"), 404],
    ] as const) {
      expect(await errorOf(client.predict("x"))).toMatchObject({ name: "EasHttpError", status });
    }
    expect(await clientOn(emulator).diagnose()).toMatchObject({ finding: "ok", status: 405 });
  });

  test.each([
    ["another origin", { origins: [OTHER] }],
    ["no CORS", undefined],
  ] as const)("cannot call with %s", async (_name, cors) => {
    const emulator = await start(cors as EmulatorCors | undefined);
    expect(await errorOf(clientOn(emulator).predict("x"))).toMatchObject({ name: "EasNetworkError" });
    // The preflight has failed, so the browser never sends the call.
    expect(emulator.requests.map(({ method }) => method)).toEqual(["OPTIONS"]);
  });

  test("sees a network error if the connection breaks before or during the response", async () => {
    const emulator = await start(true);
    for (const reset of ["before-headers", "in-body"] as const) {
      emulator.fault({ reset });
      expect(await errorOf(clientOn(emulator).predict("xyz"))).toMatchObject({ name: "EasNetworkError", attempts: 1 });
      expect(String(await clientOn(emulator).predict("after"))).toBe("after");
    }
  });

  test("reads the reason why a too large body is refused", async () => {
    const emulator = await start({ origins: [PAGE] });
    const send = (origin: string) =>
      new Promise<string>((resolve, reject) => {
        const socket = connect(emulator.port, "127.0.0.1");
        let text = "";
        socket.on("data", (data) => {
          text += data;
        });
        socket.once("close", () => resolve(text)).once("error", reject);
        const length = 257 * 1024 * 1024;
        const head = `POST /api/predict/echo HTTP/1.1\r\nHost: localhost\r\nOrigin: ${origin}\r\nContent-Length: ${length}\r\n\r\n`;
        socket.write(head);
        const part = new Uint8Array(1024 * 1024);
        let left = 257;
        const more = () => {
          while (left-- > 0) if (!socket.write(part)) return void socket.once("drain", more);
        };
        more();
      });
    const [shared, not] = [await send(PAGE), await send(OTHER)];
    expect(shared).toMatch(/^HTTP\/1\.1 413 /);
    expect(shared.toLowerCase()).toContain(`access-control-allow-origin: ${PAGE}\r\nvary: origin\r\n`);
    expect(not).toMatch(/^HTTP\/1\.1 413 /);
    expect(not.toLowerCase()).not.toContain("access-control");
  });

  test("uses a queue: puts, gets, watches over HTTP, and reads exposed headers", async () => {
    const exposeHeaders = ["X-Eas-Queueservice-Request-Id"];
    for (const cors of [true, { origins: [PAGE], exposeHeaders }] as const) {
      const emulator = await start(cors as EmulatorOptions["cors"]);
      const { endpoint } = emulator;
      const queue = new QueueClient({ endpoint, queueName: "q", token: TOKEN, fetch: fetchOf(PAGE), logger: null });
      onTestFinished(() => queue.close());
      const { requestId } = await queue.put("first", { tags: { t: "1" } });
      expect(requestId).toEqual(cors === true ? undefined : expect.stringMatching(/./));
      const watcher = queue.watch(0, 5, { transport: "http" });
      const { value } = await watcher.next();
      expect(value?.text()).toBe("first");
      // The stream continues.
      await queue.put("second");
      expect((await watcher.next()).value?.text()).toBe("second");
      await value?.commit();
      await watcher.close();
      expect(await queue.count()).toBe(1);
      await queue.clear();
      expect(await queue.get({ timeout: 0 })).toEqual([]);
    }
  });

  test("opens WebSockets without a preflight", async () => {
    for (const cors of [true, { origins: [OTHER] }] as const) {
      const { endpoint } = await start(cors as EmulatorOptions["cors"]);
      const queue = new QueueClient({
        endpoint,
        queueName: "q",
        token: TOKEN,
        headers: { origin: PAGE },
        logger: null,
      });
      onTestFinished(() => queue.close());
      await queue.put("x");
      const watcher = queue.watch(0, 5, { transport: "websocket" });
      expect((await watcher.next()).value?.text()).toBe("x");
      await watcher.close();
    }
  });
});

describe("the option cors", () => {
  const make = (cors: unknown) => createEmulator({ cors: cors as EmulatorCors });

  test.each([
    ["an origin with a trailing slash", { origins: [`${PAGE}/`] }, `cors.origins has "${PAGE}/"`],
    ["an origin with a path", { origins: [PAGE, `${PAGE}/a`] }, `cors.origins has "${PAGE}/a"`],
    ["a bare host", { origins: ["page.example"] }, 'cors.origins has "page.example"'],
    ["the default port", { origins: [`${PAGE}:443`] }, `cors.origins has "${PAGE}:443"`],
    ["upper case", { origins: ["https://Page.example"] }, 'cors.origins has "https://Page.example"'],
    ["*", { origins: ["*"] }, 'cors.origins has "*"'],
    ["an origin that is not a string", { origins: [5] }, "cors.origins has 5"],
    ["an origin that is not in a list", { origins: PAGE }, `cors.origins is "${PAGE}"`],
    ["a header that is not in a list", { exposeHeaders: "X-A" }, 'cors.exposeHeaders is "X-A"'],
    ["a header that is not a string", { exposeHeaders: [5] }, "cors.exposeHeaders has 5"],
    ["a header with an invalid name", { exposeHeaders: ["X-A", "X B"] }, 'cors.exposeHeaders has "X B"'],
    ["a header with a line break", { exposeHeaders: ["X\r\nY: 1"] }, "cors.exposeHeaders has"],
    ["an origin instead of an object", PAGE, `cors is "${PAGE}"`],
    ["null", null, "cors is null"],
    ["a list", [PAGE], "cors is an array"],
  ])("throws for %s", (_name, cors, expected) => {
    const error = thrownBy(() => make(cors));
    expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_OPTION" });
    expect(error.message).toContain(expected);
  });

  test("exposes every header with a valid name", () => {
    const exposed = make({ exposeHeaders: ["Content-Length", "*", "X-A"] }).corsHeaders(PAGE);
    expect(exposed).toContainEqual(["access-control-expose-headers", "Content-Length, *, X-A"]);
  });

  test("sends no CORS headers if it is false", () => {
    expect(make(false).corsHeaders(PAGE)).toEqual([]);
  });
});
