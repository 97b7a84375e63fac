import type { DiscoveryOptions, EndpointSource } from "./endpoint-source.js";
import { type FoundInstance, readInstances } from "./instance.js";
import type { RouterTools } from "./router.js";

const INTERVAL_MS = 3_000;
/** As the official Python SDK waits for the first list (endpoint.py). */
const TIMEOUT_MS = 5_000;
/** Between two attempts to get the first list. */
const PAUSE_MS = 200;

/** What a list of instances is kept by. */
export interface ListOptions extends Pick<DiscoveryOptions, "interval" | "timeout"> {
  readonly serviceName: string;
  readonly source: EndpointSource;
  /** What errors call the source. */
  readonly sourceName: string;
  readonly tools: RouterTools;
  /** Called with each list that came and has an instance that takes calls. */
  onList(instances: readonly FoundInstance[]): void;
}

/**
 * The list of a service's instances, asked for when it is used and has become old. Nothing runs between the uses, so that
 * nothing keeps a process alive.
 */
export class InstanceList {
  readonly #options: ListOptions;
  readonly #interval: number;
  readonly #timeout: number;
  readonly #life = new AbortController();
  #askedAt = Number.NEGATIVE_INFINITY;
  #isThere = false;
  #asking: Promise<void> | undefined;
  #first: Promise<void> | undefined;

  constructor(options: ListOptions) {
    this.#options = options;
    this.#interval = options.interval ?? INTERVAL_MS;
    this.#timeout = options.timeout ?? TIMEOUT_MS;
  }

  /** Undefined when there is a list, which is then refreshed behind the caller's back if it is old; else a wait for the first. */
  use(): Promise<void> | undefined {
    if (!this.#isThere) {
      this.#first ??= this.#waitForFirst().finally(() => {
        this.#first = undefined;
      });
      return this.#first;
    }
    // What fails leaves the list as it is.
    if (this.#options.tools.clockNow() - this.#askedAt >= this.#interval) this.#ask(this.#timeout).catch(() => {});
    return undefined;
  }

  close(): void {
    this.#life.abort(new Error("the client was closed"));
  }

  async #waitForFirst(): Promise<void> {
    const startedAt = this.#options.tools.clockNow();
    let known: unknown;
    for (;;) {
      const left = this.#timeout - (this.#options.tools.clockNow() - startedAt);
      try {
        await this.#ask(Math.max(1, left));
        return;
      } catch (error) {
        // The earlier failure is more informative than the timeout that ended the call.
        if (known === undefined || !(error instanceof NoAnswer)) known = error;
        const isLast = this.#options.tools.clockNow() - startedAt + PAUSE_MS >= this.#timeout;
        if (isLast || this.#isFinal(error) || this.#life.signal.aborted) throw this.#noInstances(known);
      }
      // Rejects when the client is closed, which the next round reports.
      await this.#options.tools.pause(PAUSE_MS, this.#life.signal).catch(() => {});
    }
  }

  #noInstances(cause: unknown): Error {
    const { serviceName, sourceName, tools } = this.#options;
    const why = tools.messageOf(cause);
    const limit = this.#isFinal(cause) ? "" : ` within ${this.#timeout} ms`;
    const message = `no instance of ${serviceName} was found${limit} at ${sourceName}: ${why}`;
    return tools.discoveryError(message, sourceName, cause);
  }

  /** Asks once; whoever asks while an answer is awaited waits for that one. */
  #ask(milliseconds: number): Promise<void> {
    this.#asking ??= this.#askSource(milliseconds).finally(() => {
      this.#asking = undefined;
      this.#askedAt = this.#options.tools.clockNow();
    });
    return this.#asking;
  }

  async #askSource(milliseconds: number): Promise<void> {
    const { source, serviceName, onList, tools } = this.#options;
    const deadline = new AbortController();
    const { signal: life } = this.#life;
    life.throwIfAborted();
    tools.linkSignal(life, deadline);
    const timer = setTimeout(
      () => deadline.abort(new NoAnswer(`no answer within ${Math.round(milliseconds)} ms`)),
      milliseconds,
    );
    // A refresh that hangs is nothing to stay alive for; on Node a timer is an object.
    if (this.#isThere) (timer as unknown as { unref?(): void }).unref?.();
    try {
      const query = { serviceName, signal: deadline.signal };
      // A function, since the source may throw before it returns a promise.
      const asking = (async () => source(query))();
      // The source may ignore the signal and never settle.
      const list = readInstances(await tools.raceAbort(asking, deadline.signal));
      if (!list.some(({ weight }) => weight > 0)) throw new Error("no instance accepts calls");
      this.#isThere = true;
      onList(list);
    } finally {
      clearTimeout(timer);
      tools.unlinkSignal(life, deadline);
    }
  }

  /** Whether the source would fail in the same way again: its answer is too large, or its certificate is wrong. */
  #isFinal(error: unknown): boolean {
    const { isError } = this.#options.tools;
    for (let each = error; isError(each); each = each.cause) {
      if ((each as { final?: unknown }).final === true) return true;
    }
    return false;
  }
}

/** The source did not answer in time. */
class NoAnswer extends Error {}
