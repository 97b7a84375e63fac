import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { EasDecodeError, EasNetworkError, EasTimeoutError } from "../../../../src/index.js";
import { TransportError } from "../../../../src/platform/contract.js";
import { FrameSplitter } from "../../../../src/queue/watch/sources/frame-splitter.js";
import { expectNoToken, fakeClient, frameBytes, prefixed, Told, watchWith } from "../../../support/queue-watch.js";

// These tests drive the sockets and streams of a watch by hand, with fake timers.

afterEach(() => void vi.useRealTimers());

const fakeTime = () => vi.useFakeTimers();
/** Advances the fake time and runs the timers that are due. */
const tick = (milliseconds = 0) => vi.advanceTimersByTimeAsync(milliseconds);
const MB = 1024 * 1024;
const BROKEN = Uint8Array.of(0x1a, 0x7f, 1);

describe("a WebSocket", () => {
  test("is opened with the watch's options, the token, the uid and the gid", async () => {
    fakeTime();
    const { client, dialer } = fakeClient({ uid: "me", gid: "us" });
    const { told } = watchWith(client, 7, 3, { tags: { a: "b c" } });
    await tick();
    expect(told.statuses).toEqual([{ state: "open", transport: "websocket" }]);
    expect(dialer.dials[0]?.url).toBe(
      "ws://127.0.0.1:9/api/predict/q?_watch_=true&_index_=7&_window_=3&_index_only_=false&_auto_commit_=false&a=b%20c",
    );
    expect(Object.fromEntries(dialer.dials[0]?.headers ?? [])).toMatchObject({
      authorization: expect.any(String),
      "x-eas-queueservice-redis-uid": "me",
      "x-eas-queueservice-redis-gid": "us",
    });
  });

  test("is pinged, and is terminated and reopened when no pong arrives", async () => {
    fakeTime();
    const { client, dialer } = fakeClient();
    const { told, frames } = watchWith(client, 0, 5);
    await tick();
    const socket = dialer.last;
    for (let i = 0; i < 10; i++) {
      await tick(2000);
      socket.connection.onPong?.();
    }
    expect(socket.controls).toEqual(Array(10).fill("ping"));
    // Any message shows that the connection is alive, as a pong does.
    await tick(7000);
    socket.push(frameBytes(1));
    await tick(7000);
    expect(told.count("reconnecting")).toBe(0);
    await tick(1100);
    expect(socket.controls.at(-1)).toBe("terminate");
    await tick(20);
    expect(told.states).toEqual(["open", "reconnecting", "open"]);
    expect(told.statuses[1]).toMatchObject({ cause: expect.any(EasNetworkError), failures: 1 });
    expect(String((told.statuses[1] as { cause: Error }).cause)).toMatch(/no pong within 8000 ms/);
    expect(frames).toHaveLength(1);
    const { length } = socket.controls;
    await tick(5000);
    expect(socket.controls).toHaveLength(length);
  });

  test("is reopened after a minute of silence when pings are not supported", async () => {
    fakeTime();
    const { client, dialer } = fakeClient();
    dialer.can.ping = false;
    const { told } = watchWith(client, 0, 5);
    await tick(50_000);
    dialer.last.push("a text is a sign of life too");
    await tick(59_000);
    expect(told.states).toEqual(["open"]);
    await tick(1100);
    expect(told.states).toEqual(["open", "reconnecting", "open"]);
  });

  test("times out after the client's timeout when the dial is not answered", async () => {
    fakeTime();
    const { client, dialer } = fakeClient({ timeout: 3000 });
    dialer.instead = () => new Promise(() => {});
    const { told } = watchWith(client, 0, 5);
    await tick(2999);
    expect(told.states).toEqual([]);
    await tick(1);
    expect(told.statuses[0]).toMatchObject({ state: "reconnecting", cause: expect.any(EasTimeoutError) });
    dialer.instead = async () => {
      throw new TransportError("no route", { sent: "no", systemCode: "ENETUNREACH" });
    };
    await tick(3100);
    expect(told.statuses.at(-1)).toMatchObject({ cause: { systemCode: "ENETUNREACH" } });
    dialer.instead = undefined;
    await tick(100);
    expect(told.states.at(-1)).toBe("open");
  });

  test("is paused while too much data waits to be read, and is resumed later", async () => {
    fakeTime();
    const { client, dialer } = fakeClient();
    const watcher = client.watch(0, 1, { autoCommit: true });
    await tick();
    const { controls } = dialer.last;
    for (let i = 1; i <= 16; i++) dialer.last.push(frameBytes(i, new Uint8Array(MB)));
    expect(controls).toEqual(["pause"]);
    // A paused socket reads nothing, so no pong can arrive.
    await tick(120_000);
    expect(controls.filter((control) => control !== "ping")).toEqual(["pause"]);
    // Frames that the socket had already read wait too.
    for (let i = 17; i <= 20; i++) dialer.last.push(frameBytes(i, new Uint8Array(MB)));
    const taken: bigint[] = [];
    const take = async () => taken.push((await watcher.next()).value?.index as bigint);
    for (let i = 0; i < 8; i++) await take();
    expect(controls.at(-1)).toBe("ping");
    await take();
    await tick();
    expect(controls.filter((control) => control !== "ping")).toEqual(["pause", "resume"]);
    for (let i = 0; i < 11; i++) await take();
    expect(taken).toEqual(Array.from({ length: 20 }, (_, i) => BigInt(i + 1)));
    await watcher.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is paused by many frames without data too", async () => {
    fakeTime();
    const { client, dialer } = fakeClient();
    client.watch(0, 1, { autoCommit: true, indexOnly: true });
    await tick();
    for (let i = 1; i <= 40_000 && dialer.last.controls.length === 0; i++) dialer.last.push(frameBytes(i, ""));
    expect(dialer.last.controls).toEqual(["pause"]);
  });

  test("is paused again after a reconnect while frames wait, and can be closed while paused", async () => {
    fakeTime();
    const { client, dialer } = fakeClient();
    const watcher = client.watch(0, 1, { autoCommit: true, reconnect: { minDelay: 1 } });
    await tick();
    for (let i = 1; i <= 17; i++) dialer.last.push(frameBytes(i, new Uint8Array(MB)));
    dialer.last.connection.terminate();
    await tick(10);
    expect(dialer.sockets).toHaveLength(2);
    expect(dialer.last.controls).toEqual(["pause"]);
    await watcher.close();
    expect(dialer.last.controls).toEqual(["pause", "resume", "close 1000"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("logs one warning when the socket cannot be paused", async () => {
    fakeTime();
    const told = new Told();
    const { client, dialer } = fakeClient({ logger: told.logger });
    dialer.can.pause = false;
    const watcher = client.watch(0, 1, { autoCommit: true });
    await tick();
    for (let round = 0; round < 2; round++) {
      for (let i = 1; i <= 20; i++) dialer.last.push(frameBytes(i, new Uint8Array(MB)));
      for (let i = 1; i <= 20; i++) expect((await watcher.next()).value?.index).toBe(BigInt(i));
    }
    expect(told.warnings).toEqual([expect.stringMatching(/faster than they are read/)]);
  });

  test("rejects one next() per frame that cannot be decoded, and skips text messages", async () => {
    fakeTime();
    const { client, dialer } = fakeClient();
    const watcher = client.watch(0, 5);
    await tick();
    const first = watcher.next();
    dialer.last.push("text", BROKEN, frameBytes(1), "", BROKEN, frameBytes(2));
    await expect(first).rejects.toBeInstanceOf(EasDecodeError);
    expect((await watcher.next()).value?.index).toBe(1n);
    await expect(watcher.next()).rejects.toMatchObject({ code: "ERR_EAS_DECODE" });
    expect((await watcher.next()).value?.index).toBe(2n);
    expect(watcher.isClosed).toBe(false);
  });

  test("returns a frame that cannot be decoded to the queue by its index, so that it does not occupy the window", async () => {
    fakeTime();
    const { client, dialer, transport } = fakeClient();
    const watcher = client.watch(0, 1);
    await tick();
    const first = watcher.next();
    dialer.last.push(Uint8Array.of(...frameBytes(7), 0xff));
    await expect(first).rejects.toBeInstanceOf(EasDecodeError);
    await tick();
    const refusals = transport.requests.filter(({ method }) => method === "PUT").map(({ path }) => path);
    expect(refusals).toEqual([expect.stringMatching(/\?_indexes_=7&_negative_=true$/)]);
  });

  test("commits a frame again, without handing it out, when it is pushed after its commit", async () => {
    fakeTime();
    const { client, dialer, transport } = fakeClient();
    const { frames, indexes } = watchWith(client, 0, 5);
    await tick();
    const first = frameBytes(1, "x", { requestId: "a" });
    dialer.last.push(first, frameBytes(2));
    await tick();
    const committing = frames[0]?.commit();
    await tick();
    await committing;
    dialer.last.push(first, frameBytes(2), frameBytes(3));
    await tick();
    expect(indexes()).toEqual([1n, 2n, 3n]);
    expect(transport.commits).toEqual(["1", "1"]);
  });

  test.each<[string, Record<string, string>]>([
    ["another item", { requestId: "b" }],
    ["an item without an id", {}],
  ])("hands out %s with the index of a committed item, and does not commit it", async (_, tags) => {
    fakeTime();
    const { client, dialer, transport } = fakeClient();
    const { frames, indexes } = watchWith(client, 0, 5);
    await tick();
    dialer.last.push(frameBytes(1, "x", "requestId" in tags ? { requestId: "a" } : {}));
    await tick();
    const committing = frames[0]?.commit();
    await tick();
    await committing;
    dialer.last.push(frameBytes(1, "x", tags));
    await tick();
    expect(indexes()).toEqual([1n, 1n]);
    expect(transport.commits).toEqual(["1"]);
  });

  test("hands out a nacked frame that is pushed again before the negative is answered", async () => {
    fakeTime();
    const { client, dialer, transport } = fakeClient();
    const { frames, indexes } = watchWith(client, 0, 5);
    await tick();
    dialer.last.push(frameBytes(1));
    await tick();
    const { answer } = transport;
    transport.answer = async (request) => {
      dialer.last.push(frameBytes(1));
      return answer(request);
    };
    const refusing = frames[0]?.negative();
    await tick();
    await refusing;
    expect(indexes()).toEqual([1n, 1n]);
    // The outcome of the negative is unknown. A push on the same connection proves that the service accepted it.
    dialer.last.push(frameBytes(2));
    await tick();
    transport.answer = async () => {
      throw new TransportError("gone", { sent: "maybe" });
    };
    await expect(frames[1]?.negative()).rejects.toBeInstanceOf(EasNetworkError);
    dialer.last.push(frameBytes(1));
    await tick();
    expect(indexes()).toEqual([1n, 1n, 2n, 1n]);
    expect(dialer.sockets).toHaveLength(1);
  });
});

describe("an HTTP stream", () => {
  const open = async (options = {}) => {
    fakeTime();
    const faked = fakeClient(options);
    const watch = watchWith(faked.client, 0, 5, { transport: "http" });
    await tick();
    return { ...faked, ...watch };
  };

  test("is reopened after ten seconds without response headers, and after a minute of silence", async () => {
    fakeTime();
    const { client, transport } = fakeClient();
    transport.opens = false;
    const { told, frames } = watchWith(client, 0, 5, { transport: "http" });
    await tick(9999);
    expect(told.states).toEqual([]);
    transport.opens = true;
    await tick(30);
    expect(told.statuses[0]).toMatchObject({ cause: expect.any(EasTimeoutError), failures: 1 });
    expect(told.states).toEqual(["reconnecting", "open"]);
    await tick(59_000);
    transport.last.push(prefixed(frameBytes(1)));
    await tick(59_000);
    expect(told.states).toHaveLength(2);
    await tick(1100);
    expect(told.states).toEqual(["reconnecting", "open", "reconnecting", "open"]);
    expect(String((told.statuses[2] as { cause: Error }).cause)).toMatch(/nothing received for 60000 ms/);
    expect(transport.streams[0]?.cancels).toHaveLength(2);
    expect(frames).toHaveLength(1);
  });

  test("is not read while too much data waits", async () => {
    fakeTime();
    const { client, transport } = fakeClient();
    const watcher = client.watch(0, 1, { transport: "http", autoCommit: true });
    await tick();
    const { last: stream } = transport;
    for (let i = 1; i <= 20; i++) stream.push(prefixed(frameBytes(i, new Uint8Array(MB))));
    await tick(120_000);
    expect(stream.reads).toBe(16);
    const taken: bigint[] = [];
    while (taken.length < 20) {
      taken.push((await watcher.next()).value?.index as bigint);
      await tick();
    }
    expect(taken).toEqual(Array.from({ length: 20 }, (_, i) => BigInt(i + 1)));
    for (let i = 21; i <= 40; i++) stream.push(prefixed(frameBytes(i, new Uint8Array(MB))));
    await tick();
    await watcher.close();
    expect(stream.cancels.length).toBeGreaterThan(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("rejects one next() for a frame that cannot be decoded", async () => {
    const { transport, errors, indexes, watcher } = await open();
    transport.last.push(prefixed(frameBytes(1), BROKEN, frameBytes(2)));
    await tick();
    expect(indexes()).toEqual([1n, 2n]);
    expect(errors).toEqual([expect.any(EasDecodeError)]);
    expect(watcher.isClosed).toBe(false);
  });

  test.each([
    ["an impossible frame length", Uint8Array.of(0xff, 0xff, 0xff, 0xff, 1, 2, 3), /4294967295 bytes.*1000/],
    [
      "an HTML page",
      new TextEncoder().encode(`<html><body>${"maintenance ".repeat(10)}</body></html>`),
      /larger than.*1000/,
    ],
  ])("ends a watch that has just begun on %s, without allocating memory for it", async (_, bytes, message) => {
    const { transport, errors, told, done } = await open({ maxResponseBytes: 1000 });
    const before = process.memoryUsage().arrayBuffers;
    transport.last.push(bytes);
    await tick(50);
    await done;
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(50 * MB);
    expect(errors).toEqual([expect.any(EasDecodeError)]);
    expect(String(errors[0])).toMatch(message);
    expect(told.states).toEqual(["open", "closed"]);
    expect(transport.streams).toHaveLength(1);
    expect(transport.last.cancels).toHaveLength(1);
  });

  test("is reopened on an impossible frame length once the watch has received a frame", async () => {
    const { transport, errors, indexes, told } = await open({ maxResponseBytes: 1000 });
    transport.last.push(prefixed(frameBytes(1)), Uint8Array.of(0xff, 0xff, 0xff, 0xff, 1, 2, 3));
    await tick(50);
    expect(told.states).toEqual(["open", "reconnecting", "open"]);
    expect(told.statuses[1]).toMatchObject({ cause: expect.any(EasDecodeError) });
    transport.last.push(new TextEncoder().encode(`<html><body>${"maintenance ".repeat(10)}</body></html>`));
    await tick(50);
    expect(told.count("open")).toBe(3);
    transport.last.push(prefixed(frameBytes(2)));
    await tick();
    expect(indexes()).toEqual([1n, 2n]);
    expect(errors).toEqual([]);
  });

  test("is reopened when it ends inside a frame, and its errors contain no token", async () => {
    const { transport, told, indexes } = await open();
    transport.last.push(prefixed(frameBytes(1)), prefixed(frameBytes(2)).subarray(0, 5), undefined);
    await tick(30);
    transport.last.push(new TransportError("read ECONNRESET", { sent: "maybe" }));
    await tick(30);
    transport.last.push(prefixed(frameBytes(2)));
    await tick();
    expect(indexes()).toEqual([1n, 2n]);
    const causes = told.statuses.flatMap((status) => (status.state === "reconnecting" ? [status.cause] : []));
    expect(causes.map(String)).toEqual([
      expect.stringMatching(/closed in the middle of a frame/),
      expect.stringMatching(/broke while the response body .*ECONNRESET/),
    ]);
    expectNoToken(told.statuses);
  });

  test("rejects with ERR_EAS_UNSUPPORTED when the transport has no streams", async () => {
    const { client, transport } = fakeClient();
    (transport as { stream: unknown }).stream = undefined;
    const { errors, done } = watchWith(client, 0, 5, { transport: "http" });
    await done;
    expect(errors).toEqual([expect.objectContaining({ code: "ERR_EAS_UNSUPPORTED" })]);
  });
});

test("a poll sends no further get while too much data waits", async () => {
  fakeTime();
  const { client, transport } = fakeClient();
  const { encodeFrames } = await import("../../../../src/emulator/queue/frames.js");
  let index = 0n;
  transport.answer = async ({ path }) => {
    const item = { index: ++index, tags: {}, data: new Uint8Array(MB), priority: 0, path: "", contentType: undefined };
    const body = path.includes("_attrs_") ? new TextEncoder().encode("{}") : encodeFrames([item]);
    return { status: 200, headers: new Headers(), body, contentEncoding: undefined };
  };
  const told = new Told();
  client.setLogger(told.logger);
  const watcher = client.watch(0, 1, { transport: "poll", autoCommit: true });
  await tick(60_000);
  expect(transport.requests.length).toBeLessThan(20);
  expect(told.warnings).toEqual([]);
  for (let i = 0; i < 40; i++) expect((await watcher.next()).value?.index).toBe(BigInt(i + 2));
  await watcher.close();
  expect(vi.getTimerCount()).toBe(0);
});

test("a poll waits before the next get after an immediate response without an item", async () => {
  fakeTime();
  const { client, transport } = fakeClient();
  const { answer } = transport;
  transport.answer = async (request) =>
    request.path.includes("_attrs_")
      ? answer(request)
      : { ...(await answer(request)), status: 204, body: new Uint8Array(0) };
  client.watch(0, 1, { transport: "poll" });
  await tick(10_000);
  expect(transport.requests.filter(({ path }) => !path.includes("_attrs_")).length).toBeLessThanOrEqual(11);
});

describe("FrameSplitter", () => {
  test("finds the frames in a stream that is cut into random chunks", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 }),
        fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 40 }),
        fc.integer({ min: 0, max: 8 }),
        (frames, sizes, missing) => {
          const stream = prefixed(...frames);
          const end = Math.max(0, stream.length - missing);
          const found: Uint8Array[] = [];
          const splitter = new FrameSplitter(40, (frame) => found.push(frame));
          let at = 0;
          for (const size of sizes) {
            splitter.push(stream.slice(at, Math.min(end, at + size)));
            at = Math.min(end, at + size);
          }
          splitter.push(stream.slice(at, end));
          // The expected result is all frames that the stream contains in full.
          const expected: Uint8Array[] = [];
          let whole = 0;
          for (const frame of frames) {
            if (whole + 4 + frame.length > end) break;
            whole += 4 + frame.length;
            if (frame.length > 0) expected.push(frame);
          }
          expect(found).toEqual(expected);
          expect(splitter.isBetweenFrames).toBe(whole === end);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("finds the frames for each position of a cut", () => {
    const frames = [1, 2, 300, 5].map((length, i) => new Uint8Array(length).fill(i + 1));
    const stream = prefixed(...frames);
    for (let cut = 0; cut <= stream.length; cut++) {
      const found: Uint8Array[] = [];
      const splitter = new FrameSplitter(300, (frame) => found.push(frame));
      splitter.push(stream.slice(0, cut));
      splitter.push(stream.slice(cut));
      expect(found).toEqual(frames);
    }
    const found: Uint8Array[] = [];
    const splitter = new FrameSplitter(300, (frame) => found.push(frame));
    for (const byte of stream) splitter.push(Uint8Array.of(byte));
    expect(found).toEqual(frames);
    expect(() => splitter.push(Uint8Array.of(0, 0, 1, 45, ...new Uint8Array(64)))).toThrow(EasDecodeError);
  });
});
