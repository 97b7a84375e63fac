import { expect, onTestFinished, vi } from "vitest";
import {
  createEmulator,
  type EmulatorQueueOptions,
  type RunningEmulator,
  startEmulator,
} from "../../src/emulator/index.js";
import { encodeFrame, withLength } from "../../src/emulator/queue/frames.js";
import {
  type DataFrame,
  QueueClient,
  type QueueClientOptions,
  type Transport,
  type TransportRequest,
  type Watcher,
  type WatchOptions,
  type WatchStatus,
} from "../../src/index.js";
import { joinChunks } from "../../src/platform/chunks.js";
import type { StreamedResponse, WebSocketDialer } from "../../src/platform/contract.js";
import { CallbackConnection } from "../../src/platform/websocket-connection.js";
// Loads the code that watches load on first use, so that no test with fake timers waits for the loader.
import "../../src/queue/lazy.js";
import { TOKEN, transportAnswer } from "./calls.js";

export const TRANSPORTS = ["websocket", "http", "poll"] as const;

/** Reconnect delays that are short enough for tests. */
export const SOON = { minDelay: 4, maxDelay: 20 };

export const eventually = (check: () => void) => vi.waitFor(check, { timeout: 10_000, interval: 2 });
export const settle = (milliseconds = 40) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

/** Records the events and the log messages of a watcher. */
export class Told {
  readonly statuses: WatchStatus[] = [];
  readonly warnings: string[] = [];
  readonly onStatus = (status: WatchStatus): void => void this.statuses.push(status);
  readonly logger = { warn: (text: string): void => void this.warnings.push(text) };

  get states(): string[] {
    return this.statuses.map(({ state }) => state);
  }

  count(state: WatchStatus["state"]): number {
    return this.states.filter((each) => each === state).length;
  }
}

export function clientFor(endpoint: string, options: QueueClientOptions = {}): QueueClient {
  const client = new QueueClient({ endpoint, queueName: "q", token: TOKEN, logger: null, retryCount: 0, ...options });
  onTestFinished(() => client.close());
  return client;
}

/** Opens a queue behind a listener that can be restarted without losing the queue. */
export async function openQueue(settings: EmulatorQueueOptions = {}) {
  const emulator = createEmulator({ token: TOKEN, queues: { q: { indexShape: "counter", ...settings } } });
  let listener: RunningEmulator = await startEmulator({ emulator });
  onTestFinished(() => listener.close());
  const restart = async () => {
    const { port } = listener;
    await listener.close();
    listener = await startEmulator({ emulator, port });
  };
  const input = (emulator.queue("q") as NonNullable<ReturnType<typeof emulator.queue>>).input;
  return {
    emulator,
    input,
    endpoint: listener.endpoint,
    client: (options: QueueClientOptions = {}) => clientFor(listener.endpoint, options),
    put: (count: number, options?: { tags?: Record<string, string> }) =>
      Array.from({ length: count }, (_, i) => input.put(`item ${i}`, options)),
    /** Closes all connections: watches end silently, and polls briefly find no listener. */
    async cut() {
      emulator.cutConnections();
      await restart();
    },
    restart,
  };
}

/** Collects frames as they arrive. */
export function collect(watcher: Watcher) {
  const frames: DataFrame[] = [];
  const errors: unknown[] = [];
  const done = (async () => {
    for (;;) {
      try {
        const { done, value } = await watcher.next();
        if (done) return;
        frames.push(value);
      } catch (error) {
        errors.push(error);
        if (watcher.isClosed) return;
      }
    }
  })();
  return { frames, errors, done, indexes: () => frames.map(({ index }) => index) };
}

/** Starts a watch that reconnects soon, and records its events. */
export function watchWith(client: QueueClient, index: number | bigint, window: number, options: WatchOptions = {}) {
  const told = new Told();
  const watcher = client.watch(index, window, { reconnect: SOON, onStatus: told.onStatus, ...options });
  return { told, watcher, ...collect(watcher) };
}

/** Returns the bytes of a frame, as the service sends it. */
export function frameBytes(index: number | bigint, data: string | Uint8Array = "x", tags: Record<string, string> = {}) {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : (data as Uint8Array<ArrayBuffer>);
  return encodeFrame(
    { index: BigInt(index), tags, data: bytes, priority: 0, path: "", contentType: undefined } as never,
    false,
  );
}

/** Returns frames with length prefixes, as in an HTTP stream. */
export function prefixed(...frames: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = frames.map((frame) => withLength(frame as Uint8Array<ArrayBuffer>));
  return joinChunks(
    all,
    all.reduce((length, each) => length + each.length, 0),
  );
}

/** A socket that the test controls. */
export class FakeSocket {
  readonly connection: CallbackConnection;
  readonly controls: string[] = [];
  answersClose = true;

  constructor(can: { ping: boolean; pause: boolean }) {
    const note = (name: string) => () => void this.controls.push(name);
    this.connection = new CallbackConnection({
      send: note("send"),
      close: (code, reason) => {
        this.controls.push(`close ${code}`);
        if (this.answersClose) queueMicrotask(() => this.connection.end({ code, reason }));
      },
      terminate: note("terminate"),
      ping: can.ping ? note("ping") : undefined,
      pause: can.pause ? note("pause") : undefined,
      resume: can.pause ? note("resume") : undefined,
    });
  }

  push(...messages: (Uint8Array | string)[]): void {
    for (const message of messages) this.connection.receive(message as Uint8Array<ArrayBuffer>);
  }
}

/** A dialer that the test controls. */
export class FakeDialer {
  readonly sockets: FakeSocket[] = [];
  readonly dials: { url: string; headers: Map<string, string>; signal: AbortSignal }[] = [];
  /** Replaces the next dial. */
  instead: (() => Promise<never>) | undefined;
  readonly can = { ping: true, pause: true };
  readonly dial: WebSocketDialer = async (url, { headers, signal }) => {
    this.dials.push({ url, headers: new Map(headers), signal });
    if (this.instead !== undefined) {
      return new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        this.instead?.().catch(reject);
      });
    }
    const socket = new FakeSocket(this.can);
    this.sockets.push(socket);
    return socket.connection;
  };

  get last(): FakeSocket {
    return this.sockets.at(-1) as FakeSocket;
  }
}

/** A streamed response that the test controls. */
export class FakeStream implements StreamedResponse {
  status = 200;
  readonly headers = new Headers();
  readonly contentEncoding = undefined;
  reads = 0;
  readonly cancels: unknown[] = [];
  readonly #pieces: (Uint8Array<ArrayBuffer> | undefined | Error)[] = [];
  #reader:
    | { resolve: (piece: Uint8Array<ArrayBuffer> | undefined) => void; reject: (reason: unknown) => void }
    | undefined;

  read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    this.reads++;
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
      this.#go();
    });
  }

  cancel(reason: unknown): void {
    this.cancels.push(reason);
    this.#pieces.splice(0, this.#pieces.length, new Error("cancelled"));
    this.#reader?.reject(reason);
    this.#reader = undefined;
  }

  push(...pieces: (Uint8Array | undefined | Error)[]): void {
    this.#pieces.push(...(pieces as (Uint8Array<ArrayBuffer> | undefined | Error)[]));
    this.#go();
  }

  #go(): void {
    const reader = this.#reader;
    if (reader === undefined || this.#pieces.length === 0) return;
    this.#reader = undefined;
    const piece = this.#pieces.shift();
    if (piece instanceof Error) reader.reject(piece);
    else reader.resolve(piece);
  }
}

/** A transport that the test controls. It records other calls than streams. */
export class FakeTransport implements Transport {
  readonly streams: FakeStream[] = [];
  readonly streamed: TransportRequest[] = [];
  readonly requests: TransportRequest[] = [];
  /** False if the head of a stream never arrives. */
  opens = true;
  answer: (request: TransportRequest) => Promise<ReturnType<typeof transportAnswer>> = async ({ path }) =>
    transportAnswer(200, {}, path.includes("_attrs_") ? "{}" : "OK");

  async send(request: TransportRequest) {
    this.requests.push(request);
    return this.answer(request);
  }

  async stream(request: TransportRequest): Promise<StreamedResponse> {
    this.streamed.push(request);
    if (!this.opens)
      return new Promise((_, reject) => request.signal.addEventListener("abort", () => reject(request.signal.reason)));
    const stream = new FakeStream();
    this.streams.push(stream);
    return stream;
  }

  get last(): FakeStream {
    return this.streams.at(-1) as FakeStream;
  }

  /** The committed indexes, one list for each request. */
  get commits(): string[] {
    return this.requests
      .filter(({ method, path }) => method === "PUT" && !path.includes("_negative_"))
      .map(({ path }) => decodeURIComponent(/_indexes_=([^&]*)/.exec(path)?.[1] ?? ""));
  }

  async close(): Promise<void> {}
}

/** Creates a client with a fake dialer and a fake transport. */
export function fakeClient(options: QueueClientOptions = {}) {
  const dialer = new FakeDialer();
  const transport = new FakeTransport();
  const client = clientFor("http://127.0.0.1:9", { dialWebSocket: dialer.dial, transport, ...options });
  return { dialer, transport, client };
}

/** Checks that no value contains the token. */
export function expectNoToken(...values: unknown[]): void {
  const seen: string[] = [];
  const show = (value: unknown, depth: number): void => {
    if (typeof value === "string") seen.push(value);
    if (typeof value !== "object" || value === null || depth > 4) return;
    if (value instanceof Headers) seen.push(JSON.stringify([...value]));
    if (value instanceof Uint8Array) seen.push(new TextDecoder().decode(value));
    else
      for (const name of Object.getOwnPropertyNames(value)) show((value as Record<string, unknown>)[name], depth + 1);
  };
  for (const value of values) show(value, 0);
  expect(seen.join(" ")).not.toContain(TOKEN);
}
