import { afterEach, describe, expect, test, vi } from "vitest";
import {
  type EasNetworkError,
  EasTimeoutError,
  fetchTransport,
  TransportError,
  type TransportRequest,
} from "../../../src/index.js";
import { nodeTransport } from "../../../src/node.js";
import { clientOf, errorOf, RecordingTransport, startServer, TOKEN, transportAnswer } from "../../support/calls.js";
import { queueClientOf } from "../../support/queues.js";

// Errors before the first byte are not retried and name their cause. Memory that cannot be sent is copied.

afterEach(() => {
  vi.doUnmock("undici");
  vi.resetModules();
});

const REQUIRE_FAILS = 'Dynamic require of "node:assert" is not supported';

describe("undici cannot be loaded", () => {
  test("fails after one attempt with cause and remedy, and close() resolves", async () => {
    vi.resetModules();
    vi.doMock("undici", () => {
      throw new Error(REQUIRE_FAILS);
    });
    const { nodeTransport: withoutUndici } = await import("../../../src/platform/node/http/transport.js");
    const transport = withoutUndici();
    const origin = { origin: "http://127.0.0.1:1" };
    const error = await errorOf(clientOf(origin, { transport }).predict("x"));
    expect(error).toMatchObject({ code: "ERR_EAS_NETWORK", attempts: 1, retryable: false });
    expect(error.message).toContain("nothing was sent (undici could not be loaded:");
    expect(error.message).not.toContain("the connection broke");
    const put = await errorOf(queueClientOf(origin, { transport }).put("x"));
    expect(put).toMatchObject({ attempts: 1, retryable: false, maybeAccepted: false });
    await transport.close();
  });

  test("suggests the banner for an error of require()", async () => {
    const { loadFailure } = await import("../../../src/platform/node/load-failure.js");
    const error = loadFailure("undici", new Error(REQUIRE_FAILS)) as TransportError;
    expect(error).toMatchObject({ sent: "no", final: true });
    expect(error.message).toContain(REQUIRE_FAILS);
    expect(error.message).toContain("const require = createRequire(import.meta.url);");
    expect((loadFailure("undici", new Error("not found")) as Error).message).not.toContain("createRequire");
  });

  test("rejects an agent without dispatch()", async () => {
    vi.resetModules();
    vi.doMock("undici", async (original) => ({
      ...(await original<typeof import("undici")>()),
      Agent: class {},
    }));
    const { nodeTransport: withoutDispatch } = await import("../../../src/platform/node/http/transport.js");
    const origin = { origin: "http://127.0.0.1:1" };
    const transport = withoutDispatch();
    for (const call of [
      () => queueClientOf(origin, { transport }).put("x"),
      () => clientOf(origin, { transport }).predict("x"),
      () => clientOf(origin, { transport }).stream("x"),
    ]) {
      const error = await errorOf(call());
      expect(error).toMatchObject({ code: "ERR_EAS_NETWORK", attempts: 1, retryable: false, maybeAccepted: false });
      expect(error.message).toMatch(/nothing was sent \(undici cannot send: .*dispatch is not a function/);
    }
  });
});

describe("fetch refuses the request", () => {
  test("does not retry its own TypeError, and reports that nothing was sent", async () => {
    const server = await startServer();
    const { send, ...rest } = fetchTransport();
    // fetch refuses a GET with a body.
    const transport = {
      ...rest,
      send: (request: TransportRequest) => send(Object.create(request, { method: { value: "GET" } })),
    };
    const error = await errorOf(queueClientOf(server, { transport }).put("x"));
    expect(error).toMatchObject({ attempts: 1, retryable: false, maybeAccepted: false });
    expect(error.message).toContain("nothing was sent (");
    // The queue's limits were read; the item was not sent.
    expect(server.requests.filter(({ path }) => !path.includes("_attrs_"))).toEqual([]);
  });

  test("retries a network error, although it is a TypeError too", async () => {
    const transport = fetchTransport({
      fetch: async () => {
        throw new TypeError("fetch failed");
      },
    });
    const error = await errorOf(clientOf({ origin: "http://h" }, { transport, retryCount: 1 }).predict("x"));
    expect(error).toMatchObject({ attempts: 2, retryable: true });
  });
});

describe("timeouts of Node's fetch", () => {
  test.each([
    ["UND_ERR_HEADERS_TIMEOUT", "headers", "response"],
    ["UND_ERR_BODY_TIMEOUT", "body", "complete response body"],
  ])("%s is a timeout that names nodeTransport", async (code, phase, awaited) => {
    const transport = new RecordingTransport((request) => {
      request.phase = phase as "headers";
      const cause = new TypeError("fetch failed", { cause: Object.assign(new Error("timed out"), { code }) });
      throw new TransportError("fetch failed", { sent: "maybe", cause });
    });
    const error = await errorOf(clientOf({ origin: "http://h" }, { transport, timeout: 900_000 }).predict("x"));
    expect(error).toBeInstanceOf(EasTimeoutError);
    expect(error).toMatchObject({ phase, timeout: 300_000, attempts: 2, retryable: true });
    expect(error.message).toContain(`timed out: no ${awaited} within 300000 ms (${code}`);
    expect(error.message).toContain("nodeTransport()");
    const put = await errorOf(queueClientOf({ origin: "http://h" }, { transport }).put("x"));
    expect(put).toMatchObject({ code: "ERR_EAS_TIMEOUT", maybeAccepted: true });
  });
});

describe("the memory of a request body", () => {
  const text = "some bytes";
  const filled = (buffer: ArrayBufferLike) => {
    const bytes = new Uint8Array(buffer);
    new TextEncoder().encodeInto(text, bytes);
    return bytes as Uint8Array<ArrayBuffer>;
  };
  const memories: [string, () => Uint8Array<ArrayBuffer>][] = [
    ["shared memory", () => filled(new SharedArrayBuffer(text.length))],
    [
      "resizable memory",
      () =>
        filled(
          new (ArrayBuffer as never as new (n: number, o: object) => ArrayBuffer)(text.length, { maxByteLength: 100 }),
        ),
    ],
  ];

  describe.each([
    ["nodeTransport", nodeTransport],
    ["fetchTransport", fetchTransport],
  ])("%s", (_, makeTransport) => {
    test.each(memories)("%s is sent as a copy", async (_, memory) => {
      const server = await startServer();
      const transport = makeTransport();
      await clientOf(server, { transport }).predict(memory());
      await clientOf(server, { transport, compression: "gzip" }).predict(memory());
      const [plain, packed] = server.requests;
      expect(plain?.body.toString()).toBe(text);
      const { gunzipSync } = await import("node:zlib");
      expect(gunzipSync(packed?.body as Buffer).toString()).toBe(text);
      await transport.close();
    });
  });

  test.each<[string, () => Uint8Array]>([
    [
      "transferred memory",
      () => {
        const bytes = new Uint8Array(8);
        structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
        return bytes;
      },
    ],
    [
      "memory that has shrunk",
      () => {
        const buffer = new (ArrayBuffer as never as new (n: number, o: object) => ArrayBuffer)(8, { maxByteLength: 8 });
        const bytes = new Uint8Array(buffer, 4, 4);
        (buffer as never as { resize(length: number): void }).resize(2);
        return bytes;
      },
    ],
  ])("%s causes an argument error, and nothing is sent", async (_, make) => {
    const server = await startServer();
    for (const call of [
      () => clientOf(server).predict(make()),
      () => clientOf(server, { compression: "gzip" }).predict(make()),
      () => clientOf(server).stream(make()),
    ]) {
      const error = await errorOf(call());
      expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_REQUEST" });
      expect(error.message).toContain("transferred or resized");
    }
    expect(server.requests).toHaveLength(0);
  });

  test("sends an empty array", async () => {
    const server = await startServer();
    await clientOf(server).predict(new Uint8Array(0));
    expect(server.requests[0]?.body).toHaveLength(0);
  });
});

describe("tokens in what a service echoes", () => {
  /** Echoes an earlier token in the response to each later attempt. */
  const echoing = (texts: string[]) =>
    new RecordingTransport((_, count) =>
      transportAnswer(503, { "x-echo": texts.join(" ") }, `${count}: ${texts.join(" ")}`),
    );

  test("redacts the tokens of earlier attempts", async () => {
    const tokens = ["first-token-aaaa", "second-token-bbbb", "first-token-aaaa-longer"];
    let asked = 0;
    const token = () => tokens[asked++ % tokens.length] as string;
    const transport = echoing(tokens);
    const client = clientOf({ origin: "http://h" }, { transport, token, auth: "token", retryCount: 2 });
    const error = (await errorOf(client.predict("x"))) as EasNetworkError & { body: Uint8Array; headers: Headers };
    expect(error).toMatchObject({ status: 503, attempts: 3 });
    const shown = `${error.message} ${error.stack} ${new TextDecoder().decode(error.body)} ${error.headers.get("x-echo")}`;
    expect(shown).toContain("***");
    expect(shown).not.toMatch(/token-[ab]{4}|longer/);
  });

  test('auth: "<token>" is not shown', () => {
    for (const set of [
      () => clientOf({ origin: "http://h" }, { auth: TOKEN as never }),
      () => queueClientOf({ origin: "http://h" }, { auth: TOKEN as never }),
    ]) {
      expect(set).toThrow(/^auth must be /);
      expect(set).not.toThrow(TOKEN);
    }
  });
});
