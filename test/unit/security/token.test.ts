import { inspect } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { startEmulator } from "../../../src/emulator/index.js";
import {
  AsyncInferenceClient,
  fetchTransport,
  PredictClient,
  QueueClient,
  type Transport,
} from "../../../src/index.js";
import { nodeTransport } from "../../../src/node.js";
import { errorOf, startServer, TOKEN, thrownBy, transportAnswer } from "../../support/calls.js";
import { answer, type SeenRequest } from "../../support/misbehaving-server.js";
import { eventually, fakeClient, Told, watchWith } from "../../support/queue-watch.js";
import { callsOf } from "../../support/queues.js";

// The token does not occur in anything that is inspected, logged, stored or thrown. For errors of calls see
// errors.test.ts.

const WAYS: Readonly<Record<string, (value: unknown) => string>> = {
  inspect: (value) =>
    inspect(value, {
      depth: Number.POSITIVE_INFINITY,
      showHidden: true,
      getters: true,
      maxArrayLength: null,
      maxStringLength: null,
    }),
  "JSON.stringify": (value) =>
    JSON.stringify(value, (_, each: unknown) => (typeof each === "bigint" ? `${each}` : each)) ?? "",
  // Objects without a prototype cannot be converted to a string.
  String: (value) => (Object.getPrototypeOf(value) === null ? "" : String(value)),
  "structuredClone, or why it fails": (value) => {
    try {
      return inspect(structuredClone(value), { depth: Number.POSITIVE_INFINITY });
    } catch (error) {
      return inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true });
    }
  },
  "its own properties": (value) => inspect(Object.getOwnPropertyDescriptors(value), { depth: 6, showHidden: true }),
  "spread into another object": (value) => inspect({ ...(value as object) }, { depth: 6 }),
};

/** Prints `value` in all ways and checks that the token does not occur, also as bytes in the notation of `inspect`. */
function expectNoToken(value: unknown): void {
  const forms = [TOKEN, [...Buffer.from(TOKEN)].join(", "), Buffer.from(TOKEN).toString("hex").match(/../g)?.join(" ")];
  for (const [name, show] of Object.entries(WAYS)) {
    const text = show(value);
    for (const form of forms) {
      const at = text.indexOf(form as string);
      expect(at === -1 ? "" : `${name}: ${text.slice(Math.max(0, at - 100), at + 60)}`).toBe("");
    }
  }
}

/** A service and a queue that accept the token and do not echo it. */
async function open() {
  const emulator = await startEmulator({
    token: TOKEN,
    services: { svc: { handle: () => new Response("ok") } } as never,
    queues: { q: {} },
  });
  onTestFinished(() => emulator.close());
  return emulator;
}

describe.each([
  ["a text", TOKEN],
  ["a function", async () => TOKEN],
] as const)("a token that is %s", (_, token) => {
  test("is hidden in PredictClient, before and after successful and failed calls", async () => {
    const server = await startServer();
    server.play(
      answer(200, {}, "ok"),
      answer(400, {}, (request) => request.headers.authorization as string),
    );
    for (const auth of ["token", "bearer", "signature"] as const) {
      const client = new PredictClient({ endpoint: server.origin, serviceName: "svc", token, auth });
      onTestFinished(() => client.close());
      expectNoToken(client);
      await client.predict("x");
      await client.predict("x").catch(() => {});
      expectNoToken(client);
      expectNoToken(client.service("other"));
      expectNoToken(await client.predictDetailed("x"));
      expectNoToken(await client.diagnose());
    }
  });

  test("is hidden in QueueClient, its frames and its watcher", async () => {
    const { endpoint } = await open();
    const warnings: string[] = [];
    const client = new QueueClient({
      endpoint,
      queueName: "q",
      token,
      logger: { warn: (text) => void warnings.push(text) },
    });
    onTestFinished(() => client.close());
    expectNoToken(client);
    await client.put("data", { tags: { a: "b" } });
    const [got] = await client.get({ autoDelete: false });
    expectNoToken(got);
    expectNoToken(await client.attributes());
    for (const transport of ["websocket", "http", "poll"] as const) {
      const { watcher, frames, told } = watchWith(client, 0, 1, { transport });
      await eventually(() => expect(frames).toHaveLength(1));
      expectNoToken(watcher);
      expectNoToken(frames);
      await watcher.close();
      expectNoToken(watcher);
      expectNoToken(told.statuses);
    }
    expectNoToken(client);
    expectNoToken(warnings);
  });

  test("is hidden in AsyncInferenceClient and its jobs, also stored jobs", async () => {
    const { endpoint } = await open();
    const client = new AsyncInferenceClient({ endpoint, serviceName: "q", token, logger: null });
    onTestFinished(() => client.close());
    const job = await client.submit("data");
    expectNoToken(client);
    expectNoToken(job);
    expect(Object.keys(job.toJSON()).sort()).toEqual(["index", "requestId", "service", "tag"]);
    expectNoToken(client.resume(JSON.parse(JSON.stringify(job))));
  });

  test("is hidden in transports, which receive it in each request", async () => {
    const server = await startServer();
    for (const transport of [nodeTransport(), fetchTransport()]) {
      const client = new PredictClient({ endpoint: server.origin, serviceName: "svc", token, transport });
      await client.predict("x");
      expectNoToken(transport);
      await client.close();
      await transport.close();
      expectNoToken(transport);
    }
  });
});

describe("token that a server echoes", () => {
  const echo = (request: SeenRequest) => request.headers.authorization as string;

  test("is redacted in the close reason of a WebSocket", async () => {
    const told = new Told();
    const { client, dialer } = fakeClient({ logger: told.logger });
    const { done, errors } = watchWith(client, 0, 1, { onStatus: told.onStatus });
    for (const [i, code] of [1011, 1006, 1008, 4000, 1000].entries()) {
      await eventually(() => expect(dialer.sockets).toHaveLength(i + 1));
      dialer.last.connection.end({ code, reason: `you sent ${TOKEN}` });
    }
    await eventually(() => expect(told.statuses.length).toBeGreaterThan(5));
    await client.close();
    await done;
    expectNoToken(told.statuses);
    expectNoToken(told.warnings);
    expectNoToken(errors);
    // The rest of the reason stays.
    expect(inspect(told.statuses, { depth: 6 })).toContain("you sent ***");
  });

  test("is redacted at the end of the kept part of a stream's error, also across chunks", async () => {
    const pieces = ["x".repeat(65_536 - 12) + TOKEN.slice(0, 12), TOKEN.slice(12), "x".repeat(100)];
    const transport: Transport = {
      send: async () => transportAnswer(200, {}, "{}"),
      stream: async () => ({
        status: 400,
        headers: new Headers(),
        contentEncoding: undefined,
        read: async () => (pieces.length === 0 ? undefined : new TextEncoder().encode(pieces.shift())),
        cancel: () => {},
      }),
      close: async () => {},
    };
    const client = new QueueClient({ endpoint: "http://h", queueName: "q", token: TOKEN, transport, logger: null });
    const { done, errors } = watchWith(client, 0, 1, { transport: "http" });
    await done;
    const { body } = errors[0] as { body: Uint8Array };
    expect(body).toHaveLength(65_536);
    expect(new TextDecoder().decode(body.slice(-12))).toBe("*".repeat(12));
    expectNoToken(errors);
  });

  test("is redacted in the status line, header names, trailers and interim responses", async () => {
    const server = await startServer();
    const lines = [
      `HTTP/1.1 400 ${TOKEN}\r\nContent-Length: 0\r\n\r\n`,
      `HTTP/1.1 400 Bad\r\n${TOKEN}: x\r\nX-${TOKEN}: x\r\nContent-Length: 0\r\n\r\n`,
      `HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Echo: ${TOKEN}\r\n\r\n`,
      `HTTP/1.1 103 Early Hints\r\nX-Echo: ${TOKEN}\r\n\r\nHTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n`,
    ];
    for (const line of lines) {
      server.always({ on: "request", run: (socket) => void socket.write(line) });
      const client = new PredictClient({ endpoint: server.origin, serviceName: "svc", token: TOKEN, retryCount: 0 });
      onTestFinished(() => client.close());
      expectNoToken(await errorOf(client.predict("x")));
    }
  });

  test("is redacted in errors of all calls of a queue", async () => {
    const server = await startServer();
    server.always(answer(400, (request) => ({ "X-Echo": echo(request) }), echo));
    const client = new QueueClient({ endpoint: server.origin, queueName: "q", token: TOKEN, logger: null });
    onTestFinished(() => client.close());
    for (const call of callsOf(client)) expectNoToken(await errorOf(call()));
  });
});

describe("token in a refused argument", () => {
  test("is hidden if it has the wrong type", () => {
    for (const token of [{ secret: TOKEN }, [TOKEN], `${TOKEN}\r\nX-Injected: 1`, `${TOKEN}密`]) {
      expectNoToken(
        thrownBy(() => {
          const client = new PredictClient({ endpoint: "h", serviceName: "svc", token: token as never, auth: "token" });
          void client.predict("x").catch(() => {});
          throw new Error("taken");
        }),
      );
    }
  });

  test("is hidden in an endpoint, as a password and in a query", () => {
    for (const endpoint of [`http://u:${TOKEN}@h`, `${TOKEN}@h`, `http://h/?token=${TOKEN}`, `http://h/#${TOKEN}`]) {
      expectNoToken(thrownBy(() => new PredictClient({ endpoint, serviceName: "svc" })));
    }
    expectNoToken(thrownBy(() => new PredictClient({ customUrl: `http://h/x?token=${TOKEN}#y` })));
  });

  test("is hidden in the value of a header", () => {
    expectNoToken(
      thrownBy(() => new PredictClient({ headers: { authorization: `${TOKEN}\n` }, endpoint: "h", serviceName: "s" })),
    );
  });
});
