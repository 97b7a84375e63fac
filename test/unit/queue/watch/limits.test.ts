import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { type WebSocket as PeerSocket, WebSocketServer } from "ws";
import { createEmulator, startEmulator } from "../../../../src/emulator/index.js";
import { AsyncInferenceClient } from "../../../../src/index.js";
import type { WebSocketClose, WebSocketDialer } from "../../../../src/platform/contract.js";
import { platform as node } from "../../../../src/platform/node/platform.js";
import { startServer, TOKEN, until } from "../../../support/calls.js";
import { answer, handOver, raw } from "../../../support/misbehaving-server.js";
import {
  clientFor,
  eventually,
  fakeClient,
  frameBytes,
  openQueue,
  prefixed,
  Told,
  watchWith,
} from "../../../support/queue-watch.js";

// These tests check how many connections and how much memory of a client a watch uses.

afterEach(() => void vi.useRealTimers());

const tick = (milliseconds = 0) => vi.advanceTimersByTimeAsync(milliseconds);
const STREAM = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

describe("an HTTP stream's connection", () => {
  /** Opens a watch over HTTP with a client of two connections. */
  async function openWatch() {
    const server = await startServer();
    const head = handOver();
    server.play(head.behaviour);
    const client = clientFor(server.origin, { maxConnectionCount: 2 });
    const watch = watchWith(client, 0, 5, { transport: "http" });
    const socket = await head.socket;
    socket.write(STREAM);
    await eventually(() => expect(watch.told.states).toEqual(["open"]));
    const paths = () => server.requests.map(({ method, path }) => `${method} ${path}`);
    return { server, client, socket, paths, ...watch };
  }

  test("counts as long-lived, so that a get with a timeout waits for it and commits do not", async () => {
    const { server, client, watcher, paths } = await openWatch();
    server.always(answer(204));
    const getting = client.get({ timeout: "1s" });
    await client.commit(1);
    expect(paths().map((path) => path.split(" ", 1)[0])).toEqual(["GET", "PUT"]);
    await watcher.close();
    expect(await getting).toEqual([]);
    expect(paths()).toHaveLength(3);
  });

  test("is released when the stream ends, breaks or cannot be decoded", async () => {
    const { server, client, socket, told, watcher, paths } = await openWatch();
    const ends: ((socket: Socket) => void)[] = [
      (socket) => socket.resetAndDestroy(),
      (socket) => void socket.write("0\r\n\r\n"),
      (socket) => socket.resetAndDestroy(),
    ];
    let open = socket;
    for (const [round, end] of ends.entries()) {
      const next = handOver();
      // After an end without an error, the client reads the attributes to see whether the queue has ended.
      server.play(...(round === 1 ? [answer(200, {}, "{}")] : []), next.behaviour);
      end(open);
      open = await next.socket;
      open.write(STREAM);
      await eventually(() => expect(told.count("open")).toBe(round + 2));
    }
    const getting = client.get({ timeout: "1s" });
    await client.commit(1);
    expect(paths()).toHaveLength(6);
    server.always(answer(204));
    open.write("4\r\n\xff\xff\xff\xff\r\n", "latin1");
    expect(await getting).toEqual([]);
    await watcher.close();
  });

  test("is released when the watch is refused", async () => {
    const server = await startServer();
    server.always(answer(404, {}, "no such queue"));
    const client = clientFor(server.origin, { maxConnectionCount: 2 });
    const { done, errors } = watchWith(client, 0, 5, { transport: "http" });
    await done;
    expect(errors).toEqual([expect.objectContaining({ status: 404 })]);
    server.always(answer(204));
    expect(await client.get({ timeout: "1s" })).toEqual([]);
  });

  test("is waited for until the watch is closed or aborted", async () => {
    const server = await startServer();
    const held = handOver();
    server.play(held.behaviour);
    const client = clientFor(server.origin, { maxConnectionCount: 2 });
    const getting = client.get({ timeout: "1s" });
    const socket = await held.socket;
    for (const end of ["close", "abort"]) {
      const abort = new AbortController();
      const watch = watchWith(client, 0, 5, { transport: "http", signal: abort.signal });
      // A call that is not long-lived does not wait behind the watch.
      await client.commit(1);
      if (end === "close") await watch.watcher.close();
      else abort.abort("enough");
      await watch.done;
      await watch.watcher.closed;
      expect(watch.errors).toEqual(end === "close" ? [] : ["enough"]);
      expect(watch.told.states).toEqual(["closed"]);
    }
    const watch = watchWith(client, 0, 5, { transport: "http" });
    server.play(raw(STREAM));
    socket.write("HTTP/1.1 204 No Content\r\n\r\n");
    await getting;
    await eventually(() => expect(watch.told.states).toEqual(["open"]));
    expect(server.requests.map(({ method }) => method)).toEqual(["GET", "PUT", "PUT", "GET"]);
  });

  test.each([["a token", TOKEN] as const, ["a function", () => TOKEN] as const])(
    "cannot be the only connection of a client with %s",
    async (_, token) => {
      const { endpoint } = await openQueue();
      const client = clientFor(endpoint, { maxConnectionCount: 1, token });
      const { done, errors, told } = watchWith(client, 0, 5, { transport: "http" });
      await done;
      expect(errors).toEqual([expect.any(RangeError)]);
      expect(errors[0]).toMatchObject({
        code: "ERR_EAS_ARG_WATCH",
        message: expect.stringMatching(/maxConnectionCount is 1.*at least 2.*"poll".*"websocket"/),
      });
      expect(told.states).toEqual(["closed"]);
      expect(await client.get({ timeout: 0 })).toEqual([]);
    },
  );

  test.each(["websocket", "poll"] as const)("does not apply to %s with one connection", async (transport) => {
    const { client, put, input } = await openQueue();
    put(3);
    // A poll whose window is full has no get in flight that commits would wait for.
    const { frames } = watchWith(client({ maxConnectionCount: 1 }), 0, 3, { transport });
    await eventually(() => expect(frames).toHaveLength(3));
    await Promise.all(frames.map((frame) => frame.commit()));
    expect(input.length).toBe(0);
  });

  test("reopens a watch that setMaxConnectionCount closes", async () => {
    const { server, client, told, errors, done } = await openWatch();
    const second = handOver();
    server.play(second.behaviour, raw(STREAM));
    client.setMaxConnectionCount(3);
    await second.socket;
    client.setMaxConnectionCount(4);
    await eventually(() => expect(told.count("open")).toBe(2));
    expect(told.states).toEqual(["open", "reconnecting", "reconnecting", "open"]);
    client.setMaxConnectionCount(1);
    await done;
    expect(errors).toEqual([expect.objectContaining({ code: "ERR_EAS_ARG_WATCH" })]);
  });
});

describe("a message that is larger than maxResponseBytes", () => {
  const tooLarge = (limit: number) => ({
    name: "EasDecodeError",
    format: "queue",
    message: expect.stringMatching(`larger than the limit of ${limit} bytes .maxResponseBytes.`),
  });

  /** Starts a WebSocket server that calls `first` with each connection. */
  async function serve(first: (peer: PeerSocket, socket: Socket) => void) {
    const accepting = new WebSocketServer({ noServer: true });
    const server = createServer();
    const peers: PeerSocket[] = [];
    server.on("upgrade", (request, socket, head) =>
      accepting.handleUpgrade(request, socket, head, (peer) => {
        peer.on("error", () => {});
        peers.push(peer);
        first(peer, socket as Socket);
      }),
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => {
      for (const peer of peers) peer.terminate();
      server.close();
    });
    return { peers, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  }

  test("ends the connection on Node by its announced length, before any of its bytes arrive", async () => {
    const { origin, peers } = await serve((peer, socket) => {
      peer.send(frameBytes(1));
      // This is the header of a binary message of 2 GiB.
      socket.write(Uint8Array.of(0x82, 127, 0, 0, 0, 0, 0x80, 0, 0, 0));
    });
    const client = clientFor(origin, { maxResponseBytes: 1000 });
    const once = { transport: "websocket", reconnect: false } as const;
    const { done, errors, indexes, told } = watchWith(client, 0, 5, once);
    await done;
    expect(indexes()).toEqual([1n]);
    expect(errors).toEqual([expect.objectContaining(tooLarge(1000))]);
    expect(told.states).toEqual(["open", "closed"]);
    expect(peers).toHaveLength(1);
    await until(() => peers[0]?.readyState === 3);
  });

  test("is accepted when it is exactly as long as the limit, or within the default limit", async () => {
    const frame = frameBytes(1, new Uint8Array(101 * 1024 * 1024));
    const { origin } = await serve((peer) => peer.send(frame));
    for (const options of [{}, { maxResponseBytes: frame.length }, { maxResponseBytes: 2 ** 32 + 5 }]) {
      const watcher = clientFor(origin, options).watch(0, 5, { transport: "websocket" });
      expect((await watcher.next()).value?.data.length).toBe(101 * 1024 * 1024);
      await watcher.close();
    }
    const once = { transport: "websocket", reconnect: false } as const;
    const watcher = clientFor(origin, { maxResponseBytes: frame.length - 1 }).watch(0, 5, once);
    await expect(watcher.next()).rejects.toMatchObject(tooLarge(frame.length - 1));
    await watcher.closed;
  });

  const refusals = (requests: { method: string; path: string; body: Uint8Array | null }[]) =>
    requests
      .filter(({ path }) => path.includes("_negative_"))
      .map(({ path, body }) => `${/_indexes_=(\d+)/.exec(path)?.[1]} ${new TextDecoder().decode(body ?? undefined)}`);

  test("is returned to the queue when the dialer does not enforce the limit", async () => {
    vi.useFakeTimers();
    const frame = frameBytes(1, new Uint8Array(200));
    const { client, dialer, transport } = fakeClient({ maxResponseBytes: frame.length });
    const { errors, indexes, told, watcher } = watchWith(client, 0, 5);
    await tick();
    dialer.last.push(frame, Uint8Array.of(...frameBytes(2, new Uint8Array(201))), frameBytes(3));
    await tick(100);
    expect(indexes()).toEqual([1n, 3n]);
    expect(errors).toEqual([expect.objectContaining(tooLarge(frame.length))]);
    expect(told.states).toEqual(["open"]);
    expect(refusals(transport.requests)).toEqual([expect.stringMatching(/^2 _code_=Unreadable&_reason_=./)]);
    await watcher.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is skipped in an HTTP stream for each position of a cut", async () => {
    const large = frameBytes(2, new Uint8Array(200));
    const stream = prefixed(frameBytes(1), large, frameBytes(3));
    for (let cut = 1; cut < stream.length; cut++) {
      vi.useFakeTimers();
      const { client, transport } = fakeClient({ maxResponseBytes: large.length - 1 });
      const { errors, indexes, told, watcher } = watchWith(client, 0, 5, { transport: "http" });
      await tick();
      transport.last.push(stream.slice(0, cut), stream.slice(cut));
      await tick();
      expect(indexes()).toEqual([1n, 3n]);
      expect(errors).toEqual([expect.objectContaining(tooLarge(large.length - 1))]);
      expect(told.states).toEqual(["open"]);
      expect(refusals(transport.requests)).toEqual([expect.stringMatching(/^2 _code_=Unreadable&_reason_=./)]);
      await watcher.close();
    }
  });

  test("is reported by the dialer, which accepts all messages without a limit", async () => {
    const dial = node.dialWebSocket as WebSocketDialer;
    const { origin } = await serve((peer) => peer.send(new Uint8Array(200)));
    const ended = async (maxMessageBytes?: number) => {
      const { signal } = new AbortController();
      const connection = await dial(origin.replace("http", "ws"), { headers: [], signal, maxMessageBytes });
      return new Promise<WebSocketClose | number>((resolve) => {
        connection.onClose = resolve;
        connection.onMessage = ({ length }) => {
          resolve(length);
          connection.terminate();
        };
      });
    };
    expect(await ended()).toBe(200);
    expect(await ended(200)).toBe(200);
    expect(await ended(Number.POSITIVE_INFINITY)).toBe(200);
    expect(await ended(199)).toMatchObject({ code: 1006, tooLarge: true });
  });
});

test.each([2, 3])(
  "a second watch over HTTP is refused with maxConnectionCount %i, until the first ends",
  async (count) => {
    const emulator = createEmulator({ token: TOKEN, queues: { a: {}, "a/sink": {} } });
    const listener = await startEmulator({ emulator });
    onTestFinished(() => listener.close());
    const client = new AsyncInferenceClient({
      endpoint: listener.endpoint,
      serviceName: "a",
      token: TOKEN,
      logger: null,
      maxConnectionCount: count,
    });
    onTestFinished(() => client.close());
    const told = new Told();
    const first = client.input.watch(0, 1, { transport: "http", onStatus: told.onStatus });
    await eventually(() => expect(told.states).toContain("open"));
    const reading = async () => {
      for await (const _ of client.sink.watch(0, 1, { transport: "http" })) break;
    };
    await expect(reading()).rejects.toMatchObject({
      code: "ERR_EAS_ARG_WATCH",
      message: expect.stringMatching(new RegExp(`maxConnectionCount is ${count}.*at least 4`)),
    });
    await first.close();
    const again = new Told();
    const second = client.sink.watch(0, 1, { transport: "http", onStatus: again.onStatus });
    await eventually(() => expect(again.states).toContain("open"));
    await second.close();
  },
);
