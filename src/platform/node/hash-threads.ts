import type { Worker } from "node:worker_threads";
import { optionError } from "../../util/argument-errors.js";
import { copyChunks, totalLength } from "../chunks.js";
import { md5 } from "./hashes.js";

/** Bodies of fewer bytes are hashed where they are: a thread would take as long to ask. */
const MIN_BYTES = 131_072;

/** What a thread runs: hashes the beginning of its memory, as much as each message says. */
const PROGRAM = `
const { createHash } = require("node:crypto");
const { parentPort } = require("node:worker_threads");
parentPort.on("message", ({ memory, length }) => {
  parentPort.postMessage(createHash("md5").update(new Uint8Array(memory, 0, length)).digest("hex"));
});`;

interface Job {
  readonly pieces: readonly Uint8Array[];
  readonly length: number;
  resolve(md5: string): void;
}

/** A thread, and the memory that it shares with this one: fresh memory for each body costs as much as to hash it. */
interface Thread {
  readonly worker: Worker;
  memory: SharedArrayBuffer;
  job: Job | undefined;
}

/** MD5 of large bodies in threads of their own, so that the event loop goes on. None of them keeps the process alive. */
export class HashThreads {
  readonly #most: number;
  readonly #threads = new Set<Thread>();
  readonly #waiting: Job[] = [];
  #closed = false;

  private constructor(count: number) {
    this.#most = count;
  }

  /** Starts none yet. Undefined for a count of 0; an error for what is no count. */
  static of(count: number): HashThreads | undefined {
    if (count === 0) return undefined;
    if (Number.isSafeInteger(count) && count > 0) return new HashThreads(count);
    throw optionError("hashThreads", count, "be an integer of at least 0");
  }

  readonly md5 = (pieces: readonly Uint8Array[]): string | Promise<string> => {
    const length = totalLength(pieces);
    if (length < MIN_BYTES || this.#closed) return md5(pieces);
    return new Promise((resolve) => {
      this.#waiting.push({ pieces, length, resolve });
      this.#assign();
    });
  };

  /** Ends the threads; what they have not hashed yet is hashed here. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(Array.from(this.#threads, ({ worker }) => worker.terminate()));
    this.#assign();
  }

  #assign(): void {
    for (;;) {
      const job = this.#waiting[0];
      if (job === undefined) return;
      const thread = this.#closed ? undefined : this.#idleThread();
      if (thread === undefined && !this.#closed) return;
      this.#waiting.shift();
      if (thread === undefined) job.resolve(md5(job.pieces));
      else this.#start(thread, job);
    }
  }

  #idleThread(): Thread | undefined {
    for (const thread of this.#threads) if (thread.job === undefined) return thread;
    return this.#threads.size < this.#most ? this.#newThread() : undefined;
  }

  #newThread(): Thread {
    const { Worker } = process.getBuiltinModule("node:worker_threads");
    // Without what this process was started with, such as a loader or an inspector.
    const worker = new Worker(PROGRAM, { eval: true, execArgv: [], env: {}, name: "eas-prediction md5" });
    const thread: Thread = { worker, memory: new SharedArrayBuffer(0), job: undefined };
    this.#threads.add(thread);
    worker.unref();
    worker.on("message", (digest: string) => {
      thread.job?.resolve(digest);
      thread.job = undefined;
      worker.unref();
      this.#assign();
    });
    // Its end follows.
    worker.on("error", () => {});
    worker.on("exit", () => {
      this.#threads.delete(thread);
      thread.job?.resolve(md5(thread.job.pieces));
      this.#assign();
    });
    return thread;
  }

  /** Copies the body, which is the shortest way to hand it over. */
  #start(thread: Thread, job: Job): void {
    if (thread.memory.byteLength < job.length) thread.memory = new SharedArrayBuffer(job.length);
    copyChunks(job.pieces, new Uint8Array(thread.memory));
    thread.job = job;
    // A call that waits for it must not be left by the process.
    thread.worker.ref();
    thread.worker.postMessage({ memory: thread.memory, length: job.length });
  }
}
