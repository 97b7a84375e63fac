import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { createRelay } from "../../../src/relay/index.js";
import { memoryRelay, memoryService, type RelayedCall, refusalOf } from "../../support/relay.js";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const bytes = (text: string) => new TextEncoder().encode(text);

/** A body that is given piece by piece, when the test says so. */
function handMade() {
  let cancelled: unknown;
  let controller!: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      start(given) {
        controller = given;
      },
      cancel(reason) {
        cancelled = reason ?? "no reason";
      },
    },
    { highWaterMark: 0 },
  );
  return {
    stream,
    give: (text: string) => controller.enqueue(bytes(text)),
    end: () => controller.close(),
    fail: (error: unknown) => controller.error(error),
    cancelled: () => cancelled,
  };
}

const textOf = (value: Uint8Array | undefined) => new TextDecoder().decode(value);
const readerOf = ({ body }: { body: unknown }) => (body as ReadableStream<Uint8Array>).getReader();

/** A body of so many pieces, which are made as they are wanted. */
function onDemand(count: number) {
  let made = 0;
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      pull(controller) {
        controller.enqueue(bytes(String(made++)));
        if (made === count) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, made: () => made };
}

describe("the request's body", () => {
  test("goes on piece by piece, also after the answer began, and none is read before it is wanted", async () => {
    const body = onDemand(20);
    const { ask, calls } = memoryRelay({}, () => new Response("answered before the body came"));
    expect(await (await ask("/", { body: body.stream })).text()).toBe("answered before the body came");
    expect(body.made()).toBe(0);
    const reader = readerOf(calls[0] as RelayedCall);
    for (let i = 0; i < 20; i++) {
      expect(textOf((await reader.read()).value)).toBe(String(i));
      expect(body.made()).toBe(i + 1);
    }
    expect((await reader.read()).done).toBe(true);
  });

  test.each([
    ["exactly as many as may", 8, 200],
    ["one more", 7, 413],
    ["none may", 0, 413],
  ])("is counted where no length is stated: %s", async (_, maxBytes, status) => {
    let reason: unknown;
    const { ask, errors } = memoryRelay({ maxBytes }, async (call) => {
      call.signal.addEventListener("abort", () => {
        reason = call.signal.reason;
      });
      return new Response(await new Response(call.body).arrayBuffer());
    });
    const body = handMade();
    body.give("four");
    body.give("four");
    body.end();
    const answer = await ask("/", { body: body.stream });
    expect(answer.status).toBe(status);
    if (status === 200) expect(await answer.text()).toBe("fourfour");
    else {
      expect((await refusalOf(answer))[1]).toBe(`the body has more than ${maxBytes} bytes`);
      expect(String(reason)).toContain("more than");
      // No matter of the relay's owner.
      expect(errors).toEqual([]);
    }
  });

  test("is counted although a smaller length was stated", async () => {
    const { ask } = memoryRelay({ maxBytes: 3 }, async (call) => new Response(await new Response(call.body).text()));
    const answer = await ask("/", { body: "four", headers: { "content-length": "1" } });
    expect(answer.status).toBe(413);
  });

  test("by the stated length: 413, and nothing is sent", async () => {
    const { ask, calls } = memoryRelay({ maxBytes: 3 });
    const body = onDemand(4);
    expect((await ask("/", { body: body.stream, headers: { "content-length": "4" } })).status).toBe(413);
    expect([calls.length, body.made()]).toEqual([0, 0]);
  });

  test("has 1 MiB at the most, unless told otherwise", async () => {
    const length = (bytes: number) => ({
      body: new Uint8Array(bytes),
      headers: { "content-length": String(bytes) },
    });
    expect((await memoryRelay().ask("/", length(1024 * 1024))).status).toBe(200);
    expect((await memoryRelay().ask("/", length(1024 * 1024 + 1))).status).toBe(413);
    expect((await memoryRelay({ maxBytes: Infinity }).ask("/", length(3 * 1024 * 1024))).status).toBe(200);
  });

  test("too large after the answer began: the answer breaks off, and the call is ended", async () => {
    const body = handMade();
    const answered = handMade();
    let signal: AbortSignal | undefined;
    const { ask } = memoryRelay({ maxBytes: 3 }, (call) => {
      ({ signal } = call);
      call.signal.addEventListener("abort", () => answered.fail(call.signal.reason));
      const reader = readerOf(call);
      void reader
        .read()
        .then(() => reader.read())
        .catch(() => {});
      return new Response(answered.stream);
    });
    const reader = readerOf(await ask("/", { body: body.stream }));
    answered.give("begun");
    expect(textOf((await reader.read()).value)).toBe("begun");
    body.give("four");
    await expect(reader.read()).rejects.toThrow("more than 3 bytes");
    expect(signal?.aborted).toBe(true);
    expect(body.cancelled()).toBeDefined();
  });

  test("that breaks off is the caller's fault: 400, and the call is ended", async () => {
    const body = handMade();
    const { ask, calls, errors } = memoryRelay({}, async (call) => new Response(await new Response(call.body).text()));
    const asked = ask("/", { body: body.stream });
    body.give("x");
    body.fail(new Error("reset"));
    expect(await refusalOf(await asked)).toEqual([400, "the connection broke before the end of the body"]);
    expect(calls[0]?.signal.aborted).toBe(true);
    expect(errors).toEqual([]);
  });

  test("that the service wants no more of does not end the call", async () => {
    const body = handMade();
    const { ask, calls, errors } = memoryRelay({}, async (call) => {
      const reader = readerOf(call);
      const reading = reader.read();
      await reader.cancel("enough");
      await reading;
      await new Promise((go) => setImmediate(go));
      return new Response("answered");
    });
    const answer = await ask("/", { body: body.stream });
    expect([answer.status, await answer.text(), body.cancelled()]).toEqual([200, "answered", "enough"]);
    expect([calls[0]?.signal.aborted, errors]).toEqual([false, []]);
  });

  test("that is no bytes does not pass by the limit", async () => {
    const { ask } = memoryRelay({}, async (call) => new Response(await new Response(call.body).text()));
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue("text");
        controller.close();
      },
    });
    expect((await ask("/", { body })).status).toBe(413);
  });

  test("of a stated length goes on whole, with its length", async () => {
    const { ask, calls } = memoryRelay();
    await ask("/", { body: onDemand(10).stream, headers: { "content-length": "10" } });
    expect(textOf(calls[0]?.body as Uint8Array)).toBe("0123456789");
  });

  test("of a stated length that breaks off: nothing is sent", async () => {
    const { ask, calls, errors } = memoryRelay();
    const body = handMade();
    const asked = ask("/", { body: body.stream, headers: { "content-length": "10" } });
    body.give("half");
    body.fail(new Error("reset"));
    expect((await asked).status).toBe(400);
    expect([calls, errors]).toEqual([[], []]);
  });

  test("of a stated length that does not arrive within the timeout: 408, nothing is sent, and no more is read", async () => {
    const { ask, calls, errors } = memoryRelay({ timeout: 1 });
    const body = handMade();
    const answer = await ask("/", { body: body.stream, headers: { "content-length": "10" } });
    expect(await refusalOf(answer)).toEqual([408, "the body did not arrive within 1 ms"]);
    expect([calls, errors]).toEqual([[], []]);
    expect(body.cancelled()).toMatchObject({ status: 408 });
  });

  test("of more than the shared gateway takes goes on as it comes, whatever its length", async () => {
    const { ask, calls } = memoryRelay({ maxBytes: 1e9 });
    await ask("/", { body: onDemand(10).stream, headers: { "content-length": "10000000" } });
    expect(calls[0]?.body).toBeInstanceOf(ReadableStream);
  });

  test("that the service leaves alone is not read", async () => {
    const body = onDemand(4);
    const { ask } = memoryRelay();
    expect((await ask("/", { body: body.stream })).status).toBe(200);
    expect(body.made()).toBe(0);
  });

  test.each([
    ["without authorize", undefined],
    ["with authorize", () => true],
  ])("that somebody has read before is an error in words, %s", async (_, authorize) => {
    const { client, calls } = memoryService();
    const errors: unknown[] = [];
    const relay = createRelay({ client, allow: [{ paths: ["/"] }], onError: (error) => errors.push(error), authorize });
    const request = new Request("https://my.site/", { method: "POST", body: "x" });
    await request.text();
    expect((await relay(request)).status).toBe(500);
    expect(String(errors[0])).toContain("request.clone()");
    expect(calls).toEqual([]);
  });

  test("of no bytes is none", async () => {
    const { ask, calls } = memoryRelay();
    await ask("/");
    await ask("/", { body: "", headers: { "content-length": "0" } });
    expect(calls.map(({ body }) => body)).toEqual([null, null]);
  });
});

describe("a stated length", () => {
  test.each([
    ["fewer bytes, read whole", "abc", "10", 1024, "3"],
    ["no bytes, read whole", "", "10", 1024, "0"],
    ["more bytes, read whole", "abc", "2", 1024, "more"],
    ["fewer bytes, streamed", "abc", "2000000", 1e9, "3"],
  ])("of another body is the caller's fault: %s", async (_, text, stated, maxBytes, found) => {
    const { ask, calls, errors } = memoryRelay(
      { maxBytes },
      async ({ body }) => new Response(await new Response(body).text()),
    );
    const body = handMade();
    if (text !== "") body.give(text);
    body.end();
    const answer = await ask("/", { body: body.stream, headers: { "content-length": stated } });
    expect(await refusalOf(answer)).toEqual([
      400,
      `the body has ${found} bytes, but its Content-Length is ${stated}: mount the relay before body parsers and decompression`,
    ]);
    // A service that reads a stream sees it fail, not end.
    expect(calls.map(({ signal }) => signal.aborted)).toEqual(maxBytes > 1024 ? [true] : []);
    expect(errors).toEqual([]);
  });

  test("of a request without a body is the caller's fault", async () => {
    const { ask, calls } = memoryRelay();
    const [status, error] = await refusalOf(await ask("/", { headers: { "content-length": "10" } }));
    expect([status, error.slice(0, 56)]).toEqual([400, "the body has 0 bytes, but its Content-Length is 10: moun"]);
    expect(calls).toEqual([]);
  });

  test.each(["-1", "1.5", "0x1", "a", "1, 1", "1e1", ""])("that is not a number: %j", async (stated) => {
    const { ask, calls } = memoryRelay();
    const answer = await ask("/", { body: "x", headers: { "content-length": stated } });
    expect(await refusalOf(answer)).toEqual([400, "the Content-Length is not a number"]);
    expect(calls).toEqual([]);
  });
});

describe("a slow caller", () => {
  const SLOWLY = "the body arrived too slowly: less than 1 KiB in 1000 ms";

  function stopClock() {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    onTestFinished(() => void vi.useRealTimers());
  }
  const pass = (milliseconds: number) => vi.advanceTimersByTimeAsync(milliseconds);

  test.each([
    ["of a stated length, and nothing is sent", { "content-length": "5000" }, 0],
    ["of no stated length, and the call is aborted", {}, 1],
  ])("whose body stalls is answered with 408: %s", async (_, headers, count) => {
    stopClock();
    const { ask, calls, errors } = memoryRelay({ idleTimeout: 1000 }, async ({ body }) => {
      return new Response(await new Response(body).text());
    });
    const body = handMade();
    const asked = ask("/", { body: body.stream, headers: headers as Record<string, string> });
    body.give("x");
    await pass(999);
    expect(body.cancelled()).toBeUndefined();
    await pass(2);
    expect(await refusalOf(await asked)).toEqual([408, SLOWLY]);
    expect(body.cancelled()).toMatchObject({ status: 408 });
    expect(calls).toHaveLength(count);
    for (const { signal } of calls) expect(signal.aborted).toBe(true);
    expect(errors).toEqual([]);
  });

  test("whose body drips is answered with 408", async () => {
    stopClock();
    const { ask } = memoryRelay(
      { idleTimeout: 1000 },
      async ({ body }) => new Response(await new Response(body).text()),
    );
    const body = handMade();
    const asked = ask("/", { body: body.stream });
    for (let i = 0; body.cancelled() === undefined; i++) {
      expect(i).toBeLessThan(12);
      body.give("x");
      await pass(100);
    }
    expect(await refusalOf(await asked)).toEqual([408, SLOWLY]);
  });

  test("that sends 1 KiB in time may take as long as it wants", async () => {
    stopClock();
    const { ask } = memoryRelay(
      { idleTimeout: 1000 },
      async ({ body }) => new Response(await new Response(body).text()),
    );
    const body = handMade();
    const asked = ask("/", { body: body.stream });
    for (let i = 0; i < 20; i++) {
      await pass(900);
      body.give("x".repeat(1024));
    }
    await pass(900);
    body.end();
    expect(await (await asked).text()).toHaveLength(20 * 1024);
  });

  test("whose body the service does not read is not slow", async () => {
    stopClock();
    let answer!: (response: Response) => void;
    const { ask } = memoryRelay({ idleTimeout: 1000 }, () => new Promise((resolve) => (answer = resolve)));
    const asked = ask("/", { body: handMade().stream });
    await pass(100_000);
    answer(new Response("ok"));
    expect((await asked).status).toBe(200);
  });

  test("that does not read the answer loses it, and the service's connection is released", async () => {
    stopClock();
    const answered = onDemand(100);
    const { ask, calls, errors } = memoryRelay({ idleTimeout: 1000 }, () => new Response(answered.stream));
    const { body } = await ask("/");
    await pass(1001);
    expect(calls[0]?.signal.aborted).toBe(true);
    await expect(body?.getReader().read()).rejects.toThrow("less than 1 KiB of the response in 1000 ms");
    expect(errors).toEqual([]);
  });

  test("that takes the answer in drips loses it", async () => {
    stopClock();
    const answered = onDemand(100);
    const { ask, calls } = memoryRelay({ idleTimeout: 1000 }, () => new Response(answered.stream));
    const reader = readerOf(await ask("/"));
    const failed = (async () => {
      for (;;) {
        await pass(100);
        await reader.read();
      }
    })();
    await expect(failed).rejects.toThrow("less than 1 KiB");
    expect(answered.made()).toBeLessThan(12);
    expect(calls[0]?.signal.aborted).toBe(true);
  });

  test("is not one that waits for a slow service", async () => {
    stopClock();
    const answered = handMade();
    const { ask, calls } = memoryRelay({ idleTimeout: 1000 }, () => new Response(answered.stream));
    const reader = readerOf(await ask("/"));
    for (let i = 0; i < 5; i++) {
      const reading = reader.read();
      await pass(100_000);
      answered.give("x");
      expect(textOf((await reading).value)).toBe("x");
    }
    const last = reader.read();
    answered.end();
    expect((await last).done).toBe(true);
    await pass(100_000);
    expect(calls[0]?.signal.aborted).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("has no limit with idleTimeout Infinity", async () => {
    stopClock();
    const answered = onDemand(2);
    const { ask, calls } = memoryRelay({ idleTimeout: Number.POSITIVE_INFINITY }, () => new Response(answered.stream));
    const reader = readerOf(await ask("/"));
    await pass(2 ** 31 - 1);
    expect((await reader.read()).done).toBe(false);
    expect(calls[0]?.signal.aborted).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("leaves no timer, however its call ends", async () => {
    stopClock();
    const { ask } = memoryRelay(
      { authorize: () => true },
      async ({ body }) => new Response(await new Response(body).text()),
    );
    expect(await (await ask("/", { body: onDemand(3).stream })).text()).toBe("012");
    await (await ask("/", { body: "x", headers: { "content-length": "1" } })).text();
    const { body } = await ask("/", { body: onDemand(3).stream });
    await body?.cancel();
    const failing = handMade();
    const asked = ask("/", { body: failing.stream });
    failing.fail(new Error("reset"));
    expect((await asked).status).toBe(400);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("the answer's body", () => {
  test("comes piece by piece, and none is read before it is wanted", async () => {
    const answered = onDemand(20);
    const { ask } = memoryRelay({}, () => new Response(answered.stream));
    const reader = readerOf(await ask("/"));
    expect(answered.made()).toBe(0);
    for (let i = 0; i < 20; i++) {
      expect(textOf((await reader.read()).value)).toBe(String(i));
      expect(answered.made()).toBe(i + 1);
    }
    expect((await reader.read()).done).toBe(true);
  });

  test("that the caller cancels is cancelled", async () => {
    const answered = handMade();
    const { ask, errors } = memoryRelay({}, () => new Response(answered.stream));
    const { body } = await ask("/");
    await body?.cancel("enough");
    expect(answered.cancelled()).toBe("enough");
    expect(errors).toEqual([]);
  });

  test("that the caller cancels while it waits for a piece is cancelled", async () => {
    const answered = handMade();
    const { ask, errors } = memoryRelay({}, () => new Response(answered.stream));
    const reader = readerOf(await ask("/"));
    const reading = reader.read();
    await reader.cancel("enough");
    expect((await reading).done).toBe(true);
    await new Promise((go) => setImmediate(go));
    expect([answered.cancelled(), errors]).toEqual(["enough", []]);
  });

  test("that breaks off breaks off, and the owner hears why", async () => {
    const answered = handMade();
    const { ask, errors } = memoryRelay({}, () => new Response(answered.stream));
    const reading = (await ask("/")).text();
    answered.give("half");
    const broken = new Error("ECONNRESET");
    answered.fail(broken);
    await expect(reading).rejects.toBe(broken);
    expect(errors).toEqual([broken]);
  });

  test("of a refused token is given up", async () => {
    const answered = handMade();
    const { ask } = memoryRelay({}, () => new Response(answered.stream, { status: 401 }));
    expect((await ask("/")).status).toBe(502);
    expect(answered.cancelled()).toBeDefined();
  });
});

describe("the caller goes", () => {
  /** A request whose caller can go, and whose listeners are counted. */
  function leaving() {
    const { relay, calls, errors } = memoryRelay({}, (call) => respond(call));
    let respond: (call: RelayedCall) => Response | Promise<Response> = () => new Response("ok");
    const caller = new AbortController();
    const request = new Request("https://my.site/", { method: "POST", signal: caller.signal });
    let listeners = 0;
    const { addEventListener, removeEventListener } = request.signal;
    request.signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      listeners++;
      addEventListener.apply(request.signal, args);
    };
    request.signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      listeners--;
      removeEventListener.apply(request.signal, args);
    };
    const ask = (how: typeof respond) => {
      respond = how;
      return relay(request);
    };
    return { ask, leave: () => caller.abort(new Error("gone")), calls, errors, listeners: () => listeners };
  }

  test("before the relay has the request: nothing is sent", async () => {
    const { ask, leave, errors, calls, listeners } = leaving();
    leave();
    const answer = await ask(() => new Response("too late"));
    expect(answer.status).toBe(499);
    expect([errors, calls, listeners()]).toEqual([[], [], 0]);
  });

  test("before the answer: the call is ended with its reason", async () => {
    const { ask, leave, calls, errors, listeners } = leaving();
    const asked = ask(({ signal }) => {
      const answer = new Promise<never>((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
      });
      leave();
      return answer;
    });
    expect((await asked).status).toBe(499);
    expect(String(calls[0]?.signal.reason)).toBe("Error: gone");
    expect([errors, listeners()]).toEqual([[], 0]);
  });

  test("and a client that does not listen answers nobody", async () => {
    const { ask, leave, errors, listeners } = leaving();
    const answered = handMade();
    const answer = await ask(() => {
      leave();
      return new Response(answered.stream);
    });
    expect(answer.status).toBe(499);
    expect(answered.cancelled()).toBeDefined();
    expect([errors, listeners()]).toEqual([[], 0]);
  });

  test("in the middle of the answer: the call is ended, and it is no news", async () => {
    const { ask, leave, calls, errors, listeners } = leaving();
    const answered = handMade();
    const answer = await ask(({ signal }) => {
      signal.addEventListener("abort", () => answered.fail(signal.reason));
      return new Response(answered.stream);
    });
    const reading = answer.text();
    answered.give("half");
    leave();
    await expect(reading).rejects.toThrow("gone");
    expect(calls[0]?.signal.aborted).toBe(true);
    expect([errors, listeners()]).toEqual([[], 0]);
  });

  test("in the middle of the body: its end is none", async () => {
    const { relay, calls } = memoryRelay({}, () => new Response(handMade().stream));
    const caller = new AbortController();
    const body = handMade();
    const init = { method: "POST", body: body.stream, signal: caller.signal, duplex: "half" };
    await relay(new Request("https://my.site/", init as RequestInit));
    const reader = readerOf(calls[0] as RelayedCall);
    body.give("half");
    expect(textOf((await reader.read()).value)).toBe("half");
    const reading = reader.read();
    caller.abort(new Error("gone"));
    await expect(reading).rejects.toThrow("gone");
    expect(String(body.cancelled())).toContain("gone");
  });

  test("after the end: no listener is left", async () => {
    for (const how of [
      () => new Response("ok"),
      () => new Response(null),
      () => new Response("", { status: 401 }),
      () => Promise.reject(new Error("down")),
    ]) {
      const { ask, leave, calls, listeners } = leaving();
      await (await ask(how)).text();
      expect(listeners()).toBe(0);
      leave();
      expect(calls[0]?.signal.aborted).toBe(false);
    }
  });

  test("while nobody but the relay holds the request", async () => {
    const { relay, calls } = memoryRelay({}, () => new Response(handMade().stream));
    const caller = new AbortController();
    const ask = () => relay(new Request("https://my.site/", { method: "POST", signal: caller.signal }));
    const answer = await ask();
    // On Node the signal of a request that is collected never fires.
    for (let i = 0; i < 3; i++) {
      collectGarbage();
      await new Promise((go) => setImmediate(go));
    }
    caller.abort();
    expect(calls[0]?.signal.aborted).toBe(true);
    await answer.body?.cancel().catch(() => {});
  });

  test("on a runtime whose requests have no signal", async () => {
    const { relay } = memoryRelay();
    const request = new Request("https://my.site/", { method: "POST" });
    Object.defineProperty(request, "signal", { value: undefined });
    expect(await (await relay(request)).text()).toBe("ok");
  });
});
