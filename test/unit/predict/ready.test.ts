import { beforeAll, describe, expect, test, vi } from "vitest";
import { startEmulator } from "../../../src/emulator/index.js";
import {
  EasHttpError,
  EasNetworkError,
  EasTimeoutError,
  PredictClient,
  type PredictClientOptions,
} from "../../../src/index.js";
import { errorOf } from "../../support/calls.js";
import { settled, useFakeClock } from "../../support/fake-clock.js";

type Answer = readonly [status: number, body?: string, headers?: Record<string, string>];

const NO_UPSTREAM: Answer = [503, "no healthy upstream"];

/** Creates a client whose calls get `answers` in order, and the last one indefinitely. The test controls the clock. */
function clientOf(answers: readonly (Answer | Error)[], options: PredictClientOptions = {}) {
  const seen: { method: string; url: string; at: number; body: string }[] = [];
  const client = new PredictClient({
    endpoint: "http://gateway.example",
    serviceName: "svc",
    token: "secret-token",
    ...options,
    fetch: async (url, { method, body, signal }) => {
      signal.throwIfAborted();
      const given = answers[Math.min(seen.length, answers.length - 1)] as Answer | Error;
      seen.push({ method, url, at: Date.now(), body: new TextDecoder().decode(body ?? undefined) });
      if (given instanceof Error) throw given;
      const [status, text = "", headers = {}] = given;
      return new Response(text === "" ? null : text, { status, headers });
    },
  });
  return { client, seen };
}

const COLD: Answer[] = [NO_UPSTREAM, [503, ""], [404, ""], NO_UPSTREAM];

// Loads lazy modules first, so that time only passes by timers.
beforeAll(() => Promise.all([import("../../../src/predict/lazy.js"), import("../../../src/call/lazy.js")]));

describe("with a fake clock", () => {
  useFakeClock();

  test("ready() sends GET requests at increasing intervals, and passes the reason to onWait", async () => {
    const { client, seen } = clientOf([...COLD, NO_UPSTREAM, NO_UPSTREAM, NO_UPSTREAM, [200, "ok"]]);
    const heard: [number, string][] = [];
    const readiness = await settled(client.ready({ onWait: (elapsed, reason) => heard.push([elapsed, reason]) }));
    expect(readiness).toEqual({ attempts: 8, elapsed: 35_500 });
    expect(seen.map(({ at }) => at)).toEqual([0, 500, 1500, 3500, 7500, 15_500, 25_500, 35_500]);
    expect(new Set(seen.map(({ method, url }) => `${method} ${url}`))).toEqual(
      new Set(["GET http://gateway.example/api/predict/svc"]),
    );
    expect(heard.slice(0, 4)).toEqual([
      [0, "no healthy upstream"],
      [500, "empty 503"],
      [1500, "empty 404"],
      [3500, "no healthy upstream"],
    ]);
  });

  test.each<[string, Answer]>([
    ["a success", [200, "ok"]],
    ["no content", [204]],
    ["a model that wants a body", [400, "cannot parse"]],
    ["a model that takes POST only", [405]],
    ["411", [411]],
    ["415", [415]],
    ["422", [422, "{}"]],
    ["a full queue", [450, "queue is full"]],
    ["a rate limit", [429]],
    ["FastAPI without a root", [404, '{"detail":"Not Found"}']],
  ])("ready() resolves for %s", async (_, answer) => {
    const { client, seen } = clientOf([answer], { retryCount: 0 });
    expect((await settled(client.ready())).attempts).toBe(1);
    expect(seen).toHaveLength(1);
  });

  test.each<[string, Answer, number]>([
    ["a wrong token", [401, "no"], 401],
    ["an access list", [403], 403],
    ["a wrong service", [404, "service not found"], 404],
    ["a service that fails", [500, "boom"], 500],
    ["a 503 of the service's own", [503, "model is overloaded"], 503],
    ["a redirect", [302], 302],
  ])("ready() rejects immediately for %s", async (_, answer, status) => {
    const { client } = clientOf([answer], { retryCount: 0 });
    const error = await errorOf(settled(client.ready()));
    expect(error).toBeInstanceOf(EasHttpError);
    expect(error.status).toBe(status);
  });

  test("ready() resolves for a busy service after one request", async () => {
    const { client, seen } = clientOf([[429], [450]]);
    await settled(client.ready());
    await settled(client.ready());
    expect(seen).toHaveLength(2);
  });

  test("ready() rejects after the retries of a network error", async () => {
    const { client, seen } = clientOf([new TypeError("fetch failed")], { retryCount: 2 });
    expect(await errorOf(settled(client.ready()))).toBeInstanceOf(EasNetworkError);
    expect(seen).toHaveLength(3);
  });

  test("ready() rejects after its timeout", async () => {
    const { client, seen } = clientOf([NO_UPSTREAM]);
    const error = await errorOf(settled(client.ready({ timeout: 10_000 })));
    expect(error).toBeInstanceOf(EasTimeoutError);
    expect(error).toMatchObject({ phase: "total", timeout: 10_000, retryable: true, attempts: 5 });
    expect(error.message).toMatch(/not ready within 10000 ms \(5 requests\); last response: no healthy upstream/);
    // The next delay would exceed the remaining time.
    expect(seen.at(-1)?.at).toBe(7500);
  });

  test("ready() honors Retry-After", async () => {
    const { client, seen } = clientOf([
      [503, "", { "retry-after": "7" }],
      [200, "ok"],
    ]);
    await settled(client.ready());
    // Plus at most 60 % jitter; here Math.random() is 1.
    expect(seen.map(({ at }) => at)).toEqual([0, 11_200]);
  });

  test("ready() sends requests to the option path", async () => {
    const { client, seen } = clientOf([[200, "ok"]]);
    await settled(client.ready({ path: "/health" }));
    expect(seen[0]?.url).toBe("http://gateway.example/api/predict/svc/health");
  });

  test("an abort ends the wait immediately", async () => {
    const { client, seen } = clientOf([NO_UPSTREAM]);
    const controller = new AbortController();
    const reason = new Error("enough");
    const waiting = errorOf(client.ready({ signal: controller.signal }));
    await vi.advanceTimersByTimeAsync(600);
    controller.abort(reason);
    expect(await waiting).toBe(reason);
    expect(seen).toHaveLength(2);
    expect(await errorOf(client.ready({ signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(seen).toHaveLength(2);
  });

  test("an error that onWait throws ends the wait", async () => {
    const { client } = clientOf([NO_UPSTREAM]);
    const reason = new Error("do not wait");
    const onWait = () => {
      throw reason;
    };
    expect(await errorOf(settled(client.ready({ onWait })))).toBe(reason);
    expect(await errorOf(settled(client.predict("x", { waitForReady: { onWait } })))).toBe(reason);
  });

  test.each([
    [{ timeout: 0 }, /timeout is 0/],
    [{ onWait: "x" as never }, /onWait is "x"/],
    [{ signal: {} as never }, /signal is/],
    [{ path: "../x" }, /path/],
  ])("refuses %j before anything is sent", async (options, message) => {
    const { client, seen } = clientOf([[200, "ok"]]);
    expect((await errorOf(settled(client.ready(options)))).message).toMatch(message);
    if (!("path" in options) && !("signal" in options)) {
      expect((await errorOf(settled(client.predict("x", { waitForReady: options })))).message).toMatch(message);
    }
    expect(seen).toEqual([]);
  });

  test("a prediction waits for the service and is then retried", async () => {
    const { client, seen } = clientOf([NO_UPSTREAM, [503], [404], [200, "up"], [200, "answer"]]);
    const heard: string[] = [];
    const onWait = (_: number, reason: string) => heard.push(reason);
    expect(String(await settled(client.predict("question", { waitForReady: { onWait } })))).toBe("answer");
    expect(seen.map(({ method, body }) => `${method} ${body}`.trim())).toEqual([
      "POST question",
      "GET",
      "GET",
      "GET",
      "POST question",
    ]);
    expect(heard).toEqual(["no healthy upstream", "empty 503", "empty 404"]);
    // The call itself is not retried meanwhile, and each probe follows a delay.
    expect(seen.map(({ at }) => at)).toEqual([0, 500, 1500, 3500, 3500]);
  });

  test("a stream waits for the service", async () => {
    const { client, seen } = clientOf([NO_UPSTREAM, [405], [200, "answer"]]);
    const stream = await settled(client.stream("question", { waitForReady: true }));
    expect(await stream.text()).toBe("answer");
    expect(seen).toHaveLength(3);
  });

  test("waits until the timeout for a service that becomes unready again", async () => {
    const { client, seen } = clientOf(
      Array.from({ length: 100 }, (_, i): Answer => (i % 2 ? [200, "up"] : NO_UPSTREAM)),
    );
    const error = await errorOf(settled(client.predict("x", { waitForReady: { timeout: 30_000 } })));
    expect(error).toMatchObject({ code: "ERR_EAS_TIMEOUT", phase: "total", timeout: 30_000 });
    expect(seen.length).toBeLessThan(20);
  });

  test("does not retry the call after a probe that times out", async () => {
    const methods: string[] = [];
    const client = new PredictClient({
      endpoint: "http://gateway.example",
      serviceName: "svc",
      fetch: async (_, { method, signal }) => {
        methods.push(method);
        if (method === "POST") return new Response(null, { status: 404 });
        return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      },
    });
    const error = await errorOf(settled(client.predict("x", { waitForReady: { timeout: 1_000 } })));
    expect(error).toMatchObject({ code: "ERR_EAS_TIMEOUT", phase: "total", timeout: 1_000 });
    expect(error.message).toContain("last response: empty 404");
    expect(methods).toEqual(["POST", "GET"]);
  });

  test("other failures of a call are not waited for", async () => {
    const { client, seen } = clientOf([[400, "bad shape"]]);
    expect(await errorOf(settled(client.predict("x", { waitForReady: true })))).toMatchObject({ status: 400 });
    expect(seen).toHaveLength(1);
  });

  test('any response other than "not ready" ends the wait, and the call is retried', async () => {
    const routed = clientOf([NO_UPSTREAM, [404, "404 page not found"], [200, "answer"]]);
    expect(String(await settled(routed.client.predict("x", { waitForReady: true })))).toBe("answer");
    const wrong = clientOf([NO_UPSTREAM, [401, "no"]]);
    expect(await errorOf(settled(wrong.client.predict("x", { waitForReady: true })))).toMatchObject({ status: 401 });
    expect(wrong.seen.map(({ method }) => method)).toEqual(["POST", "GET", "POST"]);
  });

  test("setters do not affect a waiting call", async () => {
    const { client, seen } = clientOf([NO_UPSTREAM, [200, "up"], [200, "answer"]]);
    const waiting = client.predict("x", { waitForReady: true });
    const readying = client.ready();
    client.setServiceName("other");
    await settled(Promise.all([waiting, readying]));
    expect(seen.filter(({ url }) => url.includes("other"))).toEqual([]);
  });

  test("close() ends the wait", async () => {
    const { client } = clientOf([NO_UPSTREAM]);
    const waiting = errorOf(client.ready());
    const predicting = errorOf(client.predict("x", { waitForReady: true }));
    await vi.advanceTimersByTimeAsync(100);
    await client.close();
    expect((await waiting).message).toMatch(/closed/);
    expect((await predicting).message).toMatch(/closed/);
    expect((await errorOf(settled(client.ready()))).message).toMatch(/closed/);
  });

  test.each(["yes", 1, null])("refuses waitForReady: %j", async (waitForReady) => {
    const { client, seen } = clientOf([[200, "ok"]]);
    const call = { waitForReady: waitForReady as never };
    expect(await errorOf(settled(client.predict("x", call)))).toMatchObject({ code: "ERR_EAS_ARG_OPTION" });
    expect(seen).toEqual([]);
  });

  test("without waitForReady a call fails after its retries", async () => {
    const { client, seen } = clientOf([NO_UPSTREAM], { retryCount: 2 });
    for (const waitForReady of [undefined, false]) {
      expect(await errorOf(settled(client.predict("x", { waitForReady })))).toMatchObject({ status: 503, attempts: 3 });
    }
    expect(seen).toHaveLength(6);
  });

  test("retryOn still decides on other errors", async () => {
    const { client, seen } = clientOf([[500, "boom"], NO_UPSTREAM, [200, "up"], [200, "answer"]]);
    const asked: string[] = [];
    const retryOn = (error: Error) => {
      asked.push(error.message);
      return true;
    };
    await settled(client.predict("x", { waitForReady: true, retryOn }));
    expect(asked).toHaveLength(1);
    expect(seen).toHaveLength(4);
  });

  test("an abort during the call's retry delay is not lost", async () => {
    const { client } = clientOf([NO_UPSTREAM]);
    const controller = new AbortController();
    const reason = new Error("enough");
    const waiting = errorOf(client.predict("x", { waitForReady: true, signal: controller.signal }));
    await vi.advanceTimersByTimeAsync(100);
    controller.abort(reason);
    expect(await waiting).toBe(reason);
  });

  test("errors do not contain the token", async () => {
    const { client } = clientOf([[503, "", { "x-echo": "secret-token" }]]);
    const error = await errorOf(settled(client.ready({ timeout: 1000 })));
    expect(JSON.stringify([error.message, String(error.cause)])).not.toContain("secret-token");
  });
});

test("over a real socket", async () => {
  const emulator = await startEmulator();
  const client = new PredictClient({ endpoint: emulator.endpoint, serviceName: "echo", token: emulator.token });
  emulator.fault({ status: 503, body: "no healthy upstream" });
  expect(String(await client.predict("hello", { waitForReady: true }))).toBe("hello");
  expect(emulator.requests.map(({ method, status }) => [method, status])).toEqual([
    ["POST", 503],
    ["GET", 405],
    ["POST", 200],
  ]);
  await client.close();
  await emulator.close();
});
