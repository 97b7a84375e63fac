import { type Fault, FaultQueue } from "./faults.js";
import { decode } from "./gateway/request-target.js";

/** One instance of the emulated services and queues, for clients that call instances directly. */
export interface EmulatorInstance {
  /** IP address of the instance. */
  readonly ip: string;
  /** Port of the instance. */
  readonly port: number;
  /** Scheme, address and port. */
  readonly origin: string;
  /** Relative share of calls, as reported by discovery. Default 100. */
  weight: number;
  /**
   * Whether discovery lists the instance. Default true, even after `stop()`, because discovery on EAS notices a dead
   * instance only after a delay.
   */
  isListed: boolean;
  /** Whether the instance accepts connections. */
  readonly isRunning: boolean;
  /** Makes the next requests to this instance fail. These faults apply before the emulator's faults. */
  fault(fault: Fault): void;
  /** Clears this instance's pending faults. */
  clearFaults(): void;
  /** Stops the instance like a killed process: breaks its connections and refuses further connections. */
  stop(): Promise<void>;
  /** Starts the instance again at the same address. */
  start(): Promise<void>;
}

/** The paths on which discovery responds: the first is used by the official Go and Java SDKs, the second by the Python SDK. */
const DISCOVERY_PATHS = {
  "exported-apis": "/exported/apis/eas.alibaba-inc.k8s.io/v1/upstreams/",
  "service-discovery": "/api/v1/servicediscovery/upstreams/",
} as const;

/** A path on which discovery can respond. */
export type EmulatorDiscoveryPath = keyof typeof DISCOVERY_PATHS;

/** A server that listens on an instance's address. An emulator without a server has no listeners. */
export interface Listener {
  readonly port: number;
  close(): Promise<void>;
}

/** An instance, including members used only by the emulator's server and gateway. */
export class Instance implements EmulatorInstance {
  readonly ip = "127.0.0.1";
  readonly #faults = new FaultQueue();
  weight: number;
  isListed = true;
  isRunning = true;
  port: number;
  /** Starts a server on the given port; 0 selects a free port. */
  listen: ((port: number) => Promise<Listener>) | undefined;
  #listener: Listener | undefined;

  constructor(port: number, weight: number) {
    this.port = port;
    this.weight = weight;
  }

  get origin(): string {
    return `http://${this.ip}:${this.port}`;
  }

  fault(fault: Fault): void {
    this.#faults.add(fault);
  }

  clearFaults(): void {
    this.#faults.clear();
  }

  takeFault(service: string | undefined): Fault | undefined {
    return this.#faults.take(service);
  }

  async stop(): Promise<void> {
    this.isRunning = false;
    await this.#listener?.close();
    this.#listener = undefined;
  }

  async start(): Promise<void> {
    if (this.listen !== undefined && this.#listener === undefined) {
      this.#listener = await this.listen(this.port);
      this.port = this.#listener.port;
    }
    this.isRunning = true;
  }
}

/** The number of instances, or the weight of each. */
export type EmulatorInstances = number | readonly { readonly weight?: number | undefined }[];

/** Creates the instances. Their ports are placeholders until a server listens on them. */
export function createInstances(instances: EmulatorInstances = 0): Instance[] {
  const each = typeof instances === "number" ? Array.from({ length: instances }, () => ({})) : instances;
  return each.map(({ weight = 100 }: { readonly weight?: number | undefined }, i) => new Instance(50_001 + i, weight));
}

/** Returns the name of the service that a discovery request asks for; undefined for other requests. */
export function discoveredService(
  pathname: string,
  paths: readonly EmulatorDiscoveryPath[] = Object.keys(DISCOVERY_PATHS) as EmulatorDiscoveryPath[],
): string | undefined {
  for (const name of paths) {
    const path = DISCOVERY_PATHS[name];
    const at = pathname.indexOf(path);
    // The Go and Java SDKs append the whole "service/model" (github.com/pai-eas/eas-golang-sdk).
    if (at !== -1) return decode(pathname.slice(at + path.length)).split("/", 1)[0];
  }
  return undefined;
}

/** Parameters of a discovery response, besides the instances. */
interface DiscoveryRequest {
  readonly service: string;
  /** Names of all services and queues. */
  readonly services: readonly string[];
  /** URL at which the gateway received the request. */
  readonly gateway: URL;
}

/**
 * Returns the body of a discovery response: the instances and the group of the service. If there are no instances, the
 * gateway itself is listed.
 */
export function discoveryBody(request: DiscoveryRequest, instances: readonly Instance[]): string {
  const { service, services, gateway } = request;
  const self = { ip: gateway.hostname.replace(/^\[|\]$/g, ""), port: Number(gateway.port || 80), weight: 100 };
  const named = (instances.length === 0 ? [self] : instances).map((instance, i) => ({
    instance,
    name: `${service}-${i}`,
  }));
  const listed = named.filter(({ instance }) => !("isListed" in instance) || instance.isListed);
  const items = listed.map(({ name, instance: { ip, port, weight } }) => {
    return { app: service, name, service, ip, port, weight };
  });
  const group = groupOf(service);
  const correlative = group === undefined ? [service] : services.filter((name) => groupOf(name) === group);
  return JSON.stringify({ correlative, endpoints: { items } });
}

/** Returns a service's group. On EAS, a service in a group is named `<group>.<service>`. */
function groupOf(service: string): string | undefined {
  const end = service.indexOf(".");
  return end === -1 ? undefined : service.slice(0, end);
}
