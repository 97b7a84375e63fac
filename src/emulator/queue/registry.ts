import type { EmulatorQueueOptions } from "./options.js";
import { Queue } from "./queue-state.js";
import { Watches } from "./watch.js";

/** The queues of an emulator. */
export class Queues {
  readonly watches: Watches = new Watches();
  readonly #queues = new Map<string, Queue>();

  /** Adds a queue. Stops any existing queue with the same name, including its watches and service. */
  add(name: string, options: EmulatorQueueOptions): Queue {
    const queue = new Queue(name, options, this.watches);
    this.#queues.get(name)?.stop();
    this.#queues.set(name, queue);
    return queue;
  }

  /** Returns a queue by name. */
  get(name: string): Queue | undefined {
    return this.#queues.get(name);
  }

  /** Returns the names of all queues. */
  names(): Iterable<string> {
    return this.#queues.keys();
  }

  /** Clears the history of all queues. */
  clearHistory(): void {
    for (const queue of this.#queues.values()) queue.clearHistory();
  }
}
