import { getEventListeners, once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { type WebSocket as PeerSocket, WebSocketServer } from "ws";
import type { ConnectionPool } from "../../../../src/call/connections/connection-pool.js";
import { createEmulator } from "../../../../src/emulator/index.js";
import type { QueueClientOptions } from "../../../../src/index.js";
import { checkWatch } from "../../../../src/queue/watch/options.js";
import { WatchReports } from "../../../../src/queue/watch/reports.js";
import { transportOf } from "../../../../src/queue/watch/transport.js";
import { TOKEN, transportAnswer } from "../../../support/calls.js";
import {
  clientFor,
  eventually,
  fakeClient,
  frameBytes,
  openQueue,
  SOON,
  Told,
  TRANSPORTS,
  watchWith,
} from "../../../support/queue-watch.js";

// Connections that open and soon end: how often a watch reconnects, when it gives up, and what it reports.

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const tick = (milliseconds = 0) => vi.advanceTimersByTimeAsync(milliseconds);

/** Starts a server that accepts each watch and then ends it. The queue attributes report the state `state`. */
async function acceptingServer(
  end: { socket?: (peer: PeerSocket) => void; stream?: (response: ServerResponse) => void },
  state = "OK",
) {
  const accepting = new WebSocketServer({ noServer: true });
  const counts = { watches: 0, attributes: 0 };
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    if (request.url?.includes("_attrs_")) {
      counts.attributes++;
      response.end(JSON.stringify({ "meta.state": state }));
    } else {
      counts.watches++;
      response.writeHead(200).flushHeaders();
      end.stream?.(response);
    }
  });
  server.on("upgrade", (request, socket, head) =>
    accepting.handleUpgrade(request, socket, head, (peer) => {
      counts.watches++;
      peer.on("error", () => {});
      end.socket?.(peer);
    }),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { counts, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

describe("a server that accepts each watch and ends it immediately", () => {
  test.each([
    ["WebSocket", "1000", (peer: PeerSocket) => peer.close(1000)],
    ["WebSocket", "1001", (peer: PeerSocket) => peer.close(1001, "going away")],
    ["WebSocket", "1013", (peer: PeerSocket) => peer.close(1013, "try again later")],
    ["WebSocket", "4409", (peer: PeerSocket) => peer.close(4409)],
    ["WebSocket", "a reset", (peer: PeerSocket) => peer.terminate()],
    ["WebSocket", "1013 after an item that was sent before", undefined],
  ])("ends a watch over a %s after its attempts, with one warning (%s)", async (_, how, end) => {
    const resend = (peer: PeerSocket) => {
      peer.send(frameBytes(1));
      peer.close(1013, "try again later");
    };
    const { counts, origin } = await acceptingServer({ socket: end ?? resend });
    const told = new Told();
    const client = clientFor(origin, { logger: told.logger });
    const reconnect = { attempts: 3, minDelay: 1, maxDelay: 4 };
    const { errors, done, indexes } = watchWith(client, 0, 5, { reconnect, onStatus: told.onStatus });
    await done;
    // The first item counts as progress, so the attempts are counted from the next connection.
    const isFirstGood = end === undefined;
    expect(counts.watches).toBe(4);
    expect(indexes()).toEqual(isFirstGood ? [1n] : []);
    expect(errors).toEqual([expect.objectContaining({ code: "ERR_EAS_QUEUE_CLOSED" })]);
    const failures = told.statuses.flatMap((status) => (status.state === "reconnecting" ? [status.failures] : []));
    expect(failures).toEqual([1, 2, 3]);
    expect(told.warnings).toEqual([expect.stringMatching(/ended within 2 s of being opened.*uid/)]);
    expect(counts.attributes).toBe(how === "1000" ? 4 : 0);
  });

  test.each([
    ["ended without an error", (response: ServerResponse) => void response.end()],
    ["broken", (response: ServerResponse) => void response.destroy()],
  ])("ends a watch over an HTTP stream after its attempts, with one warning (%s)", async (_, stream) => {
    const { counts, origin } = await acceptingServer({ stream });
    const told = new Told();
    const client = clientFor(origin, { logger: told.logger });
    const reconnect = { attempts: 3, minDelay: 1, maxDelay: 4 };
    const { errors, done } = watchWith(client, 0, 5, { transport: "http", reconnect });
    await done;
    expect(counts.watches).toBe(4);
    expect(errors).toEqual([expect.objectContaining({ code: "ERR_EAS_NETWORK", retryable: true })]);
    expect(told.warnings).toHaveLength(1);
  });

  test("doubles the delays up to the maximum without a limit of attempts", async () => {
    vi.useFakeTimers();
    vi.spyOn(Math, "random").mockReturnValue(0.9999999);
    const told = new Told();
    const { dialer } = fakeClient();
    const { dial } = dialer;
    const opened: number[] = [];
    const closing: QueueClientOptions["dialWebSocket"] = async (...given) => {
      opened.push(performance.now());
      const connection = await dial(...given);
      queueMicrotask(() => dialer.last.connection.end({ code: 1013, reason: "" }));
      return connection;
    };
    const closed = clientFor("http://127.0.0.1:9", { dialWebSocket: closing, logger: told.logger });
    const { watcher } = watchWith(closed, 0, 5, { reconnect: {}, onStatus: told.onStatus });
    await tick(60_000);
    const waits = opened.slice(1).map((at, i) => Math.round((at - (opened[i] as number)) / 100) * 100);
    expect(waits.slice(0, 7)).toEqual([200, 400, 800, 1600, 3200, 6400, 10_000]);
    expect(told.warnings).toHaveLength(1);
    await watcher.close();
  });

  test("resets the delays after a connection that lasted", async () => {
    vi.useFakeTimers();
    const { client, dialer } = fakeClient();
    const { told } = watchWith(client, 0, 5);
    const failures = () =>
      told.statuses.flatMap((status) => (status.state === "reconnecting" ? [status.failures] : []));
    for (const lived of [0, 0, 0, 2_100, 0]) {
      await tick(lived);
      dialer.last.connection.end({ code: 1001, reason: "" });
      await tick(40);
    }
    expect(failures()).toEqual([1, 2, 3, 1, 2]);
  });
});

describe("two clients with one uid", () => {
  test("wait longer before each takeover, and each logs at most one warning with the uid", async () => {
    vi.useFakeTimers();
    const emulator = createEmulator({ token: TOKEN, queues: { q: {} } });
    const input = emulator.queue("q")?.input;
    const told = new Told();
    const handled: string[] = [];
    for (let i = 0; i < 2; i++) {
      const { transport, dialWebSocket } = emulator;
      const client = clientFor("http://h", { transport, dialWebSocket, uid: "worker-7", logger: told.logger });
      void client.consume((frame) => void handled.push(frame.text()), { reconnect: {} });
      onTestFinished(() => client.close());
    }
    // Items keep coming, so that each connection makes progress.
    for (let i = 0; i < 240; i++) {
      input?.put(`item ${i}`);
      await tick(500);
    }
    const watches = emulator.requests.filter(({ url }) => url.includes("_watch_")).length;
    // Without increasing delays there would be about 800 watches.
    expect(watches).toBeLessThan(100);
    const warnings = told.warnings.filter((warning) => warning.includes("worker-7"));
    expect(warnings.length).toBeGreaterThanOrEqual(1);
    expect(warnings.length).toBeLessThanOrEqual(2);
    expect(warnings[0]).toMatch(/in the group "eas".*its own uid/);
    expect(new Set(handled).size).toBe(240);
  });
});

describe.each(TRANSPORTS)("a watch that has been open, over %s", (transport) => {
  test.each([400, 401, 403, 404, 405])("reconnects when the service temporarily answers %i", async (status) => {
    const { emulator, client, put, cut } = await openQueue();
    const { frames, told, errors, watcher } = watchWith(client(), 0, 5, { transport });
    await eventually(() => expect(told.count("open")).toBe(1));
    emulator.fault({ status, times: 2 });
    await cut();
    put(1);
    await eventually(() => expect(frames).toHaveLength(1));
    const causes = told.statuses.flatMap((status) => (status.state === "reconnecting" ? [status.cause] : []));
    expect(causes).toContainEqual(expect.objectContaining({ status }));
    expect(errors).toEqual([]);
    await watcher.close();
  });

  test("gives up after its attempts", async () => {
    const { emulator, client, cut } = await openQueue();
    const { told, errors, done } = watchWith(client(), 0, 5, { transport, reconnect: { attempts: 3, ...SOON } });
    await eventually(() => expect(told.count("open")).toBe(1));
    emulator.fault({ status: 404, times: 1000 });
    await cut();
    await done;
    expect(errors).toEqual([expect.objectContaining({ status: 404 })]);
  });
});

test("a token function that fails temporarily does not end a watch that has been open", async () => {
  let isBroken = false;
  const token = () => {
    if (isBroken) throw new Error("vault is sealed");
    return TOKEN;
  };
  const { client, put, cut } = await openQueue();
  const { frames, told, errors } = watchWith(client({ token }), 0, 5);
  await eventually(() => expect(told.count("open")).toBe(1));
  isBroken = true;
  await cut();
  await eventually(() => expect(told.count("reconnecting")).toBeGreaterThan(3));
  isBroken = false;
  put(1);
  await eventually(() => expect(frames).toHaveLength(1));
  expect(errors).toEqual([]);
});

describe("connections that end without an error", () => {
  const answerState = (transport: ReturnType<typeof fakeClient>["transport"], attributes: object) => {
    transport.answer = async () => transportAnswer(200, {}, JSON.stringify(attributes));
  };

  test.each([
    ["is open", { "meta.state": "OK" }],
    ["does not report its state", {}],
  ])("a watch of a queue that %s reconnects over WebSockets and HTTP", async (_, attributes) => {
    for (const over of ["websocket", "http"] as const) {
      vi.useFakeTimers();
      const { client, dialer, transport } = fakeClient();
      answerState(transport, attributes);
      const handled: string[] = [];
      const done = vi.fn();
      const status = new Told();
      const options = { transport: over, reconnect: SOON, onStatus: status.onStatus };
      client.consume((frame) => void handled.push(frame.text()), options).then(done, done);
      for (let i = 0; i < 4; i++) {
        await tick(50);
        if (over === "http") transport.last.push(undefined);
        else dialer.last.connection.end({ code: 1000, reason: "" });
      }
      await tick(50);
      expect(status.count("open")).toBe(5);
      expect(done).not.toHaveBeenCalled();
      await client.close();
    }
  });

  test("consume() resolves only when the attributes confirm the end of the queue", async () => {
    vi.useFakeTimers();
    const { client, dialer, transport } = fakeClient();
    transport.answer = async () => transportAnswer(500, {}, "");
    const done = vi.fn();
    client.consume(() => {}, { reconnect: SOON }).then(done, done);
    await tick();
    dialer.last.connection.end({ code: 1000, reason: "" });
    await tick(50);
    expect(done).not.toHaveBeenCalled();
    answerState(transport, { "meta.state": "End", "stream.length": "3" });
    // The queue still has items: the connection ended because it was idle.
    await tick(3_000);
    dialer.last.connection.end({ code: 1000, reason: "" });
    await tick(50);
    expect(done).not.toHaveBeenCalled();
    dialer.last.connection.end({ code: 1000, reason: "" });
    await tick(50);
    expect(done).toHaveBeenCalledWith(undefined);
  });
});

describe("warnings", () => {
  test("are logged once per cause with the number of consecutive failures, while onStatus receives each failure", async () => {
    vi.useFakeTimers();
    const told = new Told();
    const { client, dialer } = fakeClient({ logger: told.logger });
    const { watcher } = watchWith(client, 0, 5, { reconnect: {}, onStatus: told.onStatus });
    await tick();
    dialer.instead = () => Promise.reject(new Error("first"));
    dialer.last.connection.terminate();
    await tick(60_000);
    dialer.instead = () => Promise.reject(new Error("second"));
    await tick(60_000);
    expect(told.warnings).toEqual([
      expect.stringMatching(/failed 2 times in a row.*first/),
      expect.stringMatching(/failed \d+ times in a row.*second/),
    ]);
    expect(told.count("reconnecting")).toBeGreaterThan(10);
    // A later warning contains the number of failures that were not logged.
    await tick(600_000);
    expect(told.warnings).toHaveLength(3);
    expect(told.warnings[2]).toMatch(/second.*\d+ more times since the last log/);
    await watcher.close();
  });

  test("a logger that throws does not end the watch", async () => {
    vi.useFakeTimers();
    const logger = {
      warn: () => {
        throw new Error("mine");
      },
    };
    const { client, dialer } = fakeClient({ logger });
    const { told, watcher } = watchWith(client, 0, 5);
    dialer.instead = () => Promise.reject(new Error("first"));
    await tick(1000);
    dialer.instead = undefined;
    await tick(1000);
    expect(told.states.at(-1)).toBe("open");
    await watcher.close();
  });

  test.each([true, false])(
    "say that polled items are not assigned to a consumer, except with autoCommit (autoCommit: %s)",
    async (autoCommit) => {
      vi.useFakeTimers();
      const told = new Told();
      const { client } = fakeClient({ logger: told.logger });
      const watcher = client.watch(0, 1, { transport: "poll", autoCommit });
      await tick(20_000);
      const shared = /Polled items are not assigned to a consumer.*every group/;
      expect(told.warnings).toEqual(autoCommit ? [] : [expect.stringMatching(shared)]);
      await watcher.close();
    },
  );

  test.each([true, false])('say that "auto" fell back to polling (autoCommit: %s)', (autoCommit) => {
    const told = new Told();
    const pool = { transport: { send: () => {} } } as unknown as ConnectionPool;
    const settings = checkWatch(0, 1, { autoCommit });
    const reports = new WatchReports(() => told.logger);
    expect(transportOf(pool, undefined, settings, reports)).toBe("poll");
    expect(told.warnings).toEqual([expect.stringMatching(/neither WebSockets nor streams/)]);
    expect(/are not assigned to a consumer/.test(told.warnings[0] ?? "")).toBe(!autoCommit);
  });
});

test("a signal that many watches and workers share has one listener", async () => {
  vi.useFakeTimers();
  const warned = vi.fn();
  process.on("warning", warned);
  onTestFinished(() => void process.off("warning", warned));
  const { signal, abort } = (() => {
    const controller = new AbortController();
    return { signal: controller.signal, abort: (reason: unknown) => controller.abort(reason) };
  })();
  const ends: Promise<unknown>[] = [];
  for (let i = 0; i < 20; i++) {
    const { client } = fakeClient();
    if (i % 2 === 0) ends.push(client.consume(() => {}, { signal }));
    else
      ends.push(
        client
          .watch(0, 1, { signal })
          .next()
          .catch((reason) => reason),
      );
  }
  await tick();
  expect(getEventListeners(signal, "abort")).toHaveLength(1);
  abort("enough");
  await tick();
  expect(await Promise.all(ends)).toEqual(ends.map((_, i) => (i % 2 === 0 ? undefined : "enough")));
  expect(getEventListeners(signal, "abort")).toHaveLength(0);
  vi.useRealTimers();
  await new Promise(setImmediate);
  expect(warned).not.toHaveBeenCalled();
});
