import { describe, expect, onTestFinished, test } from "vitest";
import {
  ENDPOINT_TYPE_DIRECT,
  QueueClient,
  type QueueClientOptions,
  TransportError,
  type TransportResponse,
} from "../../../src/index.js";
import { errorOf, RecordingTransport, TOKEN, transportAnswer, turn, until, watch } from "../../support/calls.js";
import { askedSource, directClientOf, movableClock, startInstances } from "../../support/direct.js";
import { queueClientOf } from "../../support/queues.js";

const FOREVER = Number.POSITIVE_INFINITY;

/** A queue client of this test's own that calls the instances directly. */
function directQueueOf({ endpoint }: { readonly endpoint: string }, options: QueueClientOptions = {}): QueueClient {
  const client = new QueueClient({
    endpoint,
    queueName: "q",
    token: TOKEN,
    logger: null,
    endpointType: ENDPOINT_TYPE_DIRECT,
    ...options,
  });
  onTestFinished(() => client.close());
  return client;
}

/** Hosts `names` in a memory. */
const hosts = (...names: string[]) => ({ endpointSource: () => names.map((host) => ({ host, port: 1 })) });

describe("a retry goes to another instance", () => {
  test.each(["reset", "status"])(
    "over real sockets: one of three fails by %s, and every call is answered",
    async (how) => {
      const emulator = await startInstances(3);
      const [bad] = emulator.instances;
      bad?.fault({ ...(how === "reset" ? { reset: "before-headers" } : { status: 503 }), times: FOREVER });
      const client = directClientOf(emulator);
      for (let i = 0; i < 12; i++) {
        const { attempts, endpoint, response } = await client.predictDetailed(`call ${i}`);
        expect(String(response)).toBe(`call ${i}`);
        expect(attempts).toBeLessThanOrEqual(2);
        expect(endpoint).not.toBe(bad?.origin);
      }
      expect(emulator.requests.some(({ instance }) => bad?.origin.endsWith(instance ?? "-"))).toBe(true);
    },
  );

  test("an instance that is stopped costs no call; restarted, it is called again", async () => {
    const emulator = await startInstances(4);
    const client = directClientOf(emulator);
    await client.predict("x");
    await emulator.instances[1]?.stop();
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => client.predict(`call ${i}`)));
    expect(answers.map(String)).toEqual(Array.from({ length: 200 }, (_, i) => `call ${i}`));
    await emulator.instances[1]?.start();
    const { origin } = emulator.instances[1] as { origin: string };
    // The ejection lasts at most one second.
    const isBack = async () => (await client.predictDetailed("x")).endpoint === origin;
    while (!(await isBack())) await turn();
  });

  test("to each of the others before one is tried again", async () => {
    const transport = new RecordingTransport(() => transportAnswer(503));
    const client = directClientOf({ endpoint: "" }, { transport, ...hosts("a", "b", "c"), retryCount: 5 });
    await errorOf(client.predict("x"));
    const tried = transport.requests.map(({ origin }) => origin);
    expect(new Set(tried.slice(0, 3)).size).toBe(3);
    expect(tried).toHaveLength(6);
    for (const [i, origin] of tried.entries()) expect(origin).not.toBe(tried[i - 1]);
  });

  test("whatever the weights", async () => {
    const transport = new RecordingTransport(({ origin }) => transportAnswer(origin === "http://heavy:1" ? 503 : 200));
    const endpointSource = () => [
      { host: "heavy", port: 1, weight: 1_000_000 },
      { host: "light", port: 1, weight: 1 },
    ];
    const client = directClientOf({ endpoint: "" }, { transport, endpointSource });
    expect(await client.predictDetailed("x")).toMatchObject({ attempts: 2, endpoint: "http://light:1" });
  });

  test("retries on the same instance if there is no other", async () => {
    const transport = new RecordingTransport((_, count) => transportAnswer(count === 1 ? 503 : 200));
    const client = directClientOf({ endpoint: "" }, { transport, ...hosts("a") });
    expect(await client.predictDetailed("x")).toMatchObject({ attempts: 2, endpoint: "http://a:1" });
  });

  test("the signature stays right: it names the service, not the host", async () => {
    const emulator = await startInstances(2);
    emulator.fault({ status: 503 });
    await directClientOf(emulator, { auth: "signature" }).predict("x");
    expect(emulator.requests.filter(({ instance }) => instance).map(({ auth }) => auth)).toEqual([
      "signature",
      "signature",
    ]);
  });
});

describe("errors and results name the instance", () => {
  test.each<[string, () => TransportResponse]>([
    ["a status", () => transportAnswer(400, {}, "bad input")],
    [
      "a broken connection",
      () => {
        throw new TransportError("reset", { sent: "maybe" });
      },
    ],
    ["an answer that cannot be read", () => ({ ...transportAnswer(200, {}, "x"), contentEncoding: "gzip" })],
  ])("%s", async (_, answer) => {
    const transport = new RecordingTransport(answer);
    const client = directClientOf({ endpoint: "" }, { transport, ...hosts("a"), retryCount: 0 });
    const error = await errorOf(client.predict("x"));
    if (error.code !== "ERR_EAS_DECODE") expect(error.message).toContain("http://a:1/api/predict/echo");
    expect(error.message).not.toContain("any instance");
    expect(JSON.stringify(error) + error.message).not.toContain(TOKEN);
  });

  test("a timeout", async () => {
    const transport = new RecordingTransport(() => new Promise(() => {}));
    const client = directClientOf({ endpoint: "" }, { transport, ...hosts("a"), retryCount: 0, timeout: 10 });
    expect((await errorOf(client.predict("x"))).message).toContain("http://a:1/api/predict/echo");
  });
});

describe("an instance that is busy to its limit", () => {
  test("is passed over, while others have room", async () => {
    const held: (() => void)[] = [];
    const transport = new RecordingTransport(
      ({ origin }) =>
        new Promise((resolve) => {
          const answer = () => resolve(transportAnswer(200, {}, origin));
          if (origin === "http://a:1") held.push(answer);
          else answer();
        }),
    );
    const client = directClientOf({ endpoint: "" }, { transport, ...hosts("a", "b"), maxConnectionCount: 2 });
    const calls: ReturnType<typeof watch>[] = [];
    for (let i = 0; i < 20; i++) {
      calls.push(watch(client.predict("x")));
      await turn();
    }
    expect(held).toHaveLength(2);
    expect(calls.filter(({ state }) => state === "resolved")).toHaveLength(18);
    for (const answer of held) answer();
    await until(() => calls.every(({ state }) => state === "resolved"));
  });

  test("is waited for, when all are; a wait that is aborted takes no place", async () => {
    const held: ((response: TransportResponse) => void)[] = [];
    const transport = new RecordingTransport(() => new Promise((resolve) => held.push(resolve)));
    const client = directClientOf({ endpoint: "" }, { transport, ...hosts("a"), maxConnectionCount: 1 });
    const first = client.predict("1");
    await until(() => held.length === 1);
    const controller = new AbortController();
    const aborted = errorOf(client.predict("2", { signal: controller.signal }));
    const third = client.predict("3");
    await turn();
    controller.abort(new Error("stop"));
    expect((await aborted).message).toBe("stop");
    expect(held).toHaveLength(1);
    held[0]?.(transportAnswer(200, {}, "one"));
    expect(String(await first)).toBe("one");
    await until(() => held.length === 2);
    held[1]?.(transportAnswer(200, {}, "three"));
    expect(String(await third)).toBe("three");
  });
});

describe("least-inflight", () => {
  test("keeps off an instance that does not answer", async () => {
    const transport = new RecordingTransport(({ origin }) =>
      origin === "http://slow:1" ? new Promise(() => {}) : transportAnswer(200, {}, "ok"),
    );
    const client = directClientOf(
      { endpoint: "" },
      { transport, ...hosts("slow", "fast"), balancer: "least-inflight" },
    );
    const calls = Array.from({ length: 50 }, () => watch(client.predict("x").catch(() => {})));
    await until(() => calls.filter(({ state }) => state === "resolved").length >= 25);
    const later = transport.requests.length;
    for (let i = 0; i < 20; i++) await client.predict("x");
    expect(transport.requests.slice(later).map(({ origin }) => origin)).toEqual(Array(20).fill("http://fast:1"));
  });

  test("by weight", async () => {
    const transport = new RecordingTransport(() => new Promise(() => {}));
    const endpointSource = () => [
      { host: "a", port: 1, weight: 3 },
      { host: "b", port: 1, weight: 1 },
      { host: "out", port: 1, weight: 0 },
    ];
    const client = directClientOf({ endpoint: "" }, { transport, endpointSource, balancer: "least-inflight" });
    for (let i = 0; i < 80; i++) void client.predict("x").catch(() => {});
    await until(() => transport.requests.length === 80);
    const ofA = transport.requests.filter(({ origin }) => origin === "http://a:1").length;
    expect([59, 60, 61]).toContain(ofA);
    expect(transport.requests.some(({ origin }) => origin === "http://out:1")).toBe(false);
  });

  test("over many instances each gets its part", async () => {
    const transport = new RecordingTransport();
    const names = Array.from({ length: 20 }, (_, i) => `host-${i}`);
    const client = directClientOf({ endpoint: "" }, { transport, ...hosts(...names), balancer: "least-inflight" });
    for (let i = 0; i < 2000; i++) await client.predict("x");
    expect(new Set(transport.requests.map(({ origin }) => origin)).size).toBe(20);
  });
});

describe("the list of instances changes", () => {
  test("sends new calls to the new instances and lets calls in flight finish", async () => {
    const clock = movableClock();
    const { source, asked } = askedSource();
    const held: (() => void)[] = [];
    const transport = new RecordingTransport(({ origin }) => {
      if (origin !== "http://old:1") return transportAnswer(200, {}, origin);
      return new Promise((resolve) => held.push(() => resolve(transportAnswer(200, {}, origin))));
    });
    const client = directClientOf({ endpoint: "" }, { transport, endpointSource: source });
    const first = client.predict("x");
    await until(() => asked.length === 1);
    asked[0]?.answer([{ host: "old", port: 1 }]);
    await until(() => held.length === 1);
    clock.move(3_000);
    const second = client.predict("x");
    await until(() => held.length === 2 && asked.length === 2);
    asked[1]?.answer([{ host: "new", port: 1 }]);
    await turn();
    expect(String(await client.predict("x"))).toBe("http://new:1");
    for (const answer of held) answer();
    expect([String(await first), String(await second)]).toEqual(["http://old:1", "http://old:1"]);
    expect(String(await client.predict("x"))).toBe("http://new:1");
  });
});

describe("queues", () => {
  test("a put whose connection broke is not sent to another instance", async () => {
    const emulator = await startInstances(3, { queues: { q: {} } });
    const queue = directQueueOf(emulator);
    await queue.attributes();
    for (const instance of emulator.instances)
      instance.fault({ reset: "before-headers", service: "q", times: FOREVER });
    const error = await errorOf(queue.put("x"));
    expect(error).toMatchObject({ code: "ERR_EAS_NETWORK", maybeAccepted: true, attempts: 1 });
    expect(emulator.requests.filter(({ method }) => method === "POST")).toHaveLength(1);
  });

  test("retries a put on another instance after a refused connection", async () => {
    const emulator = await startInstances(2, { queues: { q: {} } });
    const queue = directQueueOf(emulator);
    await emulator.instances[0]?.stop();
    for (let i = 0; i < 6; i++) await queue.put(`item ${i}`);
    expect(emulator.queue("q")?.input.items.length).toBe(6);
  });

  test.each(["websocket", "http", "poll"] as const)(
    "a watch over %s goes on at another instance when its own is killed",
    async (transport) => {
      const emulator = await startInstances(2, { queues: { q: {} } });
      const queue = directQueueOf(emulator);
      await queue.put("0");
      const watcher = queue.watch(0, 2, { transport, reconnect: { minDelay: 1, maxDelay: 5 } });
      const takeNext = async () => {
        const { value } = await watcher.next();
        await value?.commit();
        return value?.text();
      };
      expect(await takeNext()).toBe("0");
      const isWatch = ({ url }: { url: string }) => url.includes(transport === "poll" ? "_timeout_" : "_watch_");
      const last = emulator.requests.filter(isWatch).at(-1)?.instance;
      expect(last).toBeDefined();
      const killed = emulator.instances.find(({ origin }) => origin.endsWith(last as string));
      await killed?.stop();
      // Through the gateway, since the killed instance's connections are still in the pool.
      await queueClientOf({ origin: emulator.endpoint }).put("1");
      expect(await takeNext()).toBe("1");
      expect(emulator.requests.filter(isWatch).at(-1)?.instance).not.toBe(last);
      await watcher.close();
    },
  );
});
