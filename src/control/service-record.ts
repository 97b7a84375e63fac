import { EasDecodeError } from "../errors.js";

/** The state of a service. New states may be added, so handle other strings too. */
export type ServiceStatus =
  | "Creating"
  | "Starting"
  | "Running"
  | "Updating"
  | "HotUpdate"
  | "Scaling"
  | "Pending"
  | "Waiting"
  | "Committing"
  | "Cloning"
  | "Developing"
  | "Stopping"
  | "Stopped"
  | "Deleting"
  | "Deleted"
  | "DeleteFailed"
  | "Complete"
  | "Failed"
  | (string & {});

/** A service, as the control plane describes it. */
export interface ServiceSummary {
  /** The name of the service. */
  readonly serviceName: string;
  /** The region, which is also the cluster id. */
  readonly region: string;
  readonly status: ServiceStatus;
  /** The service's group, if any. */
  readonly group: string | undefined;
  /** The processor that runs the model, such as `"tensorflow_gpu_1.12"`. Undefined for a service with its own image. */
  readonly processor: string | undefined;
  /** The role of the service, such as `"Queue"` or `"LLMGateway"`. Undefined for other services. */
  readonly role: string | undefined;
  /** Number of running instances. */
  readonly runningInstances: number | undefined;
  /** Number of all instances. */
  readonly totalInstances: number | undefined;
  /** The explanation of the status. */
  readonly message: string | undefined;
  /** The address for clients on the internet, if any. */
  readonly internetEndpoint: string | undefined;
  /** The address for clients in Alibaba Cloud's network, if any. */
  readonly intranetEndpoint: string | undefined;
}

/** One way to reach a service. */
export interface EndpointRecord {
  /** `"DefaultGateway"`, `"PrivateGateway"`, `"Nlb"` or `"Nacos"`. */
  readonly type: string;
  /** The id of the gateway or load balancer. `"default"` for the shared gateway. */
  readonly backendId: string | undefined;
  /** `"Service"`, or `"Group"` for the address of the service group. */
  readonly pathType: string | undefined;
  readonly internet: readonly string[];
  readonly intranet: readonly string[];
  /** The port of a load balancer. */
  readonly port: number | undefined;
}

/** Returns the summary of a service from a response. Throws `EasDecodeError` if the service has no name. */
export function serviceSummary(value: unknown, region: string): ServiceSummary {
  const fields = recordOf(value);
  const serviceName = textOf(fields.ServiceName);
  if (serviceName === undefined) {
    throw new EasDecodeError("the response lacks ServiceName, so it does not describe a service", { format: "json" });
  }
  return {
    serviceName,
    region: textOf(fields.Region) ?? region,
    status: textOf(fields.Status) ?? "",
    group: textOf(fields.ServiceGroup),
    processor: textOf(fields.Processor) ?? processorOf(fields.ServiceConfig),
    role: textOf(fields.Role),
    runningInstances: countOf(fields.RunningInstance),
    totalInstances: countOf(fields.TotalInstance),
    message: textOf(fields.Message),
    internetEndpoint: textOf(fields.InternetEndpoint),
    intranetEndpoint: textOf(fields.IntranetEndpoint),
  };
}

/** Returns the endpoints from a DescribeServiceEndpoints response. */
export function endpointRecords(value: unknown): EndpointRecord[] {
  return listOf(value).map((item) => {
    const fields = recordOf(item);
    return {
      type: textOf(fields.EndpointType) ?? "",
      backendId: textOf(fields.BackendId),
      pathType: textOf(fields.PathType),
      internet: textsOf(fields.InternetEndpoints),
      intranet: textsOf(fields.IntranetEndpoints),
      port: countOf(fields.Port),
    };
  });
}

/** Returns the text of a field. Undefined if the field is absent, empty or not text. */
export function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Returns the items of a list. An absent field counts as an empty list. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Returns the value of a counter field. Undefined if the field is not a number. */
export function countOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

/** Returns the processor from the service's own configuration, which is JSON in a string. */
function processorOf(config: unknown): string | undefined {
  if (typeof config !== "string") return undefined;
  try {
    return textOf(recordOf(JSON.parse(config)).processor);
  } catch {
    return undefined;
  }
}

function textsOf(value: unknown): string[] {
  return listOf(value)
    .map(textOf)
    .filter((text) => text !== undefined);
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
