import { once } from "node:events";
import fc from "fast-check";
import { describe, expect, expectTypeOf, onTestFinished, test } from "vitest";
import { startEmulator } from "../../../../src/emulator/index.js";
import {
  type BatchOptions,
  type BatchProgress,
  batch,
  JsonRequest,
  type JsonResponse,
  PredictClient,
  type PredictRequest,
  StringRequest,
  type StringResponse,
  TFRequest,
  type TFResponse,
} from "../../../../src/index.js";
import { clientOf, errorOf, startServer } from "../../../support/calls.js";
import { counted, HeldClient, numbers, settled, texts } from "../../../support/held-client.js";
import { answer, handOver } from "../../../support/misbehaving-server.js";

/** A local gateway with the services "echo" and "hold". The service "hold" responds when the test releases it. */
async function start() {
  const emulator = await startEmulator();
  onTestFinished(() => emulator.close());
  const client = new PredictClient({
    endpoint: emulator.endpoint,
    serviceName: "echo",
    token: emulator.token,
    retryCount: 0,
  });
  onTestFinished(() => void client.close());
  return { emulator, client };
}

describe("responses of a batch", () => {
  test("have the order of the requests, for each kind of source and request", async () => {
    const { client } = await start();
    const rows = numbers(40);
    async function* later() {
      for (const row of rows) {
        await settled();
        yield row;
      }
    }
    for (const source of [rows, new Set(rows), rows.values(), counted(rows), later()]) {
      expect(texts(await batch(client, source))).toEqual(rows);
    }
    expect(await batch(client, [Uint8Array.of(1), Uint8Array.of(2)])).toEqual([Uint8Array.of(1), Uint8Array.of(2)]);
    const digits = client.service("digits");
    const images = Array.from({ length: 5 }, (_, i) => new Float32Array(64).fill(i));
    const requests = images.map((image) => new TFRequest().addFeed("images", [1, 64], "DT_FLOAT", image));
    const answers = await batch(digits, requests, { concurrency: 2 });
    expect(answers.map((answer) => answer.getTensorShape("scores"))).toEqual(new Array(5).fill([1, 10]));
    expect(await batch(client, [])).toEqual([]);
  });

  test("have the types that follow from the requests", async () => {
    const client = {} as PredictClient;
    const never = async () => {
      expectTypeOf(await batch(client, ["x"])).toEqualTypeOf<StringResponse[]>();
      expectTypeOf(await batch(client, [new TFRequest()])).toEqualTypeOf<TFResponse[]>();
      expectTypeOf(await batch(client, [new TFRequest(), new JsonRequest()])).toEqualTypeOf<
        (TFResponse | JsonResponse)[]
      >();
      expectTypeOf(await batch(client, ["x"], { onError: "collect" })).toEqualTypeOf<
        PromiseSettledResult<StringResponse>[]
      >();
      expectTypeOf(await batch(client, new Set([Uint8Array.of(1)]), { onError: "stop" })).toEqualTypeOf<
        ReturnType<Uint8Array["slice"]>[]
      >();
    };
    expect(never).toBeInstanceOf(Function);
  });

  test("have the order of the requests, whatever the order of completion", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(20), { maxLength: 15 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 40 }),
        fc.infiniteStream(fc.nat(100)),
        async (sizes, concurrency, maxBytes, choices) => {
          const client = new HeldClient();
          const requests = sizes.map((size, i) => new Uint8Array(size).fill(i));
          let result: unknown;
          void batch(client, requests, { concurrency, maxBytes }).then((answers) => {
            result = answers;
          });
          const waiting = client.calls;
          for (let ended = 0; ended < sizes.length; ended++) {
            await settled();
            const sum = waiting.reduce((sum, { size }) => sum + size, 0);
            expect(waiting.length).toBeGreaterThan(0);
            expect(waiting.length).toBeLessThanOrEqual(concurrency);
            if (waiting.length > 1) expect(sum).toBeLessThanOrEqual(maxBytes);
            waiting.splice(choices.next().value % waiting.length, 1)[0]?.end();
          }
          await settled();
          expect(result).toEqual(requests);
        },
      ),
      { numRuns: 50 },
    );
  });

  test("are sent with the call options, and with the content type and compression of each request", async () => {
    const { client, emulator } = await start();
    const request = { contentType: "application/json", toBinary: () => Uint8Array.of(1), parseResponse: () => 1 };
    const compressed = new StringRequest("x".repeat(100), { compression: "gzip" });
    await batch(client, [request, compressed], {
      concurrency: 1,
      path: "/deep",
      headers: { "x-mine": "1" },
      onError: "collect",
    });
    const [json, text] = emulator.requests;
    expect([json?.url, json?.headers.get("x-mine")]).toEqual([expect.stringMatching(/\/deep$/), "1"]);
    expect(json?.headers.get("content-type")).toBe("application/json");
    expect(text?.body.length).toBeLessThan(100);
  });

  test("need one serialization for each request, just before it is sent", async () => {
    const client = new HeldClient();
    let serialized = 0;
    const request: PredictRequest<string> = {
      toBinary() {
        serialized++;
        return new TextEncoder().encode("x");
      },
      parseResponse: (body) => `${body.length}`,
    };
    const done = batch(client, [request, request, request, request], { concurrency: 2 });
    await settled();
    expect(serialized).toBe(2);
    for (let ended = 0; ended < 4; ended++) {
      client.calls.shift()?.end();
      await settled();
    }
    expect(await done).toEqual(["1", "1", "1", "1"]);
    expect(serialized).toBe(4);
  });
});

describe("limits of the requests in flight", () => {
  test("8 requests by default, and the source is not read further", async () => {
    const client = new HeldClient();
    const source = counted(numbers(100));
    const done = batch(client, source);
    await settled();
    expect([client.open, source.seen.asked]).toEqual([8, 8]);
    for (let ended = 0; ended < 100; ended++) {
      client.calls.shift()?.end();
      await settled();
    }
    expect(texts(await done)).toEqual(numbers(100));
    expect(client.most).toBe(8);
  });

  test("the option concurrency, over sockets", async () => {
    const { client, emulator } = await start();
    let open = 0;
    let most = 0;
    let go = () => {};
    const five = new Promise<void>((resolve) => {
      go = resolve;
    });
    emulator.addService("busy", async (request) => {
      most = Math.max(most, ++open);
      if (open === 5) go();
      await five;
      await settled();
      open--;
      return request.body;
    });
    await batch(client.service("busy"), numbers(60), { concurrency: 5 });
    expect(most).toBe(5);
  });

  test("the option maxBytes, and a larger request is sent alone", async () => {
    const client = new HeldClient();
    const sizes = [3, 3, 3, 50, 1, 10];
    const done = batch(
      client,
      sizes.map((size) => new Uint8Array(size)),
      { maxBytes: 10 },
    );
    const flights: number[][] = [];
    while (flights.flat().length < sizes.length) {
      await settled();
      const flight = client.calls.splice(0);
      flights.push(flight.map(({ size }) => size));
      for (const { end } of flight) end();
    }
    expect(flights).toEqual([[3, 3, 3], [50], [1], [10]]);
    expect((await done).map(({ length }) => length)).toEqual(sizes);
  });
});

describe("onProgress", () => {
  test("is called after each request with the counts", async () => {
    const { client, emulator } = await start();
    const seen: BatchProgress[] = [];
    const onProgress = (progress: BatchProgress) => void seen.push(progress);
    await batch(client, ["1", "22", "333"], { onProgress, concurrency: 1 });
    expect(seen).toEqual([
      { done: 1, failed: 0, total: 3, bytes: 1 },
      { done: 2, failed: 0, total: 3, bytes: 3 },
      { done: 3, failed: 0, total: 3, bytes: 6 },
    ]);
    seen.length = 0;
    emulator.fault({ service: "echo", status: 400 });
    await batch(client, new Set(["1", "2"]), { onProgress, onError: "collect", concurrency: 1 });
    expect(seen).toEqual([
      { done: 1, failed: 1, total: undefined, bytes: 1 },
      { done: 2, failed: 1, total: undefined, bytes: 2 },
    ]);
    seen.length = 0;
    emulator.fault({ service: "echo", status: 400 });
    await errorOf(batch(client, ["1", "2"], { onProgress, concurrency: 1 }));
    expect(seen).toEqual([{ done: 1, failed: 1, total: 2, bytes: 1 }]);
  });

  test.each(["stop", "collect"] as const)("ends the batch by an error that it throws (%s)", async (onError) => {
    const client = new HeldClient();
    const source = counted(numbers(10));
    const error = new Error("the bar broke");
    const options: BatchOptions = {
      concurrency: 3,
      onError,
      onProgress: () => {
        throw error;
      },
    };
    const done = batch(client, source, options as { onError: "collect" });
    await settled();
    client.calls[0]?.end();
    expect(await errorOf(done)).toBe(error);
    expect(client.calls.map(({ signal }) => signal.aborted)).toEqual([true, true, true]);
    expect(source.seen).toEqual({ asked: 3, closed: 1 });
  });
});

test("ends the batch by a rejection of an async callback", async () => {
  const { client } = await start();
  const error = new Error("the bar broke");
  const onProgress = () => Promise.reject(error);
  expect(await errorOf(batch(client, numbers(3), { onProgress, concurrency: 1 }))).toBe(error);
});

describe("an error in a batch", () => {
  test("ends the batch, aborts calls in flight, sends no more requests and closes the source", async () => {
    const client = new HeldClient();
    const source = counted(numbers(10));
    const done = batch(client, source, { concurrency: 3 });
    await settled();
    const error = new Error("no");
    client.calls[1]?.fail(error);
    expect(await errorOf(done)).toBe(error);
    await settled();
    expect(client.calls).toHaveLength(3);
    expect(client.calls.every(({ signal }) => signal.reason === error)).toBe(true);
    expect(source.seen).toEqual({ asked: 3, closed: 1 });
  });

  test("ends the batch if the last request fails", async () => {
    const client = new HeldClient();
    const done = batch(client, ["x"]);
    await settled();
    client.calls[0]?.fail(undefined);
    expect(
      await done.then(
        () => "fulfilled",
        (reason) => ["rejected", reason],
      ),
    ).toEqual(["rejected", undefined]);
  });

  test("ends the connections of calls in flight", async () => {
    const server = await startServer();
    const held = handOver();
    server.play(held.behaviour, answer(400));
    const done = batch(clientOf(server, { retryCount: 0 }), ["a", "b"]);
    const socket = await held.socket;
    expect((await errorOf(done)).status).toBe(400);
    if (!socket.closed) await once(socket, "close");
  });

  test("is collected at the index of its request", async () => {
    const { client, emulator } = await start();
    emulator.addService("odd", ({ body }) => {
      if (Number(new TextDecoder().decode(body)) % 2 === 1) throw new Error("odd");
      return body;
    });
    const results = await batch(client.service("odd"), numbers(20), { onError: "collect" });
    expect(results.map(({ status }) => status)).toEqual(
      numbers(20).map((number) => (Number(number) % 2 === 1 ? "rejected" : "fulfilled")),
    );
    expect(results[3]).toMatchObject({ status: "rejected", reason: { status: 400 } });
    expect(String((results[4] as PromiseFulfilledResult<StringResponse>).value)).toBe("4");
  });

  test("is collected for an invalid request and for one that cannot be serialized", async () => {
    const { client, emulator } = await start();
    const broken: PredictRequest<string> = {
      toBinary() {
        throw new RangeError("cannot");
      },
      parseResponse: () => "",
    };
    const requests = ["1", 2, undefined, broken, "5"] as unknown as string[];
    const results = await batch(client, requests, { onError: "collect" });
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected", "rejected", "fulfilled"]);
    expect((results[1] as PromiseRejectedResult).reason.message).toMatch(/predict accepts text.*not 2$/);
    expect((results[3] as PromiseRejectedResult).reason.message).toBe("cannot");
    expect(emulator.requests).toHaveLength(2);
    expect((await errorOf(batch(client, [broken]))).message).toBe("cannot");
  });

  test.each(["stop", "collect"] as const)("ends the batch if the source fails (%s)", async (onError) => {
    const client = new HeldClient();
    async function* source() {
      yield "1";
      throw new Error("the file ended");
    }
    expect((await errorOf(batch(client, source(), { onError } as { onError: "collect" }))).message).toBe(
      "the file ended",
    );
    expect(client.calls.map(({ signal }) => signal.aborted)).toEqual([true]);
  });
});

describe("an abort of a batch", () => {
  const reason = new Error("enough");

  test("before the start sends nothing and does not read the source", async () => {
    const client = new HeldClient();
    const source = counted(["1"]);
    expect(await errorOf(batch(client, source, { signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect([client.calls.length, source.seen.asked]).toEqual([0, 0]);
  });

  test.each(["stop", "collect"] as const)("aborts calls in flight (%s)", async (onError) => {
    const client = new HeldClient();
    const source = counted(numbers(10));
    const controller = new AbortController();
    const options = { signal: controller.signal, concurrency: 2, onError } as { onError: "collect" };
    const done = batch(client, source, options);
    await settled();
    controller.abort(reason);
    expect(await errorOf(done)).toBe(reason);
    await settled();
    expect(client.calls.map(({ signal }) => signal.reason)).toEqual([reason, reason]);
    expect(source.seen).toEqual({ asked: 2, closed: 1 });
  });

  test("closes a source that is being read", async () => {
    let closed = 0;
    const source: AsyncIterable<string> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => {}),
        return() {
          closed++;
          return Promise.reject(new Error("of no interest"));
        },
      }),
    };
    const controller = new AbortController();
    const done = batch(new HeldClient(), source, { signal: controller.signal });
    await settled();
    controller.abort(reason);
    expect(await errorOf(done)).toBe(reason);
    expect(closed).toBe(1);
  });

  test("ends a batch that waits because of maxBytes", async () => {
    const client = new HeldClient();
    const controller = new AbortController();
    const done = batch(client, [new Uint8Array(9), new Uint8Array(9)], { maxBytes: 10, signal: controller.signal });
    await settled();
    controller.abort(reason);
    expect(await errorOf(done)).toBe(reason);
    await settled();
    expect(client.calls).toHaveLength(1);
  });

  test("may come from onProgress", async () => {
    const { client } = await start();
    const controller = new AbortController();
    const onProgress = () => controller.abort(reason);
    expect(await errorOf(batch(client, numbers(9), { signal: controller.signal, onProgress }))).toBe(reason);
  });

  test("leaves no listener on the signal", async () => {
    const { client } = await start();
    const { signal } = new AbortController();
    let listeners = 0;
    const { addEventListener, removeEventListener } = signal;
    Object.assign(signal, {
      addEventListener(...args: Parameters<typeof addEventListener>) {
        listeners++;
        addEventListener.apply(signal, args);
      },
      removeEventListener(...args: Parameters<typeof removeEventListener>) {
        listeners--;
        removeEventListener.apply(signal, args);
      },
    });
    await batch(client, numbers(20), { signal });
    await errorOf(batch(client, [null] as unknown as string[], { signal }));
    expect(listeners).toBe(0);
  });
});

describe("batch() refuses", () => {
  test.each<[unknown, Record<string, unknown>, RegExp]>([
    ["text", {}, /batch takes an array, an iterable or an async iterable of requests, not "text"/],
    [Uint8Array.of(1), {}, /not an instance of Uint8Array/],
    [new TFRequest(), {}, /not an instance of TFRequest/],
    [undefined, {}, /not undefined/],
    [["x"], { concurrency: 0 }, /concurrency is 0: it must be an integer of at least 1/],
    [["x"], { concurrency: 1.5 }, /concurrency is 1.5/],
    [["x"], { maxBytes: 0 }, /maxBytes is 0/],
    [["x"], { maxBytes: "1 MB" }, /maxBytes is "1 MB"/],
    [["x"], { onProgress: true }, /onProgress is true: it must be a function/],
    [["x"], { onError: "ignore" }, /onError is "ignore": it must be "stop" or "collect"/],
    [["x"], { signal: {} }, /signal is a plain object: it must be an AbortSignal/],
    [["x"], { timeout: -1 }, /timeout is -1/],
  ])("%o %o", async (requests, options, message) => {
    const { client, emulator } = await start();
    const error = await errorOf(batch(client, requests as string[], options as { onError: "collect" }));
    expect(error.message).toMatch(message);
    expect(error.code).toMatch(/^ERR_EAS_ARG_/);
    expect(emulator.requests).toHaveLength(0);
  });

  test("a value that is not a client", async () => {
    expect((await errorOf(batch({} as PredictClient, ["x"]))).message).toMatch(/batch expects a PredictClient first/);
  });
});
