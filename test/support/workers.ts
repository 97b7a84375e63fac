import { onTestFinished, vi } from "vitest";
import { createEmulator, type EmulatorQueueOptions } from "../../src/emulator/index.js";
import {
  type ConsumeOptions,
  type DataFrame,
  type FrameHandler,
  QueueClient,
  type QueueClientOptions,
} from "../../src/index.js";
import { turn, watch } from "./calls.js";

const FAST = { minDelay: 1, maxDelay: 5 };

/** Creates an emulator with the queues "q" and "dead", and clients that reach them in memory. */
export function open(options: EmulatorQueueOptions = {}) {
  const emulator = createEmulator({ token: "t", queues: { q: options, dead: {} } });
  const { input, sink } = emulator.queue("q")!;
  const { input: dead } = emulator.queue("dead")!;
  const warnings: string[] = [];
  const client = (own: QueueClientOptions = {}) => {
    const made = new QueueClient({
      endpoint: "http://emulator",
      queueName: "q",
      token: "t",
      transport: emulator.transport,
      dialWebSocket: emulator.dialWebSocket,
      logger: { warn: (message) => warnings.push(message) },
      ...own,
    });
    onTestFinished(() => made.close());
    return made;
  };
  return { emulator, input, sink, dead, client, warnings, indexes: () => input.commits.map(({ index }) => index) };
}

interface Running {
  readonly frame: DataFrame;
  readonly text: string;
  readonly done: () => void;
  readonly fail: (error: unknown) => void;
}

/** Creates a handler whose runs stay pending until the test settles them. */
export function byHand() {
  const runs: Running[] = [];
  let most = 0;
  const active = new Set<Running>();
  const handler = (frame: DataFrame) =>
    new Promise<void>((resolve, reject) => {
      const run: Running = {
        frame,
        text: frame.text(),
        done: () => {
          active.delete(run);
          resolve();
        },
        fail: (error) => {
          active.delete(run);
          reject(error);
        },
      };
      runs.push(run);
      active.add(run);
      most = Math.max(most, active.size);
    });
  return { runs, handler, active, most: () => most, texts: () => runs.map(({ text }) => text) };
}

/** Starts a worker, which is stopped when the test ends. */
export function start(queue: QueueClient, handler: FrameHandler, options: ConsumeOptions = {}) {
  const controller = new AbortController();
  const done = queue.consume(handler, { reconnect: FAST, signal: controller.signal, ...options });
  const watched = watch(done);
  onTestFinished(() => controller.abort());
  return { worker: done, done, watched, stop: () => controller.abort(new Error("stop")), signal: controller.signal };
}

/** Replaces the delays of failed items, and returns the delays that were requested. */
export function delays(milliseconds: number): number[] {
  const asked: number[] = [];
  const real = globalThis.setTimeout;
  const own = [100, 200, 400, 800, 1600, 3200, 6400, 10_000];
  vi.spyOn(globalThis, "setTimeout").mockImplementation(((run: () => void, delay = 0) => {
    if (!own.includes(delay)) return real(run, delay);
    asked.push(delay);
    return real(run, milliseconds);
  }) as typeof setTimeout);
  return asked;
}

export async function turns(count = 10): Promise<void> {
  for (let i = 0; i < count; i++) await turn();
}
