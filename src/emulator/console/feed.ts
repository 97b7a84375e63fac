import type { ServerResponse } from "node:http";
import type { Emulator } from "../emulator.js";
import type { FaultSwitches } from "./fault-presets.js";
import type { RequestMonitor } from "./monitor.js";
import type { ConsoleEvents, ConsoleState, QueueSample } from "./protocol.js";

/** Milliseconds between two batches of changed requests. */
const BATCH_MS = 100;
/** Milliseconds between two samples of the queues. */
const SAMPLE_MS = 1000;
/** Bytes that may wait for a slow page. A page that is slower loses its stream and reconnects. */
const MAX_BUFFERED_BYTES = 4 * 2 ** 20;
/** Maximum number of open pages. The oldest loses its stream. */
const MAX_PAGES = 16;

/** Sends the events of the console to all open pages. Does nothing while no page is open. */
export class Feed {
  readonly #emulator: Emulator;
  readonly #switches: FaultSwitches;
  readonly #monitor: () => RequestMonitor;
  readonly #pages = new Set<ServerResponse>();
  readonly #changed = new Set<number>();
  #batchTimer: ReturnType<typeof setTimeout> | undefined;
  #sampleTimer: ReturnType<typeof setInterval> | undefined;
  #lastState = "";

  constructor(emulator: Emulator, switches: FaultSwitches, monitor: () => RequestMonitor) {
    this.#emulator = emulator;
    this.#switches = switches;
    this.#monitor = monitor;
  }

  /** Opens the stream of one page. */
  open(outgoing: ServerResponse): void {
    const [oldest] = this.#pages;
    if (this.#pages.size >= MAX_PAGES) oldest?.end();
    this.#pages.add(outgoing);
    outgoing.once("close", () => {
      this.#pages.delete(outgoing);
      if (this.#pages.size === 0) this.#stopTimers();
    });
    this.#lastState = JSON.stringify(this.#state());
    outgoing.write(eventOf("state", this.#lastState));
    outgoing.write(eventOf("requests", JSON.stringify(this.#monitor().summaries())));
    outgoing.write(eventOf("queues", JSON.stringify(this.#samples())));
    this.#sampleTimer ??= setInterval(() => this.#sample(), SAMPLE_MS);
  }

  /** Announces a new or changed request. */
  requestChanged(id: number): void {
    if (this.#pages.size === 0) return;
    this.#changed.add(id);
    this.#batchTimer ??= setTimeout(() => {
      this.#batchTimer = undefined;
      const summaries = this.#monitor().summaries(this.#changed);
      this.#changed.clear();
      if (summaries.length > 0) this.#send("requests", JSON.stringify(summaries));
    }, BATCH_MS);
  }

  /** Sends the state if it has changed. */
  stateChanged(): void {
    const state = JSON.stringify(this.#state());
    if (state === this.#lastState) return;
    this.#lastState = state;
    this.#send("state", state);
  }

  /** Ends all streams. */
  close(): void {
    this.#stopTimers();
    for (const page of this.#pages) page.end();
  }

  #sample(): void {
    this.stateChanged();
    this.#send("queues", JSON.stringify(this.#samples()));
  }

  #send(name: keyof ConsoleEvents, data: string): void {
    const event = eventOf(name, data);
    for (const page of this.#pages) {
      if (page.writableLength > MAX_BUFFERED_BYTES) page.destroy();
      else page.write(event);
    }
  }

  #stopTimers(): void {
    clearTimeout(this.#batchTimer);
    clearInterval(this.#sampleTimer);
    this.#batchTimer = undefined;
    this.#sampleTimer = undefined;
    this.#changed.clear();
  }

  #state(): ConsoleState {
    const targets = this.#emulator.internals.targets();
    const select = (wanted: boolean) =>
      targets.filter(({ isQueue }) => isQueue === wanted).map(({ name, token }) => ({ name, token }));
    return {
      services: select(false),
      queues: select(true),
      instances: this.#emulator.instances.map(({ origin, isRunning, isListed, weight }) => {
        return { origin, isRunning, isListed, weight };
      }),
      ...this.#switches.state(),
    };
  }

  #samples(): QueueSample[] {
    return this.#emulator.internals
      .targets()
      .filter(({ isQueue }) => isQueue)
      .flatMap(({ name }) => {
        const queue = this.#emulator.queue(name);
        if (queue === undefined) return [];
        const pending = [...queue.input.pending];
        return {
          name,
          length: queue.input.length,
          sinkLength: queue.sink.length,
          pending: pending.reduce((sum, [, indexes]) => sum + indexes.length, 0),
          consumers: pending.map(([consumer]) => consumer),
        };
      });
  }
}

function eventOf(name: keyof ConsoleEvents, json: string): string {
  return `event: ${name}\ndata: ${json}\n\n`;
}
