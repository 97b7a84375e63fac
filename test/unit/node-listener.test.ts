import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { nodeListener, type RequestHandler } from "../../src/node.js";
import { listen } from "../support/relay.js";

/** Sends text as it stands, and gives all that is answered. */
async function exchange(origin: string, text: string): Promise<string> {
  const socket = connect(Number(new URL(origin).port), "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.write(text);
  let answered = "";
  for await (const piece of socket) answered += piece;
  return answered;
}

/** What a handler is asked, in words. */
const tell: RequestHandler = ({ method, url }) => new Response(`${method} ${url}`);

test("a request is what it was on the wire", async () => {
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

test("an answer has its status, its headers, and a line for each cookie", async () => {
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
])("a handler that %s breaks the connection, and the server goes on", async (_, handler) => {
  const origin = await listen(
    nodeListener((request) => (request.url.endsWith("/ok") ? new Response("ok") : handler(request))),
  );
  await expect(fetch(origin).then((answer) => answer.text())).rejects.toThrow();
  expect(await (await fetch(`${origin}/ok`)).text()).toBe("ok");
});

test("a body that nobody reads is in no other request's way", async () => {
  const origin = await listen(nodeListener(() => new Response("no, thanks")));
  const body = "x".repeat(200_000);
  const one = `POST / HTTP/1.1\r\nhost: my.site\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  const answered = await exchange(origin, `${one}${one}GET / HTTP/1.1\r\nhost: my.site\r\nconnection: close\r\n\r\n`);
  expect(answered.match(/no, thanks/g)).toHaveLength(3);
});

test("the signal fires when the caller goes, and not when the answer is complete", async () => {
  const signals: AbortSignal[] = [];
  const requests: Request[] = [];
  const origin = await listen(
    nodeListener((request) => {
      // On Node the signal of a request that nobody holds never fires.
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

/** A body without an end, and when it is cancelled. */
function endless() {
  let cancel!: () => void;
  const cancelled = new Promise<void>((resolve) => {
    cancel = resolve;
  });
  const piece = new Uint8Array(65_536);
  // In turns, so that whoever reads it for ever does not stop all else.
  const pull = (controller: ReadableStreamDefaultController) =>
    new Promise<void>((resolve) => setImmediate(resolve)).then(() => controller.enqueue(piece));
  return { body: new ReadableStream({ pull, cancel }), cancelled };
}

test("a caller that goes while its request waits behind another: the signal fires, and the body is cancelled", async () => {
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

test("an answer to a caller that has gone is cancelled", async () => {
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

test("no listener is left on a connection that goes on", async () => {
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
  expect(counts).toHaveLength(3);
  expect(new Set(counts).size).toBe(1);
});

test("a HEAD has no body, whatever the handler answers with, and the connection goes on", async () => {
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
])("a body of %s than its length breaks the connection, and is not taken for another answer", async (_, text) => {
  const origin = await listen(nodeListener(() => new Response(text, { headers: { "content-length": "5" } })));
  const one = "GET / HTTP/1.1\r\nhost: my.site\r\n\r\n";
  const answered = await exchange(origin, one + one).catch((error) => error.code as string);
  expect(answered.match(/HTTP\/1.1 200 OK/g) ?? []).not.toHaveLength(2);
  await expect(fetch(origin).then((answer) => answer.text())).rejects.toThrow();
});
