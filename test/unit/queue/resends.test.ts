import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { startEmulator } from "../../../src/emulator/index.js";
import { AsyncInferenceClient, type DataFrame, type QueueClient, type QueueClientOptions } from "../../../src/index.js";
import { type FetchFunction, fetchTransport } from "../../../src/platform/web/fetch-transport.js";
import { errorOf, TOKEN } from "../../support/calls.js";
import { openEmulatorQueue, queueClientOf } from "../../support/queues.js";

// Browsers, Cloudflare Workers, Deno and Bun resend a request when a reused connection breaks before the response.
// These tests check what the service received and carried out.

afterEach(() => void vi.unstubAllGlobals());

/** Sends each request twice, and returns the second response, unless a new connection is requested. */
const twice: FetchFunction = async (url, init) => {
  const send = () => fetch(url, init as RequestInit);
  if (init.keepalive === undefined && init.client === undefined) await (await send()).arrayBuffer();
  return send();
};

/** Creates a queue, and a client over a transport that resends each request. */
async function openResending(options: QueueClientOptions = {}) {
  const transport = fetchTransport({ fetch: twice, mayResend: true });
  const queue = await openEmulatorQueue({ indexShape: "counter" }, { transport, ...options });
  return { ...queue, methods: () => queue.calls().map(({ method }) => method) };
}

const texts = (frames: readonly DataFrame[]) => frames.map((frame) => frame.text());

describe("over a transport that resends requests", () => {
  test("a deleting get loses no item, because it reads first and then deletes what it has read", async () => {
    const { client, input, calls } = await openResending();
    for (const text of ["a", "b", "c"]) input.put(text);
    expect(texts(await client.get({ length: 2 }))).toEqual(["a", "b"]);
    expect(input.items.map(({ index }) => index)).toEqual([3n]);
    const seen = calls().map(({ method, pairs }) => `${method} ${pairs.map((pair) => pair.join("=")).join("&")}`);
    const read = "GET _index_=0&_length_=2&_timeout_=5s&_raw_=false&_auto_delete_=false";
    expect(seen).toEqual([read, read, "DELETE _indexes_=1,2", "DELETE _indexes_=1,2"]);
  });

  test("a get with autoDelete false and a get without a result send no deletion", async () => {
    const { client, input, methods } = await openResending();
    expect(await client.get({ timeout: 0 })).toEqual([]);
    input.put("a");
    expect(texts(await client.get({ autoDelete: false }))).toEqual(["a"]);
    expect(methods()).toEqual(["GET", "GET", "GET", "GET"]);
    expect(input.length).toBe(1);
  });

  test("two gets of one client never return the same item", async () => {
    const { client, input } = await openResending();
    for (let i = 0; i < 12; i++) input.put(`${i}`);
    const got = await Promise.all(Array.from({ length: 12 }, () => client.get({ timeout: 0 })));
    expect(got.flatMap((frames) => texts(frames)).sort((a, b) => Number(a) - Number(b))).toEqual(
      Array.from({ length: 12 }, (_, i) => `${i}`),
    );
    expect(input.length).toBe(0);
  });

  test("two gets that wait for the same item return it once, and the other get waits for the next item", async () => {
    const { client, input, calls } = await openResending();
    const both = [client.get({ timeout: "20s" }), client.get({ timeout: "20s" })];
    await vi.waitFor(() => expect(calls()).toHaveLength(2));
    const first = input.put("a");
    const got = await Promise.race(both);
    expect(got?.map(({ index }) => index)).toEqual([first]);
    input.put("b");
    expect((await Promise.all(both)).flatMap(texts).sort()).toEqual(["a", "b"]);
    expect(input.length).toBe(0);
  });

  test("a get whose deletion fails reports that items may have been taken, and leaves them in the queue", async () => {
    const { client, emulator, input } = await openResending({ retryCount: 0 });
    input.put("a");
    const getting = errorOf(client.get());
    // The service carries out the reads, but not the deletion.
    emulator.fault({ service: "q", times: 2 });
    emulator.fault({ service: "q", status: 500, times: 2 });
    expect(await getting).toMatchObject({ name: "EasHttpError", status: 500, maybeTaken: true });
    expect(texts(await client.get())).toEqual(["a"]);
    expect(input.length).toBe(0);
  });

  test("a poll with autoCommit loses no item", async () => {
    const { client, input } = await openResending();
    for (let i = 0; i < 5; i++) input.put(`${i}`);
    const watcher = client.watch(0, 2, { transport: "poll", autoCommit: true });
    const got: string[] = [];
    for await (const frame of watcher) if (got.push(frame.text()) === 5) break;
    expect(got).toEqual(["0", "1", "2", "3", "4"]);
    expect(input.length).toBe(0);
  });

  test("both copies of a put have the same request id, by which they can be found", async () => {
    const { client, input } = await openResending();
    const { requestId } = await client.put("a");
    expect(requestId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(input.items.map(({ tags }) => tags.requestId)).toEqual([requestId, requestId]);
    expect((await client.put("b")).requestId).not.toBe(requestId);
    expect(texts(await client.get({ requestId: requestId as string, length: 5 }))).toEqual(["a", "a"]);
  });

  test("a negative always has a body, because Cloudflare Workers resend a PUT without a body", async () => {
    const { client, emulator } = await openResending();
    await client.negative(1);
    expect(emulator.requests.at(-1)?.body.length).toBeGreaterThan(0);
  });
});

describe("new connections for requests that must not be resent", () => {
  /** Records the method, `keepalive` and `client` of each request. */
  function recording() {
    const seen: { method: string; keepalive: unknown; client: unknown }[] = [];
    const send: FetchFunction = (url, init) => {
      if (!url.includes("_attrs_")) seen.push({ method: init.method, keepalive: init.keepalive, client: init.client });
      return realFetch(url, { ...init, client: undefined } as RequestInit);
    };
    return { seen, send };
  }
  const realFetch = fetch;

  async function useAll(client: QueueClient): Promise<void> {
    const { index } = await client.put("a");
    await client.get({ autoDelete: false });
    await client.get();
    await client.commit(index);
    await client.negative(index);
    await client.delete(index);
  }

  test("are requested with keepalive on Bun, also from the caller's fetch", async () => {
    vi.stubGlobal("Bun", {});
    const { seen, send } = recording();
    const { clientWith } = await openEmulatorQueue();
    const transport = fetchTransport({ fetch: send });
    expect(transport.mayResend).toBe(false);
    await useAll(clientWith({ transport }));
    expect(seen.map(({ method, keepalive }) => [method, keepalive])).toEqual([
      ["POST", false],
      ["GET", undefined],
      ["GET", false],
      ["PUT", undefined],
      ["PUT", false],
      ["DELETE", undefined],
    ]);
  });

  test("are requested on Deno with a client without a pool, which close() closes", async () => {
    const made: { options: unknown; closed: number }[] = [];
    vi.stubGlobal("Deno", {
      createHttpClient(options: unknown) {
        const one = { options, closed: 0, close: () => void one.closed++ };
        made.push(one);
        return one;
      },
    });
    const { seen, send } = recording();
    vi.stubGlobal("fetch", send);
    const { clientWith } = await openEmulatorQueue();
    const transport = fetchTransport();
    expect(transport.mayResend).toBe(false);
    await useAll(clientWith({ transport }));
    const [one] = made;
    expect(seen.map(({ method, client }) => [method, client])).toEqual([
      ["POST", one],
      ["GET", undefined],
      ["GET", one],
      ["PUT", undefined],
      ["PUT", one],
      ["DELETE", undefined],
    ]);
    expect(made).toMatchObject([{ options: { poolMaxIdlePerHost: 0 }, closed: 0 }]);
    await transport.close();
    await transport.close();
    expect(made).toMatchObject([{ closed: 1 }]);
  });

  test("are not requested from the caller's fetch on Deno, which is treated as a fetch that resends", async () => {
    vi.stubGlobal("Deno", { createHttpClient: () => expect.unreachable() });
    const { seen, send } = recording();
    const { clientWith } = await openEmulatorQueue();
    const client = clientWith({ fetch: send });
    await client.put("a");
    expect(texts(await client.get())).toEqual(["a"]);
    expect(seen.map(({ method, client }) => [method, client])).toEqual([
      ["POST", undefined],
      ["GET", undefined],
      ["DELETE", undefined],
    ]);
  });

  test("are not requested on Node, while unknown runtimes are treated as runtimes that resend", () => {
    expect(fetchTransport().mayResend).toBe(false);
    expect(fetchTransport({ opaque: true }).mayResend).toBe(true);
    expect(fetchTransport({ mayResend: false, opaque: true }).mayResend).toBe(false);
    vi.stubGlobal("WebSocketPair", class {});
    expect(fetchTransport().mayResend).toBe(true);
    vi.unstubAllGlobals();
    vi.stubGlobal("process", undefined);
    expect(fetchTransport().mayResend).toBe(true);
  });
});

describe("PutOptions.requestId", () => {
  test("sets the id of the item, so that a worker's result is found by the id of its request", async () => {
    const emulator = await startEmulator({ token: TOKEN, queues: { q: {} } });
    onTestFinished(() => emulator.close());
    const origin = { origin: emulator.endpoint };
    const [input, sink] = [queueClientOf(origin), queueClientOf(origin, { queueName: "q/sink" })];
    const { requestId } = await input.put("question", { tags: { user: "1" } });
    const [request] = await input.get();
    const put = await sink.put("answer", { tags: request?.tags ?? {}, requestId: request?.requestId as string });
    expect(put.requestId).toBe(requestId);
    const [result] = await sink.get({ requestId: requestId as string });
    expect(result?.text()).toBe("answer");
    expect({ ...result?.tags }).toEqual({ user: "1", requestId });
  });

  test("is not copied from the tags of a frame that is forwarded", async () => {
    const { client, calls, input } = await openEmulatorQueue();
    const { requestId } = await client.put("a", { tags: { task: "1" } });
    const [frame] = await client.get();
    const forwarded = await client.put("b", { tags: frame?.tags ?? {} });
    expect(calls().at(-1)?.pairs).toEqual([["task", "1"]]);
    expect(forwarded.requestId).not.toBe(requestId);
    expect(input.items.map(({ tags }) => tags)).toEqual([{ task: "1", requestId: forwarded.requestId }]);
  });

  test("is returned by put() when the response does not show the id", async () => {
    const { clientWith } = await openEmulatorQueue();
    const hiding: FetchFunction = async (url, init) => {
      const response = await fetch(url, init as RequestInit);
      const headers = new Headers(response.headers);
      headers.delete("x-eas-queueservice-request-id");
      return new Response(await response.arrayBuffer(), { status: response.status, headers });
    };
    const client = clientWith({ fetch: hiding });
    expect((await client.put("a", { requestId: "mine" })).requestId).toBe("mine");
    expect((await client.put("a")).requestId).toBe(undefined);
    expect(texts(await client.get({ requestId: "mine" }))).toEqual(["a"]);
  });

  test("a job whose id is hidden finds its result by the tag, and leaves other items in the queue", async () => {
    const emulator = await startEmulator({ token: TOKEN, queues: { svc: {} } });
    onTestFinished(() => emulator.close());
    const fetchOfPage: FetchFunction = async (url, init) => {
      const response = await fetch(url, init as RequestInit);
      const headers = new Headers(response.headers);
      headers.delete("x-eas-queueservice-request-id");
      return new Response(response.status === 204 ? null : await response.arrayBuffer(), {
        status: response.status,
        headers,
      });
    };
    const transport = fetchTransport({ fetch: fetchOfPage, mayResend: true });
    const client = new AsyncInferenceClient({
      endpoint: emulator.endpoint,
      serviceName: "svc",
      token: TOKEN,
      transport,
    });
    onTestFinished(() => client.close());
    const sink = emulator.queue("svc")?.sink as NonNullable<ReturnType<typeof emulator.queue>>["sink"];
    sink.put("of another job", { tags: { easJob: "other" } });
    const job = await client.submit("x");
    expect(job.requestId).toBe(undefined);
    sink.put("mine", { tags: { easJob: job.tag } });
    expect((await job.result({ timeout: 10_000 })).text()).toBe("mine");
    expect(sink.length).toBe(1);
  });
});
