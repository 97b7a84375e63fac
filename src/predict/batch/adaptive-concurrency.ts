import { clockNow } from "../../util/timing/clock.js";

/** Initial limit of a batch. */
const START = 4;
/** Maximum value of the limit. */
const MAX_LIMIT = 1_000;
/** Ratio of the current latency to the latency without a queue above which the limit decreases. */
const TOLERANCE = 2;
/** Factors by which the limit decreases. */
const DECREASE_BY_LATENCY = 0.8;
const DECREASE_BY_REFUSAL = 0.85;
/** Minimum number of responses in a window. The mean of fewer responses would be too random. */
const MIN_SAMPLES = 16;
/** Number of windows before the first probe, and between later probes. */
const FIRST_PROBE = 8;
const PROBE_INTERVAL = 32;
/** Fraction of the limit during a probe. At this limit, the requests of this batch do not wait for each other. */
const PROBE_FRACTION = 1 / 8;
/** Number of probes whose minimum is the latency without a queue. Older probes are forgotten, since services change. */
const MAX_PROBES = 8;

/**
 * Adapts the number of requests in flight to a service: additive increase, multiplicative decrease. The limit first
 * doubles with each window of responses, and later increases by 1 per round trip. It decreases when the service refuses
 * a request, and when the mean latency of a window is more than twice the latency without a queue.
 *
 * The latency without a queue is measured at the start, and in regular probes with few requests in flight. Without
 * probes, a batch that starts while another one fills the queue would consider the latency of the full queue normal,
 * and would displace the other batch.
 */
export class AdaptiveConcurrency {
  #limit = START;
  /** Whether the batch is in the start phase, in which the limit doubles. */
  #isStarting = true;
  /** The latencies of the last probes. During the start, the minimum of all windows is the only entry. */
  #probes: number[] = [];
  #hasProbed = false;
  #windowsToProbe = FIRST_PROBE;
  #isProbing = false;
  /**
   * Start of the current window. Only requests sent after this time count, because they were sent under the window's
   * limit.
   */
  #openedAt = Number.NEGATIVE_INFINITY;
  #samples = 0;
  #sum = 0;
  /** Whether the batch had as many requests in flight as allowed. Otherwise, the source is the bottleneck. */
  #wasFull = false;

  /** Maximum number of requests in flight now. */
  get limit(): number {
    return Math.max(1, Math.floor(this.#isProbing ? this.#limit * PROBE_FRACTION : this.#limit));
  }

  /** Called when a request is sent. `inFlight` includes the request. */
  started(inFlight: number): void {
    if (inFlight >= this.limit) this.#wasFull = true;
  }

  /** Called when a request that was sent at `sentAt` succeeded without a retry. */
  succeeded(sentAt: number): void {
    if (sentAt < this.#openedAt) return;
    this.#samples++;
    this.#sum += clockNow() - sentAt;
    if (this.#samples >= Math.max(this.limit, MIN_SAMPLES)) this.#closeWindow(this.#sum / this.#samples);
  }

  /** Called when the service refused a request that was sent at `sentAt`, or did not respond in time. */
  refused(sentAt: number): void {
    // All refusals of requests that were sent under the same limit count as one.
    if (sentAt >= this.#openedAt) this.#decrease(DECREASE_BY_REFUSAL);
  }

  #closeWindow(latency: number): void {
    const isTooSlow = latency > TOLERANCE * Math.min(...this.#probes);
    if (this.#isStarting) this.#probes = [Math.min(latency, ...this.#probes)];
    else if (this.limit <= 2 || this.#isProbing) this.#addProbe(latency);
    if (this.#isProbing) {
      this.#isProbing = false;
    } else if (isTooSlow) {
      this.#decrease(DECREASE_BY_LATENCY);
      return;
    } else if (this.#wasFull) {
      // With a small limit, a window contains several round trips. Each of them increases the limit by 1.
      const roundTrips = this.#samples / this.#limit;
      this.#limit = Math.min(MAX_LIMIT, this.#limit + (this.#isStarting ? this.#limit : roundTrips));
    }
    if (!this.#isStarting && --this.#windowsToProbe <= 0) {
      this.#isProbing = true;
      this.#windowsToProbe = PROBE_INTERVAL;
    }
    this.#openWindow();
  }

  #addProbe(latency: number): void {
    // The start measured only a few responses, so its estimate is dropped at the first probe.
    const earlier = this.#hasProbed ? this.#probes : [];
    this.#probes = [...earlier, latency].slice(-MAX_PROBES);
    this.#hasProbed = true;
  }

  #decrease(factor: number): void {
    this.#isStarting = false;
    this.#isProbing = false;
    this.#limit = Math.max(1, this.#limit * factor);
    this.#openWindow();
  }

  #openWindow(): void {
    this.#openedAt = clockNow();
    this.#samples = 0;
    this.#sum = 0;
    this.#wasFull = false;
  }
}
