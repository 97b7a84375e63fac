import { beforeAll, describe, expect, test, vi } from "vitest";
import {
  type CallOptions,
  type EasTimeoutError,
  ENDPOINT_TYPE_DIRECT,
  PredictClient,
  type PredictClientOptions,
  QueueClient,
} from "../../../src/index.js";
import { clientOf, errorOf, startServer, thrownBy } from "../../support/calls.js";
import { settled, useFakeClock } from "../../support/fake-clock.js";
import { answer, stallBeforeHeaders } from "../../support/misbehaving-server.js";

type Answer = readonly [status: number, body: string, after?: number];

/** A client whose requests receive `answers` in order, the last one repeatedly, with a simulated clock. */
function heldClient(answers: readonly Answer[], options: PredictClientOptions = {}) {
  const seen: { method: string; path: string; at: number }[] = [];
  const client = new PredictClient({
    endpoint: "http://gateway.example",
    serviceName: "svc",
    token: "t",
    logger: null,
    ...options,
    fetch: (url, { method, signal }) => {
      const [status, body, after = 0] = answers[Math.min(seen.length, answers.length - 1)] as Answer;
      seen.push({ method, path: url.split("/svc")[1] as string, at: Date.now() });
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => resolve(new Response(body, { status })), after);
        signal.addEventListener("abort", () => {
          clearTimeout(timer);
          reject(signal.reason);
        });
      });
    },
  });
  return { client, seen };
}

const NEVER = 2_000_000;
const LONG = { preset: "long-running" } as const;
const V1 = "/v1/chat/completions";

beforeAll(() => Promise.all([import("../../../src/predict/lazy.js"), import("../../../src/call/lazy.js")]));

describe("with a simulated clock", () => {
  useFakeClock();

  /** Time until a request without a response fails, and number of requests that the service received. */
  async function limitOf(options: PredictClientOptions, call: CallOptions, json = false) {
    const { client, seen } = heldClient([[200, "{}", NEVER]], options);
    const made = json ? client.json({}, call) : client.predict("x", call);
    const error = (await errorOf(settled(made))) as unknown as EasTimeoutError;
    expect(error).toMatchObject({ code: "ERR_EAS_TIMEOUT", phase: "headers" });
    return [error.timeout, seen.length];
  }

  test("sends a request once that the gateway holds for 4 minutes", async () => {
    const { client, seen } = heldClient([[200, "answer", 240_000]], LONG);
    expect(String(await settled(client.predict("question")))).toBe("answer");
    expect(seen).toHaveLength(1);
    const stream = await settled(client.stream("question"));
    await settled(stream.text());
    expect(seen).toHaveLength(2);
  });

  test("does not retry after a timeout, whereas a default client retries once", async () => {
    expect(await limitOf(LONG, {})).toEqual([600_000, 1]);
    expect(await limitOf({}, LONG)).toEqual([600_000, 1]);
    expect(await limitOf({}, {})).toEqual([5_000, 2]);
  });

  test.each<[string, Answer]>([
    ["504", [504, "upstream request timeout"]],
    ["502", [502, "<html>502</html>"]],
    ["500", [500, "died"]],
    ["503 of the engine", [503, "overloaded"]],
    ["a gateway that lost its engine", [400, 'Post "http://h:1/v1/completions": EOF']],
  ])("does not retry %s: the service may have executed the request", async (_, refusal) => {
    const { client, seen } = heldClient([refusal, [200, "answer"]], LONG);
    expect(await errorOf(settled(client.predict("question")))).toMatchObject({ status: refusal[0], attempts: 1 });
    expect(seen).toHaveLength(1);
  });

  test("retries requests that were not started: 429 at once, a cold start after a wait", async () => {
    const busy = heldClient(
      [
        [429, "too many requests"],
        [200, "answer"],
      ],
      LONG,
    );
    expect(String(await settled(busy.client.predict("question")))).toBe("answer");
    const cold = heldClient(
      [
        [503, "no healthy upstream"],
        [404, "no backend endpoint found"],
        [405, ""],
        [200, "answer"],
      ],
      LONG,
    );
    expect(String(await settled(cold.client.predict("question")))).toBe("answer");
    expect(cold.seen.map(({ method }) => method)).toEqual(["POST", "GET", "GET", "POST"]);
    const streamed = heldClient(
      [
        [503, "no healthy upstream"],
        [405, ""],
        [200, "answer"],
      ],
      LONG,
    );
    const stream = await settled(streamed.client.stream("question"));
    expect(await settled(stream.text())).toBe("answer");
    const impatient = heldClient([[503, "no healthy upstream"]], { ...LONG, retryCount: 0 });
    expect(await errorOf(settled(impatient.client.predict("x", { waitForReady: false })))).toMatchObject({
      status: 503,
    });
    expect(impatient.seen).toHaveLength(1);
  });

  test("allows attempts longer than the default totalTimeout", async () => {
    const { client, seen } = heldClient(
      [
        [429, "busy", 500_000],
        [429, "busy", 500_000],
        [200, "answer", 500_000],
      ],
      LONG,
    );
    expect(String(await settled(client.predict("question")))).toBe("answer");
    expect(seen).toHaveLength(3);
  });

  test.each<[string, PredictClientOptions, CallOptions, [number, number]]>([
    ["option of the call over its preset", {}, { ...LONG, timeout: 7 }, [7, 1]],
    ["preset of the call over an option of the client", { timeout: 7 }, LONG, [600_000, 1]],
    ["option of the client over its preset", { ...LONG, timeout: 7 }, {}, [7, 1]],
    ["option of the call over the preset of the client", LONG, { timeout: 7 }, [7, 1]],
    ["preset default of the call over the preset of the client", LONG, { preset: "default" }, [5_000, 2]],
    ["preset default keeps the client's options", { ...LONG, timeout: 7 }, { preset: "default" }, [7, 2]],
    ["undefined is not set", { preset: undefined }, { preset: undefined }, [5_000, 2]],
  ])("%s", async (_, options, call, expected) => {
    expect(await limitOf(options, call)).toEqual(expected);
  });

  test.each<[string, PredictClientOptions, CallOptions, [number, number]]>([
    ["below /v1/ by default", {}, { path: V1 }, [600_000, 1]],
    ["at /v1", {}, { path: "/v1" }, [600_000, 1]],
    ["by the client's path", { requestPath: V1 }, {}, [600_000, 1]],
    ["elsewhere", {}, { path: "/v10/x" }, [5_000, 2]],
    ["a service that is named v1", { serviceName: "svc/v1" }, {}, [5_000, 2]],
    ["an option of the client overrides it", { timeout: 7 }, { path: V1 }, [7, 1]],
    ["a preset of the client overrides it", { preset: "default" }, { path: V1 }, [5_000, 2]],
    ["a preset of the call overrides it", {}, { path: V1, preset: "default" }, [5_000, 2]],
    ["an option of the call overrides it", {}, { path: V1, timeout: 7 }, [7, 1]],
  ])("json(): %s", async (_, options, call, expected) => {
    expect(await limitOf(options, call, true)).toEqual(expected);
  });

  test("json() warns once while it waits for a service that may not exist", async () => {
    const warn = vi.fn();
    const logger = { debug: () => {}, warn, error: () => {} };
    const { client, seen } = heldClient(
      [
        [404, ""],
        [404, ""],
        [404, ""],
        [200, "{}"],
      ],
      { logger },
    );
    await settled(client.json({}, { path: V1 }));
    expect(seen.length).toBeGreaterThan(3);
    const waits = warn.mock.calls.filter(([message]) => message.includes("is not ready"));
    expect(waits).toEqual([
      [
        "eas-prediction: the service at http://gateway.example/api/predict/svc is not ready (empty 404), so the call waits up to 600000 ms. If this is unexpected, check the service name",
      ],
    ]);
    const onWait = vi.fn();
    const heard = heldClient(
      [
        [404, ""],
        [200, "{}"],
      ],
      { logger },
    );
    await settled(heard.client.json({}, { path: V1, waitForReady: { onWait } }));
    expect(onWait).toHaveBeenCalledTimes(1);
    expect(warn.mock.calls.filter(([message]) => message.includes("is not ready"))).toHaveLength(1);
  });

  test("predict() with text below /v1/ keeps the default preset", async () => {
    expect(await limitOf({}, { path: V1 })).toEqual([5_000, 2]);
  });

  test("a preset of the call overrides the client's retryOn, but not that of the call", async () => {
    const retryOn = () => true;
    expect(await limitOf({ retryOn, retryCount: 2 }, LONG)).toEqual([600_000, 1]);
    expect(await limitOf({}, { ...LONG, retryOn, retryCount: 2 })).toEqual([600_000, 3]);
  });

  test("the setter applies to the next call, and service() inherits the preset", async () => {
    const { client, seen } = heldClient([[200, "answer", 240_000]]);
    client.setPreset("long-running");
    expect(String(await settled(client.service("other").predict("x")))).toBe("answer");
    client.setPreset("default");
    expect(await errorOf(settled(client.predict("x")))).toMatchObject({ code: "ERR_EAS_TIMEOUT", timeout: 5_000 });
    expect(seen).toHaveLength(3);
  });

  test("a stream may be idle for 10 minutes with the preset, and for one minute without it", async () => {
    const silence = async (options: PredictClientOptions, call: CallOptions = {}) => {
      const client = new PredictClient({
        endpoint: "http://h",
        serviceName: "svc",
        ...options,
        fetch: async () => new Response(new ReadableStream()),
      });
      const stream = await client.stream("x", call);
      return ((await errorOf(settled(stream.text()))) as unknown as EasTimeoutError).timeout;
    };
    expect(await silence({})).toBe(60_000);
    expect(await silence(LONG)).toBe(600_000);
    expect(await silence({}, LONG)).toBe(600_000);
    expect(await silence(LONG, { preset: "default" })).toBe(60_000);
    expect(await silence(LONG, { idleTimeout: 7 } as CallOptions)).toBe(7);
  });

  test("ready() waits for a request that the gateway holds", async () => {
    const { client, seen } = heldClient([[200, "ok", 240_000]]);
    expect(await settled(client.ready())).toEqual({ attempts: 1, elapsed: 240_000 });
    expect(seen).toHaveLength(1);
  });

  test("the timeout of a default client names the option and the asynchronous route", async () => {
    const { client } = heldClient([[200, "answer", NEVER]]);
    const advice = /For a slow service set preset: "long-running", or timeout.*AsyncInferenceClient/;
    expect((await errorOf(settled(client.predict("x")))).message).toMatch(advice);
    expect(
      (await errorOf(settled(client.predict("x", { timeout: 50_000, retryCount: 9, retryOn: () => true })))).message,
    ).toMatch(/\(totalTimeout\)\. For a slow service/);
    for (const call of [{ timeout: 7 }, LONG]) {
      expect((await errorOf(settled(client.predict("x", call)))).message).not.toMatch(/slow service/);
    }
  });
});

test("sends one request over a real socket", async () => {
  const server = await startServer();
  server.always(stallBeforeHeaders);
  const client = clientOf(server, LONG);
  expect(await errorOf(client.predict("x", { timeout: 300 }))).toMatchObject({ code: "ERR_EAS_TIMEOUT", attempts: 1 });
  server.always(answer(200, {}, "ok"));
  await client.predict("x");
  expect(server.requests).toHaveLength(2);
});

test.each<[PredictClientOptions, number]>([
  [LONG, 1],
  [{}, 2],
])("hedgeAfter and %j: %i requests", async (options, count) => {
  const servers = [await startServer(), await startServer()];
  for (const server of servers) server.always(stallBeforeHeaders);
  const client = clientOf(
    { origin: "" },
    {
      endpointType: ENDPOINT_TYPE_DIRECT,
      endpointSource: () => servers.map(({ port }) => ({ host: "127.0.0.1", port })),
      hedgeAfter: 1,
      retryCount: 0,
      ...options,
    },
  );
  await errorOf(client.predict("x", { timeout: 500 }));
  expect(servers.flatMap(({ requests }) => requests)).toHaveLength(count);
});

test.each(["fast", "", 1, null, true])("refuses the preset %j", async (preset) => {
  const error = {
    code: "ERR_EAS_ARG_OPTION",
    message: expect.stringContaining('it must be "long-running" or "default"'),
  };
  const bad = { preset: preset as never };
  expect(thrownBy(() => new PredictClient(bad))).toMatchObject(error);
  const server = await startServer();
  const client = clientOf(server);
  expect(thrownBy(() => client.setPreset(bad.preset))).toMatchObject(error);
  expect(await errorOf(client.predict("x", bad))).toMatchObject(error);
  expect(await errorOf(client.json({}, bad))).toMatchObject(error);
  expect(await errorOf(client.stream("x", bad))).toMatchObject(error);
  expect(server.requests).toHaveLength(0);
});

test("a queue has no preset", () => {
  expect(thrownBy(() => new QueueClient({ endpoint: "h", queueName: "q", ...LONG } as never))).toMatchObject({
    message: expect.stringContaining('unknown option "preset"'),
  });
});
