import { createHash, createHmac } from "node:crypto";
import { afterEach, describe, expect, test, vi } from "vitest";
import { resolveAuth } from "../../../src/call/auth.js";
import { createEmulator } from "../../../src/emulator/index.js";
import { type Auth, EasUnsupportedError, PredictClient, type PredictClientOptions } from "../../../src/index.js";
import { platform } from "../../../src/platform/node/platform.js";
import { clientOf, errorOf, RecordingTransport, startServer, transportAnswer, turn } from "../../support/calls.js";
import { answer, answerWhen, resetBeforeHeaders, type SeenRequest } from "../../support/misbehaving-server.js";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const T = "test-token";

/** Returns the authorization headers of one call, with a transport that uses no network. */
async function sent(options: PredictClientOptions, body = "[{}]", path?: string): Promise<Record<string, string>> {
  const transport = new RecordingTransport();
  const { token, ...more } = options;
  const client = new PredictClient({ endpoint: "http://h", serviceName: "svc", transport, ...more });
  if (token !== undefined) client.setToken(token);
  await client.predict(body, path === undefined ? undefined : { path });
  return Object.fromEntries(transport.requests[0]?.headers ?? []);
}

/** Recomputes the signed text from the received request. */
function expectedSignature(request: SeenRequest, resource: string, token = T): string {
  const { headers, method, body } = request;
  const md5 = createHash("md5").update(body).digest("hex");
  expect(headers["content-md5"]).toBe(md5);
  expect(new Date(headers.date as string).toUTCString()).toBe(headers.date);
  expect(Math.abs(Date.parse(headers.date as string) - Date.now())).toBeLessThan(60_000);
  const text = [method, md5, headers["content-type"], headers.date, resource].join("\n");
  return `EAS ${createHmac("sha1", token).update(text).digest("base64")}`;
}

describe("the Authorization header", () => {
  const rows: [name: string, options: PredictClientOptions, form: RegExp | undefined][] = [
    ["auto, http", {}, /^EAS [A-Za-z0-9+/]{27}=$/],
    ["auto, https", { endpoint: "https://h" }, /^test-token$/],
    ["auto, custom URL over http", { customUrl: "http://h/x" }, /^test-token$/],
    ["auto, custom URL over https", { customUrl: "https://h/x" }, /^test-token$/],
    ["auto, endpoint without a scheme", { endpoint: "h" }, /^EAS /],
    ["token", { auth: "token" }, /^test-token$/],
    ["token, https", { auth: "token", endpoint: "https://h" }, /^test-token$/],
    ["bearer", { auth: "bearer" }, /^Bearer test-token$/],
    ["bearer, custom URL", { auth: "bearer", customUrl: "https://h/v1" }, /^Bearer test-token$/],
    ["signature", { auth: "signature" }, /^EAS /],
    ["signature, https", { auth: "signature", endpoint: "https://h" }, /^EAS /],
    ["signature, custom URL", { auth: "signature", customUrl: "https://h/v1" }, /^EAS /],
    ["no token", { token: undefined }, undefined],
  ];

  test.each(rows)("%s", async (_, options, form) => {
    const headers = await sent({ token: T, ...options });
    if (form === undefined) expect(headers).toEqual({ "content-type": "application/octet-stream" });
    else expect(headers.authorization).toMatch(form);
    const signs = form?.source.startsWith("^EAS") ?? false;
    expect("content-md5" in headers).toBe(signs);
    expect("date" in headers).toBe(signs);
  });

  test.each([
    ["auto", true, true, "POST", "http://h", "signature"],
    ["auto", true, true, "POST", "https://h", "token"],
    ["auto", true, true, "GET", "http://h", "token"],
    ["auto", true, false, "POST", "http://h", "token"],
    ["auto", false, true, "POST", "http://h", "token"],
    ["bearer", false, true, "POST", "http://h", "bearer"],
    ["token", true, true, "POST", "http://h", "token"],
  ] as const)("%s, Date %j, predict %j, %s %s: %s", (auth, canSetDate, isPredict, method, origin, expected) => {
    expect(
      resolveAuth(
        auth,
        { ...platform, signer: canSetDate ? platform.signer : undefined },
        { origin, method, isPredict },
      ),
    ).toBe(expected);
  });

  test('rejects auth "signature" where Date cannot be set, and explains why', () => {
    const resolve = () =>
      resolveAuth(
        "signature",
        { ...platform, signer: undefined },
        { origin: "http://h", method: "POST", isPredict: true },
      );
    expect(resolve).toThrow(EasUnsupportedError);
  });

  test("refuses an Authorization header together with a token, and accepts it without a token", async () => {
    const own = { headers: { Authorization: "own" } };
    expect(await errorOf(sent({ token: T, ...own }))).toMatchObject({ code: "ERR_EAS_ARG_HEADER" });
    expect((await sent(own)).authorization).toBe("own");
    expect((await sent({ token: T, auth: "token", headers: { Date: "d" } })).date).toBe("d");
  });
});

describe("signature", () => {
  test.each([
    ["[{}]", undefined, "a21cafb4c405e6997671a02e578b9b1e", "EAS pTWkGsbbDK0kkckB7sPMXVEB09A="],
    ["[{}]", "/infer?uid=1", "a21cafb4c405e6997671a02e578b9b1e", "EAS R1qjzkt2yOfrOJfLIJPXvUAagC0="],
    ["27", undefined, "02e74f10e0327ad868d138f2b4fdd6f0", "EAS u8ojE5osryAZCSXVCcLpGqkrVi4="],
  ])("vector: body %s, path %s", async (body, path, md5, authorization) => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(2025, 0, 6) });
    expect(await sent({ token: T }, body, path)).toEqual({
      "content-type": "application/octet-stream",
      "content-md5": md5,
      date: "Mon, 06 Jan 2025 00:00:00 GMT",
      authorization,
    });
  });

  test("signs the option query like a query in the path", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(2025, 0, 6) });
    const transport = new RecordingTransport();
    const client = new PredictClient({ endpoint: "h", serviceName: "svc", token: T, transport });
    await client.predict("[{}]", { path: "infer", query: { uid: 1 } });
    expect(transport.header("authorization")).toBe("EAS R1qjzkt2yOfrOJfLIJPXvUAagC0=");
  });

  const rows: [name: string, options: PredictClientOptions, path: string | undefined, resource: string][] = [
    ["plain", {}, undefined, "/api/predict/svc"],
    ["path and query", {}, "/a?b=1&c=2", "/api/predict/svc/a?b=1&c=2"],
    ["requestPath", { requestPath: "v1" }, undefined, "/api/predict/svc/v1"],
    ["contentType", { contentType: "application/json" }, undefined, "/api/predict/svc"],
    ["header Content-Type", { headers: { "Content-Type": "text/plain" } }, undefined, "/api/predict/svc"],
    ["gzip", { compression: "gzip" }, undefined, "/api/predict/svc"],
    ["Chinese service name", { serviceName: "模型" }, undefined, "/api/predict/模型"],
    ["path in Chinese", {}, "/路 径", "/api/predict/svc/路 径"],
    ["token outside Latin-1", { token: "令牌-1" }, undefined, "/api/predict/svc"],
    ["token function", { token: async () => T }, undefined, "/api/predict/svc"],
  ];

  test.each(rows)(
    "matches the signature recomputed from the received request: %s",
    async (_, options, path, resource) => {
      const server = await startServer();
      const client = clientOf(server, { token: T, ...options });
      await client.predict("the body", path === undefined ? undefined : { path });
      const request = server.requests[0] as SeenRequest;
      const token = typeof options.token === "string" ? options.token : T;
      expect(request.headers.authorization).toBe(expectedSignature(request, resource, token));
      // A duplicate header would be ambiguous for the server.
      const names = request.rawHeaders.map(([name]) => name.toLowerCase());
      expect(new Set(names).size).toBe(names.length);
    },
  );

  test("does not sign a prefix before /api/predict", async () => {
    const server = await startServer();
    await clientOf({ origin: `${server.origin}/pre` }, { token: T }).predict("x");
    const request = server.requests[0] as SeenRequest;
    expect(request.path).toBe("/pre/api/predict/svc");
    expect(request.headers.authorization).toBe(expectedSignature(request, "/api/predict/svc"));
  });

  test("signs the path and query of a custom URL as they are sent", async () => {
    const server = await startServer();
    const customUrl = `${server.origin}/own?k=v`;
    await clientOf(server, { customUrl, auth: "signature", token: T }).predict("x", { path: "/p?q=1" });
    const request = server.requests[0] as SeenRequest;
    expect(request.path).toBe("/own/p?k=v&q=1");
    expect(request.headers.authorization).toBe(expectedSignature(request, "/own/p?k=v&q=1"));
  });

  test("signs the content type of the call's headers", async () => {
    const server = await startServer();
    await clientOf(server, { token: T }).predict("x", { headers: { "content-type": "text/csv" } });
    const request = server.requests[0] as SeenRequest;
    expect(request.headers["content-type"]).toBe("text/csv");
    expect(request.headers.authorization).toBe(expectedSignature(request, "/api/predict/svc"));
  });

  test("computes the MD5 once for each call, and a dated signature for each attempt", async () => {
    const md5 = vi.spyOn(platform, "md5");
    const hmac = vi.spyOn(platform, "hmacSha1");
    vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(2025, 0, 6) });
    const transport = new RecordingTransport((_, count) => {
      vi.setSystemTime(Date.now() + 2000);
      return count < 4 ? transportAnswer(503, { "retry-after": "0" }) : transportAnswer(200);
    });
    const client = new PredictClient({ endpoint: "h", serviceName: "svc", token: T, transport });
    await client.predict("x");
    expect([md5.mock.calls.length, hmac.mock.calls.length]).toEqual([1, 4]);
    expect([0, 1, 2, 3].map((at) => transport.header("date", at))).toEqual(
      [0, 2, 4, 6].map((second) => `Mon, 06 Jan 2025 00:00:0${second} GMT`),
    );
    expect(new Set(transport.requests.map((_, at) => transport.header("authorization", at))).size).toBe(4);
    await client.predict("x");
    expect(md5).toHaveBeenCalledTimes(2);
  });

  test("computes no MD5 for unsigned calls", async () => {
    const md5 = vi.spyOn(platform, "md5");
    await sent({ token: T, auth: "token" });
    await sent({});
    expect(md5).not.toHaveBeenCalled();
  });

  test("signs an empty body", async () => {
    const server = await startServer();
    await clientOf(server, { token: T }).predict("");
    const request = server.requests[0] as SeenRequest;
    expect(request.headers["content-length"]).toBe("0");
    expect(request.headers.authorization).toBe(expectedSignature(request, "/api/predict/svc"));
  });
});

describe("token function", () => {
  test.each(["auto", "token", "bearer", "signature"] as Auth[])(
    "is called once for each attempt (%s)",
    async (auth) => {
      const server = await startServer();
      server.play(resetBeforeHeaders, answer(503, { "Retry-After": "0" }));
      let count = 0;
      const token = vi.fn(async () => `token-${++count}`);
      const client = clientOf(server, { auth, token });
      expect((await client.predictDetailed("x")).attempts).toBe(3);
      expect(token).toHaveBeenCalledTimes(3);
      server.requests.forEach((request, i) => {
        const expected = {
          token: `token-${i + 1}`,
          bearer: `Bearer token-${i + 1}`,
          signature: expectedSignatureOr(request, `token-${i + 1}`),
          auto: expectedSignatureOr(request, `token-${i + 1}`),
        }[auth];
        expect(request.headers.authorization).toBe(expected);
      });
    },
  );

  test("is called for each call, and never by a client that sends nothing", async () => {
    const server = await startServer();
    let count = 0;
    const client = clientOf(server, { auth: "token", token: () => `token-${++count}` });
    await client.init();
    expect(count).toBe(0);
    await client.predict("x");
    await client.predict("x");
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(["token-1", "token-2"]);
  });

  test("is called after the wait for a free connection", async () => {
    const server = await startServer();
    let free = () => {};
    server.play(answerWhen(new Promise<void>((resolve) => (free = resolve)), 200));
    const token = vi.fn(() => T);
    const client = clientOf(server, { maxConnectionCount: 1, token });
    const first = client.predict("x");
    await server.seen();
    const second = client.predict("y");
    await turn();
    // The call waits for a connection. Its token would be too old if it were created now.
    expect(token).toHaveBeenCalledTimes(1);
    free();
    await Promise.all([first, second]);
    expect(token).toHaveBeenCalledTimes(2);
  });

  test("does not retry a 401 with another scheme or token", async () => {
    const server = await startServer();
    server.always(answer(401));
    const token = vi.fn(() => T);
    await errorOf(clientOf(server, { token }).predict("x"));
    expect(server.requests).toHaveLength(1);
    expect(token).toHaveBeenCalledTimes(1);
  });
});

function expectedSignatureOr(request: SeenRequest, token: string): string | undefined {
  return request.headers["content-md5"] === undefined
    ? undefined
    : expectedSignature(request, "/api/predict/svc", token);
}

test("explains a 401 of a client without a token", async () => {
  const emulator = createEmulator();
  const options = { endpoint: "h", serviceName: "echo", transport: emulator.transport };
  const hintOf = async (client: PredictClient) => (await errorOf(client.predict("x"))).message;
  expect(await hintOf(new PredictClient(options))).toContain(
    "the service requires a token, but the client does not have one",
  );
  expect(await hintOf(new PredictClient({ ...options, token: "wrong" }))).toContain("it was sent as a signature");
  const own = new PredictClient({ ...options, headers: { authorization: "wrong" } });
  expect(await hintOf(own)).toContain("the token is missing, wrong or belongs to another service");
});
