import { describe, expect, onTestFinished, test, vi } from "vitest";
import { fetchTransport, type PredictClient, type UploadProgress } from "../../../src/index.js";
import { platform as node } from "../../../src/platform/node/platform.js";
import { platform as web } from "../../../src/platform/web/platform.js";
import { platform as workerd } from "../../../src/platform/workerd/platform.js";
import { clientOf, errorOf, startServer, TOKEN } from "../../support/calls.js";
import { FakeXhr } from "../../support/fake-xhr.js";
import { queueClientOf } from "../../support/queues.js";

// Runs on the platform of web pages with a fake XMLHttpRequest. test/suite/upload.suite.ts tests those of browsers.
vi.mock("#platform", () => import("../../../src/platform/browser/platform.js"));

const ORIGIN = { origin: "http://eas.example" };
const URL_OF_CALL = "http://eas.example/api/predict/svc";
const BODY = new TextEncoder().encode("0123456789");
const bytes = (text: string) => new TextEncoder().encode(text).buffer as ArrayBuffer;

/** Starts a call and records its progress. */
function call(client: PredictClient, more: Parameters<PredictClient["predict"]>[1] = {}) {
  const seen: UploadProgress[] = [];
  const answer = client.predict(BODY, { onUploadProgress: (progress) => void seen.push(progress), ...more });
  answer.catch(() => {});
  return { answer, seen, loaded: () => seen.map(({ loaded }) => loaded) };
}

describe("a call with onUploadProgress", () => {
  test("uses XMLHttpRequest, and reports the number of sent bytes", async () => {
    FakeXhr.install();
    const { answer, seen } = call(clientOf(ORIGIN, { headers: { "x-own": "1" } }));
    const xhr = await FakeXhr.sent();
    expect([xhr.method, xhr.url, xhr.responseType]).toEqual(["POST", URL_OF_CALL, "arraybuffer"]);
    expect(Object.fromEntries(xhr.headers)).toEqual({
      authorization: TOKEN,
      "content-type": "application/octet-stream",
      "x-own": "1",
    });
    expect(xhr.body).toEqual(BODY);
    xhr.uploaded(4);
    xhr.uploaded(4);
    xhr.uploaded(10);
    xhr.upload.onload?.({ loaded: 10 });
    xhr.head({ status: 200, headers: "content-type: text/plain\r\nx-a: b: c\r\n" });
    xhr.end(bytes("ok"));
    expect(new TextDecoder().decode(await answer)).toBe("ok");
    expect(seen).toEqual([0, 4, 10].map((loaded) => ({ loaded, total: 10 })));
  });

  test("reports that everything was sent, if the browser reports only the end", async () => {
    FakeXhr.install();
    const { answer, loaded } = call(clientOf(ORIGIN));
    const xhr = await FakeXhr.sent();
    xhr.upload.onload?.({ loaded: 10 });
    xhr.head({ status: 204 });
    xhr.end(new ArrayBuffer(0));
    expect((await answer).length).toBe(0);
    expect(loaded()).toEqual([0, 10]);
  });

  test("returns status and headers", async () => {
    FakeXhr.install();
    const answer = clientOf(ORIGIN).predictDetailed("x", { onUploadProgress: () => {} });
    const xhr = await FakeXhr.sent();
    xhr.head({ status: 201, headers: "content-type: text/plain\r\nx-a: b: c\r\ncontent-encoding: gzip\r\n" });
    xhr.end(bytes("unpacked"));
    const { status, headers, response } = await answer;
    expect([status, headers.get("x-a"), String(response)]).toEqual([201, "b: c", "unpacked"]);
  });

  test("starts again at 0 for a retry", async () => {
    FakeXhr.install();
    const { answer, loaded } = call(clientOf(ORIGIN));
    const first = await FakeXhr.sent();
    first.uploaded(7);
    first.head({ status: 503 });
    first.end("busy");
    const second = await FakeXhr.sent(2);
    // The attempt has ended, so this is not reported.
    first.uploaded(9);
    second.uploaded(10);
    second.head({ status: 200 });
    second.end(bytes("ok"));
    await answer;
    expect(loaded()).toEqual([0, 7, 0, 10]);
  });

  test("is not affected by an exception in onUploadProgress", async () => {
    FakeXhr.install();
    const error = new Error("the bar broke");
    const answer = clientOf(ORIGIN).predict("x", {
      onUploadProgress: () => {
        throw error;
      },
    });
    const xhr = await FakeXhr.sent();
    xhr.head({ status: 200 });
    xhr.end(bytes("ok"));
    expect(String(await answer)).toBe("ok");
    expect(FakeXhr.uncaught).toEqual([error]);
  });

  test("other calls use fetch", async () => {
    FakeXhr.install();
    const server = await startServer();
    expect(String(await clientOf(server).predict("x"))).toBe("ok");
    expect(FakeXhr.made).toHaveLength(0);
  });

  test("also works for a put to a queue", async () => {
    FakeXhr.install();
    vi.stubGlobal("fetch", async () => new Response(null, { status: 404 }));
    const seen: UploadProgress[] = [];
    const queue = queueClientOf(ORIGIN);
    const put = queue.put("item", { onUploadProgress: (progress) => void seen.push(progress) });
    const xhr = await FakeXhr.sent();
    xhr.uploaded(4);
    xhr.head({ status: 200 });
    xhr.end(bytes("12"));
    expect((await put).index).toBe(12n);
    expect(seen.at(-1)).toEqual({ loaded: 4, total: 4 });
  });
});

describe("ends", () => {
  test.each<[string, (xhr: FakeXhr) => unknown]>([
    ["before anything has gone", () => {}],
    ["in the upload", (xhr) => xhr.uploaded(5)],
    ["after the head", (xhr) => xhr.head({ status: 200 })],
    ["in the body", (xhr) => xhr.head({ status: 200 }).came(3)],
  ])("immediately when it is aborted %s", async (_, until) => {
    FakeXhr.install();
    const controller = new AbortController();
    const { answer, loaded } = call(clientOf(ORIGIN), { signal: controller.signal });
    const xhr = await FakeXhr.sent();
    until(xhr);
    const before = loaded();
    const reason = new Error("enough");
    controller.abort(reason);
    expect(xhr.aborted).toBe(true);
    expect(await errorOf(answer)).toBe(reason);
    xhr.uploaded(10);
    xhr.end(bytes("late"));
    expect(loaded()).toEqual(before);
  });

  test("without an XMLHttpRequest when it is aborted while the code loads, or by the first event", async () => {
    FakeXhr.install();
    const reason = new Error("enough");
    const controller = new AbortController();
    const { answer } = call(clientOf(ORIGIN), { signal: controller.signal });
    controller.abort(reason);
    expect(await errorOf(answer)).toBe(reason);
    const other = new AbortController();
    const onUploadProgress = () => other.abort(reason);
    expect(await errorOf(clientOf(ORIGIN).predict("x", { signal: other.signal, onUploadProgress }))).toBe(reason);
    expect(FakeXhr.made.every(({ aborted }) => aborted)).toBe(true);
  });

  test.each<[string, (xhr: FakeXhr) => unknown]>([
    ["response", (xhr) => xhr.uploaded(5)],
    ["complete response body", (xhr) => xhr.head({ status: 200 })],
  ])("at its timeout, with an error that says that it waited for the %s", async (awaited, until) => {
    FakeXhr.install();
    const { answer } = call(clientOf(ORIGIN, { timeout: 100, retryCount: 0 }));
    const xhr = await FakeXhr.sent();
    until(xhr);
    const error = await errorOf(answer);
    expect([error.name, error.message]).toEqual([
      "EasTimeoutError",
      expect.stringContaining(`timed out: no ${awaited} within`),
    ]);
    expect(xhr.aborted).toBe(true);
  });

  test("without leaving a listener on the attempt", async () => {
    FakeXhr.install();
    const { send } = (await import("../../../src/platform/browser/platform.js")).platform.createTransport({
      connections: 1,
    });
    const { signal } = new AbortController();
    const listeners = new Set();
    vi.spyOn(signal, "addEventListener").mockImplementation((_, listener) => void listeners.add(listener));
    vi.spyOn(signal, "removeEventListener").mockImplementation((_, listener) => void listeners.delete(listener));
    const sent = send({
      method: "POST",
      ...ORIGIN,
      path: "/",
      headers: [],
      body: BODY,
      maxResponseBytes: 10,
      signal,
      exchange: undefined,
      onUploadProgress: () => {},
      onDispatch: () => {},
      phase: "headers",
    });
    const xhr = await FakeXhr.sent();
    expect(listeners.size).toBe(1);
    xhr.head({ status: 200 });
    xhr.end(new ArrayBuffer(0));
    await sent;
    expect(listeners.size).toBe(0);
  });
});

describe("a response", () => {
  test.each<[string, (xhr: FakeXhr) => unknown]>([
    ["by its declared length", (xhr) => xhr.head({ status: 200, headers: "content-length: 101\r\n" })],
    ["while it comes", (xhr) => xhr.head({ status: 200 }).came(60).came(101)],
    ["at its end", (xhr) => xhr.head({ status: 200 }).end(new ArrayBuffer(101))],
    ["that no memory holds", (xhr) => xhr.head({ status: 200 }).end(null)],
  ])("above maxResponseBytes is an error: %s", async (_, play) => {
    FakeXhr.install();
    const { answer } = call(clientOf(ORIGIN, { maxResponseBytes: 100 }));
    const xhr = await FakeXhr.sent();
    play(xhr);
    const error = await errorOf(answer);
    expect([error.name, error.message]).toEqual(["EasDecodeError", expect.stringContaining("larger than 100 bytes")]);
    expect(xhr.aborted).toBe(true);
    expect(FakeXhr.made).toHaveLength(1);
  });

  test("of exactly maxResponseBytes is accepted", async () => {
    FakeXhr.install();
    const { answer } = call(clientOf(ORIGIN, { maxResponseBytes: 100 }));
    const xhr = await FakeXhr.sent();
    xhr.head({ status: 200, headers: "content-length: 100\r\n" });
    xhr.came(100);
    xhr.end(new ArrayBuffer(100));
    expect((await answer).length).toBe(100);
  });

  test("that is an error keeps the beginning of its body, and is not awaited", async () => {
    FakeXhr.install();
    const { answer } = call(clientOf(ORIGIN));
    const xhr = await FakeXhr.sent();
    xhr.head({ status: 400, headers: "content-length: 9999999\r\n" });
    expect([xhr.responseType, xhr.mimeType]).toEqual(["text", "text/plain; charset=x-user-defined"]);
    xhr.came("a".repeat(100_000));
    xhr.came(`\uf7ff${"a".repeat(140_000)}`);
    const error = await errorOf(answer);
    expect([error.status, error.body?.length, error.body?.[0]]).toEqual([400, 65_536, 0xff]);
    expect(xhr.aborted).toBe(true);
  });

  test("that is an error is read completely or not at all in workers", async () => {
    FakeXhr.install("worker");
    const client = clientOf(ORIGIN, { maxResponseBytes: 200_000 });
    const small = call(client).answer;
    const first = await FakeXhr.sent();
    first.head({ status: 400, headers: "content-length: 200000\r\n" }).came(200_000);
    expect(first.responseType).toBe("arraybuffer");
    first.end(new ArrayBuffer(200_000));
    expect((await errorOf(small)).body?.length).toBe(65_536);
    const large = call(client).answer;
    const second = await FakeXhr.sent(2);
    second.head({ status: 400 }).came(200_001);
    expect(await errorOf(large)).toMatchObject({ status: 400, body: { length: 0 } });
    expect(second.aborted).toBe(true);
  });

  test("that is an error is read completely if it is small, whatever its bytes", async () => {
    FakeXhr.install();
    const first = call(clientOf(ORIGIN)).answer;
    const xhr = await FakeXhr.sent();
    xhr.head({ status: 400 });
    xhr.end("a\0\x7f\uf780\uf7ff");
    expect((await errorOf(first)).body).toEqual(Uint8Array.of(97, 0, 127, 128, 255));
    const second = call(clientOf(ORIGIN)).answer;
    const marked = await FakeXhr.sent(2);
    marked.head({ status: 400 });
    // The text arrives with a byte order mark.
    marked.end("数据");
    expect(new TextDecoder().decode((await errorOf(second)).body)).toBe("数据");
  });

  test("of a redirect that was followed is an error, and not retried", async () => {
    FakeXhr.install();
    const { answer } = call(clientOf(ORIGIN));
    const xhr = await FakeXhr.sent();
    xhr.head({ status: 200, responseURL: "http://other.example/stolen" });
    const error = await errorOf(answer);
    expect([error.name, error.message]).toEqual(["EasNetworkError", expect.stringContaining("a redirect")]);
    expect([xhr.aborted, FakeXhr.made.length]).toEqual([true, 1]);
  });

  test("from the same URL in the browser's notation is not a redirect", async () => {
    FakeXhr.install();
    const { answer } = call(clientOf({ origin: "http://eas.example:80" }), { path: "/a/%7E", query: { q: "ü" } });
    const xhr = await FakeXhr.sent();
    xhr.head({ status: 200, responseURL: new URL(xhr.url).href });
    xhr.end(bytes("ok"));
    expect((await answer).length).toBe(2);
  });
});

describe("a failure", () => {
  test("before the first response is likely CORS, as with fetch, and not retried", async () => {
    FakeXhr.install();
    const { answer } = call(clientOf(ORIGIN));
    (await FakeXhr.sent()).fail();
    const error = await errorOf(answer);
    expect([error.name, error.attempts]).toEqual(["EasNetworkError", 1]);
    expect(error.message).toContain("CORS");
  });

  test("in the body is a network error, and retried", async () => {
    FakeXhr.install();
    const { answer } = call(clientOf(ORIGIN));
    const xhr = await FakeXhr.sent();
    xhr.head({ status: 200 });
    xhr.fail();
    const second = await FakeXhr.sent(2);
    second.head({ status: 200 });
    second.end(bytes("ok"));
    expect((await answer).length).toBe(2);
  });
});

describe("sends nothing if the progress cannot be reported", () => {
  const onUploadProgress = () => {};

  async function refusal(client: PredictClient) {
    const error = await errorOf(client.predict("x", { onUploadProgress }));
    expect([error.name, error.code, error.attempts]).toEqual(["EasUnsupportedError", "ERR_EAS_UNSUPPORTED", 0]);
    expect(error.message).toMatch(/onUploadProgress works only in web pages and workers/);
  }

  test("without XMLHttpRequest, as in service workers", async () => {
    const server = await startServer();
    await refusal(clientOf(server));
    expect(server.requests).toHaveLength(0);
  });

  test("with a custom fetch or transport", async () => {
    FakeXhr.install();
    const fetch = vi.fn();
    await refusal(clientOf(ORIGIN, { fetch }));
    await refusal(clientOf(ORIGIN, { transport: fetchTransport({ fetch }) }));
    expect([fetch.mock.calls.length, FakeXhr.made.length]).toEqual([0, 0]);
  });

  test("for a stream", async () => {
    FakeXhr.install();
    const error = await errorOf(clientOf(ORIGIN).stream("x", { onUploadProgress } as object));
    expect(error.name).toBe("EasUnsupportedError");
    expect(FakeXhr.made).toHaveLength(0);
  });

  test("on other platforms", () => {
    for (const platform of [node, web, workerd]) {
      const transport = platform.createTransport({ connections: 1 });
      onTestFinished(() => transport.close());
      expect(transport.reportsUploads ?? false).toBe(false);
    }
  });

  test("a custom transport that reports uploads is used", async () => {
    const seen: UploadProgress[] = [];
    const transport = {
      ...fetchTransport({ fetch: async () => new Response("ok") }),
      reportsUploads: true,
    };
    const { send } = transport;
    transport.send = (request) => {
      request.onUploadProgress?.({ loaded: 1, total: 1 });
      return send(request);
    };
    await clientOf(ORIGIN, { transport }).predict("x", { onUploadProgress: (progress) => void seen.push(progress) });
    expect(seen).toEqual([{ loaded: 1, total: 1 }]);
  });

  test("a value that is not a function is rejected", async () => {
    const error = await errorOf(clientOf(ORIGIN).predict("x", { onUploadProgress: true as never }));
    expect([error.code, error.message]).toEqual([
      "ERR_EAS_ARG_OPTION",
      "onUploadProgress is true: it must be a function",
    ]);
  });
});
