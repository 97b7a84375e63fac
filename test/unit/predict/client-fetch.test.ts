import { once } from "node:events";
import { STATUS_CODES } from "node:http";
import { createServer } from "node:net";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { createEmulator } from "../../../src/emulator/index.js";
import { EasNetworkError, PredictClient } from "../../../src/index.js";
import { clientOf, errorOf, startServer, TOKEN, thrownBy, turn } from "../../support/calls.js";
import { answer, refusedOrigin, resetBeforeHeaders, resetInBody } from "../../support/misbehaving-server.js";
import { type Exchange, inChunks, startStreamServer } from "../../support/stream-server.js";

const echo = async ({ request, response, body }: Exchange) => {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, body: `${body}` }));
};

interface Echo {
  readonly method: string;
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

const read = async (response: Promise<Response>) => (await (await response).json()) as Echo;

describe("client.fetch", () => {
  test("sends requests to the client's service with its token", async () => {
    const server = await startStreamServer(echo);
    const client = clientOf(server);
    const { fetch } = client;
    expect(await read(fetch("/v1/models?x=1"))).toMatchObject({
      method: "GET",
      url: "/api/predict/svc/v1/models?x=1",
      headers: { authorization: TOKEN },
      body: "",
    });
    for (const input of ["v1/models", new URL("/api/predict/svc/v1/models", server.origin)]) {
      expect((await read(fetch(input))).url).toBe("/api/predict/svc/v1/models");
    }
    const request = new Request(`${server.origin}/api/predict/svc/a%20b`, {
      method: "PUT",
      body: "x",
      headers: { "x-a": "1" },
    });
    expect(await read(fetch(request))).toMatchObject({
      method: "PUT",
      url: "/api/predict/svc/a%20b",
      body: "x",
      headers: { "x-a": "1" },
    });
    const bearer = clientOf(server, { auth: "bearer" });
    expect((await read(bearer.fetch("/"))).headers.authorization).toBe(`Bearer ${TOKEN}`);
    const signed = clientOf(server, { auth: "signature" });
    expect((await read(signed.fetch("/", { method: "POST", body: "x" }))).headers.authorization).toBe(TOKEN);
  });

  test.each<[string, NonNullable<RequestInit["body"]>, string, string | RegExp]>([
    ["text", "héllo", "héllo", /^text\/plain/],
    ["bytes", new TextEncoder().encode("bytes"), "bytes", ""],
    ["an ArrayBuffer", new TextEncoder().encode("buffer").buffer, "buffer", ""],
    ["a Blob", new Blob(["blob"], { type: "image/png" }), "blob", "image/png"],
    ["parameters", new URLSearchParams({ a: "1" }), "a=1", /urlencoded/],
    ["a stream", new Blob(["a stream"]).stream(), "a stream", ""],
  ])("sends %s", async (_, body, text, type) => {
    const server = await startStreamServer(echo);
    const { headers, ...sent } = await read(clientOf(server).fetch("/", { method: "POST", body }));
    expect(sent.body).toBe(text);
    expect(headers["content-type"] ?? "").toMatch(type);
  });

  test("sends a FormData as multipart", async () => {
    const form = new FormData();
    form.set("file", new Blob(["content"]), "a.txt");
    const server = await startStreamServer(echo);
    const { headers, body } = await read(clientOf(server).fetch("/", { method: "POST", body: form }));
    expect(headers["content-type"]).toMatch(/^multipart\/form-data; boundary=/);
    expect(body).toContain("content");
  });

  test("resolves for every status and does not follow redirects", async () => {
    const server = await startServer();
    server.play(answer(500, {}, "broken"), answer(302, { Location: "http://example.com/" }), answer(204), answer(429));
    const { fetch } = clientOf(server);
    const broken = await fetch("/");
    expect([broken.status, broken.ok, await broken.text()]).toEqual([500, false, "broken"]);
    expect((await fetch("/")).status).toBe(302);
    const empty = await fetch("/");
    expect([empty.status, empty.body]).toEqual([204, null]);
    expect((await fetch("/")).status).toBe(429);
    expect(server.requests).toHaveLength(4);
  });

  test("retries only with retryCount, and never a stream", async () => {
    const server = await startServer();
    server.play(answer(429), answer(200, {}, "ok"));
    const { fetch } = clientOf(server);
    // Every status counts as a response, so that only attempts without a response are retried.
    expect((await fetch("/", {}, { retryCount: 1 })).status).toBe(429);
    const nowhere = new PredictClient({ endpoint: await refusedOrigin(), serviceName: "svc" });
    expect(await errorOf(nowhere.fetch("/"))).toMatchObject({ attempts: 1 });
    expect(await errorOf(nowhere.fetch("/", {}, { retryCount: 2 }))).toMatchObject({ attempts: 3 });
    const body = new Blob(["x"]).stream();
    expect(await errorOf(nowhere.fetch("/", { method: "POST", body }, { retryCount: 2 }))).toMatchObject({
      attempts: 1,
    });
  });

  test("rejects with typed errors, and ends the body with them", async () => {
    const server = await startServer();
    server.play(resetBeforeHeaders, resetInBody);
    const { fetch } = clientOf(server);
    expect(await errorOf(fetch("/"))).toBeInstanceOf(EasNetworkError);
    const response = await fetch("/");
    expect(await errorOf(response.text())).toBeInstanceOf(EasNetworkError);
  });

  test("decompresses gzip and removes the headers that describe it", async () => {
    const server = await startStreamServer(
      inChunks(gzipSync("packed"), 5, { "content-encoding": "gzip", "content-length": `${gzipSync("packed").length}` }),
    );
    const response = await clientOf(server).fetch("/", { headers: { "accept-encoding": "br" } });
    expect(await response.text()).toBe("packed");
    expect([response.headers.get("content-encoding"), response.headers.get("content-length")]).toEqual([null, null]);
    expect(server.exchanges[0]?.request.headers["accept-encoding"]).toBeUndefined();
  });

  test("is aborted by its signal, before and after the response headers", async () => {
    const server = await startStreamServer(({ response, request }) => {
      if (request.url?.endsWith("/head")) {
        response.writeHead(200);
        response.flushHeaders();
      }
    });
    const { fetch } = clientOf(server);
    const reason = new Error("enough");
    const first = new AbortController();
    const opening = errorOf(fetch("/none", { signal: first.signal }));
    await vi.waitFor(() => expect(server.exchanges).toHaveLength(1));
    first.abort(reason);
    expect(await opening).toBe(reason);
    const second = new AbortController();
    const response = await fetch("/head", { signal: second.signal });
    const text = errorOf(response.text());
    await turn();
    second.abort(reason);
    expect(await text).toBe(reason);
    for (const { closed } of server.exchanges) await closed;
  });

  test("ends the request when the body is canceled", async () => {
    const server = await startStreamServer(({ response }) => {
      response.write("first");
    });
    const response = await clientOf(server).fetch("/");
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    await server.exchanges[0]?.closed;
  });

  test("releases the connection of an unread small response", async () => {
    const server = await startStreamServer(({ response }) => response.end("small"));
    const { fetch } = clientOf(server, { maxConnectionCount: 2 });
    for (let i = 0; i < 5; i++) expect((await fetch("/")).status).toBe(200);
    const heads = await startStreamServer(({ response }) => response.end());
    for (let i = 0; i < 3; i++) await clientOf(heads, { maxConnectionCount: 1 }).fetch("/", { method: "HEAD" });
  });

  test("applies backpressure in both directions", async () => {
    let written = 0;
    const server = await startStreamServer(async ({ response, closed }) => {
      response.writeHead(200);
      const block = Buffer.alloc(65_536);
      while (written < 64 * 1024 * 1024 && !response.destroyed) {
        written += block.length;
        if (!response.write(block)) {
          await Promise.race([new Promise<void>((resolve) => response.once("drain", resolve)), closed]);
        }
      }
      response.end();
    });
    const response = await clientOf(server).fetch("/");
    let before = -1;
    while (before !== written) {
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(written).toBeLessThan(50 * 1024 * 1024);
    await response.body?.cancel();
  });

  test("leaves half of the connections for calls made while responses are read", async () => {
    // More than is read ahead, because a small response releases its connection by itself.
    const server = await startStreamServer(({ request, response, body }) => {
      if (request.url?.endsWith("/long")) response.write("x".repeat(1_000_000));
      else response.end(body);
    });
    const client = clientOf(server, { maxConnectionCount: 4 });
    const long = [1, 2, 3, 4].map(() => client.fetch("/long"));
    await Promise.all(long.slice(0, 2));
    // If the four responses occupied all connections, their readers would wait for this call indefinitely.
    expect(await Promise.all([client.predict("a"), client.predict("b")]).then(String)).toBe("a,b");
    expect(server.exchanges).toHaveLength(4);
    for (const answer of long) await (await answer).body?.cancel();
  });

  test("sends a stream body while it is produced, and cancels it when the call ends", async () => {
    const pieces: string[] = [];
    let feed!: ReadableStreamDefaultController<Uint8Array>;
    let cancelled: unknown;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        feed = controller;
      },
      cancel(reason) {
        cancelled = reason ?? "cancelled";
      },
    });
    const raw = createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", (data) => pieces.push(`${data}`));
    });
    onTestFinished(() => void raw.close());
    raw.listen(0, "127.0.0.1");
    await once(raw, "listening");
    const { port } = raw.address() as { port: number };
    const controller = new AbortController();
    const sending = errorOf(
      clientOf({ origin: `http://127.0.0.1:${port}` }).fetch("/", { method: "POST", body, signal: controller.signal }),
    );
    for (const text of ["first", "second"]) {
      feed.enqueue(new TextEncoder().encode(text));
      await vi.waitFor(() => expect(pieces.join("")).toContain(text));
    }
    const reason = new Error("enough");
    controller.abort(reason);
    expect(await sending).toBe(reason);
    await vi.waitFor(() => expect(cancelled).toBeDefined());
    const locked = new Blob(["x"]).stream();
    locked.getReader();
    const refused = clientOf({ origin: `http://127.0.0.1:${port}` }).fetch("/", { method: "POST", body: locked });
    expect(await errorOf(refused)).toMatchObject({ code: "ERR_EAS_ARG_REQUEST" });
  });
});

describe("targets of client.fetch", () => {
  const client = new PredictClient({ endpoint: "http://gateway.example", serviceName: "svc", token: TOKEN });

  test.each([
    "https://gateway.example/api/predict/svc/",
    "http://gateway.example:81/api/predict/svc/",
    "http://other.example/api/predict/svc/v1",
    "http://gateway.example/api/predict/other",
    "http://gateway.example/api/predict/svc2/v1",
    "http://gateway.example/api/predict/svc/../other",
    "http://gateway.example/api/predict/svc/%2e%2e/other",
    "http://user:password@gateway.example/api/predict/svc/",
    "file:///etc/passwd",
    "data:,x",
    "/../other",
    "/%2e%2e/other",
    "/a/..%2f..%2fother",
    "..\\other",
  ])("refuses %s", async (input) => {
    const error = await errorOf(client.fetch(input));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.code).toBe("ERR_EAS_ARG_PATH");
    expect(error.message).not.toContain("password@");
  });

  test("refuses every URL that is not below the service", async () => {
    const seen: string[] = [];
    const emulator = createEmulator({ token: TOKEN });
    const client = new PredictClient({
      endpoint: "http://gateway.example",
      serviceName: "svc",
      token: TOKEN,
      fetch: async (url, init) => {
        seen.push(url);
        return emulator.fetch(new Request(url, init as RequestInit));
      },
    });
    const part = fc.constantFrom(
      "..",
      ".",
      "/",
      "\\",
      "%2e",
      "%2f",
      "%5c",
      "?",
      "a",
      "//",
      "http:",
      "@",
      "other.example",
      ":80",
      "\t",
      "字",
      ";",
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 8 }), async (parts) => {
        await client.fetch(parts.join("")).catch((error: unknown) => expect(error).toBeInstanceOf(TypeError));
      }),
      { numRuns: 2000 },
    );
    expect(seen.length).toBeGreaterThan(100);
    for (const url of seen) {
      const { origin, pathname } = new URL(url);
      expect(origin).toBe("http://gateway.example");
      expect(pathname).toMatch(/^\/api\/predict\/svc($|\/)/);
    }
  });

  test.each([
    [{ method: "TRACE" }, "ERR_EAS_ARG_OPTION"],
    [{ method: "GET\r\nx: y" }, "ERR_EAS_ARG_OPTION"],
    [{ headers: { authorization: "Bearer other" } }, "ERR_EAS_ARG_HEADER"],
    [{ signal: {} as AbortSignal }, "ERR_EAS_ARG_OPTION"],
  ])("refuses the method or body %j", async (init, code) => {
    expect(await errorOf(client.fetch("/", init))).toMatchObject({ code });
  });

  test("enforces maxRequestBytes", async () => {
    const shared = new PredictClient({ endpoint: "1234.cn-shanghai.pai-eas.aliyuncs.com", serviceName: "svc" });
    const body = new Uint8Array(1024 * 1024 + 1);
    expect(await errorOf(shared.fetch("/", { method: "POST", body }))).toMatchObject({ code: "ERR_EAS_ARG_BODY_SIZE" });
  });
});

describe("openai()", () => {
  test("returns the URL of /v1 without the token", async () => {
    const server = await startStreamServer(echo);
    for (const options of [{}, { customUrl: `${server.origin}/own/`, endpoint: undefined, serviceName: undefined }]) {
      const { baseURL, apiKey, fetch } = clientOf(server, options).openai();
      expect(baseURL).toBe(`${server.origin}${"customUrl" in options ? "/own" : "/api/predict/svc"}/v1`);
      expect(apiKey).not.toContain(TOKEN);
      const { headers, url } = await read(
        fetch(`${baseURL}/models`, { headers: { authorization: `Bearer ${apiKey}`, "user-agent": "openai" } }),
      );
      expect(url).toBe(`${new URL(baseURL).pathname}/models`);
      expect(headers).toMatchObject({ authorization: TOKEN, "user-agent": "openai" });
    }
  });

  test('refuses auth "signature", because requests of libraries are not signed', async () => {
    const client = clientOf(await startStreamServer(echo));
    const message = "auth must be one of auto, token, bearer; pass the token itself in the token option";
    const auth = "signature" as never;
    expect(thrownBy(() => client.openai({ auth }))).toMatchObject({ code: "ERR_EAS_ARG_OPTION", message });
    expect(await errorOf(client.fetch("/", {}, { auth }))).toMatchObject({ code: "ERR_EAS_ARG_OPTION", message });
  });

  test("accepts a customUrl that ends with /v1, and a service named v1", async () => {
    const server = await startStreamServer(echo);
    const { origin } = server;
    const custom = { customUrl: `${origin}/own/v1/`, endpoint: undefined, serviceName: undefined };
    const cases = [
      [clientOf(server, custom).openai(), `${origin}/own/v1`, "/models", "/own/v1/models"],
      [clientOf(server, custom).anthropic(), `${origin}/own`, "/v1/messages", "/own/v1/messages"],
      [
        clientOf(server, { serviceName: "v1" }).openai(),
        `${origin}/api/predict/v1/v1`,
        "/models",
        "/api/predict/v1/v1/models",
      ],
      [
        clientOf(server, { serviceName: "v1" }).anthropic(),
        `${origin}/api/predict/v1`,
        "/v1/messages",
        "/api/predict/v1/v1/messages",
      ],
    ] as const;
    for (const [{ baseURL, fetch }, base, path, expected] of cases) {
      expect(baseURL).toBe(base);
      expect((await read(fetch(baseURL + path))).url).toBe(expected);
    }
    const files = await read(clientOf(server, custom).openai().fetch(`${origin}/own/v1/files`));
    expect(files.headers).toMatchObject({ authorization: `Bearer ${TOKEN}` });
    const named = await read(clientOf(server, { serviceName: "v1" }).fetch("/files"));
    expect(named.headers).toMatchObject({ authorization: TOKEN });
  });

  test("sends no x-stainless headers", async () => {
    const server = await startStreamServer(echo);
    const { baseURL, fetch } = clientOf(server).openai();
    const { headers } = await read(
      fetch(`${baseURL}/models`, { headers: { "x-stainless-os": "Linux", "x-own": "1" } }),
    );
    expect(headers).toMatchObject({ "x-own": "1" });
    expect(Object.keys(headers)).not.toContain("x-stainless-os");
  });

  test.each([
    [401, "Unauthorized", "no token"],
    [404, "Not Found", ""],
    [503, "Service Unavailable", "no healthy upstream"],
  ])("converts a plain-text error to JSON: %i", async (status, statusText, body) => {
    const server = await startStreamServer(({ response }) => {
      response.writeHead(status, "", { "content-type": "text/plain", "content-length": body.length });
      response.end(body);
    });
    const { baseURL, fetch } = clientOf(server).openai();
    const answer = await fetch(`${baseURL}/models`);
    expect([answer.status, answer.statusText]).toEqual([status, statusText]);
    expect([answer.headers.get("content-type"), answer.headers.get("content-length")]).toEqual([
      "application/json",
      null,
    ]);
    const { error } = (await answer.json()) as { error: { message: string } };
    expect(error.message.startsWith(`${statusText}: `)).toBe(true);
    expect(error.message).toContain(body);
    expect(error.message.length).toBeGreaterThan(40);
  });

  test.each([
    ["plain text", "text/plain", (echo: string) => `bad token ${echo}, `.repeat(30)],
    ["JSON", "application/json", (echo: string) => JSON.stringify({ error: { message: `bad token ${echo}` } })],
    ["JSON without its type", "text/plain", (echo: string) => JSON.stringify({ detail: echo })],
    ["too much JSON", "application/json", (echo: string) => JSON.stringify({ detail: echo.repeat(200_000) })],
  ])("redacts a token that the service echoes in %s", async (_name, type, body) => {
    let received: string | undefined;
    const server = await startStreamServer(({ request, response }) => {
      received = request.headers.authorization;
      response.writeHead(401, { "content-type": type, "x-echo": `it was ${received}` });
      response.end(body(received as string));
    });
    for (const token of [TOKEN, () => TOKEN]) {
      const { baseURL, fetch } = clientOf(server, { token }).openai();
      const answer = await fetch(`${baseURL}/models`);
      const text = await answer.text();
      expect(received).toBe(TOKEN);
      expect(text + JSON.stringify([...answer.headers])).not.toContain(TOKEN);
      expect(text).toContain("***");
      expect(JSON.parse(text)).toBeTypeOf("object");
      expect(answer.headers.get("x-echo")).toBe("it was ***");
    }
  });

  test("converts an empty JSON error to one with a message", async () => {
    const server = await startStreamServer(({ response }) => {
      response.writeHead(503, { "content-type": "application/json", "content-length": 0 }).end();
    });
    const { baseURL, fetch } = clientOf(server).openai();
    const { error } = (await (await fetch(`${baseURL}/models`)).json()) as { error: { message: string } };
    expect(error.message).toMatch(/^Service Unavailable: no instance is ready/);
  });

  test("keeps the fields of a JSON error and adds a hint to its message", async () => {
    const server = await startStreamServer(({ response }) => {
      response.writeHead(429, { "content-type": "application/json" });
      response.end('{"error": {"message": "busy", "code": null, "own": [1]}, "id": 7}');
    });
    const { baseURL, fetch } = clientOf(server).openai();
    expect(await (await fetch(`${baseURL}/models`)).json()).toEqual({
      error: { message: expect.stringMatching(/^busy \(EAS: the rate limit .*\)$/), code: null, own: [1] },
      id: 7,
    });
  });
});

test.each([
  ...[200, 202, 206, 226].map((status) => [status, STATUS_CODES[status]]),
  ...[
    400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 414, 415, 416, 417, 421, 423, 424, 425, 426, 428,
    429,
  ]
    .concat(431, 451)
    .map((status) => [status, STATUS_CODES[status]]),
  // Node's table contains phrases of older RFCs.
  [413, "Content Too Large"],
  [422, "Unprocessable Content"],
  [450, "Queue Full"],
  ...[500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511].map((status) => [status, STATUS_CODES[status]]),
  [420, ""],
  [430, ""],
  [509, ""],
  [599, ""],
] as [number, string][])("the statusText of %i is %j", async (status, statusText) => {
  const server = await startStreamServer(({ response }) => void response.writeHead(status, "").end());
  expect((await clientOf(server).fetch("/x")).statusText).toBe(statusText);
});
