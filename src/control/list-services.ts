import { checkOptionNames, type OptionNames } from "../util/option-names.js";
import { CONTROL_OPTIONS, type ControlOptions, ControlPlane } from "./control-plane.js";
import { countOf, listOf, type ServiceSummary, serviceSummary } from "./service-record.js";

/** Options for `listServices`. */
export interface ListServicesOptions extends ControlOptions {
  /** Lists only services whose name contains this text. */
  readonly nameContains?: string | undefined;
  /** Lists only services in this state, for example `"Running"`. */
  readonly status?: string | undefined;
  /** Lists only services in this group. */
  readonly group?: string | undefined;
  /** Lists only services behind this dedicated gateway. */
  readonly gateway?: string | undefined;
  /** Lists only services in this workspace. */
  readonly workspaceId?: string | undefined;
}

const LIST_OPTIONS: OptionNames<ListServicesOptions> = {
  ...CONTROL_OPTIONS,
  nameContains: 1,
  status: 1,
  group: 1,
  gateway: 1,
  workspaceId: 1,
};

/** Number of services per page: the maximum that the API allows. */
const PAGE_SIZE = 100;

/**
 * Lists the services in a region. Fetches further pages while you iterate. Changes nothing.
 *
 * Throws a `TypeError` for an invalid option or missing credentials, `EasHttpError` with a `hint` if the control plane
 * refuses the request, and `EasNetworkError` or `EasTimeoutError` if it cannot be reached.
 *
 * @example
 * for await (const { serviceName, status } of listServices({ region: "cn-hangzhou" })) console.log(serviceName, status);
 */
export async function* listServices(
  options: ListServicesOptions = {},
): AsyncGenerator<ServiceSummary, undefined, undefined> {
  checkOptionNames("listServices", options, LIST_OPTIONS);
  const { nameContains, status, group, gateway, workspaceId } = options;
  const control = new ControlPlane(options);
  const filters = {
    Filter: nameContains,
    ServiceStatus: status,
    GroupName: group,
    Gateway: gateway,
    WorkspaceId: workspaceId,
  };
  const query = Object.fromEntries(
    Object.entries(filters).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
  let count = 0;
  for (let page = 1; ; page++) {
    const response = await control.get({
      action: "ListServices",
      path: "/api/v2/services",
      query: { ...query, PageNumber: String(page), PageSize: String(PAGE_SIZE) },
    });
    const services = listOf(response.Services);
    for (const service of services) yield serviceSummary(service, control.region);
    count += services.length;
    const total = countOf(response.TotalCount) ?? count;
    if (services.length === 0 || count >= total) return undefined;
  }
}
