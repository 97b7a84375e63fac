import { isRepeatable } from "../config/retry.js";
import { isChunkList } from "../platform/chunks.js";
import type { Exchange, HeaderPair, StreamRequest, TransportRequest } from "../platform/contract.js";
import { type Timeouts, TimerEntry } from "../util/timing/timers.js";
import type { CallPlan } from "./call-plan.js";

/**
 * One attempt of a call: the request that the transport receives, with its timeout and cancellation. Its members are
 * not `#private`, because an instance is created for each attempt and private members are slower to initialize.
 */
export class Attempt extends TimerEntry implements StreamRequest {
  readonly method: string;
  readonly origin: string;
  readonly path: string;
  readonly headers: readonly HeaderPair[];
  readonly body: StreamRequest["body"];
  readonly chunks: TransportRequest["chunks"];
  readonly maxResponseBytes: number;
  readonly onUploadProgress: TransportRequest["onUploadProgress"];
  readonly repeatable: boolean;
  exchange: Exchange | undefined = undefined;
  partial: TransportRequest["partial"] = undefined;
  /** Called when the transport receives the response headers. */
  onHead: (() => void) | undefined = undefined;
  /**
   * Whether the attempt's timeout fired. If so, the timeout error takes precedence over any error from the transport.
   */
  expired = false;

  private readonly timeouts: Timeouts;
  private readonly timeout: number;
  private currentPhase: TransportRequest["phase"] = "headers";
  private settled = false;
  private canceled = false;
  private reason: unknown = undefined;
  private controller: AbortController | undefined = undefined;
  private reject: ((reason: unknown) => void) | undefined = undefined;

  /**
   * `timeout` is in milliseconds; `Infinity` disables it. `headers` includes the authorization headers. `body` may
   * be a stream only for streamed calls.
   */
  constructor(
    plan: CallPlan,
    headers: readonly HeaderPair[],
    body: StreamRequest["body"] | readonly Uint8Array[],
    timeouts: Timeouts,
    timeout: number,
  ) {
    super();
    this.method = plan.method;
    this.origin = plan.target.origin;
    this.path = plan.path;
    this.headers = headers;
    this.body = isChunkList(body) ? null : body;
    this.chunks = isChunkList(body) ? body : undefined;
    this.maxResponseBytes = plan.maxResponseBytes;
    this.onUploadProgress = plan.onUploadProgress;
    this.repeatable = isRepeatable(plan.kind) && !plan.runsOnce;
    this.timeouts = timeouts;
    this.timeout = timeout;
  }

  /** Whether the attempt has ended. A response that arrives later must be discarded. */
  get isOver(): boolean {
    return this.settled;
  }

  get phase(): TransportRequest["phase"] {
    return this.currentPhase;
  }

  /** Set by the transport to the event that the exchange waits for. */
  set phase(phase: TransportRequest["phase"]) {
    this.currentPhase = phase;
    if (phase === "body") this.onHead?.();
  }

  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController();
      // Already canceled: a signal created now must start out aborted.
      if (this.canceled) this.controller.abort(this.reason);
    }
    return this.controller.signal;
  }

  /** Starts the timeout, which runs until `settle`. Call it before the transport's `send`. */
  start(): void {
    if (this.timeout !== Number.POSITIVE_INFINITY) this.timeouts.start(this, this.timeout);
  }

  /** Resolves with the transport's response. Rejects immediately when the attempt is canceled or times out. */
  until<T>(sent: Promise<T>): Promise<T> {
    // If the transport set `exchange`, canceling the exchange rejects `sent`. Other transports may ignore the signal
    // or react late.
    return this.exchange === undefined ? this.outlive(sent) : sent;
  }

  /** Settles as `work` does. Rejects immediately when the attempt is canceled or times out, even if `work` never settles. */
  outlive<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.canceled) reject(this.reason);
      this.reject = reject;
      work.then(resolve, reject);
    });
  }

  /**
   * Restarts the timeout. Called by a transport that first had to load code or connect, because that time does not
   * count.
   */
  onDispatch(): void {
    if (this.settled) return;
    this.timeouts.stop(this);
    this.start();
  }

  /** Stops the timeout. Called once the last byte has been decoded or the attempt has failed. */
  settle(): void {
    this.settled = true;
    this.timeouts.stop(this);
  }

  /** Ends the attempt with `reason`, even if the transport ignores the signal. */
  cancel(reason: unknown): void {
    if (this.settled) return;
    this.settle();
    this.canceled = true;
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
