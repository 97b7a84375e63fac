import type { Balancer } from "./endpoint-source.js";
import { WeightedRoundRobin } from "./weighted-round-robin.js";

/** What a balancer knows of an instance. */
export interface Candidate {
  readonly weight: number;
  /** Attempts under way. */
  readonly inFlight: number;
}

/** Whose turn it is among candidates, of whom some may be left out for a while, but never all. */
export interface Turns<C> {
  next(): C;
  leaveOut(candidate: C, isOut: boolean): void;
}

/** At least one of the candidates must weigh more than nothing. */
type MakeTurns = <C extends Candidate>(candidates: readonly C[]) => Turns<C>;

// When half of a large service is ejected, it is so one by one: to leave one out must not take a look at all the others.
export const BALANCERS: Readonly<Record<Balancer, MakeTurns>> = {
  "weighted-round-robin": byWeight,
  "least-inflight": byLoad,
};

function byWeight<C extends Candidate>(candidates: readonly C[]): Turns<C> {
  const turns = new WeightedRoundRobin(candidates.map(({ weight }) => weight));
  const places = new Map(candidates.map((candidate, at) => [candidate, at]));
  return {
    next: () => candidates[turns.next() as number] as C,
    leaveOut: (candidate, isOut) => turns.leaveOut(places.get(candidate) as number, isOut),
  };
}

// Two at random do nearly as well as the best of all, and the clients of a service do not all run to the same one.
function byLoad<C extends Candidate>(candidates: readonly C[]): Turns<C> {
  const open = candidates.filter(({ weight }) => weight > 0);
  const places = new Map(open.map((candidate, at) => [candidate, at]));
  return {
    next() {
      const at = Math.floor(Math.random() * open.length);
      const step = 1 + Math.floor(Math.random() * (open.length - 1));
      const one = open[at] as C;
      const other = open[(at + step) % open.length] as C;
      return load(other) < load(one) ? other : one;
    },
    leaveOut(candidate, isOut) {
      if (!isOut) {
        places.set(candidate, open.length);
        open.push(candidate);
        return;
      }
      const at = places.get(candidate) as number;
      places.delete(candidate);
      const last = open.pop() as C;
      if (last === candidate) return;
      // The last one takes its place.
      open[at] = last;
      places.set(last, at);
    },
  };
}

/** How busy an instance would be with one attempt more. */
function load({ weight, inFlight }: Candidate): number {
  return (inFlight + 1) / weight;
}
