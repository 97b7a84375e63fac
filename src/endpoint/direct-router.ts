import { BALANCERS, type Rotation } from "./balancers.js";
import type { Route } from "./direct-route.js";
import { EasDiscovery } from "./discovery.js";
import { Ejection, Health } from "./ejection.js";
import type { Balancer, EndpointSource } from "./endpoint-source.js";
import type { FoundInstance } from "./instance-list.js";
import { InstanceList } from "./instance-list.js";
import { HedgeBudget, Latency } from "./latency.js";
import type { Lease, Router, RouterHost } from "./router.js";

/** Number of candidates that the balancer proposes before all instances are compared. */
const MAX_PROPOSALS = 8;

/** A service instance and its state. */
class Instance extends Health {
  readonly origin: string;
  weight: number;
  inFlight = 0;
  /** Whether discovery no longer lists the instance. */
  isGone = false;

  constructor({ origin, weight }: FoundInstance) {
    super();
    this.origin = origin;
    this.weight = weight;
  }
}

/** Creates the router for a service with direct connections. */
export function createRouter(route: Route, host: RouterHost): Router {
  return new DirectRouter(route, host);
}

class DirectRouter implements Router {
  readonly #host: RouterHost;
  readonly #balancer: Balancer;
  readonly #list: InstanceList;
  readonly #ejection: Ejection<Instance>;
  readonly #latency = new Latency();
  readonly #hedges = new HedgeBudget();
  /** Instances with a weight above 0, by origin. */
  #instances = new Map<string, Instance>();
  /** Instances that are not ejected. */
  #available = new Set<Instance>();
  #rotation: Rotation<Instance> = { next: noInstance, setExcluded: noInstance };

  constructor(route: Route, host: RouterHost) {
    this.#host = host;
    this.#ejection = new Ejection(host.tools.clockNow, (instance, isEjected) => this.#setExcluded(instance, isEjected));
    this.#balancer = route.balancer ?? "weighted-round-robin";
    const { serviceName, discovery, discoveryUrl, endpointSource } = route;
    this.#list = new InstanceList({
      ...discovery,
      serviceName,
      source: endpointSource ?? discoveryOf(route, host),
      sourceName: endpointSource === undefined ? (discoveryUrl as string) : "the endpointSource",
      tools: host.tools,
      onList: (found) => this.#update(found),
    });
  }

  ready(): Promise<void> | undefined {
    return this.#list.use();
  }

  pick(tried: readonly string[], capacity: number): Lease {
    const probe = this.#ejection.takeProbe(({ origin }) => !tried.includes(origin));
    if (probe !== undefined) return this.#lease(probe, true);
    for (let i = 0; i < MAX_PROPOSALS; i++) {
      const instance = this.#rotation.next();
      if (!tried.includes(instance.origin) && instance.inFlight < capacity) return this.#lease(instance, false);
    }
    return this.#lease(this.#leastBad(tried, capacity), false);
  }

  get p95(): number | undefined {
    return this.#latency.p95;
  }

  takeHedge(tried: readonly string[]): boolean {
    for (const { origin } of this.#available) if (!tried.includes(origin)) return this.#hedges.spend();
    return false;
  }

  close(): void {
    this.#list.close();
  }

  #update(found: readonly FoundInstance[]): void {
    const before = this.#instances;
    const open = found.filter(({ weight }) => weight > 0);
    const isSame =
      open.length === before.size && open.every(({ origin, weight }) => before.get(origin)?.weight === weight);
    if (isSame) return;
    this.#instances = new Map();
    for (const each of open) {
      const instance = before.get(each.origin) ?? new Instance(each);
      instance.weight = each.weight;
      this.#instances.set(each.origin, instance);
    }
    for (const [origin, instance] of before) if (!this.#instances.has(origin)) this.#drop(instance);
    this.#ejection.update(new Set(this.#instances.values()));
    this.#balance();
  }

  #balance(): void {
    this.#available = new Set(this.#instances.values());
    this.#rotation = BALANCERS[this.#balancer]([...this.#available]);
    for (const instance of this.#instances.values()) {
      if (this.#ejection.has(instance)) this.#setExcluded(instance, true);
    }
  }

  #setExcluded(instance: Instance, isExcluded: boolean): void {
    if (isExcluded) this.#available.delete(instance);
    else this.#available.add(instance);
    this.#rotation.setExcluded(instance, isExcluded);
  }

  #drop(instance: Instance): void {
    instance.isGone = true;
    if (instance.inFlight === 0) this.#host.forget(instance.origin);
  }

  /**
   * Returns the instance for an attempt when no candidate from the balancer is suitable. Prefers, in this order:
   * instances that were not tried, tried instances other than the last one, instances below `capacity`, and the
   * instance with the fewest attempts in flight.
   */
  #leastBad(tried: readonly string[], capacity: number): Instance {
    const rank = ({ origin, inFlight }: Instance) =>
      (tried.at(-1) === origin ? 4 : 0) + (tried.includes(origin) ? 2 : 0) + (inFlight < capacity ? 0 : 1);
    return [...this.#available].reduce((best, each) => {
      const difference = rank(each) - rank(best);
      return difference < 0 || (difference === 0 && each.inFlight < best.inFlight) ? each : best;
    });
  }

  #lease(instance: Instance, isProbe: boolean): Lease {
    instance.inFlight++;
    this.#hedges.earn();
    const startedAt = this.#host.tools.clockNow();
    return {
      origin: instance.origin,
      end: (atFault, isStream = false) => {
        instance.inFlight--;
        const time = this.#host.tools.clockNow() - startedAt;
        // The measured time of an abandoned attempt is only a lower bound, so it counts only if it already exceeds the
        // percentile.
        const isSample = atFault === false || (atFault === undefined && time > (this.p95 ?? Number.POSITIVE_INFINITY));
        if (isSample && !isStream) this.#latency.add(time);
        if (instance.isGone) {
          if (instance.inFlight === 0 && !this.#instances.has(instance.origin)) this.#host.forget(instance.origin);
        } else this.#ejection.report(instance, isProbe, atFault);
      },
    };
  }
}

function noInstance(): never {
  throw new Error("the list of instances is not loaded yet");
}

/** Returns an `EndpointSource` that uses EAS's discovery service. */
function discoveryOf({ discoveryUrl, discovery }: Route, host: RouterHost): EndpointSource {
  // The official Python SDK detects an EAS pod in the same way (cacheserver_endpoint.py).
  const internal = discovery?.internal ?? Boolean(host.env("NAMESPACE") && host.env("POD_NAME"));
  const eas = new EasDiscovery(discoveryUrl as string, discovery?.path, internal, host);
  return (query) => eas.list(query);
}
