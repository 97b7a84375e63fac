import type { Balancer } from "./endpoint-source.js";
import { WeightedRoundRobin } from "./weighted-round-robin.js";

/** What a balancer knows of an instance. */
export interface Candidate {
  readonly weight: number;
  /** Attempts under way. */
  readonly inFlight: number;
}

/** Makes a function that says whose turn it is among `candidates`, of whom at least one weighs more than nothing. */
type MakeBalancer = <C extends Candidate>(candidates: readonly C[]) => () => C;

export const BALANCERS: Readonly<Record<Balancer, MakeBalancer>> = {
  "weighted-round-robin": (candidates) => {
    const turns = new WeightedRoundRobin(candidates.map(({ weight }) => weight));
    return () => candidates[turns.next() as number] as (typeof candidates)[number];
  },
  // Two at random do nearly as well as the best of all, and the clients of a service do not all run to the same one.
  "least-inflight": (candidates) => {
    const open = candidates.filter(({ weight }) => weight > 0);
    return () => {
      const at = Math.floor(Math.random() * open.length);
      const step = 1 + Math.floor(Math.random() * (open.length - 1));
      const one = open[at] as (typeof candidates)[number];
      const other = open[(at + step) % open.length] as (typeof candidates)[number];
      return load(other) < load(one) ? other : one;
    };
  },
};

/** How busy an instance would be with one attempt more. */
function load({ weight, inFlight }: Candidate): number {
  return (inFlight + 1) / weight;
}
