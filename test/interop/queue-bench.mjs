// A queue with clients of both SDKs, and helpers for its checks.
import assert from "node:assert/strict";
import { QueueClient } from "eas-prediction";
import { PythonError } from "./peer.mjs";
import { base64 } from "./values.mjs";

/** Default group and window of watches. */
export const GROUP = "eas";
export const WINDOW = 5;

/** Transports of this package's watcher. */
export const TRANSPORTS = ["websocket", "http", "poll"];

/** Item that makes a watcher stop. queue_take of Python knows it as well. */
export const STOP = "stop";

export const AWKWARD_TAGS = {
  "a b": " c  d ",
  "plus+": "1+1=2",
  "and&": "x&y=z",
  "percent%20": "100% %41",
  "path#": "#?/\\;,:@",
  中文: "值 \u{1f600}",
  "quote\"'": "<'\"`>",
  empty: "",
  lines: "a\r\nb\tc",
  zero: "\0",
  e\u0301: "\u00e9",
  "unreserved*~": "*~-._!()'",
  constructor: "x",
  toString: "own",
  long: "0123456789".repeat(200),
};

export const numbered = (count, from = 0) => Array.from({ length: count }, (_, i) => String(from + i));
const bytesOf = (data) => (typeof data === "string" ? Buffer.from(data) : data);

/** Converts a frame of either client to a comparable form. */
export const plainFrame = ({ index, data, tags, message }) => ({
  index: BigInt(index),
  data: typeof data === "string" ? data : base64(data),
  tags: { ...tags },
  message,
});

/** Returns the expected frame for a put. */
export const frameOf = ({ index, requestId }, data, tags = {}) => ({
  index,
  data: base64(bytesOf(data)),
  tags: { ...tags, requestId },
  message: "",
});

export const textsOf = (frames) => frames.map(({ data }) => Buffer.from(data, "base64").toString());
export const indexesOf = (frames) => frames.map(({ index }) => index);

/** A queue with clients of both SDKs. */
export class Bench {
  #ours = [];
  #watches = [];

  constructor({ emulator, peer, watching }, name, options) {
    this.emulator = emulator;
    this.name = name;
    this.queue = emulator.addQueue(name, options);
    /** Two Python processes: one calls while the other waits for frames. */
    this.peer = peer;
    this.watching = watching;
  }

  /** Requests that this queue received. */
  get requests() {
    return this.emulator.requests.filter(({ service }) => service === this.name);
  }

  ours({ queueName = this.name, ...options } = {}) {
    const { endpoint, token } = this.emulator;
    const client = new QueueClient({ endpoint, queueName, token, logger: null, ...options });
    this.#ours.push(client);
    return client;
  }

  #client({ queue = this.name, token = this.emulator.token, uid = "python", gid = GROUP } = {}) {
    return { endpoint: this.emulator.endpoint, queue, token, uid, gid };
  }

  /** Puts of Python: several items, and one item. */
  async putAll(items, client) {
    const tagged = items.map(({ data, tags = {} }) => {
      return { data: typeof data === "string" ? data : { bytes: base64(data) }, tags };
    });
    const results = await this.peer.ask("queue_put", { client: this.#client(client), items: tagged });
    return results.map(({ index, requestId }) => ({ index: BigInt(index), requestId }));
  }

  async put(data, tags, client) {
    const [result] = await this.putAll([{ data, tags }], client);
    return result;
  }

  async get(options, client) {
    // The SDK's default "5s" is also its default timeout of an attempt, so that the two would race.
    const waits = { timeout: "0s", ...options };
    return (await this.peer.ask("queue_get", { client: this.#client(client), options: waits })).map(plainFrame);
  }

  call(method, args, client) {
    return this.peer.ask("queue_call", { client: this.#client(client), method, arguments: args });
  }

  documented(queue) {
    const { endpoint, token } = this.emulator;
    return this.watching.ask("queue_documented", { endpoint, queue, token });
  }

  /** Starts Python's watcher, which connects when it takes the first frame. */
  async watch(index, window, options = {}, client = {}) {
    const { watching } = this;
    const watch = `${this.name} ${this.#watches.length}`;
    const question = { client: this.#client(client), watch, index: String(index), window, options };
    await watching.ask("queue_watch", question);
    let isOpen = true;
    const watcher = {
      take(count, commit = false) {
        const taken = watching.ask("queue_take", { watch, count, commit }).then((frames) => frames.map(plainFrame));
        // A check that fails earlier does not await this promise. Its own error suffices.
        taken.catch(() => {});
        return taken;
      },
      async close() {
        if (isOpen) await watching.ask("queue_unwatch", { watch });
        isOpen = false;
      },
      /** A watcher that has never connected cannot be closed. */
      forget() {
        isOpen = false;
      },
    };
    this.#watches.push(watcher);
    return watcher;
  }

  closeOurs() {
    return Promise.all(this.#ours.map((client) => client.close()));
  }

  async close() {
    await this.closeOurs();
    for (const watcher of this.#watches) await watcher.close();
  }
}

/** Takes frames from this package's watcher up to a number, or until the item "stop". */
export async function takeOurs(watcher, count, commit = false) {
  const frames = [];
  while (frames.length !== count) {
    const { value: frame, done } = await watcher.next();
    if (done) break;
    frames.push(plainFrame(frame));
    if (commit) await frame.commit();
    if (frame.text() === STOP) break;
  }
  return frames;
}

/** Waits until the queue has the expected state. The check's own time limit applies. */
export async function until(holds, signal) {
  while (!(await holds())) {
    signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export const hasConsumer = (bench, id) => [...bench.queue.input.pending.keys()].includes(id);

/** Returns the status in the message of Python's exception. */
export async function statusOf(call) {
  const error = await call.then(
    () => assert.fail("no exception"),
    (error) => error,
  );
  assert.ok(error instanceof PythonError && error.type === "PredictException", error.stack);
  return error.code;
}

export const items = (texts, tags) => texts.map((data) => ({ data, tags }));
