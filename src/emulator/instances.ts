import { type Fault, FaultQueue } from "./faults.js";
import { decode } from "./gateway/request-target.js";

/** One of the places where the emulator's services and queues are called directly. */
export interface EmulatorInstance {
  readonly ip: string;
  readonly port: number;
  /** Scheme, address and port. */
  readonly origin: string;
  /** Its share of the calls, as discovery tells it. Default 100. */
  weight: number;
  /** Whether discovery names it. Default true, and true of one that is stopped: a service knows of a death only later. */
  isListed: boolean;
  readonly isRunning: boolean;
  /** Makes the next requests to this instance go wrong, before faults of the whole emulator do. */
  fault(fault: Fault): void;
  /** Forgets the faults that are not used up. */
  heal(): void;
  /** As when its process is killed: breaks its connections, and refuses others. */
  stop(): Promise<void>;
  /** Takes calls again, at the same address. */
  start(): Promise<void>;
}

/** The paths on which discovery answers: that of the official Go and Java SDKs, and that of the Python SDK. */
const DISCOVERY_PATHS = {
  "exported-apis": "/exported/apis/eas.alibaba-inc.k8s.io/v1/upstreams/",
  "service-discovery": "/api/v1/servicediscovery/upstreams/",
} as const;

/** A path on which discovery can answer. */
export type EmulatorDiscoveryPath = keyof typeof DISCOVERY_PATHS;

/** What stands behind an instance's address; a memory has nothing. */
export interface Listener {
  readonly port: number;
  close(): Promise<void>;
}

export class Instance implements EmulatorInstance {
  readonly ip = "127.0.0.1";
  readonly #faults = new FaultQueue();
  weight: number;
  isListed = true;
  isRunning = true;
  port: number;
  /** Begins to listen; on any port at first. */
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

  heal(): void {
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

/** How many instances there are, or the weight of each. */
export type EmulatorInstances = number | readonly { readonly weight?: number | undefined }[];

/** Makes the instances. Their ports are only names until something listens. */
export function makeInstances(instances: EmulatorInstances = 0): Instance[] {
  const each = typeof instances === "number" ? Array.from({ length: instances }, () => ({})) : instances;
  return each.map(({ weight = 100 }: { readonly weight?: number | undefined }, i) => new Instance(50_001 + i, weight));
}

/** The service that a request to discovery asks for; undefined for other requests. */
export function discoveredService(
  pathname: string,
  paths: readonly EmulatorDiscoveryPath[] = Object.keys(DISCOVERY_PATHS) as EmulatorDiscoveryPath[],
): string | undefined {
  for (const name of paths) {
    const path = DISCOVERY_PATHS[name];
    const at = pathname.indexOf(path);
    // Go's and Java's SDK ask for "service/model" with all of it (github.com/pai-eas/eas-golang-sdk).
    if (at !== -1) return decode(pathname.slice(at + path.length)).split("/", 1)[0];
  }
  return undefined;
}

/** What discovery answers with, beside the instances. */
interface DiscoveryQuestion {
  readonly service: string;
  /** All services and queues. */
  readonly services: readonly string[];
  /** Where the gateway was asked. */
  readonly gateway: URL;
}

/** Discovery's answer: the instances, or the gateway itself where there are none, and the services of the same group. */
export function discoveryAnswer(question: DiscoveryQuestion, instances: readonly Instance[]): string {
  const { service, services, gateway } = question;
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

/** EAS writes the name of a service in a group as `<group>.<service>`. */
function groupOf(service: string): string | undefined {
  const end = service.indexOf(".");
  return end === -1 ? undefined : service.slice(0, end);
}
