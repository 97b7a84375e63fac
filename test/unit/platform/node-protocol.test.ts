import type { Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import {
  fetchTransport,
  type PredictClientOptions,
  type Transport,
  type TransportRequest,
  type TransportResponse,
} from "../../../src/index.js";
import { type NodeTransportOptions, nodeTransport } from "../../../src/platform/node/http/transport.js";
import { type Caught, clientOf, errorOf, startServer, until } from "../../support/calls.js";
import {
  answer,
  type Behaviour,
  handOver,
  type MisbehavingServer,
  raw,
  stallInBody,
} from "../../support/misbehaving-server.js";
import { queueClientOf } from "../../support/queues.js";

// Tests valid and invalid responses with the transport of Node.

const OK = "HTTP/1.1 200 OK\r\n";
const HELLO = "Content-Length: 5\r\n\r\nhello";

function transportOf(options: NodeTransportOptions = {}): Transport {
  const transport = nodeTransport(options);
  onTestFinished(() => transport.close());
  return transport;
}

/** Writes, and then closes the connection with FIN or RST when all bytes were sent. */
function breakAfter(bytes: string | Uint8Array, how: "FIN" | "RST"): Behaviour {
  const end = (socket: Socket) => (how === "FIN" ? socket.end() : socket.resetAndDestroy());
  return { on: "request", run: (socket) => void socket.write(bytes, () => setImmediate(() => end(socket))) };
}

function requestTo(server: MisbehavingServer, method = "GET"): TransportRequest {
  return {
    method,
    origin: server.origin,
    path: "/",
    headers: [],
    body: null,
    maxResponseBytes: 1_000_000,
    signal: new AbortController().signal,
    exchange: undefined,
    phase: "headers",
    onDispatch: () => {},
  };
}

/** Sends one request and returns the response of a transport. */
function sent(server: MisbehavingServer, method = "GET", transport = transportOf()): Promise<TransportResponse> {
  return transport.send(requestTo(server, method));
}

const textOf = (body: object) => (body instanceof Uint8Array ? Buffer.from(body).toString() : String(body));

async function streamed(server: MisbehavingServer): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const piece of await clientOf(server).stream("x")) text += decoder.decode(piece, { stream: true });
  return text;
}

describe("header values", () => {
  test.each([
    ["a blank after the length", "Content-Length: 5 \r\n\r\nhello"],
    ["a tab and blanks around the length", "Content-Length: \t 5  \r\n\r\nhello"],
    ["no blank before the length", "Content-Length:5\r\n\r\nhello"],
    ["zeros before the length", "CONTENT-LENGTH: 0005\r\n\r\nhello"],
    ["a blank after the transfer coding", "Transfer-Encoding: chunked \r\n\r\n5\r\nhello\r\n0\r\n\r\n"],
    ["a transfer coding in capitals", "Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"],
    ["blanks around Connection", "Connection:  close \r\nContent-Length: 5\r\n\r\nhello"],
    ["blanks around Keep-Alive", "Keep-Alive:  timeout=5 , max=1 \r\nContent-Length: 5\r\n\r\nhello"],
  ])("%s: the body is complete", async (_name, rest) => {
    const server = await startServer();
    server.always(raw(OK + rest));
    expect(textOf(await clientOf(server).predict("x"))).toBe("hello");
    expect(await streamed(server)).toBe("hello");
    expect(server.requests).toHaveLength(2);
  });

  test.each([
    ["two lengths", "Content-Length: 5\r\nContent-Length: 3\r\n\r\nhello"],
    ["a list of lengths", "Content-Length: 5, 3\r\n\r\nhello"],
    ["a negative length", "Content-Length: -5\r\n\r\nhello"],
    ["a length with a unit", "Content-Length: 5b\r\n\r\nhello"],
    ["a length of 30 digits", `Content-Length: ${"9".repeat(30)}\r\n\r\nhello`],
    ["a chunk size that is not a number", "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n"],
  ])("%s: an error, never a part of the body", async (_name, rest) => {
    const server = await startServer();
    server.always(raw(OK + rest));
    const error = await errorOf(clientOf(server).predict("x"));
    expect(error).toMatchObject({ code: "ERR_EAS_NETWORK", attempts: 1, retryable: false });
    expect(error.message).toMatch(/not valid HTTP\/1\.1/);
    expect(server.requests).toHaveLength(1);
  });

  test("two Content-Encoding headers are joined to one list", async () => {
    const server = await startServer();
    const body = gzipSync(gzipSync("hello"));
    const coding = "Content-Encoding: gzip \r\n";
    server.always(
      raw(Buffer.concat([Buffer.from(`${OK}${coding}${coding}Content-Length: ${body.length}\r\n\r\n`), body])),
    );
    expect(textOf(await clientOf(server).predict("x"))).toBe("hello");
  });

  test.each([204, 304])("a %s that states a length is complete, and its connection is not reused", async (status) => {
    const server = await startServer();
    server.play(raw(`HTTP/1.1 ${status} No\r\nContent-Length: 5\r\n\r\n`), answer(200, {}, "next"));
    const transport = transportOf({ connections: 1 });
    expect(await sent(server, "GET", transport)).toMatchObject({ status, body: new Uint8Array(0) });
    expect(textOf((await sent(server, "GET", transport)).body)).toBe("next");
    expect(server.requests.map(({ connection }) => connection)).toEqual([1, 2]);
  });

  test("a 204 with chunks: they are not parsed as the next response", async () => {
    const server = await startServer();
    server.play(raw("HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n"), raw(`HTTP/1.1 200 OK\r\n${HELLO}`));
    const transport = transportOf({ connections: 1 });
    expect((await sent(server, "GET", transport)).status).toBe(204);
    expect(textOf((await sent(server, "GET", transport)).body)).toBe("hello");
    expect(server.requests.map(({ connection }) => connection)).toEqual([1, 2]);
  });
});

describe("response heads", () => {
  const headOf = (bytes: number) => `${OK}X-Large: ${"x".repeat(bytes)}\r\n${HELLO}`;

  test.each([20_000, 250_000])("of %i bytes are accepted", async (bytes) => {
    const server = await startServer();
    server.always(raw(headOf(bytes)));
    expect(textOf(await clientOf(server).predict("x"))).toBe("hello");
    expect(await streamed(server)).toBe("hello");
  });

  test.each<[string, NodeTransportOptions, number]>([
    ["of more than 256 KiB", {}, 300_000],
    ["of more than maxHeaderSize", { maxHeaderSize: 2_048 }, 3_000],
  ])("%s: final, and the error names the option", async (_name, options, bytes) => {
    const server = await startServer();
    server.always(raw(headOf(bytes)));
    const error = await errorOf(clientOf(server, { transport: transportOf(options) }).predict("x"));
    expect(error).toMatchObject({ attempts: 1, systemCode: "UND_ERR_HEADERS_OVERFLOW", retryable: false });
    expect(error.message).toContain("maxHeaderSize");
  });

  test.each([
    ["another protocol", "SSH-2.0-OpenSSH_9.6\r\n\r\n", /not valid HTTP/],
    ["an unknown version", "HTTP/7.3 200 OK\r\n\r\n", /not valid HTTP/],
    ["a status that is not a number", "HTTP/1.1 two OK\r\n\r\n", /not valid HTTP/],
    ["a header without a colon", "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", /not valid HTTP/],
    ["a length and chunks", `${OK}Transfer-Encoding: chunked\r\n${HELLO}`, /not valid HTTP/],
    [
      "a switch of protocols",
      "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
      /switched protocols/,
    ],
    ["a 100 Continue", `HTTP/1.1 100 Continue\r\n\r\n${OK}${HELLO}`, /sent 100 Continue, although .* did not ask/],
  ])("%s: final and explained, and a queue may have accepted the request", async (_name, bytes, said) => {
    const server = await startServer();
    server.always(raw(bytes));
    const queue = queueClientOf(server);
    const calls: [string, () => Promise<unknown>, object][] = [
      ["predict", () => clientOf(server).predict("x"), { maybeAccepted: false, maybeTaken: false }],
      ["stream", () => streamed(server), {}],
      ["put", () => queue.put("x"), { maybeAccepted: true, maybeTaken: false }],
      ["take", () => queue.get({ timeout: 0 }), { maybeAccepted: false, maybeTaken: true }],
      ["count", () => queue.count(), { maybeAccepted: false, maybeTaken: false }],
    ];
    for (const [name, call, facts] of calls) {
      const before = server.requests.length;
      const error = await errorOf(call());
      expect(error, name).toMatchObject({
        code: "ERR_EAS_NETWORK",
        attempts: 1,
        retryable: false,
        ...facts,
      });
      expect(error.message).toMatch(said);
      expect(error.message).not.toContain("the connection broke");
      // A put reads the limits of the queue first.
      const lines = server.requests.slice(before).map(({ method, path }) => `${method} ${path}`);
      expect(lines, name).toEqual([...new Set(lines)]);
    }
  });

  test("a connection that ends in the middle of a chunked response is retried as a network error", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    onTestFinished(() => void vi.restoreAllMocks());
    const server = await startServer();
    const part = "Transfer-Encoding: chunked\r\n\r\n5\r\nhel";
    server.play(
      breakAfter(`${OK}Connection: close\r\n${part}`, "FIN"),
      breakAfter(`HTTP/1.0 200 OK\r\n${part}`, "FIN"),
    );
    expect(textOf(await clientOf(server).predict("x"))).toBe("ok");
    expect(server.requests).toHaveLength(3);
  });
});

describe("an unsuccessful response that does not end", () => {
  const PART = "HTTP/1.1 500 Bad\r\nX-Request-Id: r-1\r\nContent-Length: 100\r\n\r\nout of memory";
  const TRANSPORTS: [string, () => PredictClientOptions][] = [
    ["nodeTransport", () => ({})],
    ["fetchTransport", () => ({ transport: fetchTransport() })],
  ];
  const ENDS: [string, Behaviour][] = [
    ["stalls", raw(PART)],
    ["is reset", breakAfter(PART, "RST")],
    ["is cut", breakAfter(PART, "FIN")],
  ];
  const cases = TRANSPORTS.flatMap(([name, options]) =>
    ENDS.map(([how, behaviour]) => ({ name, how, options, behaviour })),
  );

  function check(error: Caught): void {
    expect(error).toMatchObject({ code: "ERR_EAS_HTTP", status: 500, requestId: "r-1", retryable: true });
    expect(textOf(error.body as Uint8Array)).toBe("out of memory");
    expect(error.message).toMatch(/out of memory/);
    expect(error.message).toMatch(/rest of the response body was not received/);
  }

  test.each(cases)(
    "$name, it $how: the error is the 500 with the received part",
    async ({ how, options, behaviour }) => {
      const server = await startServer();
      server.always(behaviour);
      const client = clientOf(server, { timeout: 400, retryCount: 0, ...options() });
      check(await errorOf(client.predict("x")));
      // A stream has its own timeout for such a body.
      if (how !== "stalls") check(await errorOf(client.stream("x")));
    },
  );

  test("the total timeout also ends it", async () => {
    const server = await startServer();
    server.always(raw(PART));
    check(await errorOf(clientOf(server, { totalTimeout: 400 }).predict("x")));
  });

  test("the retry depends on its status", async () => {
    const server = await startServer();
    server.play(raw(PART), raw(PART));
    expect(textOf(await clientOf(server, { timeout: 300 }).predict("x"))).toBe("ok");
    expect(server.requests).toHaveLength(3);
  });

  test("an abort by the caller is still reported as such", async () => {
    const server = await startServer();
    const { behaviour, socket } = handOver();
    server.play(behaviour);
    const controller = new AbortController();
    const call = errorOf(clientOf(server).predict("x", { signal: controller.signal }));
    const sending = await socket;
    await new Promise<void>((resolve) => sending.write(PART, () => setImmediate(resolve)));
    controller.abort("enough");
    expect(await call).toBe("enough");
  });

  test("a successful response that stalls times out", async () => {
    const server = await startServer();
    server.always(stallInBody);
    const error = await errorOf(clientOf(server, { timeout: 300, retryCount: 0 }).predict("x"));
    expect(error).toMatchObject({ code: "ERR_EAS_TIMEOUT", phase: "body" });
  });
});

describe("a body that ends with its connection", () => {
  const HEADS: [string, string, boolean][] = [
    ["no length", OK, true],
    ["HTTP/1.0 without a length", "HTTP/1.0 200 OK\r\n", true],
    ["an unknown transfer coding", `${OK}Transfer-Encoding: xchunked\r\n`, true],
    ["chunked, but not last", `${OK}Transfer-Encoding: chunked, gzip\r\n`, true],
    ["a length", `${OK}Connection: close\r\nContent-Length: 5\r\n`, false],
    ["HTTP/1.0 with a length", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n", false],
  ];

  test.each(HEADS)("%s: the transport marks it", async (_name, head, isUndelimited) => {
    const server = await startServer();
    server.always(breakAfter(`${head}\r\nhello`, "FIN"));
    const response = await sent(server);
    expect([textOf(response.body), response.isUndelimited]).toEqual(["hello", isUndelimited]);
  });

  test("chunked and empty responses are not marked", async () => {
    const server = await startServer();
    server.play(raw(`${OK}Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`));
    expect((await sent(server)).isUndelimited).toBe(false);
    server.play(raw("HTTP/1.1 204 No\r\n\r\n"));
    expect((await sent(server)).isUndelimited).toBe(false);
    server.play(raw(`${OK}\r\n`));
    expect((await sent(server, "HEAD")).isUndelimited).toBe(false);
  });

  // For Node, a reset that arrives with the last bytes is the end of the connection.
  test.each(HEADS.filter(([, , marked]) => marked))("%s: a reset is not an end", async (_name, head) => {
    const server = await startServer();
    for (const how of ["send", "stream"] as const) {
      const { behaviour, socket: socketing } = handOver();
      server.play(behaviour);
      const request = requestTo(server);
      const transport = transportOf();
      const streaming = how === "stream" ? transport.stream?.(request) : undefined;
      const sending = how === "send" ? errorOf(transport.send(request)) : undefined;
      const socket = await socketing;
      socket.write(`${head}\r\nhello`);
      await until(() => request.phase === "body");
      const stream = await streaming;
      if (stream !== undefined) expect(textOf((await stream.read()) as Uint8Array)).toBe("hello");
      socket.resetAndDestroy();
      const error = await (sending ?? errorOf(stream?.read() as Promise<unknown>));
      expect(error).toMatchObject({ name: "TransportError", systemCode: "ECONNRESET", sent: "maybe", final: false });
    }
  });
});

describe("a connection that ends while it is paused", () => {
  const BYTES = 262_144;
  const HEADS: [string, string, boolean][] = [
    ["HTTP/1.0 with a length", "HTTP/1.0 200 OK\r\nContent-Length: 999999\r\n\r\n", true],
    ["HTTP/1.0 in chunks", `HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${BYTES.toString(16)}\r\n`, true],
    ["an unknown transfer coding", `${OK}Transfer-Encoding: xchunked\r\n\r\n`, false],
    ["no length", `${OK}\r\n`, false],
    ["Connection: close", `${OK}Connection: close\r\nContent-Length: 999999\r\n\r\n`, true],
    ["Connection: keep-alive", `${OK}Content-Length: 999999\r\n\r\n`, true],
  ];
  const cases = HEADS.flatMap((head) => (["FIN", "RST"] as const).map((how) => [...head, how] as const));

  test.each(cases)(
    "%s: the received part is read, and there is no uncaught exception (delimited: %s, %s)",
    async (_name, head, isDelimited, how) => {
      const server = await startServer();
      const { behaviour, socket: socketing } = handOver();
      server.play(behaviour);
      const opening = transportOf().stream?.(requestTo(server));
      const socket = await socketing;
      await new Promise<void>((resolve) =>
        socket.write(Buffer.concat([Buffer.from(head), Buffer.alloc(BYTES)]), () => resolve()),
      );
      const stream = await opening;
      if (stream === undefined) throw new Error("no stream");
      await until(() => Reflect.get(stream, "weight") >= BYTES);
      if (how === "FIN") socket.end();
      else socket.resetAndDestroy();
      await until(() => Reflect.get(stream, "outcome") !== undefined);
      let length = 0;
      const reading = (async () => {
        for (let piece = await stream.read(); piece !== undefined; piece = await stream.read()) length += piece.length;
      })();
      if (isDelimited || how === "RST") expect((await errorOf(reading)).name).toBe("TransportError");
      else await reading;
      expect(length).toBe(BYTES);
    },
  );
});

describe("surplus bytes after a response", () => {
  const WHOLE = `${OK}${HELLO}`;

  test.each([
    ["not HTTP", `${WHOLE}garbage`],
    ["another response", `${WHOLE}${OK}Content-Length: 5\r\n\r\nwrong`],
    ["half a response", `${WHOLE}HTTP/1.1 2`],
    ["an empty line and another response", `${WHOLE}\r\n\r\n${OK}Content-Length: 5\r\n\r\nwrong`],
  ])("that are %s: the connection is not reused", async (_name, bytes) => {
    const server = await startServer();
    server.play(raw(bytes), answer(200, {}, "second"));
    const transport = transportOf({ connections: 1 });
    // The second request waits for the connection of the first.
    const texts = await Promise.all([sent(server, "GET", transport), sent(server, "GET", transport)]);
    expect(texts.map(({ body }) => textOf(body))).toEqual(["hello", "second"]);
    expect(server.requests.map(({ connection }) => connection)).toEqual([1, 2]);
  });

  test("that arrive on an idle connection: it is not reused", async () => {
    const server = await startServer();
    const { behaviour, socket } = handOver();
    server.play(behaviour, answer(200, {}, "second"));
    const transport = transportOf({ connections: 1 });
    const first = sent(server, "GET", transport);
    const sending = await socket;
    sending.write(WHOLE);
    await first;
    const closed = new Promise((resolve) => sending.once("close", resolve));
    sending.write(`${OK}Content-Length: 5\r\n\r\nwrong`);
    await closed;
    expect(textOf((await sent(server, "GET", transport)).body)).toBe("second");
  });

  test("with reuseConnections: false no request shares a connection", async () => {
    const server = await startServer();
    const client = clientOf(server, { transport: transportOf({ reuseConnections: false }) });
    for (let i = 0; i < 3; i++) expect(textOf(await client.predict("x"))).toBe("ok");
    expect(server.requests.map(({ connection }) => connection)).toEqual([1, 2, 3]);
    expect(server.requests.map(({ headers }) => headers.connection)).toEqual(["close", "close", "close"]);
  });
});
