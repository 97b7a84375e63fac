/** The measured request durations, and the requirements for the service. */
export interface CapacityQuestion {
  /** Mean duration of a request that does not wait, in milliseconds. */
  readonly mean: number;
  /** Squared coefficient of variation of the duration. */
  readonly variation: number;
  /** The 99th percentile of the duration, in milliseconds. */
  readonly p99: number;
  /** Requests per second that the service must handle. */
  readonly rate: number;
  /** Upper limit for the 99th percentile of the latency, in milliseconds. */
  readonly target: number;
  /** Number of requests that one instance handles at a time. */
  readonly perInstance: number;
}

/** The number of instances needed, and the expected latency. */
export interface Capacity {
  readonly instances: number;
  /** Fraction of the time during which the instances are busy, from 0 to 1. */
  readonly utilization: number;
  /** Expected 99th percentile of the latency, in milliseconds. */
  readonly p99: number;
}

const MAX_INSTANCES = 10_000;

/**
 * Returns the smallest number of instances with which the 99th percentile of the latency does not exceed the target.
 * Returns undefined if no number is enough, because the requests themselves take longer.
 *
 * The instances are modeled as one queue with many servers (M/G/c). The waiting time is the one for M/M/c (Erlang C),
 * scaled by the variation of the durations (Allen–Cunneen approximation).
 */
export function instancesFor(question: CapacityQuestion): Capacity | undefined {
  const { mean, p99, rate, target, perInstance } = question;
  if (p99 > target) return undefined;
  const load = (rate / 1_000) * mean;
  for (let instances = 1; instances <= MAX_INSTANCES; instances++) {
    const servers = instances * perInstance;
    if (servers <= load) continue;
    const expected = p99 + waitPercentile(question, servers, 0.99);
    if (expected <= target) return { instances, utilization: load / servers, p99: expected };
  }
  return undefined;
}

/** Returns the waiting time that the given fraction of requests does not exceed, in milliseconds. */
export function waitPercentile(
  { mean, variation, rate }: Pick<CapacityQuestion, "mean" | "variation" | "rate">,
  servers: number,
  share: number,
): number {
  const load = (rate / 1_000) * mean;
  const waiting = erlangC(servers, load);
  if (waiting <= 1 - share) return 0;
  // A request waits with probability `waiting`. Its waiting time is exponentially distributed.
  const meanWait = ((1 + variation) / 2) * (mean / (servers - load));
  return meanWait * Math.log(waiting / (1 - share));
}

/** Returns the probability that a request must wait (Erlang C). `load` is below `servers`. */
export function erlangC(servers: number, load: number): number {
  // The recursive form of Erlang B avoids factorials, which would overflow.
  let blocked = 1;
  for (let n = 1; n <= servers; n++) blocked = (load * blocked) / (n + load * blocked);
  return blocked / (1 - (load / servers) * (1 - blocked));
}
