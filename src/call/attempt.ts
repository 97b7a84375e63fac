import { isRepeatable } from "../config/retry.js";
import { isChunkList } from "../platform/chunks.js";
import type { Exchange, HeaderPair, TransportRequest } from "../platform/contract.js";
import { type Timeouts, TimerEntry } from "../util/timing/timers.js";
import type { CallPlan } from "./call-plan.js";

/**
 * One attempt of a call: the request that a transport sees, its clock, and its one way to be ended early. Its members are
 * not `#private`: it is made for each attempt, and those cost more to set up.
 */
export class Attempt extends TimerEntry implements TransportRequest {
  readonly method: string;
  readonly origin: string;
  readonly path: string;
  readonly headers: readonly HeaderPair[];
  readonly body: Uint8Array | null;
  readonly pieces: TransportRequest["pieces"];
  readonly maxResponseBytes: number;
  readonly onUploadProgress: TransportRequest["onUploadProgress"];
  readonly repeatable: boolean;
  exchange: Exchange | undefined = undefined;
  readonly self: unknown = this;
  partial: TransportRequest["partial"] = undefined;
  phase: "connect" | "headers" | "body" = "headers";
  /** True when it was ended by its own clock: asked before any runtime's word for what happened. */
  expired = false;

  private readonly timeouts: Timeouts;
  private readonly timeout: number;
  private settled = false;
  private cancelled = false;
  private reason: unknown = undefined;
  private controller: AbortController | undefined = undefined;
  private reject: ((reason: unknown) => void) | undefined = undefined;

  constructor(
    plan: CallPlan,
    headers: readonly HeaderPair[],
    body: Uint8Array | readonly Uint8Array[] | null,
    timeouts: Timeouts,
    timeout: number,
  ) {
    super();
    this.method = plan.method;
    this.origin = plan.target.origin;
    this.path = plan.path;
    this.headers = headers;
    this.body = isChunkList(body) ? null : body;
    this.pieces = isChunkList(body) ? body : undefined;
    this.maxResponseBytes = plan.maxResponseBytes;
    this.onUploadProgress = plan.onUploadProgress;
    this.repeatable = isRepeatable(plan.kind) && !plan.runsOnce;
    this.timeouts = timeouts;
    this.timeout = timeout;
  }

  /** Whether nobody waits for it any more. */
  get isOver(): boolean {
    return this.settled;
  }

  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController();
      // Who asks only now must not go on for ever.
      if (this.cancelled) this.controller.abort(this.reason);
    }
    return this.controller.signal;
  }

  /** Starts the clock, which runs until `settle`. To be called before the transport is. */
  start(): void {
    if (this.timeout !== Number.POSITIVE_INFINITY) this.timeouts.start(this, this.timeout);
  }

  /** Waits for what the transport gives. Rejects at once when the attempt is cancelled or expires. */
  until<T>(sent: Promise<T>): Promise<T> {
    // An exchange rejects by itself when it is cancelled; other transports may be slow to notice, or never do.
    return this.exchange === undefined ? this.outlive(sent) : sent;
  }

  /** Waits for work that may not end by itself when the attempt is cancelled. */
  outlive<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.cancelled) reject(this.reason);
      this.reject = reject;
      work.then(resolve, reject);
    });
  }

  /** Starts the clock anew: what the transport did before was its own preparation. */
  onDispatch(): void {
    if (this.settled) return;
    this.timeouts.stop(this);
    this.start();
  }

  /** Stops the clock: the last byte is decoded, or the attempt has failed. */
  settle(): void {
    this.settled = true;
    this.timeouts.stop(this);
  }

  /** Ends the attempt with `reason`, whether or not the transport listens. */
  cancel(reason: unknown): void {
    if (this.settled) return;
    this.settle();
    this.cancelled = true;
    this.reason = reason;
    this.reject?.(reason);
    this.exchange?.cancel(reason);
    this.controller?.abort(reason);
  }

  override expire(): void {
    this.expired = true;
    this.cancel(undefined);
  }
}
