import { argumentTypeError } from "../../util/argument-errors.js";
import type { DataFrame } from "../frame.js";
import type { QueueData } from "../options.js";
import type { PutResult } from "../put-result.js";
import type { HandlerContext, PutTarget, ReplyOptions } from "./handler.js";
import { putSurely } from "./put-surely.js";
import { ATTEMPT_TAG, putOptionsOf } from "./tags.js";

/** The second argument of a handler. */
export class ItemContext implements HandlerContext {
  readonly attempt: number;
  readonly delivery: number;
  /** A function without `this`, so that handlers can destructure it. */
  readonly reply: (data: QueueData, options?: ReplyOptions) => Promise<PutResult>;
  readonly #pending = new Set<Promise<unknown>>();
  #failure: { readonly error: unknown } | undefined;
  /** Created on first access, because most handlers do not use the signal. */
  #controller: AbortController | undefined;
  #aborted: { readonly reason: unknown } | undefined;

  constructor(
    frame: DataFrame,
    { attempt, delivery }: { readonly attempt: number; readonly delivery: number },
    sink: PutTarget | undefined,
  ) {
    this.attempt = attempt;
    this.delivery = delivery;
    this.reply = (data, options = {}) => {
      if (sink === undefined) {
        throw argumentTypeError(
          "ERR_EAS_ARG_WATCH",
          "reply needs a queue for the results: set the sink option of consume to a QueueClient",
        );
      }
      return this.#track(this.#put(sink, frame, data, options));
    };
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#aborted !== undefined) this.#controller.abort(this.#aborted.reason);
    return this.#controller.signal;
  }

  /** Whether the signal has fired. */
  get isAborted(): boolean {
    return this.#aborted !== undefined;
  }

  /** Fires the signal. */
  abort(reason: unknown): void {
    this.#aborted = { reason };
    this.#controller?.abort(reason);
  }

  /** Resolves when all replies have been stored. Rejects with the error of the first reply that failed. */
  async replied(): Promise<void> {
    while (this.#pending.size > 0) await Promise.allSettled(this.#pending);
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #put(sink: PutTarget, frame: DataFrame, data: QueueData, options: ReplyOptions): Promise<PutResult> {
    if (this.#aborted !== undefined) throw this.#aborted.reason;
    const { tags = {}, ...rest } = options;
    const own = putOptionsOf(frame, tags);
    if (!(ATTEMPT_TAG in tags)) delete own.tags[ATTEMPT_TAG];
    return putSurely(sink, data, { ...own, ...rest });
  }

  #track(reply: Promise<PutResult>): Promise<PutResult> {
    this.#pending.add(reply);
    reply.then(
      () => this.#pending.delete(reply),
      (error: unknown) => {
        this.#failure ??= { error };
        this.#pending.delete(reply);
      },
    );
    return reply;
  }
}
