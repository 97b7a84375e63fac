import type { Balancer } from "./endpoint-source.js";
import { WeightedRoundRobin } from "./weighted-round-robin.js";

/** The instance properties that a balancer uses. */
export interface Candidate {
  readonly weight: number;
  /** Number of attempts in flight. */
  readonly inFlight: number;
}

/** Selects one candidate at a time. Candidates can be excluded temporarily, but not all of them at the same time. */
export interface Rotation<C> {
  /** Returns the candidate for the next attempt. */
  next(): C;
  /** Excludes a candidate, or includes it again. */
  setExcluded(candidate: C, isExcluded: boolean): void;
}

/** Creates a rotation. At least one of the candidates must have a weight above 0. */
type CreateRotation = <C extends Candidate>(candidates: readonly C[]) => Rotation<C>;

/** The function that creates the rotation for each `Balancer`. */
export const BALANCERS: Readonly<Record<Balancer, CreateRotation>> = {
  "weighted-round-robin": weightedRoundRobin,
  "least-inflight": leastInFlight,
};

function weightedRoundRobin<C extends Candidate>(candidates: readonly C[]): Rotation<C> {
  const rotation = new WeightedRoundRobin(candidates.map(({ weight }) => weight));
  return {
    next: () => candidates[rotation.next() as number] as C,
    setExcluded: (candidate, isExcluded) => rotation.setExcluded(candidates.indexOf(candidate), isExcluded),
  };
}

/**
 * Selects the less loaded of two random candidates. The result is nearly as good as the minimum over all candidates.
 * The random choice also prevents a service's clients from all choosing the same instance.
 */
function leastInFlight<C extends Candidate>(candidates: readonly C[]): Rotation<C> {
  const active = candidates.filter(({ weight }) => weight > 0);
  return {
    next() {
      const at = Math.floor(Math.random() * active.length);
      const step = 1 + Math.floor(Math.random() * (active.length - 1));
      const first = active[at] as C;
      const second = active[(at + step) % active.length] as C;
      return load(second) < load(first) ? second : first;
    },
    setExcluded(candidate, isExcluded) {
      if (isExcluded) active.splice(active.indexOf(candidate), 1);
      else active.push(candidate);
    },
  };
}

/** Returns an instance's load after one more attempt, relative to its weight. */
function load({ weight, inFlight }: Candidate): number {
  return (inFlight + 1) / weight;
}
