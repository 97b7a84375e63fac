import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  type CallHooks,
  type CallRequestEvent,
  EasHttpError,
  EasNetworkError,
  PredictClient,
  type PredictClientOptions,
  type PredictRequest,
  QueueClient,
} from "../../../src/index.js";
import {
  clientOf,
  errorOf,
  RecordingTransport,
  startServer,
  TOKEN,
  thrownBy,
  transportAnswer,
  turn,
  until,
} from "../../support/calls.js";
import { directClientOf, startInstances } from "../../support/direct.js";
import {
  answer,
  answerWhen,
  refusedOrigin,
  resetBeforeHeaders,
  stallBeforeHeaders,
  stallInBody,
} from "../../support/misbehaving-server.js";
import { openEmulatorQueue } from "../../support/queues.js";
import { RecordedHooks } from "../../support/recorded-hooks.js";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** A server, a client and the events that its hooks received. */
async function open(options: PredictClientOptions = {}) {
  const server = await startServer();
  const hooks = new RecordedHooks();
  return { server, hooks, client: clientOf(server, { hooks, ...options }) };
}

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** A promise that the test resolves. */
function handle() {
  let resolve!: () => void;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/** Makes the jitter, and therefore the backoff, 0. */
const withoutBackoff = () => void vi.spyOn(Math, "random").mockReturnValue(0);

describe("a call", () => {
  test("has a start, a request and a response event of the same call", async () => {
    const { server, hooks, client } = await open();
    server.play(answer(200, { "X-Own": "1" }, "answer"));
    const before = Date.now();
    await client.predict("hello");
    expect(hooks.names).toEqual(["start", "request 1", "response 1"]);
    hooks.expectWhole();
    const [call] = hooks.calls;
    expect(call).toMatchObject({ kind: "predict", method: "POST", path: "/api/predict/svc" });
    expect(call?.startedAt).toBeGreaterThanOrEqual(before);
    expect(call?.startedAt).toBeLessThanOrEqual(Date.now());
    const common = {
      call,
      method: "POST",
      url: `${server.origin}/api/predict/svc`,
      endpoint: server.origin,
      attempt: 1,
      requestBytes: 5,
    };
    expect(hooks.requests[0]).toMatchObject(common);
    expect(hooks.responses[0]).toMatchObject({ ...common, status: 200, responseBytes: 6 });
    expect(hooks.responses[0]?.headers.get("x-own")).toBe("1");
  });

  test("has a synchronous start event", async () => {
    const { hooks, client } = await open({ compression: "gzip", token: async () => TOKEN });
    const call = client.predict("hello");
    expect(hooks.names).toEqual(["start"]);
    await call;
    hooks.expectWhole();
  });

  test("has no query in its URL", async () => {
    const { hooks, client, server } = await open({ retryCount: 0 });
    server.play(answer(400, {}, "no"));
    await errorOf(client.predict("x", { path: "/v1/a?secret=1", query: { other: "secret2" } }));
    expect(server.requests[0]?.path).toContain("secret=1");
    expect(hooks.calls[0]?.path).toBe("/api/predict/svc/v1/a");
    expect(hooks.events.map(({ url }) => url)).toEqual(Array(2).fill(`${server.origin}/api/predict/svc/v1/a`));
    expect(hooks.text).not.toContain("secret");
  });

  test("has a request event for each attempt, and a retry event with error and delay", async () => {
    const { hooks, client, server } = await open();
    withoutBackoff();
    server.play(answer(503, {}, "busy"), resetBeforeHeaders, answer(429, { "Retry-After": "0" }), answer(200));
    await client.predict("x");
    expect(hooks.names).toEqual([
      "start",
      ...["request 1", "retry 1", "request 2", "retry 2", "request 3", "retry 3"],
      ...["request 4", "response 4"],
    ]);
    hooks.expectWhole();
    expect(hooks.retries.map(({ status }) => status)).toEqual([503, undefined, 429]);
    expect(hooks.retries.map(({ delay }) => delay)).toEqual([0, 0, 0]);
    expect(hooks.retries.map(({ error }) => error.constructor)).toEqual([EasHttpError, EasNetworkError, EasHttpError]);
  });

  test("has the delay that the service requested", async () => {
    withoutBackoff();
    const { hooks, client, server } = await open();
    server.always(answer(429, { "Retry-After": "30" }));
    const controller = new AbortController();
    const call = errorOf(client.predict("x", { signal: controller.signal }));
    await until(() => hooks.retries.length === 1);
    expect(hooks.retries[0]).toMatchObject({ delay: 30_000, status: 429, attempt: 1 });
    controller.abort("enough");
    await call;
  });

  test("has an error event without a connection", async () => {
    withoutBackoff();
    const hooks = new RecordedHooks();
    const client = clientOf({ origin: await refusedOrigin() }, { hooks, retryCount: 1 });
    const error = await errorOf(client.predict("x"));
    expect(hooks.names).toEqual(["start", "request 1", "retry 1", "request 2", "error 2"]);
    expect(hooks.errors[0]?.error).toBe(error);
    expect(hooks.errors[0]?.status).toBeUndefined();
  });

  test("has an error event with the status and the error of the promise", async () => {
    const { hooks, client, server } = await open();
    server.play(answer(401, {}, "no"));
    const error = await errorOf(client.predict("x"));
    expect(hooks.names).toEqual(["start", "request 1", "error 1"]);
    expect(hooks.errors[0]?.error).toBe(error);
    expect(hooks.errors[0]?.status).toBe(401);
  });

  test("has an error event with the status if the response cannot be decoded", async () => {
    const { hooks, client, server } = await open();
    const request: PredictRequest<never> = {
      toBinary: () => new Uint8Array(3),
      parseResponse: () => {
        throw new SyntaxError("not mine");
      },
    };
    expect((await errorOf(client.predict(request))).message).toBe("not mine");
    server.play(answer(200, { "Content-Encoding": "gzip" }, "no gzip"));
    await errorOf(client.predict("x"));
    expect(hooks.names).toEqual(["start", "request 1", "error 1", "start", "request 1", "error 1"]);
    hooks.expectWhole();
    expect(hooks.errors.map(({ status }) => status)).toEqual([200, 200]);
  });

  test("has an error event if the token function fails", async () => {
    const { hooks, client } = await open({
      token: () => {
        throw new Error("no token today");
      },
    });
    const error = await errorOf(client.predict("x"));
    expect(hooks.names).toEqual(["start", "error 0"]);
    expect(hooks.errors[0]).toMatchObject({ error, attempt: 0, requestBytes: 0, status: undefined });
  });

  test("with invalid options has no events", async () => {
    const { hooks, client } = await open();
    await errorOf(client.predict("x", { timeout: -1 }));
    await errorOf(client.predict(7 as never));
    await errorOf(client.stream("x", { idleTimeout: 0 }));
    await errorOf(client.fetch("https://elsewhere.example/"));
    await client.close();
    await errorOf(client.predict("x"));
    expect(hooks.all).toEqual([]);
  });

  test("has events with service() and diagnose()", async () => {
    const { hooks, client } = await open();
    await client.service("other").predict("x");
    await client.diagnose();
    expect(hooks.calls.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "POST /api/predict/other",
      "GET /api/predict/svc",
    ]);
    hooks.expectWhole();
  });
});

describe("an aborted call", () => {
  const aborted = (): AbortSignal => AbortSignal.abort("before");

  test("before its start", async () => {
    const { hooks, client, server } = await open();
    await errorOf(client.predict("x", { signal: aborted() }));
    await errorOf(client.stream("x", { signal: aborted() }));
    expect(hooks.names).toEqual(["start", "error 0", "start", "error 0"]);
    expect(hooks.errors.map(({ error }) => error)).toEqual(["before", "before"]);
    expect(server.requests).toHaveLength(0);
  });

  test("by its own hook", async () => {
    for (const name of ["start", "request"] as const) {
      const controller = new AbortController();
      const told = new RecordedHooks();
      const abort = { [name]: () => controller.abort("by the hook") };
      const { client, server } = await open({ hooks: [told, abort] });
      expect(await errorOf(client.predict("x", { signal: controller.signal }))).toBe("by the hook");
      expect(told.names).toEqual(name === "start" ? ["start", "error 0"] : ["start", "request 1", "error 1"]);
      expect(server.requests).toHaveLength(0);
    }
  });

  test("while it waits for a connection", async () => {
    const { hooks, client, server } = await open({ maxConnectionCount: 1 });
    const first = handle();
    server.play(answerWhen(first.promise, 200));
    const call = client.predict("first");
    await server.seen();
    const controller = new AbortController();
    const second = errorOf(client.predict("second", { signal: controller.signal }));
    await turn();
    controller.abort("in the queue");
    await second;
    expect(hooks.names).toEqual(["start", "request 1", "start", "error 0"]);
    first.resolve();
    await call;
    hooks.expectWhole();
  });

  test("while it waits for its token", async () => {
    const { hooks, client } = await open({ token: () => new Promise(() => {}) });
    const controller = new AbortController();
    const call = errorOf(client.predict("x", { signal: controller.signal }));
    await turn();
    controller.abort("for the token");
    await call;
    expect(hooks.names).toEqual(["start", "error 0"]);
  });

  test.each([
    ["before the head of its answer", stallBeforeHeaders],
    ["in its answer", stallInBody],
  ])("%s", async (_, behaviour) => {
    const { hooks, client, server } = await open();
    server.always(behaviour);
    const controller = new AbortController();
    const call = errorOf(client.predict("x", { signal: controller.signal }));
    await server.seen();
    await turn();
    controller.abort("in the attempt");
    await call;
    expect(hooks.names).toEqual(["start", "request 1", "error 1"]);
    expect(hooks.errors[0]?.error).toBe("in the attempt");
  });

  test("between two attempts", async () => {
    const { hooks, client, server } = await open();
    server.always(answer(429, { "Retry-After": "30" }));
    const controller = new AbortController();
    const call = errorOf(client.predict("x", { signal: controller.signal }));
    await until(() => hooks.retries.length > 0);
    controller.abort("in the wait");
    await call;
    expect(hooks.names).toEqual(["start", "request 1", "retry 1", "error 1"]);
    // It is still that of the last attempt.
    expect(hooks.errors[0]?.timings.queued).toBe(hooks.requests[0]?.timings.queued);
  });

  test("by totalTimeout", async () => {
    const { hooks, client, server } = await open({ totalTimeout: 40 });
    server.always(stallBeforeHeaders);
    await errorOf(client.predict("x"));
    expect(hooks.names).toEqual(["start", "request 1", "error 1"]);
  });
});

describe("timings and sizes", () => {
  test("counts the wait for a connection as queued, not as first byte", async () => {
    const { hooks, client, server } = await open({ maxConnectionCount: 1 });
    const first = handle();
    server.play(answerWhen(first.promise, 200, "1"));
    const calls = [client.predict("first"), client.predict("second")];
    await server.seen();
    const heldFrom = performance.now();
    await turn();
    const held = performance.now() - heldFrom;
    first.resolve();
    await Promise.all(calls);
    const [one, two] = hooks.responses as [RecordedHooks["responses"][0], RecordedHooks["responses"][0]];
    expect(two.timings.queued).toBeGreaterThan(held);
    expect(two.timings.queued).toBeGreaterThan(one.timings.queued);
    for (const { timings } of [one, two]) {
      expect(timings.firstByte).toBeGreaterThan(0);
      expect(timings.queued + (timings.firstByte as number)).toBeLessThanOrEqual(timings.total);
    }
    expect(hooks.requests.every(({ timings }) => timings.firstByte === undefined)).toBe(true);
  });

  test("does not count the delay of a retry as queued, and has the first byte of the last attempt", async () => {
    vi.useFakeTimers();
    vi.spyOn(Math, "random").mockReturnValue(0.5);
    const hooks = new RecordedHooks();
    const transport = new RecordingTransport(async (request, count) => {
      await sleep(10 * count);
      request.phase = "body";
      await sleep(1000);
      return transportAnswer(count === 1 ? 503 : 200);
    });
    const call = clientOf({ origin: "http://127.0.0.1:9" }, { transport, hooks }).predict("x");
    await vi.advanceTimersByTimeAsync(3000);
    await call;
    const timings = [hooks.requests, hooks.retries, hooks.responses].flatMap((events) => events.map((e) => e.timings));
    expect(timings).toEqual([
      { queued: 0, firstByte: undefined, total: 0 },
      { queued: 0, firstByte: undefined, total: 1010 + 25 },
      { queued: 0, firstByte: 10, total: 1010 },
      { queued: 0, firstByte: 20, total: 1010 + 25 + 1020 },
    ]);
    expect(hooks.retries[0]?.delay).toBe(25);
  });

  test("has no first byte for a transport that does not report it", async () => {
    const hooks = new RecordedHooks();
    await clientOf({ origin: "http://127.0.0.1:9" }, { transport: new RecordingTransport(), hooks }).predict("x");
    expect(hooks.responses[0]?.timings.firstByte).toBeUndefined();
  });

  test("has sizes on the wire", async () => {
    const { hooks, client, server } = await open({ compression: "gzip" });
    const text = "a".repeat(1000);
    const packed = gzipSync("b".repeat(500));
    server.play(answer(200, { "Content-Encoding": "gzip" }, packed));
    expect(String(await client.predict(text))).toBe("b".repeat(500));
    const sent = server.requests[0]?.body.length;
    expect(sent).toBeLessThan(100);
    expect(hooks.requests[0]?.requestBytes).toBe(sent);
    expect(hooks.responses[0]).toMatchObject({ requestBytes: sent, responseBytes: packed.length });
  });
});

describe("the token", () => {
  const echo = ({ rawHeaders, body }: { rawHeaders: readonly (readonly [string, string])[]; body: Buffer }) =>
    `${JSON.stringify(rawHeaders)} ${body}`;

  test.each(["token", "bearer", "signature"] as const)("is in no event: %s", async (auth) => {
    withoutBackoff();
    const logged: string[] = [];
    const log = (message: string) => void logged.push(message);
    const { hooks, client, server } = await open({ auth, logger: { debug: log, warn: log, error: log } });
    const echoing = (status: number) =>
      answer(status, () => ({ "X-Echo": `got ${TOKEN}`, [`X-${TOKEN}`]: "1" }), echo as never);
    server.play(echoing(503), echoing(200), echoing(401));
    await client.predict(`with ${TOKEN}`);
    await errorOf(client.predict(`with ${TOKEN}`));
    expect(hooks.names).toContain("retry 1");
    expect(hooks.text).not.toContain(TOKEN);
    expect(hooks.text).toContain("***");
    expect(logged).toHaveLength(3);
    expect(logged.join()).not.toContain(TOKEN);
  });

  test("is in no event of a stream", async () => {
    const { hooks, client, server } = await open();
    server.always(answer(200, { "X-Echo": TOKEN }, TOKEN));
    await (await client.stream("x")).bytes();
    await (await client.fetch("/")).text();
    expect(hooks.responses).toHaveLength(2);
    expect(hooks.text).not.toContain(TOKEN);
  });
});

describe("setHeader", () => {
  const setting = (name: unknown, value: unknown) => (event: CallRequestEvent) =>
    event.setHeader(name as string, value as string);

  test("adds a header to this attempt", async () => {
    withoutBackoff();
    const { server, client } = await open({
      headers: { "X-Own": "own", "X-Both": "caller" },
      hooks: [
        { request: (event) => event.setHeader("Traceparent", `attempt-${event.attempt}`) },
        { request: (event) => event.attempt === 2 && event.setHeader("x-both", "hook") },
      ],
    });
    server.play(answer(503), answer(200));
    await client.predict("x");
    const seen = server.requests.map(({ headers }) => [headers.traceparent, headers["x-both"], headers["x-own"]]);
    expect(seen).toEqual([
      ["attempt-1", "caller", "own"],
      ["attempt-2", "hook", "own"],
    ]);
    expect(server.requests[1]?.rawHeaders.filter(([name]) => name.toLowerCase() === "x-both")).toHaveLength(1);
  });

  test.each([
    ["authorization", "other"],
    ["Authorization", "other"],
    ["date", "now"],
    ["content-md5", "x"],
    ["content-type", "text/html"],
    ["content-encoding", "gzip"],
    ["content-length", "3"],
    ["transfer-encoding", "chunked"],
    ["connection", "close"],
    ["x-bad", "a\r\nb: c"],
    ["x-bad", "漢"],
    ["x-bad", 7],
    ["x bad", "a"],
    ["", "a"],
    [undefined, "a"],
    ["__proto__", "a\n"],
  ])("refuses %s: %s, and the call continues", async (name, value) => {
    const warnings: string[] = [];
    const logger = { debug: () => {}, warn: (text: string) => void warnings.push(text), error: () => {} };
    let thrown: unknown;
    const request = (event: CallRequestEvent) => {
      try {
        setting(name, value)(event);
      } catch (error) {
        thrown = error;
        throw error;
      }
    };
    const { server, client } = await open({ hooks: { request }, auth: "signature", logger });
    await client.predict("x");
    expect(thrown).toBeInstanceOf(TypeError);
    expect(thrown).toMatchObject({ code: "ERR_EAS_ARG_HEADER" });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/^eas-prediction: the hook "request" failed: header /);
    const { headers, body } = server.requests[0] as (typeof server.requests)[0];
    expect(`${body}`).toBe("x");
    expect(headers.authorization).not.toContain("other");
    expect(headers["x-bad"]).toBeUndefined();
    expect(Object.keys(headers)).not.toContain("b");
  });

  test("throws after the hook has returned", async () => {
    const late: unknown[] = [];
    const request = async (event: CallRequestEvent) => {
      await null;
      try {
        event.setHeader("x-late", "1");
      } catch (error) {
        late.push(error);
      }
    };
    const { server, client } = await open({ hooks: { request } });
    await client.predict("x");
    expect(server.requests[0]?.headers["x-late"]).toBeUndefined();
    expect(String(late[0])).toMatch(/x-late cannot be set by a hook: the request was already sent/);
  });

  test("does not affect the next attempt or call", async () => {
    let count = 0;
    const { server, client } = await open({
      hooks: { request: (event) => count++ === 0 && event.setHeader("x-once", "1") },
    });
    await client.predict("x");
    await client.predict("x");
    expect(server.requests.map(({ headers }) => headers["x-once"])).toEqual(["1", undefined]);
  });
});

describe("a hook that fails", () => {
  const HOOKS = ["start", "request", "response", "retry", "error"] as const;
  const ways: [string, () => unknown][] = [
    [
      "throws",
      () => {
        throw new Error("hook\nbroken");
      },
    ],
    ["rejects", () => Promise.reject(new Error("hook\nbroken"))],
    [
      "gives a thenable that rejects",
      // biome-ignore lint/suspicious/noThenProperty: that is what it is about.
      () => ({ then: (_: unknown, no: (e: Error) => void) => no(new Error("hook\nbroken")) }),
    ],
  ];

  test.each(ways)("does not affect the call when it %s, and the logger receives a warning", async (_, fail) => {
    withoutBackoff();
    const warnings: string[] = [];
    const told = new RecordedHooks();
    const failing = Object.fromEntries(HOOKS.map((name) => [name, fail])) as CallHooks;
    const { server, client } = await open({
      hooks: [failing, told],
      logger: { debug: () => {}, error: () => {}, warn: (text) => void warnings.push(text) },
    });
    server.play(answer(503), answer(200, {}, "fine"), answer(400));
    expect(String(await client.predict("x"))).toBe("fine");
    await errorOf(client.predict("x"));
    await turn();
    told.expectWhole();
    expect(told.calls).toHaveLength(2);
    const failures = warnings.filter((text) => text.startsWith("eas-prediction:"));
    expect(failures.sort()).toEqual(
      ["error", "request", "request", "request", "response", "retry", "start", "start"].map(
        (name) => `eas-prediction: the hook "${name}" failed: hook broken`,
      ),
    );
  });

  test("does not affect the call without a logger, or with one that fails", async () => {
    const rejected = vi.fn();
    process.on("unhandledRejection", rejected);
    const broken = () => {
      throw new Error("logger broken");
    };
    for (const logger of [null, { debug: broken, warn: broken, error: broken }]) {
      for (const [, fail] of ways) {
        const { client } = await open({ hooks: { start: fail, request: fail, response: fail }, logger });
        expect(String(await client.predict("x"))).toBe("ok");
      }
    }
    await turn();
    process.off("unhandledRejection", rejected);
    expect(rejected).not.toHaveBeenCalled();
  });

  test("does not delay the call when it is slow", async () => {
    const never = () => new Promise(() => {});
    const { client } = await open({ hooks: { start: never, request: never, response: never } });
    expect(String(await client.predict("x"))).toBe("ok");
  });

  test("cannot change the caller's headers", async () => {
    const { client, server } = await open({
      token: undefined,
      hooks: { response: ({ headers }) => headers.set("x-own", "changed") },
    });
    server.play(answer(200, { "x-own": "original" }));
    expect((await client.predictDetailed("x")).headers.get("x-own")).toBe("original");
  });
});

describe("the option", () => {
  test("accepts one object or a list, copies it, and calls the hooks in order as methods", async () => {
    const heard: string[] = [];
    class Named implements CallHooks {
      readonly #name: string;
      constructor(name: string) {
        this.#name = name;
      }
      start(): void {
        heard.push(this.#name);
      }
    }
    const list = [new Named("first"), new Named("second")];
    const { client } = await open({ hooks: list });
    list.pop();
    await client.predict("x");
    expect(heard).toEqual(["first", "second"]);
  });

  test("an empty list and undefined receive no events", async () => {
    for (const hooks of [[], undefined]) {
      const { client } = await open({ hooks });
      expect(String(await client.predict("x"))).toBe("ok");
    }
  });

  test.each([
    ["null", null],
    ["a function", () => {}],
    ["a text", "console"],
    ["an object with other names", { onRequest() {} }],
    ["an object with nothing", {}],
    ["a list in a list", [[{ start() {} }]]],
    ["a list with nothing", [undefined]],
    ["a hook that is no function", { start: 1 }],
    ["a hook that is null", [{ start() {} }, { retry: null }]],
  ])("refuses %s", (_, hooks) => {
    const options = { hooks: hooks as never };
    for (const make of [() => new PredictClient(options), () => new QueueClient(options)]) {
      const error = thrownBy(make);
      expect(error).toBeInstanceOf(TypeError);
      expect(error.code).toBe("ERR_EAS_ARG_OPTION");
      expect(error.message).toMatch(/^hooks(\.start|\.retry)? is .*: it must be a/);
    }
  });
});

describe("logger", () => {
  test("receives one line for each response, retry and failure", async () => {
    withoutBackoff();
    const lines: string[] = [];
    const logger = Object.fromEntries(
      ["debug", "warn", "error"].map((level) => [level, (text: string) => void lines.push(`${level} ${text}`)]),
    ) as never;
    const { client, server } = await open({ logger, hooks: undefined });
    server.play(answer(503, {}, "busy\nforged line"), answer(200, {}, "12345"), answer(400, {}, "no\r\n\u001b[31mred"));
    await client.predict("x", { query: { secret: "1" } });
    await errorOf(client.predict("x"));
    const url = `POST ${server.origin}/api/predict/svc`;
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatch(`warn ${url} (attempt 1) failed, retrying in 0 ms: `);
    expect(lines[0]).toMatch(/Response: busy forged line$/);
    expect(lines[1]?.replace(/\d+ ms$/, "N ms")).toBe(`debug ${url} (attempt 2): 200, 5 bytes after N ms`);
    expect(lines[2]).toMatch(`error ${url} (attempt 1) failed: `);
    expect(lines[2]).toMatch(/Response: no \[31mred$/);
    expect(lines.join()).not.toContain("secret");
  });

  test("is silent by default, and with null", async () => {
    const said = (["debug", "log", "info", "warn", "error"] as const).map((name) => vi.spyOn(console, name));
    for (const logger of [undefined, null]) {
      const { client, server } = await open({ logger, hooks: undefined });
      server.play(answer(503), answer(200), answer(400));
      await client.predict("x");
      await errorOf(client.predict("x"));
    }
    for (const spy of said) expect(spy).not.toHaveBeenCalled();
  });

  test("may be the console", async () => {
    const spy = vi.spyOn(console, "debug").mockImplementation(() => {});
    const { client } = await open({ logger: console });
    await client.predict("x");
    expect(spy).toHaveBeenCalledOnce();
  });

  test.each([
    ["a text", "console"],
    ["a function", () => {}],
    ["only warn", { warn() {} }],
  ])("refuses %s", (_, logger) => {
    const error = thrownBy(() => new PredictClient({ logger: logger as never }));
    expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_OPTION" });
    expect(error.message).toMatch(/^logger is .*: it must be an object with debug\(\), warn\(\) and error\(\)/);
  });
});

describe("queues", () => {
  test("report each operation as a call of its kind", async () => {
    const hooks = new RecordedHooks();
    const { client } = await openEmulatorQueue({}, { hooks });
    await client.put("item", { tags: { secret: "1" } });
    await client.get({ timeout: 0 } as never);
    hooks.expectWhole();
    const calls = hooks.calls.map(({ kind, method, path }) => `${kind} ${method} ${path}`);
    expect(calls).toEqual([
      "put POST /api/predict/q",
      // The first put reads the limit on items of the queue.
      "other GET /api/predict/q",
      expect.stringMatching(/^(take|other) GET \/api\/predict\/q$/),
    ]);
    expect(hooks.text).not.toContain("secret");
    expect(hooks.responses.map(({ requestBytes }) => requestBytes)).toEqual([0, 4, 0]);
    expect(hooks.text).not.toContain(TOKEN);
  });

  test("report a watch over HTTP as one call", async () => {
    const hooks = new RecordedHooks();
    const { client, input } = await openEmulatorQueue({}, { hooks });
    input.put("watched");
    const watcher = client.watch(0, 10, { transport: "http" });
    for await (const frame of watcher) {
      expect(frame.text()).toBe("watched");
      break;
    }
    await watcher.close();
    hooks.expectWhole();
    const watched = hooks.responses.find(({ responseBytes, call }) => call.method === "GET" && responseBytes > 0);
    expect(watched?.status).toBe(200);
  });

  test("its logger receives warnings of hooks, but not calls", async () => {
    const warnings: string[] = [];
    const fail = () => {
      throw new Error("broken");
    };
    const options = { hooks: { response: fail }, logger: { warn: (text: string) => void warnings.push(text) } };
    const { client } = await openEmulatorQueue({}, options);
    await client.attributes();
    expect(warnings).toEqual(['eas-prediction: the hook "response" failed: broken']);
    client.setLogger(null);
    await client.attributes();
    expect(warnings).toHaveLength(1);
  });
});

describe("direct calls", () => {
  test("report the instance of each attempt", async () => {
    const hooks = new RecordedHooks();
    const emulator = await startInstances(2);
    await directClientOf(emulator, { hooks }).predict("x");
    hooks.expectWhole();
    expect(emulator.instances.map(({ origin }) => origin)).toContain(hooks.responses[0]?.endpoint);
    expect(hooks.responses[0]?.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/api\/predict\/echo$/);
  });

  test("without an instance have an error event before the first attempt", async () => {
    const hooks = new RecordedHooks();
    const client = directClientOf({ endpoint: "" }, { endpointSource: () => [], hooks, totalTimeout: 30 });
    await errorOf(client.predict("x"));
    expect(hooks.names).toEqual(["start", "error 0"]);
    expect(hooks.errors[0]?.endpoint).toBe("(any instance)");
  });

  /** A hedged client. The test responds to its requests. */
  function hedged(options = {}) {
    const hooks = new RecordedHooks();
    const held: { answer(response: never): void; fail(error: Error): void; signal: AbortSignal }[] = [];
    const transport = new RecordingTransport(
      (request) =>
        new Promise((resolve, reject) => {
          const { signal } = request;
          signal.addEventListener("abort", () => reject(signal.reason));
          held.push({ answer: resolve, fail: reject, signal });
        }),
    );
    const instances = [1, 2, 3].map((port) => ({ host: "host", port }));
    const client = directClientOf(
      { endpoint: "" },
      { transport, endpointSource: () => instances, hedgeAfter: 1, hooks, retryCount: 0, ...options },
    );
    return { hooks, held, client };
  }
  const ok = { status: 200, headers: new Headers(), body: new Uint8Array(2), contentEncoding: undefined } as never;

  test.each([0, 1])("hedged: one call with two attempts and the response of attempt %i", async (winner) => {
    const { hooks, held, client } = hedged();
    const call = client.predict("x");
    expect(hooks.names).toEqual(["start"]);
    await until(() => held.length === 2);
    held[winner]?.answer(ok);
    await call;
    await turn();
    expect(hooks.names).toEqual(["start", "request 1", "request 2", `response ${winner + 1}`]);
    expect(hooks.responses[0]?.endpoint).toBe(hooks.requests[winner]?.endpoint);
    expect(hooks.requests[0]?.endpoint).not.toBe(hooks.requests[1]?.endpoint);
    hooks.expectWhole();
  });

  test("hedged: one error event, with the error of the promise, after both failed", async () => {
    const { hooks, held, client } = hedged();
    const call = errorOf(client.predict("x"));
    await until(() => held.length === 2);
    held[0]?.fail(new Error("first"));
    await turn();
    expect(hooks.errors).toHaveLength(0);
    held[1]?.fail(new Error("second"));
    const error = await call;
    expect(hooks.names).toEqual(["start", "request 1", "request 2", "error 1"]);
    expect(hooks.errors[0]?.error).toBe(error);
    hooks.expectWhole();
  });

  test("hedged: aborted while both are in flight", async () => {
    const { hooks, held, client } = hedged();
    const controller = new AbortController();
    const call = errorOf(client.predict("x", { signal: controller.signal }));
    await until(() => held.length === 2);
    controller.abort("enough");
    await call;
    await turn();
    expect(hooks.names).toEqual(["start", "request 1", "request 2", expect.stringMatching(/^error [12]$/)]);
    hooks.expectWhole();
  });

  test("hedged: aborted before its start", async () => {
    const { hooks, client } = hedged();
    await errorOf(client.predict("x", { signal: AbortSignal.abort("before") }));
    expect(hooks.names).toEqual(["start", "error 0"]);
  });

  test("hedged: a retry of the first during the second", async () => {
    withoutBackoff();
    const { hooks, held, client } = hedged({ retryCount: 3 });
    const call = client.predict("x");
    await until(() => held.length === 2);
    held[0]?.fail(new Error("first"));
    await until(() => held.length === 3);
    held[2]?.answer(ok);
    await call;
    expect(hooks.names).toEqual(["start", "request 1", "request 2", "retry 1", "request 3", "response 3"]);
    hooks.expectWhole();
  });
});
