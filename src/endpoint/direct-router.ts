import { BALANCERS, type Turns } from "./balancers.js";
import type { Route } from "./direct-route.js";
import { EasDiscovery } from "./discovery.js";
import { Ejection, Health } from "./ejection.js";
import type { Balancer, EndpointSource } from "./endpoint-source.js";
import type { FoundInstance } from "./instance.js";
import { InstanceList } from "./instance-list.js";
import { HedgeBudget, Latency } from "./latency.js";
import type { Lease, Router, RouterHost } from "./router.js";

/** Turns of the balancer that are tried before all instances are looked at. */
const TURNS = 8;

/** An instance, and how it fares. */
class Instance extends Health {
  readonly origin: string;
  weight: number;
  inFlight = 0;
  isGone = false;

  constructor({ origin, weight }: FoundInstance) {
    super();
    this.origin = origin;
    this.weight = weight;
  }
}

/** Makes the router of a service that is reached directly. */
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
  /** Those that take calls, by their origins. */
  #instances = new Map<string, Instance>();
  /** Those of them that are not ejected. */
  #rotation = new Set<Instance>();
  #turns: Turns<Instance> = { next: noInstance, leaveOut: noInstance };

  constructor(route: Route, host: RouterHost) {
    this.#host = host;
    this.#ejection = new Ejection(host.tools.clockNow, (instance, isOut) => this.#leaveOut(instance, isOut));
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
    for (let turn = 0; turn < TURNS; turn++) {
      const instance = this.#turns.next();
      if (!tried.includes(instance.origin) && instance.inFlight < capacity) return this.#lease(instance, false);
    }
    return this.#lease(this.#leastBad(tried, capacity), false);
  }

  get p95(): number | undefined {
    return this.#latency.p95;
  }

  takeHedge(tried: readonly string[]): boolean {
    for (const { origin } of this.#rotation) if (!tried.includes(origin)) return this.#hedges.spend();
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
    this.#rotation = new Set(this.#instances.values());
    this.#turns = BALANCERS[this.#balancer]([...this.#rotation]);
    for (const instance of this.#instances.values()) if (this.#ejection.has(instance)) this.#leaveOut(instance, true);
  }

  #leaveOut(instance: Instance, isOut: boolean): void {
    if (isOut) this.#rotation.delete(instance);
    else this.#rotation.add(instance);
    this.#turns.leaveOut(instance, isOut);
  }

  #drop(instance: Instance): void {
    instance.isGone = true;
    if (instance.inFlight === 0) this.#host.forget(instance.origin);
  }

  /** Of those in the rotation one that was not tried, or not last, with room, and with little to do. */
  #leastBad(tried: readonly string[], capacity: number): Instance {
    const rank = ({ origin, inFlight }: Instance) =>
      (tried.at(-1) === origin ? 4 : 0) + (tried.includes(origin) ? 2 : 0) + (inFlight < capacity ? 0 : 1);
    return [...this.#rotation].reduce((best, each) => {
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
        // What was given up took longer than that, which counts where it is long already.
        const isTelling = atFault === false || (atFault === undefined && time > (this.p95 ?? Number.POSITIVE_INFINITY));
        if (isTelling && !isStream) this.#latency.add(time);
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

/** EAS's own discovery, as the user has set it. */
function discoveryOf({ discoveryUrl, discovery }: Route, host: RouterHost): EndpointSource {
  // What the official Python SDK takes for a pod of EAS (cacheserver_endpoint.py).
  const internal = discovery?.internal ?? Boolean(host.env("NAMESPACE") && host.env("POD_NAME"));
  const eas = new EasDiscovery(discoveryUrl as string, discovery?.path, internal, host);
  return (query) => eas.list(query);
}
