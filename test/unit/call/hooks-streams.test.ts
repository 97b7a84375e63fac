import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import {
  EasHttpError,
  EasNetworkError,
  EasStreamError,
  EasTimeoutError,
  type PredictClientOptions,
} from "../../../src/index.js";
import { clientOf, errorOf, RecordingTransport, startServer, TOKEN, turn, until } from "../../support/calls.js";
import { answer, resetInBody } from "../../support/misbehaving-server.js";
import { RecordedHooks } from "../../support/recorded-hooks.js";
import { type Exchange, inChunks, startStreamServer } from "../../support/stream-server.js";

/** A client, a server that responds as the test specifies, and the events that its hooks receive. */
async function open(answer: (exchange: Exchange) => unknown, options: PredictClientOptions = {}) {
  const server = await startStreamServer(answer);
  const hooks = new RecordedHooks();
  return { hooks, server, client: clientOf(server, { hooks, ...options }) };
}

/** Response headers and a first chunk. The test writes the rest. */
const begun = ({ response }: Exchange) => {
  response.writeHead(200, { "X-Own": "1" });
  response.write("piece");
};

describe("a stream", () => {
  test("has a response event after its body ended, with the received bytes", async () => {
    const { hooks, client, server } = await open(begun);
    const stream = await client.stream("hello", { query: { secret: "1" } });
    await turn();
    expect(hooks.names).toEqual(["start", "request 1"]);
    expect(hooks.calls[0]).toMatchObject({ kind: "stream", method: "POST", path: "/api/predict/svc" });
    const text = stream.text();
    server.exchanges[0]?.response.end(" and more");
    expect(await text).toBe("piece and more");
    expect(hooks.names).toEqual(["start", "request 1", "response 1"]);
    expect(hooks.responses[0]).toMatchObject({ status: 200, requestBytes: 5, responseBytes: 14 });
    expect(hooks.responses[0]?.headers.get("x-own")).toBe("1");
    expect(hooks.responses[0]?.timings.firstByte).toBeLessThanOrEqual(hooks.responses[0]?.timings.total as number);
    expect(hooks.text).not.toContain("secret");
  });

  test("counts compressed bytes", async () => {
    const packed = gzipSync("a".repeat(10_000));
    const { hooks, client } = await open(inChunks(packed, 10, { "Content-Encoding": "gzip" }));
    expect(await (await client.stream("x")).text()).toBe("a".repeat(10_000));
    expect(hooks.responses[0]?.responseBytes).toBe(packed.length);
  });

  test("that its reader cancels has a response event with the bytes received so far", async () => {
    const { hooks, client } = await open(begun);
    for await (const piece of await client.stream("x")) {
      expect(`${Buffer.from(piece)}`).toBe("piece");
      break;
    }
    expect(hooks.names).toEqual(["start", "request 1", "response 1"]);
    expect(hooks.responses[0]?.responseBytes).toBe(5);
  });

  test("that is aborted has an error event with its status", async () => {
    const { hooks, client } = await open(begun);
    const controller = new AbortController();
    const text = errorOf((await client.stream("x", { signal: controller.signal })).text());
    controller.abort("enough");
    expect(await text).toBe("enough");
    expect(hooks.names).toEqual(["start", "request 1", "error 1"]);
    expect(hooks.errors[0]).toMatchObject({ error: "enough", status: 200 });
  });

  test("that breaks has an error event with the error of its reader", async () => {
    const hooks = new RecordedHooks();
    const server = await startServer();
    server.play(resetInBody);
    const error = await errorOf((await clientOf(server, { hooks }).stream("x")).text());
    expect(error).toBeInstanceOf(EasNetworkError);
    expect(hooks.names).toEqual(["start", "request 1", "error 1"]);
    expect(hooks.errors[0]?.error).toBe(error);
    expect(hooks.errors[0]?.status).toBe(200);
  });

  test("that exceeds its idle timeout has an error event", async () => {
    const { hooks, client } = await open(begun);
    await errorOf((await client.stream("x", { idleTimeout: 20 })).text());
    expect(hooks.names).toEqual(["start", "request 1", "error 1"]);
    expect(hooks.errors[0]?.error).toBeInstanceOf(EasTimeoutError);
  });

  test("that contains an error of the service has one final event", async () => {
    const { hooks, client } = await open(({ response }) => response.end('data: {"error":{"message":"oh"}}\n\n'));
    const read = async () => {
      for await (const _ of (await client.stream("x")).events()) {
        // Until it fails.
      }
    };
    expect(await errorOf(read())).toBeInstanceOf(EasStreamError);
    hooks.expectWhole();
  });

  test("that ends with its client has an error event", async () => {
    const { hooks, client } = await open(begun);
    const stream = await client.stream("x");
    await client.close();
    await errorOf(stream.text());
    hooks.expectWhole();
    expect(hooks.errors).toHaveLength(1);
  });

  test("that is refused has an error event; that was not started is retried", async () => {
    const hooks = new RecordedHooks();
    const server = await startServer();
    const client = clientOf(server, { hooks });
    server.play(answer(429, { "Retry-After": "0" }), answer(500, {}, "no"));
    expect(await errorOf(client.stream("x"))).toBeInstanceOf(EasHttpError);
    expect(hooks.names).toEqual(["start", "request 1", "retry 1", "request 2", "error 2"]);
    expect(hooks.errors[0]?.status).toBe(500);
  });

  test("whose headers arrive in the turn of its abort has one final event: an error", async () => {
    const hooks = new RecordedHooks();
    const controller = new AbortController();
    const transport = Object.assign(new RecordingTransport(), {
      stream: async () => {
        controller.abort("in that turn");
        let cancelled = false;
        return {
          status: 200,
          headers: new Headers(),
          contentEncoding: undefined,
          read: async () => (cancelled ? undefined : new Uint8Array(1)),
          cancel: () => {
            cancelled = true;
          },
        };
      },
    });
    const client = clientOf({ origin: "http://127.0.0.1:9" }, { transport, hooks });
    expect(await errorOf(client.stream("x", { signal: controller.signal }))).toBe("in that turn");
    await turn();
    expect(hooks.names).toEqual(["start", "request 1", "error 1"]);
  });

  test("sends headers that hooks set", async () => {
    const { client, server } = await open(({ response }) => response.end(), {
      hooks: { request: (event) => event.setHeader("traceparent", "00-1") },
    });
    await (await client.stream("x")).bytes();
    await (await client.fetch("/")).text();
    expect(server.exchanges.map(({ request }) => request.headers.traceparent)).toEqual(["00-1", "00-1"]);
  });
});

describe("client.fetch", () => {
  test("has a response event for every status", async () => {
    const { hooks, client } = await open(({ response }) => response.writeHead(404).end("none"));
    expect((await client.fetch("/v1/models?secret=1")).status).toBe(404);
    await until(() => hooks.responses.length === 1);
    hooks.expectWhole();
    expect(hooks.calls[0]).toMatchObject({ kind: "stream", method: "GET", path: "/api/predict/svc/v1/models" });
    expect(hooks.responses[0]).toMatchObject({ status: 404, requestBytes: 0, responseBytes: 4 });
    expect(hooks.text).not.toContain("secret");
  });

  test("has no size for a streamed body", async () => {
    const { hooks, client, server } = await open(({ response }) => response.end());
    await (await client.fetch("/", { method: "POST", body: new Blob(["streamed"]).stream() })).text();
    expect(`${server.exchanges[0]?.body}`).toBe("streamed");
    expect(hooks.requests[0]?.requestBytes).toBeUndefined();
    expect(hooks.responses[0]?.requestBytes).toBeUndefined();
  });

  test("has a response event after its body is canceled, and an error event after its signal fires", async () => {
    const { hooks, client } = await open(begun);
    await (await client.fetch("/")).body?.cancel();
    const controller = new AbortController();
    const response = await client.fetch("/", { signal: controller.signal });
    controller.abort(new Error("enough"));
    await errorOf(response.text());
    expect(hooks.names).toEqual(["start", "request 1", "response 1", "start", "request 1", "error 1"]);
  });

  test("has an error event for a status that Response does not allow, and releases the connection", async () => {
    const { hooks, client } = await open(({ response }) => response.writeHead(999).end("odd"), {
      maxConnectionCount: 1,
    });
    for (let i = 0; i < 2; i++) await errorOf(client.fetch("/"));
    expect(hooks.names).toEqual(["start", "request 1", "error 1", "start", "request 1", "error 1"]);
    expect(hooks.errors[0]?.status).toBe(999);
  });

  test("has no token in its events", async () => {
    const { hooks, client } = await open(({ request, response }) => {
      response.setHeader("x-echo", `${request.headers.authorization}`);
      response.end();
    });
    await (await client.fetch("/")).text();
    expect(hooks.responses[0]?.headers.get("x-echo")).toBe("***");
    expect(hooks.text).not.toContain(TOKEN);
  });
});
