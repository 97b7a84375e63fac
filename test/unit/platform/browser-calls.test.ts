import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { startEmulator } from "../../../src/emulator/index.js";
import {
  AsyncInferenceClient,
  PredictClient,
  QueueClient,
  type QueueClientOptions,
  TFRequest,
} from "../../../src/index.js";
import { clientOf, errorOf, startServer, TOKEN, thrownBy, until } from "../../support/calls.js";
import { answer, answerAfter, type Behaviour } from "../../support/misbehaving-server.js";
import { queueClientOf } from "../../support/queues.js";

// Runs the whole client on the platform of web pages. test/browsers tests what only a real browser shows.
vi.mock("#platform", () => import("../../../src/platform/browser/platform.js"));

afterEach(() => void vi.unstubAllGlobals());

/** The header names of all requests of the global `fetch`, which still sends them. */
function spyOnFetch(): Set<string> {
  const names = new Set<string>();
  const real = fetch;
  vi.stubGlobal("fetch", (url: string, init: { headers: [string, string][] }) => {
    for (const [name] of init.headers) names.add(name.toLowerCase());
    return real(url, init);
  });
  return names;
}

/** A `fetch` that fails as for a page, and the number of its calls. */
function blockFetch() {
  const blocked = vi.fn(() => Promise.reject(new TypeError("Failed to fetch")));
  vi.stubGlobal("fetch", blocked);
  return blocked;
}

/** The "forbidden request-header" names and prefixes of the Fetch standard, and User-Agent, which Chromium drops. */
const FORBIDDEN =
  "accept-charset accept-encoding access-control-request-headers access-control-request-method access-control-request-private-network connection content-length cookie cookie2 date dnt expect host keep-alive origin referer set-cookie te trailer transfer-encoding upgrade via proxy-authorization proxy-connection sec-fetch-mode sec-ch-ua user-agent".split(
    " ",
  );

describe("headers that a browser drops", () => {
  test("the package does not set them itself", async () => {
    const emulator = await startEmulator({
      token: TOKEN,
      queues: { q: {}, svc: {}, "svc/sink": {} },
      services: { zipped: { handle: () => "ok", decompressor: "gzip" } },
    });
    onTestFinished(() => emulator.close());
    const names = spyOnFetch();
    const { endpoint } = emulator;
    for (const auth of ["auto", "token", "bearer"] as const) {
      const client = new PredictClient({
        endpoint,
        serviceName: "echo",
        token: TOKEN,
        auth,
        headers: { "x-own": "1" },
      });
      expect(String(await client.predict("text"))).toBe("text");
      await client.predict(new Uint8Array(3), { path: "/p", query: { a: 1 } });
      await client.service("zipped").setCompression("gzip").predict("text");
      await client
        .service("digits")
        .predict(new TFRequest("serving_default"))
        .catch(() => {});
      expect(await client.diagnose()).toMatchObject({ finding: "ok" });
    }
    const queue = new QueueClient({ endpoint, queueName: "q", token: TOKEN, logger: null });
    await queue.put("a", { tags: { t: "1" }, priority: 1 });
    await queue.get({ autoDelete: false });
    await Promise.all([queue.attributes(), queue.count(), queue.search(1), queue.delete(10 ** 6)]);
    const watcher = queue.watch(0, 5);
    const { value } = await watcher.next();
    expect(watcher.transport).toBe("http");
    await value?.negative("Again", "and again");
    await (await watcher.next()).value?.commit();
    await queue.truncate(5);
    await queue.close();
    const jobs = new AsyncInferenceClient({ endpoint, serviceName: "svc", token: TOKEN });
    await (await jobs.submit("x")).discard();
    await jobs.close();
    expect([...names]).toEqual(expect.arrayContaining(["authorization", "content-type", "x-own"]));
    expect(FORBIDDEN.filter((name) => names.has(name))).toEqual([]);
  });

  test.each(FORBIDDEN)("%s is rejected by name, wherever it is set, and nothing is sent", async (name) => {
    const fetched = blockFetch();
    const headers = { [name.toUpperCase()]: "1" };
    const common = { endpoint: "http://h", token: TOKEN, logger: null };
    const bare = { ...common, serviceName: "svc" };
    const ofQueue = { ...common, queueName: "q" };
    const ways: (() => Promise<unknown>)[] = [
      async () => new PredictClient({ ...bare, headers }).predict("x"),
      async () => new PredictClient(bare).addExtraHeaders(headers).predict("x"),
      async () => new PredictClient(bare).predict("x", { headers }),
      async () => new PredictClient(bare).setToken(null).predict("x", { headers }),
      async () => new QueueClient({ ...ofQueue, headers }).put("x"),
      async () => new QueueClient(ofQueue).addExtraHeaders(headers).count(),
      async () => new QueueClient(ofQueue).get({ headers }),
      async () => new QueueClient({ ...ofQueue, headers }).watch(0, 1).next(),
    ];
    for (const way of ways) {
      const error = await errorOf(way());
      expect(error).toBeInstanceOf(TypeError);
      expect(error.code).toBe("ERR_EAS_ARG_HEADER");
      expect(error.message.toLowerCase()).toContain(`header ${name} cannot be set`);
    }
    expect(fetched).not.toHaveBeenCalled();
  });

  test("similar names are accepted", async () => {
    const names = spyOnFetch();
    const server = await startServer();
    const headers = Object.fromEntries(
      "accept accept-language proxy secret cookies x-date x-host x-forwarded-host origin-trial-x viaduct content-md5 range"
        .split(" ")
        .map((name) => [name, "1"]),
    );
    await clientOf(server, { headers }).predict("x");
    expect([...names]).toEqual(expect.arrayContaining(Object.keys(headers)));
    // Without a token, the caller can authenticate the requests itself.
    await clientOf(server, { token: undefined, headers: { authorization: "own" } }).predict("x");
    expect(server.requests.at(-1)?.headers.authorization).toBe("own");
  });
});

test("a signature is rejected with the reason, and nothing is sent", async () => {
  const fetched = blockFetch();
  const client = clientOf({ origin: "http://h" }, { auth: "signature" });
  const error = await errorOf(client.predict("x"));
  expect(error).toMatchObject({ name: "EasUnsupportedError", code: "ERR_EAS_UNSUPPORTED", attempts: 0 });
  expect(error.message).toMatch(/does not work in browsers: the signature covers the Date header.*Use "token"/);
  expect(fetched).not.toHaveBeenCalled();
});

describe("a call that the browser blocks", () => {
  const cors = /failed: the browser reports no reason\. Probably CORS: .*Authorization/;
  const mixed = /failed: this page was loaded over https.*mixed content.*use an https endpoint/;

  test.each([
    ["a page over http", "http:", "http://h", cors, "cors"],
    ["a page over https, to an https endpoint", "https:", "https://h", cors, "cors"],
    ["a page over https, to an http endpoint", "https:", "http://h", mixed, "mixed-content"],
    ["a page over https, to its own machine", "https:", "http://127.0.0.1:9", cors, "cors"],
    ["a page over https, to localhost", "https:", "http://localhost:9", cors, "cors"],
    ["a worker without a location", undefined, "http://h", cors, "cors"],
  ])(
    "%s: the error states the likely reason, and there is no retry",
    async (_name, protocol, origin, said, finding) => {
      vi.stubGlobal("location", protocol && { protocol });
      const fetched = blockFetch();
      // With the runtime's own fetch, and with a wrapper of it.
      for (const option of [undefined, (...args: Parameters<typeof fetch>) => fetch(...args)]) {
        fetched.mockClear();
        const options = { fetch: option as QueueClientOptions["fetch"] };
        const client = clientOf({ origin }, options);
        const queue = queueClientOf({ origin }, options);
        const calls = [() => client.predict("x"), () => queue.attributes(), () => queue.watch(0, 1).next()];
        for (const call of calls) {
          const error = await errorOf(call());
          expect(error).toMatchObject({ name: "EasNetworkError", attempts: 1, retryable: false });
          expect(error.message).toMatch(said);
          expect(error.message).not.toContain(TOKEN);
        }
        expect(fetched).toHaveBeenCalledTimes(calls.length);
        expect(await client.diagnose()).toMatchObject({ ok: false, finding, message: expect.stringMatching(said) });
      }
    },
  );

  test("is a network error and retried, once the origin has responded", async () => {
    const server = await startServer();
    const client = clientOf(server, { retryCount: 1 });
    await client.predict("x");
    const fetched = blockFetch();
    const error = await errorOf(client.predict("x"));
    expect(error).toMatchObject({ name: "EasNetworkError", attempts: 2, retryable: true });
    expect(error.message).not.toMatch(/CORS|mixed/);
    expect(fetched).toHaveBeenCalledTimes(2);
    expect(await client.diagnose()).toMatchObject({ finding: "network" });
  });
});

describe('transport "websocket"', () => {
  test.each([0, -1])("is rejected immediately, also from index %i: nothing is sent", async (index) => {
    const fetched = blockFetch();
    const queue = queueClientOf({ origin: "http://h" });
    const onStatus = vi.fn();
    const said = /transport "websocket" cannot be used: .*"http", which streams over HTTP.*dialWebSocket/;
    const thrown = thrownBy(() => queue.watch(index, 1, { transport: "websocket", onStatus }));
    const rejected = await errorOf(queue.consume(() => {}, { index, transport: "websocket" }));
    for (const error of [thrown, rejected]) {
      expect(error).toMatchObject({ name: "EasUnsupportedError", attempts: 0, message: expect.stringMatching(said) });
    }
    expect(onStatus).not.toHaveBeenCalled();
    expect(fetched).not.toHaveBeenCalled();
    // The rejected watch does not block another.
    await queue.watch(0, 1).close();
  });

  test("works with a custom dialer", async () => {
    const dialWebSocket = vi.fn(() => new Promise<never>(() => {}));
    const watcher = queueClientOf({ origin: "http://h" }, { dialWebSocket }).watch(0, 1, { transport: "websocket" });
    await until(() => dialWebSocket.mock.calls.length === 1);
    await watcher.close();
  });
});

describe("six connections to a host, as in a browser", () => {
  /** Responds with `behaviour`, and counts the concurrent requests. */
  function counted(behaviour: Behaviour) {
    const seen = { now: 0, most: 0 };
    const counting: Behaviour = {
      on: "request",
      async run(socket, request) {
        seen.most = Math.max(seen.most, ++seen.now);
        const write = socket.write.bind(socket);
        socket.write = ((...args: Parameters<typeof write>) => {
          seen.now--;
          socket.write = write;
          return write(...args);
        }) as typeof socket.write;
        await (behaviour as Extract<Behaviour, { on: "request" }>).run(socket, request);
      },
    };
    return { seen, counting };
  }

  test("100 concurrent calls, which take longer in total than the timeout of one: none times out", async () => {
    const server = await startServer();
    const { seen, counting } = counted(answerAfter(100, 200, "ok"));
    server.always(counting);
    const client = clientOf(server, { timeout: 1200, retryCount: 0 });
    const began = performance.now();
    const answers = await Promise.all(Array.from({ length: 100 }, () => client.predict("x")));
    // Otherwise the test proves nothing: the last calls must have waited longer than their timeout.
    expect(performance.now() - began).toBeGreaterThan(1200);
    expect(answers.map(String)).toEqual(answers.map(() => "ok"));
    expect([server.requests.length, seen.most]).toEqual([100, 6]);
  });

  test("the two queues of an asynchronous service share connections", async () => {
    const server = await startServer();
    const { seen, counting } = counted(answerAfter(20, 200, "1"));
    server.always(counting);
    const client = new AsyncInferenceClient({ endpoint: server.origin, serviceName: "svc", logger: null });
    onTestFinished(() => client.close());
    const calls = Array.from({ length: 20 }, () => [client.input.count(), client.sink.count()]).flat();
    expect(await Promise.all(calls)).toEqual(calls.map(() => 1));
    expect(seen.most).toBe(6);
  });

  test("a watch and five long polls do not block calls", async () => {
    const server = await startServer();
    const count = answer(200, {}, "7") as Extract<Behaviour, { on: "request" }>;
    const head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    server.always({
      on: "request",
      run(socket, request) {
        if (request.path.includes("_count_")) return count.run(socket, request);
        if (request.path.includes("_watch_")) socket.write(head);
        return undefined;
      },
    });
    const queue = queueClientOf(server);
    let isOpen = false;
    queue.watch(0, 1, {
      onStatus: ({ state }) => {
        isOpen ||= state === "open";
      },
    });
    await until(() => isOpen);
    const stop = new AbortController();
    const polls = Array.from({ length: 5 }, () => errorOf(queue.get({ timeout: "60s", signal: stop.signal })));
    await server.seen(3);
    expect(await Promise.all(Array.from({ length: 20 }, () => queue.count()))).toEqual(Array(20).fill(7));
    // The stream and two of the polls use half of the connections.
    expect(server.requests.filter(({ path }) => !path.includes("_count_"))).toHaveLength(3);
    stop.abort();
    await Promise.all(polls);
  });
});
