import { once } from "node:events";
import { createServer } from "node:http";
import { type ClientHttp2Stream, connect as connectHttp2, createServer as createHttp2 } from "node:http2";
import { type AddressInfo, connect, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { gunzipSync, gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { nodeListener, type RequestHandler } from "../../../src/node.js";
import { createRelay } from "../../../src/relay/index.js";
import { listen, memoryService, type RelayedCall } from "../../support/relay.js";

/** Sends raw text, and returns the whole response. */
async function exchange(origin: string, text: string): Promise<string> {
  const socket = connect(Number(new URL(origin).port), "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.write(text);
  let answered = "";
  for await (const piece of socket) answered += piece;
  return answered;
}

/** Responds with a description of the request. */
const tell: RequestHandler = ({ method, url }) => new Response(`${method} ${url}`);

test("passes the request to the handler unchanged", async () => {
  const origin = await listen(
    nodeListener(async (request) => {
      const { method, url, headers } = request;
      return Response.json([method, url, headers.get("x-own"), await request.text()]);
    }),
  );
  const headers: [string, string][] = [
    ["x-own", "1"],
    ["x-own", "2"],
  ];
  const answer = await fetch(`${origin}/a%20b/../c?d=%2F`, { method: "PUT", headers, body: "文" });
  expect(await answer.json()).toEqual(["PUT", `${origin}/c?d=%2F`, "1, 2", "文"]);
  expect(await (await fetch(origin)).json()).toEqual(["GET", `${origin}/`, null, ""]);
});

test("sends the status, the headers and a line for each cookie", async () => {
  const headers = new Headers({ "x-own": "1" });
  headers.append("set-cookie", "a=1, b");
  headers.append("set-cookie", "c=2");
  const origin = await listen(nodeListener(() => new Response(null, { status: 404, headers })));
  const answer = await fetch(origin);
  expect([answer.status, answer.headers.get("x-own")]).toEqual([404, "1"]);
  expect(answer.headers.getSetCookie()).toEqual(["a=1, b", "c=2"]);
});

test.each([
  [
    "a first line with another host",
    "GET http://evil.example/a HTTP/1.1\r\nhost: my.site",
    "200",
    "my.site/http://evil",
  ],
  ["a path that looks like a host", "GET //evil.example/a HTTP/1.1\r\nhost: my.site", "200", "http://my.site//evil"],
  ["a host with a path", "GET /a HTTP/1.1\r\nhost: my.site/b", "400", ""],
  ["a host with a query", "GET /a HTTP/1.1\r\nhost: my.site?b", "400", ""],
  ["a host with a user", "GET /a HTTP/1.1\r\nhost: a@my.site", "400", ""],
  ["an empty host", "GET /a/b HTTP/1.1\r\nhost:", "200", "GET http://localhost/a/b"],
  ["a host that is none", "GET /a HTTP/1.1\r\nhost: [", "400", ""],
  ["a method that no Request has", "TRACE /a HTTP/1.1\r\nhost: my.site", "400", ""],
])("%s", async (_, head, status, words) => {
  const origin = await listen(nodeListener(tell));
  const answer = await exchange(origin, `${head}\r\nconnection: close\r\n\r\n`);
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(answer).toContain(words);
});

test.each<[string, RequestHandler]>([
  [
    "throws",
    () => {
      throw new Error("no");
    },
  ],
  ["rejects", () => Promise.reject(new Error("no"))],
  ["gives nothing", (() => {}) as never],
  ["gives a body that fails", () => new Response(new ReadableStream({ pull: () => Promise.reject(new Error("no")) }))],
])("closes the connection if a handler %s, and the server continues", async (_, handler) => {
  const origin = await listen(
    nodeListener((request) => (request.url.endsWith("/ok") ? new Response("ok") : handler(request))),
  );
  await expect(fetch(origin).then((answer) => answer.text())).rejects.toThrow();
  expect(await (await fetch(`${origin}/ok`)).text()).toBe("ok");
});

test("an unread body does not block other requests", async () => {
  const origin = await listen(nodeListener(() => new Response("no, thanks")));
  const body = "x".repeat(200_000);
  const one = `POST / HTTP/1.1\r\nhost: my.site\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  const answered = await exchange(origin, `${one}${one}GET / HTTP/1.1\r\nhost: my.site\r\nconnection: close\r\n\r\n`);
  expect(answered.match(/no, thanks/g)).toHaveLength(3);
});

test("the signal aborts when the caller disconnects, but not when the response is complete", async () => {
  const signals: AbortSignal[] = [];
  const requests: Request[] = [];
  const origin = await listen(
    nodeListener((request) => {
      // On Node, the signal of a request without references never aborts.
      requests.push(request);
      signals.push(request.signal);
      return new Response(request.url.endsWith("/ok") ? "ok" : new ReadableStream());
    }),
  );
  expect(await (await fetch(`${origin}/ok`)).text()).toBe("ok");
  const caller = new AbortController();
  await fetch(origin, { signal: caller.signal });
  const [complete, left] = signals as [AbortSignal, AbortSignal];
  const gone = new Promise((resolve) => left.addEventListener("abort", resolve));
  caller.abort();
  await gone;
  expect(complete.aborted).toBe(false);
});

/** An endless body, and the time of its cancellation. */
function endless() {
  let cancel!: () => void;
  const cancelled = new Promise<void>((resolve) => {
    cancel = resolve;
  });
  const piece = new Uint8Array(65_536);
  // Uses turns of the event loop, so that an endless reader does not block everything.
  const pull = (controller: ReadableStreamDefaultController) =>
    new Promise<void>((resolve) => setImmediate(resolve)).then(() => controller.enqueue(piece));
  return { body: new ReadableStream({ pull, cancel }), cancelled };
}

test("a caller that disconnects while its request is queued: the signal aborts, and the body is canceled", async () => {
  const { body, cancelled } = endless();
  const requests: Request[] = [];
  let take!: () => void;
  const taken = new Promise<void>((resolve) => {
    take = resolve;
  });
  const origin = await listen(
    nodeListener((request) => {
      requests.push(request);
      if (!request.url.endsWith("/2")) return new Promise(() => {});
      take();
      return new Response(body);
    }),
  );
  const socket = connect(Number(new URL(origin).port), "127.0.0.1");
  const one = (path: string) => `GET ${path} HTTP/1.1\r\nhost: my.site\r\n\r\n`;
  socket.write(one("/1") + one("/2"));
  await taken;
  const gone = requests.map(({ signal }) => new Promise((resolve) => signal.addEventListener("abort", resolve)));
  socket.destroy();
  await Promise.all([...gone, cancelled]);
});

test("a response to a caller that has disconnected is canceled", async () => {
  const { body, cancelled } = endless();
  const caller = new AbortController();
  const origin = await listen(
    nodeListener(async ({ signal }) => {
      await new Promise((resolve) => {
        signal.addEventListener("abort", resolve);
        caller.abort();
      });
      return new Response(body);
    }),
  );
  await expect(fetch(origin, { signal: caller.signal })).rejects.toThrow();
  await cancelled;
});

test("a connection has one close listener, regardless of the number of requests", async () => {
  const counts: number[] = [];
  const listener = nodeListener(() => new Response("ok"));
  const origin = await listen((incoming, outgoing) => {
    counts.push(incoming.socket.listenerCount("close"));
    listener(incoming, outgoing);
  });
  const one = "GET / HTTP/1.1\r\nhost: my.site\r\n";
  const socket = connect(Number(new URL(origin).port), "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  for (let i = 0; i < 3; i++) {
    socket.write(`${one}\r\n`);
    let answered = "";
    while (!answered.endsWith("0\r\n\r\n")) {
      answered += await new Promise((resolve) => socket.once("data", resolve));
    }
  }
  // One for the connection, regardless of its number of requests.
  const [before = 0, ...later] = counts;
  expect(later).toEqual([before + 1, before + 1]);
});

test("a HEAD response has no body, whatever the handler returns, and the connection stays open", async () => {
  const { body, cancelled } = endless();
  const origin = await listen(nodeListener(({ method }) => new Response(method === "HEAD" ? body : "ok")));
  const answered = await exchange(
    origin,
    "HEAD / HTTP/1.1\r\nhost: my.site\r\n\r\nGET / HTTP/1.1\r\nhost: my.site\r\nconnection: close\r\n\r\n",
  );
  expect(answered.match(/^HTTP\/1.1 200 OK/gm)).toHaveLength(2);
  await cancelled;
});

test.each([
  ["more", "hello HTTP/1.1 200 OK"],
  ["less", "hell"],
])(
  "a body that is %s than its length closes the connection, and is not parsed as another response",
  async (_, text) => {
    const origin = await listen(nodeListener(() => new Response(text, { headers: { "content-length": "5" } })));
    const one = "GET / HTTP/1.1\r\nhost: my.site\r\n\r\n";
    const answered = await exchange(origin, one + one).catch((error) => error.code as string);
    expect(answered.match(/HTTP\/1.1 200 OK/g) ?? []).not.toHaveLength(2);
    await expect(fetch(origin).then((answer) => answer.text())).rejects.toThrow();
  },
);

describe("after a body parser", () => {
  /** A relay behind a framework that reads the body first and leaves something in its place. */
  async function listenBehind(parse: (bytes: Buffer) => Record<string, unknown>) {
    const seen: RelayedCall[] = [];
    const { client } = memoryService(async (call) => {
      seen.push(call);
      return new Response(await new Response(call.body).arrayBuffer());
    });
    const listener = nodeListener(createRelay({ client, allow: [{ methods: ["GET", "POST"], paths: ["/"] }] }));
    const origin = await listen(async (incoming, outgoing) => {
      const pieces: Buffer[] = [];
      for await (const piece of incoming) pieces.push(piece as Buffer);
      listener(Object.assign(incoming, parse(Buffer.concat(pieces))), outgoing);
    });
    return { origin, seen };
  }
  const chunked = (text: string) => ({ body: new Blob([text]).stream(), duplex: "half" }) as RequestInit;

  test.each<[string, (bytes: Buffer) => Record<string, unknown>]>([
    ["express.raw()", (body) => ({ body })],
    ["express.text()", (body) => ({ body: body.toString() })],
    ["rawBody beside parsed JSON", (rawBody) => ({ rawBody, body: JSON.parse(String(rawBody)) })],
  ])("that leaves the whole body, the service receives it: %s", async (_, parse) => {
    const { origin, seen } = await listenBehind(parse);
    const body = '{ "文": 1.0 }';
    expect(await (await fetch(origin, { method: "POST", body })).text()).toBe(body);
    expect(await (await fetch(origin, { method: "POST", ...chunked(body) })).text()).toBe(body);
    expect(seen).toHaveLength(2);
  });

  test.each<[string, (bytes: Buffer) => Record<string, unknown>, RequestInit, string]>([
    ["express.json()", (body) => ({ body: JSON.parse(String(body)) }), { body: "{}" }, "and was parsed"],
    ["an unread form", () => ({ body: {} }), chunked("a=1"), "and was parsed"],
    ["fastify, koa, a logger", () => ({}), { body: "{}" }, "and none of it was left"],
    ["a logger of chunks", () => ({}), chunked("{}"), "and none of it was left"],
    ["a parser that cuts", (body) => ({ body: body.subarray(1) }), { body: "abc" }, "2 of its 3 bytes were left"],
    [
      "text that was not UTF-8",
      (body) => ({ body: String(body) }),
      { body: new Uint8Array([255]) },
      "was decoded to text",
    ],
    [
      "text of another charset",
      (body) => ({ body: body.toString("latin1") }),
      { body: "x", headers: { "content-type": "text/plain; charset=gbk" } },
      "was decoded to text",
    ],
    [
      "a parser that decompresses",
      (body) => ({ body: gunzipSync(body) }),
      { body: new Uint8Array(gzipSync("x")), headers: { "content-encoding": "gzip" } },
      "its content encoding (gzip) was removed",
    ],
  ])("that does not, the response explains the error, and nothing is sent: %s", async (_, parse, init, words) => {
    const { origin, seen } = await listenBehind(parse);
    const answer = await fetch(origin, { method: "POST", ...init });
    expect(answer.status).toBe(500);
    const { error } = (await answer.json()) as { error: string };
    expect(error).toContain(words);
    expect(error).toContain("Mount the listener before body parsers");
    expect(seen).toEqual([]);
  });

  test("that had nothing to read, nothing changes", async () => {
    const { origin, seen } = await listenBehind(() => ({ body: {} }));
    expect((await fetch(origin)).status).toBe(200);
    expect((await fetch(origin, { method: "POST" })).status).toBe(200);
    expect(seen.map(({ body }) => body)).toEqual([null, null]);
  });
});

describe("behind node:http2", () => {
  async function open(handler: RequestHandler) {
    const server = createHttp2(nodeListener(handler));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const session = connectHttp2(origin);
    session.on("error", () => {});
    onTestFinished(() => {
      session.destroy();
      server.close();
    });
    const ask = (headers: Record<string, string>, body?: string) => {
      const stream = session.request(headers, { endStream: body === undefined });
      if (body !== undefined) stream.end(body);
      return stream;
    };
    return { origin, session, ask };
  }

  async function answerOf(stream: ClientHttp2Stream) {
    const head = new Promise<Record<string, unknown>>((resolve) => stream.on("response", resolve as never));
    let text = "";
    for await (const piece of stream) text += piece;
    return { head: await head, text };
  }

  test("a relay works: method, URL, headers and both bodies", async () => {
    const { client, calls } = memoryService(async ({ body }) => {
      const headers = { "x-request-id": "r", connection: "keep-alive" };
      return new Response(await new Response(body).text(), { status: 201, headers });
    });
    const relay = createRelay({ client, base: "/eas", allow: [{ methods: ["GET", "POST"], paths: ["/*"] }] });
    const { ask, origin } = await open((request) => {
      expect(new URL(request.url).origin).toBe(origin);
      expect(request.headers.get("host")).toBe(new URL(origin).host);
      return relay(request);
    });
    const { head, text } = await answerOf(ask({ ":method": "POST", ":path": "/eas/v1?a=1", accept: "x" }, "文"));
    expect([head[":status"], head["x-request-id"], text]).toEqual([201, "r", "文"]);
    expect(calls[0]).toMatchObject({ path: "/v1?a=1", method: "POST", headers: [["accept", "x"]] });
    expect((await answerOf(ask({ ":method": "GET", ":path": "/eas/" }))).head[":status"]).toBe(201);
    expect(calls[1]?.body).toBe(null);
    expect((await answerOf(ask({ ":method": "GET", ":path": "/other" }))).head[":status"]).toBe(404);
  });

  test("leaves out headers of the connection", async () => {
    const { ask } = await open(() => new Response("ok", { headers: { connection: "close", "keep-alive": "a" } }));
    expect((await answerOf(ask({ ":path": "/" }))).text).toBe("ok");
  });

  test("a caller that disconnects in the middle of its body: the body fails, and the signal aborts", async () => {
    let taken!: (request: Request) => void;
    const request = new Promise<Request>((resolve) => {
      taken = resolve;
    });
    const { session } = await open((each) => {
      taken(each);
      return new Promise(() => {});
    });
    const stream = session.request({ ":method": "POST", ":path": "/" });
    stream.on("error", () => {});
    stream.write("half");
    const given = await request;
    const { body, signal } = given;
    const gone = new Promise((resolve) => signal.addEventListener("abort", resolve));
    const reader = (body as ReadableStream<Uint8Array>).getReader();
    expect(String(Buffer.from((await reader.read()).value as Uint8Array))).toBe("half");
    const rest = reader.read();
    session.destroy();
    await expect(rest).rejects.toThrow();
    await gone;
    expect(given.signal.aborted).toBe(true);
  });

  test("a handler that fails resets only its stream", async () => {
    const { ask } = await open(({ url }) => {
      if (url.endsWith("/ok")) return new Response("ok");
      throw new Error("no");
    });
    await expect(answerOf(ask({ ":path": "/" }))).rejects.toMatchObject({ code: "ERR_HTTP2_STREAM_ERROR" });
    expect((await answerOf(ask({ ":path": "/ok" }))).text).toBe("ok");
  });
});

describe("pipelined requests", () => {
  const one = (path: string) => `GET ${path} HTTP/1.1\r\nhost: my.site\r\n\r\n`;

  test("are handled a few at a time, and answered in order", async () => {
    let running = 0;
    let most = 0;
    const origin = await listen(
      nodeListener(async ({ url }) => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setImmediate(resolve));
        running--;
        return new Response(`<${new URL(url).pathname}>`);
      }),
    );
    const paths = Array.from({ length: 500 }, (_, i) => `/${i}`);
    const answered = await exchange(
      origin,
      paths
        .map(one)
        .join("")
        .replace(/\r\n\r\n$/, "\r\nconnection: close\r\n\r\n"),
    );
    expect(answered.match(/<[^>]+>/g)).toEqual(paths.map((path) => `<${path}>`));
    expect(most).toBeLessThanOrEqual(8);
  });

  test("a slow first request delays the others, which are not handled if the caller disconnects", async () => {
    const called: string[] = [];
    const signals: Request[] = [];
    let begin!: () => void;
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const listener = nodeListener((request) => {
      called.push(new URL(request.url).pathname);
      signals.push(request);
      if (called.length === 8) begin();
      return new Promise(() => {});
    });
    const sockets = new Set<Socket>();
    const origin = await listen((incoming, outgoing) => {
      sockets.add(incoming.socket);
      listener(incoming, outgoing);
    });
    const socket = connect(Number(new URL(origin).port), "127.0.0.1");
    socket.write(Array.from({ length: 12 }, (_, i) => one(`/${i}`)).join(""));
    await begun;
    const gone = signals.map(({ signal }) => new Promise((resolve) => signal.addEventListener("abort", resolve)));
    socket.destroy();
    // The connection is paused, so the server sees its end only when it closes it.
    for (const each of sockets) each.destroy();
    await Promise.all(gone);
    expect(called).toHaveLength(8);
  });

  test("thousands are answered, while at most one chunk of them waits", async () => {
    const listener = nodeListener(() => new Response("!"));
    let waiting = 0;
    let most = 0;
    const origin = await listen((incoming, outgoing) => {
      most = Math.max(most, ++waiting);
      outgoing.once("close", () => waiting--);
      listener(incoming, outgoing);
    });
    const count = 20_000;
    const last = one("/").replace(/\r\n\r\n$/, "\r\nconnection: close\r\n\r\n");
    const answered = await exchange(origin, one("/").repeat(count - 1) + last);
    expect(answered.match(/HTTP\/1.1 200 OK/g)?.length).toBe(count);
    // Node reads at most 64 KiB at a time, and a request has 38 bytes.
    expect(most).toBeLessThan(2 * (65_536 / one("/").length));
  });

  test("a connection that sends more than 4,000 at once is closed after the responses to them", async () => {
    const server = createServer(nodeListener(() => new Response("!")));
    let text = "";
    const flood = new Duplex({
      read() {},
      write(chunk, _encoding, done) {
        text += chunk;
        done();
      },
    });
    server.emit("connection", flood);
    flood.push(one("/").repeat(20_000));
    await once(flood, "finish");
    expect(text.match(/HTTP\/1.1 200 OK/g)?.length).toBe(4_008);
    expect(text.match(/connection: close/gi)?.length).toBe(1);
    expect(text.lastIndexOf("HTTP/1.1 200")).toBeLessThan(text.search(/connection: close/i));
  });
});
