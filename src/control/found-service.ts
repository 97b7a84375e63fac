import { listFacts, showAsText } from "../util/inspect.js";
import type { ServiceStatus, ServiceSummary } from "./service-record.js";

/** The address and the token of a service. */
export interface ServiceAccess {
  readonly endpoint: string;
  readonly token: string;
  readonly endpointType: "GATEWAY" | "DIRECT";
}

/**
 * A service that `findService` found. Pass it to `new PredictClient(service)`. Consoles and `JSON.stringify` show it without
 * the token.
 *
 * @example
 * const service = await findService("my_service", { region: "cn-hangzhou" });
 * const client = new PredictClient(service);
 */
export class FoundService implements ServiceAccess {
  // Only client options are own properties, because a client rejects unknown options.
  /** The address of the service on the chosen network. */
  readonly endpoint: string;
  /** The name of the service. */
  readonly serviceName: string;
  /** The token of the service. Empty if the service accepts every caller. */
  readonly token: string;
  /** `"DIRECT"` for the network `"vpc"`, otherwise `"GATEWAY"`. */
  readonly endpointType: "GATEWAY" | "DIRECT";
  readonly #summary: ServiceSummary;

  /** @internal */
  constructor(summary: ServiceSummary, { endpoint, token, endpointType }: ServiceAccess) {
    this.endpoint = endpoint;
    this.serviceName = summary.serviceName;
    this.token = token;
    this.endpointType = endpointType;
    this.#summary = summary;
    showAsText(this);
  }

  /** The region of the service. */
  get region(): string {
    return this.#summary.region;
  }

  /** The state of the service. Only a service that is `"Running"` responds. */
  get status(): ServiceStatus {
    return this.#summary.status;
  }

  /** The processor that runs the model. Undefined for a service with its own image. */
  get processor(): string | undefined {
    return this.#summary.processor;
  }

  /** Everything that the control plane returned about the service. */
  get summary(): ServiceSummary {
    return this.#summary;
  }

  /** Returns the service as plain data, without the token. */
  toJSON(): ServiceSummary & Omit<ServiceAccess, "token"> {
    return { ...this.#summary, endpoint: this.endpoint, endpointType: this.endpointType };
  }

  /** Returns the name, the region, the status and the address, for logs. */
  toString(): string {
    const { serviceName, region, status, endpoint } = this;
    return listFacts("FoundService", { serviceName, region, status, endpoint });
  }
}
