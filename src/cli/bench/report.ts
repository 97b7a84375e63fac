import { instancesFor } from "./capacity.js";
import type { Histogram } from "./histogram.js";
import type { LoadResult, SecondCount } from "./load.js";
import { showTime } from "./time.js";

/** Percentiles in milliseconds, by name. */
export type Percentiles = Readonly<Record<string, number>>;

/** The latency that the service must have under a given load. */
export interface CapacityTarget {
  readonly p99: number;
  readonly rate: number;
  readonly perInstance: number;
}

/** The results of a load test. All times are in milliseconds. */
export interface BenchReport {
  /** The host and path that were called. */
  readonly target: string;
  /** The load, for example "50 requests per second". */
  readonly load: string;
  readonly elapsed: number;
  readonly requests: {
    readonly completed: number;
    readonly failed: number;
    readonly skipped: number;
    readonly perSecond: number;
  };
  readonly latency: Percentiles;
  readonly service: Percentiles;
  readonly chat:
    | {
        readonly firstToken: Percentiles;
        readonly tokens: number;
        readonly tokensPerSecond: number;
        readonly tokensPerSecondOfOne: number;
      }
    | undefined;
  readonly errors: Readonly<Record<string, number>>;
  readonly capacity: { readonly instances: number | undefined; readonly text: string } | undefined;
  readonly seconds: readonly SecondCount[];
  /** The distribution of the latency. */
  readonly histogram: Histogram;
}

/** Creates the report on a load test. */
export function reportOf(
  result: LoadResult,
  about: { readonly target: string; readonly load: string; readonly capacityTarget: CapacityTarget | undefined },
): BenchReport {
  const completed = result.latency.count;
  const failed = [...result.errors.values()].reduce((sum, count) => sum + count, 0);
  const seconds = result.elapsed / 1_000;
  const perSecond = (count: number) => (seconds > 0 ? count / seconds : 0);
  return {
    target: about.target,
    load: about.load,
    elapsed: result.elapsed,
    requests: { completed, failed, skipped: result.skipped, perSecond: perSecond(completed) },
    latency: percentilesOf(result.latency),
    service: percentilesOf(result.service),
    chat:
      result.firstToken.count === 0
        ? undefined
        : {
            firstToken: percentilesOf(result.firstToken),
            tokens: result.tokens,
            tokensPerSecond: perSecond(result.tokens),
            tokensPerSecondOfOne: result.tokenRate.mean,
          },
    errors: Object.fromEntries([...result.errors].sort(([, a], [, b]) => b - a)),
    capacity: about.capacityTarget === undefined ? undefined : capacityOf(result.service, about.capacityTarget),
    seconds: result.seconds,
    histogram: result.latency,
  };
}

/** Returns the report as plain data, for `--json`. */
export function jsonReport({ histogram: _, ...report }: BenchReport): Record<string, unknown> {
  return report;
}

function percentilesOf(histogram: Histogram): Percentiles {
  const values = [50, 90, 95, 99, 99.9].map((percentage) => [
    `p${percentage}`,
    round(histogram.percentile(percentage)),
  ]);
  return {
    mean: round(histogram.mean),
    min: round(histogram.min),
    ...Object.fromEntries(values),
    max: round(histogram.max),
  };
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 1_000) / 1_000;
}

function capacityOf(service: Histogram, { p99, rate, perInstance }: CapacityTarget): BenchReport["capacity"] {
  if (service.count === 0)
    return { instances: undefined, text: "No request succeeded, so the number of instances cannot be estimated." };
  const measured = service.percentile(99);
  const question = { mean: service.mean, variation: service.variation, p99: measured, rate, target: p99, perInstance };
  const capacity = instancesFor(question);
  if (capacity === undefined) {
    const text = `No number of instances reaches a p99 of ${showTime(p99)}: the requests themselves take ${showTime(measured)} at p99.`;
    return { instances: undefined, text };
  }
  const { instances, utilization } = capacity;
  const text = `${instances} instance${instances === 1 ? "" : "s"} for ${rate} requests per second with a p99 of at most ${showTime(p99)} (expected ${showTime(capacity.p99)}, busy ${Math.round(utilization * 100)} % of the time). This estimate assumes that the requests in this run did not wait for each other.`;
  return { instances, text };
}
