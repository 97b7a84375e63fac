import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { createRelay } from "../../src/relay/index.js";
import { memoryRelay, memoryService, type RelayedCall, refusalOf } from "../support/relay.js";

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
    const length = (bytes: number) => ({ headers: { "content-length": String(bytes) } });
    expect((await memoryRelay().ask("/", length(1024 * 1024))).status).toBe(200);
    expect((await memoryRelay().ask("/", length(1024 * 1024 + 1))).status).toBe(413);
    expect((await memoryRelay({ maxBytes: Infinity }).ask("/", length(1e12))).status).toBe(200);
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
    expect(await refusalOf(await asked)).toEqual([400, "the body broke off"]);
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

  test("of a stated length that does not come: 504, nothing is sent, and no more is read", async () => {
    const { ask, calls } = memoryRelay({ timeout: 1 });
    const body = handMade();
    expect((await ask("/", { body: body.stream, headers: { "content-length": "10" } })).status).toBe(504);
    expect(calls).toEqual([]);
    expect(body.cancelled()).toMatchObject({ code: "ERR_EAS_TIMEOUT" });
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
