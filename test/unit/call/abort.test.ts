import { getEventListeners } from "node:events";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { CallOptions, PredictClient, PredictClientOptions } from "../../../src/index.js";
import {
  clientOf,
  errorOf,
  RecordingTransport,
  startServer,
  transportAnswer,
  turn,
  until,
  watch,
} from "../../support/calls.js";
import {
  answer,
  answerWhen,
  drip,
  type MisbehavingServer,
  refusedOrigin,
  resetBeforeHeaders,
  stallBeforeHeaders,
  stallInBody,
} from "../../support/misbehaving-server.js";

afterEach(() => {
  vi.restoreAllMocks();
});

const never = <T>(): Promise<T> => new Promise<T>(() => {});
const listeners = (signal: AbortSignal): number => getEventListeners(signal, "abort").length;

/** Aborts and expects that the promise rejects with the same reason within one turn of the event loop. */
async function expectRejectedAtOnce(promise: Promise<unknown>, controller: AbortController): Promise<void> {
  const reason = new Error("the caller's own reason");
  const watched = watch(promise);
  await turn();
  expect(watched.state).toBe("pending");
  controller.abort(reason);
  await turn();
  expect(watched.state).toBe("rejected");
  expect(watched.value).toBe(reason);
  expect(listeners(controller.signal)).toBe(0);
}

describe("a signal that is already aborted", () => {
  test.each([
    ["an error", new Error("mine")],
    ["a string", "mine"],
    ["null", null],
    ["the default", undefined],
  ])("%s: sends nothing and rejects with the signal's reason", async (_, reason) => {
    const server = await startServer();
    const controller = new AbortController();
    controller.abort(reason);
    const token = vi.fn(() => "t");
    const watched = watch(clientOf(server, { token }).predict("x", { signal: controller.signal }));
    await turn();
    expect(watched.state).toBe("rejected");
    expect(watched.value).toBe(controller.signal.reason);
    if (reason === undefined) expect((watched.value as DOMException).name).toBe("AbortError");
    expect(listeners(controller.signal)).toBe(0);
    expect(token).not.toHaveBeenCalled();
    expect(server.connections).toBe(0);
  });

  test("predictDetailed rejects in the same way", async () => {
    const server = await startServer();
    const signal = AbortSignal.abort("gone");
    const watched = watch(clientOf(server).predictDetailed("x", { signal }));
    await turn();
    expect(watched).toEqual({ state: "rejected", value: "gone" });
    expect(server.connections).toBe(0);
  });

  test("does not compress the body", async () => {
    const compress = vi.fn((bytes: Uint8Array) => bytes as Uint8Array<ArrayBuffer>);
    const client = clientOf(await startServer(), { compression: { name: "own", compress } });
    const watched = watch(client.predict("x", { signal: AbortSignal.abort("gone") }));
    await turn();
    expect(watched.value).toBe("gone");
    expect(compress).not.toHaveBeenCalled();
  });
});

describe("abort ends every wait within one turn", () => {
  type Start = (
    client: (options?: PredictClientOptions) => PredictClient,
    call: CallOptions,
    server: MisbehavingServer,
  ) => Promise<Promise<unknown>[]>;
  // Each function starts a call and resolves when it waits. The last element of its result is the call.
  const waits: [string, Start][] = [
    [
      "for the headers",
      async (client, call, server) => {
        server.always(stallBeforeHeaders);
        const result = client().predict("x", call);
        await server.seen();
        return [result];
      },
    ],
    [
      "for the rest of the body",
      async (client, call, server) => {
        server.always(stallInBody);
        const result = client().predict("x", call);
        await server.seen();
        // A second answer on another connection: by then the first one's headers have long been read.
        server.always(answer(200));
        await client().predict("y");
        return [result];
      },
    ],
    [
      "for the backoff",
      async (client, call, server) => {
        vi.spyOn(Math, "random").mockReturnValue(1);
        const timers = vi.spyOn(globalThis, "setTimeout");
        server.always(answer(503));
        const result = client().predict("x", { ...call, totalTimeout: 100_000_000 });
        await until(() => timers.mock.calls.some(([, delay]) => delay === 50));
        return [result];
      },
    ],
    [
      "for Retry-After",
      async (client, call, server) => {
        vi.spyOn(Math, "random").mockReturnValue(0);
        const timers = vi.spyOn(globalThis, "setTimeout");
        server.always(answer(429, { "Retry-After": "30" }));
        const result = client().predict("x", call);
        await until(() => timers.mock.calls.some(([, delay]) => delay === 30_000));
        return [result];
      },
    ],
    [
      "for a slot of the limiter",
      async (client, call, server) => {
        server.always(stallBeforeHeaders);
        const one = client({ maxConnectionCount: 1 });
        const first = one.predict("x");
        first.catch(() => {});
        await server.seen();
        return [first, one.predict("y", call)];
      },
    ],
    ["for the token function", async (client, call) => [client({ token: () => never() }).predict("x", call)]],
    [
      "for the token function before a retry",
      async (client, call, server) => {
        server.always(answer(503, { "Retry-After": "0" }));
        let asked = 0;
        const token = () => (++asked === 1 ? "t" : never<string>());
        const result = client({ token }).predict("x", call);
        await until(() => asked === 2);
        return [result];
      },
    ],
    [
      "for a transport that does not listen to the signal",
      async (client, call) => [client({ transport: new RecordingTransport(() => never()) }).predict("x", call)],
    ],
    [
      "for a content coding to be undone",
      async (client, call) => {
        const transport = new RecordingTransport(() => transportAnswer(200, { "content-encoding": "gzip" }, "x"));
        const { platform } = await import("../../../src/platform/node/platform.js");
        const inflate = vi.spyOn(platform, "inflate").mockReturnValue(never());
        const result = client({ transport }).predict("x", call);
        await until(() => inflate.mock.calls.length > 0);
        return [result];
      },
    ],
    [
      "for the content coding of an error to be undone",
      async (client, call) => {
        const transport = new RecordingTransport(() => transportAnswer(503, { "content-encoding": "gzip" }, "x"));
        const { platform } = await import("../../../src/platform/node/platform.js");
        const inflate = vi.spyOn(platform, "inflate").mockReturnValue(never());
        const result = client({ transport }).predict("x", call);
        await until(() => inflate.mock.calls.length > 0);
        return [result];
      },
    ],
    [
      "for compression",
      async (client, call) => [client({ compression: { name: "slow", compress: () => never() } }).predict("x", call)],
    ],
  ];

  test.each(waits)("%s", async (_, start) => {
    const server = await startServer();
    const controller = new AbortController();
    const client = (options?: PredictClientOptions) => clientOf(server, { timeout: 20_000, ...options });
    const calls = await start(client, { signal: controller.signal }, server);
    const requests = server.requests.length;
    await expectRejectedAtOnce(calls.at(-1) as Promise<unknown>, controller);
    for (let i = 0; i < 3; i++) await turn();
    expect(server.requests).toHaveLength(requests);
  });
});

describe("an abort from inside the call", () => {
  test("in retryOn: skips the wait for the retry", async () => {
    const server = await startServer();
    server.always(answer(503, { "Retry-After": "30" }));
    const controller = new AbortController();
    let asked = false;
    const retryOn = () => {
      asked = true;
      controller.abort("stop");
      return true;
    };
    const watched = watch(clientOf(server).predict("x", { signal: controller.signal, retryOn }));
    await until(() => asked);
    await turn();
    expect(watched).toEqual({ state: "rejected", value: "stop" });
    expect(server.requests).toHaveLength(1);
  });

  test("in a token function that never settles: rejects", async () => {
    const controller = new AbortController();
    const token = () => {
      controller.abort("stop");
      return never<string>();
    };
    const watched = watch(clientOf(await startServer(), { token }).predict("x", { signal: controller.signal }));
    await turn();
    expect(watched).toEqual({ state: "rejected", value: "stop" });
  });

  test("in a token function that resolves: rejects", async () => {
    const server = await startServer();
    const controller = new AbortController();
    const token = () => {
      controller.abort("stop");
      return "t";
    };
    const watched = watch(clientOf(server, { token }).predict("x", { signal: controller.signal }));
    await turn();
    expect(watched).toEqual({ state: "rejected", value: "stop" });
    expect(server.connections).toBe(0);
  });

  test("in the turn in which a slot becomes free: releases the slot", async () => {
    const server = await startServer();
    let free = () => {};
    server.play(answerWhen(new Promise<void>((resolve) => (free = resolve)), 200));
    const client = clientOf(server, { maxConnectionCount: 1 });
    const controller = new AbortController();
    const first = client.predict("x");
    await server.seen();
    const second = watch(client.predict("y", { signal: controller.signal }));
    free();
    // Abort as soon as the first call ends, when its slot is assigned to the next.
    await first.then(() => controller.abort("stop"));
    await turn();
    expect(second).toEqual({ state: "rejected", value: "stop" });
    await client.predict("z");
    expect(server.requests.map(({ body }) => body.toString()).filter((body) => body !== "y")).toEqual(["x", "z"]);
  });
});

describe("the state after an abort", () => {
  test("sends nothing after an abort in the turn in which the first call starts", async () => {
    const server = await startServer();
    server.always(stallBeforeHeaders);
    const client = clientOf(server, { maxConnectionCount: 1 });
    const controller = new AbortController();
    const watched = watch(client.predict("first", { signal: controller.signal }));
    controller.abort("stop");
    await turn();
    expect(watched).toEqual({ state: "rejected", value: "stop" });
    server.always(answer(200));
    const second = client.predict("second", { timeout: 1000, retryCount: 0 });
    expect((await second).toString()).toBe("");
    expect(server.requests.map(({ body }) => body.toString())).toEqual(["second"]);
  });

  test("does not send a request that waits for a connection", async () => {
    const server = await startServer();
    const client = clientOf(server);
    await client.init();
    const controller = new AbortController();
    const watched = watch(client.predict("first", { signal: controller.signal }));
    controller.abort("stop");
    await turn();
    expect(watched.value).toBe("stop");
    await client.predict("second");
    expect(server.requests.map(({ body }) => body.toString())).toEqual(["second"]);
  });

  test("closes the connection of an aborted request and opens another for the next call", async () => {
    const server = await startServer();
    server.play(stallBeforeHeaders, stallInBody);
    const client = clientOf(server, { maxConnectionCount: 1 });
    for (const count of [1, 2]) {
      const controller = new AbortController();
      const call = errorOf(client.predict("x", { signal: controller.signal }));
      await server.seen(count);
      controller.abort();
      await call;
    }
    expect((await client.predict("x")).toString()).toBe("ok");
    expect(new Set(server.requests.map(({ connection }) => connection)).size).toBe(3);
  });

  test("ignores a signal that fires after the end of its call", async () => {
    const server = await startServer();
    const client = clientOf(server, { maxConnectionCount: 1 });
    const controller = new AbortController();
    await client.predict("x", { signal: controller.signal });
    controller.abort();
    await client.predict("x");
    expect(server.connections).toBe(1);
  });

  test("removes its listener after success, failure, timeout, retries or an abort", async () => {
    const server = await startServer();
    const { signal } = new AbortController();
    const client = clientOf(server);
    await client.predict("x", { signal });
    await client.predictDetailed("x", { signal });
    server.play(answer(400));
    await errorOf(client.predict("x", { signal }));
    server.play(stallBeforeHeaders);
    await errorOf(client.predict("x", { signal, timeout: 100, retryCount: 0 }));
    server.play(resetBeforeHeaders, answer(503, { "Retry-After": "0" }), drip("slow"));
    await client.predict("x", { signal });
    await errorOf(clientOf({ origin: await refusedOrigin() }, { retryCount: 0 }).predict("x", { signal }));
    await errorOf(clientOf(server, { token: () => 1 as never }).predict("x", { signal }));
    await client.diagnose({ signal });
    expect(listeners(signal)).toBe(0);
  });

  test("adds one listener for a call with several attempts", async () => {
    const server = await startServer();
    server.always(answer(503, { "Retry-After": "0" }));
    const { signal } = new AbortController();
    let most = 0;
    const retryOn = () => {
      most = Math.max(most, listeners(signal));
      return undefined;
    };
    await errorOf(clientOf(server, { retryCount: 10 }).predict("x", { signal, retryOn }));
    expect(most).toBe(1);
  });

  test("1,000 calls with one long-lived signal leave no listener and cause no warning", async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on("warning", onWarning);
    const server = await startServer();
    const { signal } = new AbortController();
    const client = clientOf(server);
    for (let i = 0; i < 20; i++) {
      await Promise.all(Array.from({ length: 50 }, () => client.predict("x", { signal })));
    }
    await turn();
    process.off("warning", onWarning);
    expect(server.requests).toHaveLength(1000);
    expect(listeners(signal)).toBe(0);
    expect(warnings).toEqual([]);
  });

  test("one signal aborts all of its calls and no others", async () => {
    const server = await startServer();
    let free = () => {};
    server.always(answerWhen(new Promise<void>((resolve) => (free = resolve)), 200, "ok"));
    const controller = new AbortController();
    const client = clientOf(server);
    const other = client.predict("other");
    const ended = Array.from({ length: 5 }, () => watch(client.predict("x", { signal: controller.signal })));
    await server.seen(6);
    controller.abort("all");
    await turn();
    expect(ended).toEqual(ended.map(() => ({ state: "rejected", value: "all" })));
    free();
    expect((await other).toString()).toBe("ok");
  });

  test("unobserved promises of an aborted call cause no further unhandled rejections", async () => {
    const unhandled: unknown[] = [];
    const onUnhandled = (reason: unknown) => unhandled.push(reason);
    process.on("unhandledRejection", onUnhandled);
    const server = await startServer();
    server.always(stallBeforeHeaders);
    const controller = new AbortController();
    const { signal } = controller;
    const late: ((reason: Error) => void)[] = [];
    const pending = () => new Promise<never>((_, reject) => late.push(reject));
    const calls = [
      clientOf(server).predict("x", { signal }),
      clientOf(server, { token: pending }).predict("x", { signal }),
      clientOf(server, { transport: { send: pending, close: async () => {} } }).predict("x", { signal }),
    ].map(errorOf);
    await server.seen();
    controller.abort("stop");
    expect(await Promise.all(calls)).toEqual(["stop", "stop", "stop"]);
    for (const reject of late) reject(new Error("too late"));
    for (let i = 0; i < 3; i++) await turn();
    process.off("unhandledRejection", onUnhandled);
    expect(unhandled).toEqual([]);
  });
});
