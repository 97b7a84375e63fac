import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { createRelay } from "../../../src/relay/index.js";
import { memoryRelay, memoryService, type RelayedCall, refusalOf } from "../../support/relay.js";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const bytes = (text: string) => new TextEncoder().encode(text);

/** A body whose chunks the test sends one by one. */
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

/** A body of `count` chunks, which are created on demand. */
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

describe("request body", () => {
  test("is forwarded chunk by chunk, also after the response began, and is read only on demand", async () => {
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
    ["as many bytes as allowed", 8, 200],
    ["one byte more", 7, 413],
    ["no bytes allowed", 0, 413],
  ])("is limited by maxBytes without a Content-Length: %s", async (_, maxBytes, status) => {
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
    const response = await ask("/", { body: body.stream });
    expect(response.status).toBe(status);
    if (status === 200) expect(await response.text()).toBe("fourfour");
    else {
      expect((await refusalOf(response))[1]).toBe(`the body is larger than ${maxBytes} bytes`);
      expect(String(reason)).toContain("larger than");
      // The owner of the relay is not notified of errors of the caller.
      expect(errors).toEqual([]);
    }
  });

  test("is limited by maxBytes even if the Content-Length is smaller", async () => {
    const { ask } = memoryRelay({ maxBytes: 3 }, async (call) => new Response(await new Response(call.body).text()));
    const response = await ask("/", { body: "four", headers: { "content-length": "1" } });
    expect(response.status).toBe(413);
  });

  test("returns 413 for a larger Content-Length and sends nothing", async () => {
    const { ask, calls } = memoryRelay({ maxBytes: 3 });
    const body = onDemand(4);
    expect((await ask("/", { body: body.stream, headers: { "content-length": "4" } })).status).toBe(413);
    expect([calls.length, body.made()]).toEqual([0, 0]);
  });

  test("is limited to 1 MiB by default", async () => {
    const length = (bytes: number) => ({
      body: new Uint8Array(bytes),
      headers: { "content-length": String(bytes) },
    });
    expect((await memoryRelay().ask("/", length(1024 * 1024))).status).toBe(200);
    expect((await memoryRelay().ask("/", length(1024 * 1024 + 1))).status).toBe(413);
    expect((await memoryRelay({ maxBytes: Infinity }).ask("/", length(3 * 1024 * 1024))).status).toBe(200);
  });

  test("aborts the call and the response if it exceeds the limit after the response began", async () => {
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
    await expect(reader.read()).rejects.toThrow("larger than 3 bytes");
    expect(signal?.aborted).toBe(true);
    expect(body.cancelled()).toBeDefined();
  });

  test("returns 400 and aborts the call if the body breaks off", async () => {
    const body = handMade();
    const { ask, calls, errors } = memoryRelay({}, async (call) => new Response(await new Response(call.body).text()));
    const asked = ask("/", { body: body.stream });
    body.give("x");
    body.fail(new Error("reset"));
    expect(await refusalOf(await asked)).toEqual([400, "the connection broke before the body was complete"]);
    expect(calls[0]?.signal.aborted).toBe(true);
    expect(errors).toEqual([]);
  });

  test("continues the call if the service cancels the body", async () => {
    const body = handMade();
    const { ask, calls, errors } = memoryRelay({}, async (call) => {
      const reader = readerOf(call);
      const reading = reader.read();
      await reader.cancel("enough");
      await reading;
      await new Promise((go) => setImmediate(go));
      return new Response("answered");
    });
    const response = await ask("/", { body: body.stream });
    expect([response.status, await response.text(), body.cancelled()]).toEqual([200, "answered", "enough"]);
    expect([calls[0]?.signal.aborted, errors]).toEqual([false, []]);
  });

  test("returns 413 for chunks that are not bytes", async () => {
    const { ask } = memoryRelay({}, async (call) => new Response(await new Response(call.body).text()));
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue("text");
        controller.close();
      },
    });
    expect((await ask("/", { body })).status).toBe(413);
  });

  test("is sent whole if it has a Content-Length", async () => {
    const { ask, calls } = memoryRelay();
    await ask("/", { body: onDemand(10).stream, headers: { "content-length": "10" } });
    expect(textOf(calls[0]?.body as Uint8Array)).toBe("0123456789");
  });

  test("sends nothing if a body with a Content-Length breaks off", async () => {
    const { ask, calls, errors } = memoryRelay();
    const body = handMade();
    const asked = ask("/", { body: body.stream, headers: { "content-length": "10" } });
    body.give("half");
    body.fail(new Error("reset"));
    expect((await asked).status).toBe(400);
    expect([calls, errors]).toEqual([[], []]);
  });

  test("returns 408, sends nothing and stops reading if the body does not arrive within the timeout", async () => {
    const { ask, calls, errors } = memoryRelay({ timeout: 1 });
    const body = handMade();
    const response = await ask("/", { body: body.stream, headers: { "content-length": "10" } });
    expect(await refusalOf(response)).toEqual([408, "the body did not arrive within 1 ms"]);
    expect([calls, errors]).toEqual([[], []]);
    expect(body.cancelled()).toMatchObject({ status: 408 });
  });

  test("streams a body that is larger than the shared gateway accepts", async () => {
    const { ask, calls } = memoryRelay({ maxBytes: 1e9 });
    await ask("/", { body: onDemand(10).stream, headers: { "content-length": "10000000" } });
    expect(calls[0]?.body).toBeInstanceOf(ReadableStream);
  });

  test("is not read if the service does not read it", async () => {
    const body = onDemand(4);
    const { ask } = memoryRelay();
    expect((await ask("/", { body: body.stream })).status).toBe(200);
    expect(body.made()).toBe(0);
  });

  test.each([
    ["without authorize", undefined],
    ["with authorize", () => true],
  ])("reports a body that was already read to onError, %s", async (_, authorize) => {
    const { client, calls } = memoryService();
    const errors: unknown[] = [];
    const relay = createRelay({ client, allow: [{ paths: ["/"] }], onError: (error) => errors.push(error), authorize });
    const request = new Request("https://my.site/", { method: "POST", body: "x" });
    await request.text();
    expect((await relay(request)).status).toBe(500);
    expect(String(errors[0])).toContain("request.clone()");
    expect(calls).toEqual([]);
  });

  test("sends null for an empty body", async () => {
    const { ask, calls } = memoryRelay();
    await ask("/");
    await ask("/", { body: "", headers: { "content-length": "0" } });
    expect(calls.map(({ body }) => body)).toEqual([null, null]);
  });
});

describe("Content-Length", () => {
  test.each([
    ["fewer bytes, read whole", "abc", "10", 1024, "3"],
    ["no bytes, read whole", "", "10", 1024, "0"],
    ["more bytes, read whole", "abc", "2", 1024, "more"],
    ["fewer bytes, streamed", "abc", "2000000", 1e9, "3"],
  ])("returns 400 for a body of another length: %s", async (_, text, stated, maxBytes, found) => {
    const { ask, calls, errors } = memoryRelay(
      { maxBytes },
      async ({ body }) => new Response(await new Response(body).text()),
    );
    const body = handMade();
    if (text !== "") body.give(text);
    body.end();
    const response = await ask("/", { body: body.stream, headers: { "content-length": stated } });
    expect(await refusalOf(response)).toEqual([
      400,
      `the body is ${found} bytes, but its Content-Length is ${stated}: mount the relay before body parsers and decompression`,
    ]);
    // A service that reads a stream must receive an error, not the end.
    expect(calls.map(({ signal }) => signal.aborted)).toEqual(maxBytes > 1024 ? [true] : []);
    expect(errors).toEqual([]);
  });

  test("returns 400 for a request without a body", async () => {
    const { ask, calls } = memoryRelay();
    const [status, error] = await refusalOf(await ask("/", { headers: { "content-length": "10" } }));
    expect([status, error.slice(0, 56)]).toEqual([400, "the body is 0 bytes, but its Content-Length is 10: mount"]);
    expect(calls).toEqual([]);
  });

  test.each(["-1", "1.5", "0x1", "a", "1, 1", "1e1", ""])(
    "returns 400 for a value that is not a number: %j",
    async (stated) => {
      const { ask, calls } = memoryRelay();
      const response = await ask("/", { body: "x", headers: { "content-length": stated } });
      expect(await refusalOf(response)).toEqual([400, "the Content-Length is not a number"]);
      expect(calls).toEqual([]);
    },
  );
});

describe("slow caller", () => {
  const SLOWLY = "the body arrived too slowly: less than 1 KiB in 1000 ms";

  function stopClock() {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    onTestFinished(() => void vi.useRealTimers());
  }
  const pass = (milliseconds: number) => vi.advanceTimersByTimeAsync(milliseconds);

  test.each([
    ["with a Content-Length, nothing is sent", { "content-length": "5000" }, 0],
    ["without a Content-Length, the call is aborted", {}, 1],
  ])("receives 408 if its body stalls: %s", async (_, headers, count) => {
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

  test("receives 408 if its body arrives too slowly", async () => {
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

  test("has no total limit if it sends each 1 KiB in time", async () => {
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

  test("is not slow if the service does not read its body", async () => {
    stopClock();
    let response!: (response: Response) => void;
    const { ask } = memoryRelay({ idleTimeout: 1000 }, () => new Promise((resolve) => (response = resolve)));
    const asked = ask("/", { body: handMade().stream });
    await pass(100_000);
    response(new Response("ok"));
    expect((await asked).status).toBe(200);
  });

  test("loses the response if it does not read it, and the service's connection is released", async () => {
    stopClock();
    const answered = onDemand(100);
    const { ask, calls, errors } = memoryRelay({ idleTimeout: 1000 }, () => new Response(answered.stream));
    const { body } = await ask("/");
    await pass(1001);
    expect(calls[0]?.signal.aborted).toBe(true);
    await expect(body?.getReader().read()).rejects.toThrow("less than 1 KiB of the response in 1000 ms");
    expect(errors).toEqual([]);
  });

  test("loses the response if it reads too slowly", async () => {
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

  test("is not slow while it waits for a slow service", async () => {
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

  test("leaves no timer however its call ends", async () => {
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

describe("response body", () => {
  test("arrives chunk by chunk and is read only on demand", async () => {
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

  test("is canceled when the caller cancels it", async () => {
    const answered = handMade();
    const { ask, errors } = memoryRelay({}, () => new Response(answered.stream));
    const { body } = await ask("/");
    await body?.cancel("enough");
    expect(answered.cancelled()).toBe("enough");
    expect(errors).toEqual([]);
  });

  test("is canceled when the caller cancels it while it waits for a chunk", async () => {
    const answered = handMade();
    const { ask, errors } = memoryRelay({}, () => new Response(answered.stream));
    const reader = readerOf(await ask("/"));
    const reading = reader.read();
    await reader.cancel("enough");
    expect((await reading).done).toBe(true);
    await new Promise((go) => setImmediate(go));
    expect([answered.cancelled(), errors]).toEqual(["enough", []]);
  });

  test("fails if the service breaks off, and onError receives the cause", async () => {
    const answered = handMade();
    const { ask, errors } = memoryRelay({}, () => new Response(answered.stream));
    const reading = (await ask("/")).text();
    answered.give("half");
    const broken = new Error("ECONNRESET");
    answered.fail(broken);
    await expect(reading).rejects.toBe(broken);
    expect(errors).toEqual([broken]);
  });

  test("is canceled if the service refused the token", async () => {
    const answered = handMade();
    const { ask } = memoryRelay({}, () => new Response(answered.stream, { status: 401 }));
    expect((await ask("/")).status).toBe(502);
    expect(answered.cancelled()).toBeDefined();
  });
});

describe("disconnect of the caller", () => {
  /** A request whose caller can disconnect, and whose listeners are counted. */
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

  test("sends nothing if it precedes the request", async () => {
    const { ask, leave, errors, calls, listeners } = leaving();
    leave();
    const response = await ask(() => new Response("too late"));
    expect(response.status).toBe(499);
    expect([errors, calls, listeners()]).toEqual([[], [], 0]);
  });

  test("aborts the call with its reason before the response", async () => {
    const { ask, leave, calls, errors, listeners } = leaving();
    const asked = ask(({ signal }) => {
      const response = new Promise<never>((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
      });
      leave();
      return response;
    });
    expect((await asked).status).toBe(499);
    expect(String(calls[0]?.signal.reason)).toBe("Error: gone");
    expect([errors, listeners()]).toEqual([[], 0]);
  });

  test("discards the response of a client that ignores the signal", async () => {
    const { ask, leave, errors, listeners } = leaving();
    const answered = handMade();
    const response = await ask(() => {
      leave();
      return new Response(answered.stream);
    });
    expect(response.status).toBe(499);
    expect(answered.cancelled()).toBeDefined();
    expect([errors, listeners()]).toEqual([[], 0]);
  });

  test("aborts the call during the response, without a report to onError", async () => {
    const { ask, leave, calls, errors, listeners } = leaving();
    const answered = handMade();
    const response = await ask(({ signal }) => {
      signal.addEventListener("abort", () => answered.fail(signal.reason));
      return new Response(answered.stream);
    });
    const reading = response.text();
    answered.give("half");
    leave();
    await expect(reading).rejects.toThrow("gone");
    expect(calls[0]?.signal.aborted).toBe(true);
    expect([errors, listeners()]).toEqual([[], 0]);
  });

  test("aborts the call during the request body, which does not end normally", async () => {
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

  test("leaves no listener after the end", async () => {
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

  test("aborts the call if only the relay references the request", async () => {
    const { relay, calls } = memoryRelay({}, () => new Response(handMade().stream));
    const caller = new AbortController();
    const ask = () => relay(new Request("https://my.site/", { method: "POST", signal: caller.signal }));
    const response = await ask();
    // On Node the signal of a request that was garbage-collected never fires.
    for (let i = 0; i < 3; i++) {
      collectGarbage();
      await new Promise((go) => setImmediate(go));
    }
    caller.abort();
    expect(calls[0]?.signal.aborted).toBe(true);
    await response.body?.cancel().catch(() => {});
  });

  test("is not detected on runtimes whose requests have no signal", async () => {
    const { relay } = memoryRelay();
    const request = new Request("https://my.site/", { method: "POST" });
    Object.defineProperty(request, "signal", { value: undefined });
    expect(await (await relay(request)).text()).toBe("ok");
  });
});
