import { EasHttpError, EasUnsupportedError } from "../errors.js";
import { argumentTypeError, optionError, show } from "../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../util/option-names.js";
import { CONTROL_OPTIONS, type ControlOptions, ControlPlane } from "./control-plane.js";
import { FoundService, type ServiceAccess } from "./found-service.js";
import { listServices } from "./list-services.js";
import { type EndpointRecord, endpointRecords, type ServiceSummary, serviceSummary, textOf } from "./service-record.js";
import { encodePart } from "./signature.js";

/**
 * The network from which a client reaches a service.
 * - `"internet"`: the public address.
 * - `"intranet"`: the address in Alibaba Cloud's network, for clients in the same region.
 * - `"vpc"`: direct connections to the instances, for clients in a VPC that is connected to the service.
 */
export type ServiceNetwork = "internet" | "intranet" | "vpc";

/** Options for `findService`. */
export interface FindServiceOptions extends Omit<ControlOptions, "region"> {
  /**
   * The service's region, or several regions to search. Default: the environment variable `ALIBABA_CLOUD_REGION_ID`.
   */
  readonly region?: string | readonly string[] | undefined;
  /** The client's network. Default `"internet"`. */
  readonly network?: ServiceNetwork | undefined;
  /** The id of a dedicated gateway or load balancer. Default: the first gateway that the control plane lists. */
  readonly gateway?: string | undefined;
}

const FIND_OPTIONS: OptionNames<FindServiceOptions> = { ...CONTROL_OPTIONS, network: 1, gateway: 1 };
const NETWORKS: readonly ServiceNetwork[] = ["internet", "intranet", "vpc"];

/** Maximum number of services that the error for an unknown name suggests. */
const MAX_SUGGESTIONS = 5;

/**
 * Finds a service by name, and returns its address and token. Changes nothing.
 *
 * The AccessKey needs the permissions `eas:DescribeService` and `eas:DescribeServiceEndpoints`. The policy
 * AliyunPAIEASReadOnlyAccess contains both. Do not use this function in web pages, which would reveal the AccessKey.
 *
 * Throws a `TypeError` for an invalid option or missing credentials. Throws `EasHttpError` with a `hint` if the service
 * does not exist or the control plane refuses the request, and `EasUnsupportedError` if the service has no address on
 * the chosen network.
 *
 * @example
 * import { PredictClient } from "eas-prediction";
 * import { findService } from "eas-prediction/control";
 *
 * const client = new PredictClient(await findService("my_service", { region: "cn-hangzhou" }));
 */
export async function findService(name: string, options: FindServiceOptions = {}): Promise<FoundService> {
  checkOptionNames("findService", options, FIND_OPTIONS);
  if (typeof name !== "string" || name === "" || /[/?#\\\s]/.test(name)) {
    throw argumentTypeError("ERR_EAS_ARG_SERVICE_NAME", `the name is ${show(name)}: it must be the name of a service`);
  }
  const { network = "internet", gateway, region, ...rest } = options;
  if (!NETWORKS.includes(network)) throw optionError("network", network, 'be "internet", "intranet" or "vpc"');
  if (gateway !== undefined && typeof gateway !== "string")
    throw optionError("gateway", gateway, "be the id of a gateway");
  const { control, fields } = await describe(name, regionsOf(region), rest);
  const summary = serviceSummary(fields, control.region);
  const choice = { network, gateway };
  const access =
    network === "vpc" ? directAccess(summary, fields) : await gatewayAccess(control, summary, fields, choice);
  return new FoundService(summary, access);
}

function regionsOf(region: string | readonly string[] | undefined): readonly (string | undefined)[] {
  if (!Array.isArray(region)) return [region as string | undefined];
  if (region.length > 0) return [...new Set(region as readonly string[])];
  throw optionError("region", region, "name at least one region");
}

/** A service's description, and the control plane that returned it. */
interface Description {
  readonly control: ControlPlane;
  readonly fields: Record<string, unknown>;
}

/** Describes the service in the only region that contains it. Throws if no region contains it, or more than one. */
async function describe(
  name: string,
  regions: readonly (string | undefined)[],
  options: Omit<ControlOptions, "region">,
): Promise<Description> {
  const controls = regions.map((region) => new ControlPlane({ ...options, region }));
  const found: Description[] = [];
  let missing: EasHttpError | undefined;
  for (const control of controls) {
    try {
      const path = servicePath(control.region, name);
      found.push({ control, fields: await control.get({ action: "DescribeService", path }) });
    } catch (error) {
      if (!(error instanceof EasHttpError) || error.status !== 404 || isCredentialsError(error)) throw error;
      missing = error;
    }
  }
  const [only, second] = found;
  if (second !== undefined) {
    const places = found.map(({ control }) => control.region).join(", ");
    throw argumentTypeError(
      "ERR_EAS_ARG_SERVICE_NAME",
      `the service ${show(name)} exists in several regions (${places}): pass one of them as region`,
    );
  }
  if (only !== undefined) return only;
  throw await unknownService(name, controls, options, missing as EasHttpError);
}

/** Whether an error is about the credentials. An unknown AccessKey, too, is reported with status 404. */
function isCredentialsError(error: EasHttpError): boolean {
  return /"Code":\s*"Invalid(AccessKeyId|SecurityToken)/.test(error.text);
}

/**
 * Returns an error for a name that no region contains. Suggests similar service names if the services can be listed.
 */
async function unknownService(
  name: string,
  controls: readonly ControlPlane[],
  options: Omit<ControlOptions, "region">,
  { status, headers, body, requestId, attempts }: EasHttpError,
): Promise<EasHttpError> {
  const names: string[] = [];
  const regions = controls.map(({ region }) => region);
  try {
    for (const region of regions) {
      for await (const { serviceName } of listServices({ ...options, region })) names.push(serviceName);
    }
  } catch {
    // The AccessKey may lack the permission to list services.
  }
  const similar = names
    .map((other) => ({ other, distance: distance(name.toLowerCase(), other.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, MAX_SUGGESTIONS)
    .map(({ other }) => other);
  const place = regions.join(", ");
  const hint =
    similar.length > 0 ? `Services in ${place}: ${similar.join(", ")}.` : `No service in ${place} can be listed.`;
  const message = `the service ${show(name)} does not exist in ${place}. ${hint}`;
  return new EasHttpError(message, { status, headers, body, requestId, attempts, hint });
}

/** Returns the edit distance (Levenshtein) of two names. */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(replaced, (previous[j] as number) + 1, (row[j - 1] as number) + 1));
    }
    previous = row;
  }
  return previous[b.length] as number;
}

function servicePath(region: string, name: string): string {
  return `/api/v2/services/${encodePart(region)}/${encodePart(name)}`;
}

/**
 * Returns the options for direct connections. They do not need the service's address, because discovery in the region
 * returns the instances.
 */
function directAccess({ region }: ServiceSummary, fields: Record<string, unknown>): ServiceAccess {
  return {
    endpoint: `pai-eas-vpc.${region}.aliyuncs.com`,
    token: textOf(fields.AccessToken) ?? "",
    endpointType: "DIRECT",
  };
}

interface EndpointChoice {
  readonly network: "internet" | "intranet" | "vpc";
  readonly gateway: string | undefined;
}

/** Returns the address of the chosen gateway on the chosen network. */
async function gatewayAccess(
  control: ControlPlane,
  summary: ServiceSummary,
  fields: Record<string, unknown>,
  { network, gateway }: EndpointChoice,
): Promise<ServiceAccess> {
  const token = textOf(fields.AccessToken);
  const known = network === "internet" ? summary.internetEndpoint : summary.intranetEndpoint;
  if (gateway === undefined && known !== undefined && token !== undefined) {
    return { endpoint: known, token, endpointType: "GATEWAY" };
  }
  const path = `${servicePath(control.region, summary.serviceName)}/endpoints`;
  const response = await control.get({ action: "DescribeServiceEndpoints", path });
  const records = endpointRecords(response.Endpoints).filter(({ pathType }) => pathType !== "Group");
  const usable = gateway === undefined ? records : records.filter(({ backendId }) => backendId === gateway);
  const endpoint = gateway === undefined && known !== undefined ? known : addressIn(usable, network);
  if (endpoint !== undefined) {
    return { endpoint, token: token ?? textOf(response.AccessToken) ?? "", endpointType: "GATEWAY" };
  }
  throw noAddress(summary, records, { network, gateway });
}

function addressIn(records: readonly EndpointRecord[], network: EndpointChoice["network"]): string | undefined {
  for (const { internet, intranet, port } of records) {
    const [address] = network === "internet" ? internet : intranet;
    if (address === undefined) continue;
    // A load balancer's address has no scheme, and its port is in a separate field.
    if (/^https?:\/\//.test(address)) return address;
    return `http://${address}${port === undefined || /:\d+$/.test(address) ? "" : `:${port}`}`;
  }
  return undefined;
}

function noAddress(
  { serviceName, region, status }: ServiceSummary,
  records: readonly EndpointRecord[],
  { network, gateway }: EndpointChoice,
): EasUnsupportedError {
  const known = records
    .map(({ type, backendId, internet, intranet }) => {
      const networks = [internet.length > 0 && "internet", intranet.length > 0 && "intranet"].filter(Boolean);
      return `${backendId ?? type} (${networks.join(", ") || "no address"})`;
    })
    .join("; ");
  const through = gateway === undefined ? "" : ` through the gateway ${show(gateway)}`;
  return new EasUnsupportedError(
    `the service ${show(serviceName)} in ${region} has no ${network} address${through}. Its status is ${show(status)}. Known gateways: ${known || "none"}`,
  );
}
