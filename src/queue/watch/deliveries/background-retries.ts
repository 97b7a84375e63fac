import { EasHttpError } from "../../../errors.js";
import { isError, messageOf } from "../../../util/realms.js";
import { linkSignal, pause, unlinkSignal } from "../../../util/timing/abort.js";
import { MAX_INDEXES } from "../../commit-batch.js";
import type { NegativeOptions } from "../../operations.js";
import type { WatchSettings } from "../options.js";

/** A commit with its HTTP method. */
export interface Commit {
  readonly method: "PUT" | "DELETE";
}

/** A negative acknowledgment with its code and reason. */
export interface Negative extends Pick<NegativeOptions, "code" | "reason"> {
  readonly method?: undefined;
}

/** The kind of acknowledgment. Items that share the same kind object are sent in one request. */
export type Acknowledgment = Commit | Negative;

/** The dependencies of `BackgroundRetries`. */
export interface BackgroundRetriesHost {
  readonly settings: Pick<WatchSettings, "minDelay" | "maxDelay">;
  /** Fires when the watcher closes. */
  readonly life: AbortSignal;
  /** Logs `message` once for each `cause`. */
  readonly warn: (cause: string, message: string) => void;
}

/** Statuses after which the service would also refuse a retry. */
const REFUSALS: readonly number[] = [400, 404, 405, 501];

/** Whether the service refused a request and would also refuse a retry. */
export function isRefusal(error: unknown): boolean {
  return error instanceof EasHttpError && REFUSALS.includes(error.status);
}

/** Whether a call was not sent because an argument was invalid or the client was closed. */
export function isArgumentError(error: unknown): boolean {
  return isError(error) && "code" in error && String(error.code).startsWith("ERR_EAS_ARG_");
}

/**
 * Retries failed acknowledgments, one request at a time, with increasing delays. Continues until the service
 * responds or the watcher closes.
 */
export class BackgroundRetries {
  readonly #host: BackgroundRetriesHost;
  readonly #send: (indexes: readonly bigint[], how: Acknowledgment) => Promise<void>;
  readonly #failed = new Map<bigint, Acknowledgment>();
  #isRunning = false;
  #wake: (() => void) | undefined;
  #maxIndexes = MAX_INDEXES;

  /** `send` must call `delete` for each item that the service has acknowledged. */
  constructor(host: BackgroundRetriesHost, send: (indexes: readonly bigint[], how: Acknowledgment) => Promise<void>) {
    this.#host = host;
    this.#send = send;
  }

  /** Adds items whose acknowledgment failed. */
  add(indexes: readonly bigint[], how: Acknowledgment): void {
    for (const index of indexes) this.#failed.set(index, how);
    if (this.#isRunning || this.#failed.size === 0 || this.#host.life.aborted) return;
    this.#isRunning = true;
    void this.#run().finally(() => {
      this.#isRunning = false;
    });
  }

  /** Removes an item. */
  delete(index: bigint): void {
    this.#failed.delete(index);
  }

  /** Removes the items for which `isGone` returns true. */
  forget(isGone: (index: bigint) => boolean): void {
    for (const index of this.#failed.keys()) if (isGone(index)) this.#failed.delete(index);
  }

  /** Retries immediately, because a service that delivers an item again is waiting for its acknowledgment. */
  pushedAgain(index: bigint): void {
    if (this.#failed.has(index)) this.#wake?.();
  }

  /** Sends all failed commits once more. Never rejects. */
  async flush(): Promise<void> {
    const sent: Promise<void>[] = [];
    const all = [...this.#failed].filter(([, { method }]) => method !== undefined);
    for (const how of new Set(all.map(([, how]) => how))) {
      const indexes = all.filter((each) => each[1] === how).map(([index]) => index);
      for (let at = 0; at < indexes.length; at += MAX_INDEXES) {
        sent.push(this.#send(indexes.slice(at, at + MAX_INDEXES), how));
      }
    }
    const unanswered = (await Promise.allSettled(sent)).filter(({ status }) => status === "rejected");
    if (unanswered.length === 0) return;
    this.#host.warn(
      "flush",
      `${this.#failed.size} items were handled but could not be committed: the service will deliver them again`,
    );
  }

  async #run(): Promise<void> {
    const { life, warn } = this.#host;
    let failures = 0;
    while (this.#failed.size > 0) {
      await this.#delay(failures);
      if (life.aborted) return;
      try {
        await this.#next();
        failures = 0;
      } catch (error) {
        if (life.aborted) return;
        if (++failures > 1) continue;
        const message = messageOf(error);
        warn(
          `acknowledgment: ${message}`,
          `acknowledging ${this.#failed.size} items failed and will be retried: ${message}`,
        );
      }
    }
  }

  async #next(): Promise<void> {
    const [how] = this.#failed.values();
    if (how === undefined) return;
    const alike = [...this.#failed].filter((each) => each[1] === how);
    const indexes = alike.slice(0, this.#maxIndexes).map(([index]) => index);
    try {
      await this.#send(indexes, how);
      this.#maxIndexes = MAX_INDEXES;
    } catch (error) {
      // Move the items to the end of the map.
      for (const index of indexes) if (this.#failed.delete(index)) this.#failed.set(index, how);
      // The service may refuse a request because of a single index, so send items individually to acknowledge the
      // others.
      this.#maxIndexes = isRefusal(error) ? 1 : MAX_INDEXES;
      throw error;
    }
  }

  async #delay(failures: number): Promise<void> {
    const { life, settings } = this.#host;
    const max = Math.min(settings.maxDelay, settings.minDelay * 2 ** failures);
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    linkSignal(life, woken);
    await pause(max * (0.5 + Math.random() / 2), woken.signal).catch(() => {});
    unlinkSignal(life, woken);
    this.#wake = undefined;
  }
}
