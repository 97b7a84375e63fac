import { argumentTypeError, type EasArgumentErrorCode, show } from "../util/argument-errors.js";
import type {
  AddressOptions,
  AddressTools,
  ClientEnvironment,
  EnvironmentLogger,
  EnvironmentOptions,
} from "./environment-contract.js";

/**
 * Returns the value of an environment variable, or undefined if the runtime has no environment. Deno throws without
 * the permission to read the environment. The variable then counts as absent.
 */
export function processVariable(name: string): string | undefined {
  try {
    const { process } = globalThis as { process?: { env?: Record<string, unknown> } };
    const value = process?.env?.[name];
    return typeof value === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Reads options of clients from `process.env`. */
export const environment: ClientEnvironment = { options, address, logger };

function options(given: AddressOptions, tools: AddressTools): EnvironmentOptions {
  const address = givenAddress();
  const found = addressOptions(given, address, tools);
  const isAddressUsed = found.endpoint !== undefined || found.customUrl !== undefined;
  const token = tokenOption(given, isAddressUsed ? undefined : address, tools);
  return token === undefined ? found : { ...found, token, ...(address && { onSet: keeperOf(address.value, tools) }) };
}

function address(given: AddressOptions, tools: AddressTools): Pick<EnvironmentOptions, "endpoint" | "serviceName"> {
  const { endpoint, serviceName = given.serviceName } = addressOptions(given, givenAddress(), tools);
  if (endpoint === undefined) return { ...(serviceName !== undefined && { serviceName }) };
  const { origin, prefix, gateway, serviceName: own } = tools.parseEndpoint(endpoint);
  const name = serviceName ?? own;
  return {
    endpoint: gateway === undefined ? origin + prefix : endpoint,
    ...(name !== undefined && { serviceName: name }),
  };
}

/** A variable that is set, and its value. */
interface Variable {
  readonly name: string;
  readonly value: string;
}

/** Returns the first of these variables that is set and not empty. */
function firstOf(...names: string[]): Variable | undefined {
  for (const name of names) {
    const value = processVariable(name);
    if (value) return { name, value };
  }
  return undefined;
}

function givenAddress(): Variable | undefined {
  return firstOf("EAS_ENDPOINT", "EAS_SERVICE_URL");
}

function addressOptions(
  given: AddressOptions,
  address: Variable | undefined,
  tools: AddressTools,
): Pick<EnvironmentOptions, "endpoint" | "customUrl" | "serviceName"> {
  const { parseEndpoint, endpointOf, checkServiceName, checkCustomUrl } = tools;
  if (given.customUrl) return {};
  let endpoint: string | undefined;
  if (address && given.endpoint === undefined && given.endpointSource === undefined) {
    const { name, value } = address;
    if (name === "EAS_SERVICE_URL" && !isBehindGateway(value)) {
      return given.serviceName ? {} : { customUrl: named(name, () => checkCustomUrl(value)) };
    }
    named(name, () => parseEndpoint(value));
    if (given.serviceName) named(name, () => endpointOf({ endpoint: value, serviceName: given.serviceName }));
    endpoint = value;
  }
  const service = given.serviceName === undefined ? firstOf("EAS_SERVICE_NAME") : undefined;
  if (service === undefined) return endpoint === undefined ? {} : { endpoint };
  // An address that names its service takes precedence, unless both variables belong together.
  const isPair = endpoint !== undefined && address?.name === "EAS_ENDPOINT";
  const ownName = endpoint ?? given.endpoint;
  if (!isPair && ownName && parseEndpoint(ownName).serviceName !== undefined) return endpoint ? { endpoint } : {};
  const serviceName = named(service.name, () => checkServiceName(service.value));
  if (isPair) named(service.name, () => endpointOf({ endpoint, serviceName }));
  return endpoint === undefined ? { serviceName } : { endpoint, serviceName };
}

/** Whether a URL has the host of EAS or the path of a service behind a gateway. */
function isBehindGateway(url: string): boolean {
  return /\/api\/predict\//.test(url) || /^(\w+:\/\/)?[^/?#]*\.pai-eas\.aliyuncs\.com\.?([:/?#]|$)/i.test(url.trim());
}

/**
 * Returns the token of the environment, if it may be sent to the address of the client. `unused` is the address that the
 * environment names, if the client has another one. In that case, the token is returned only for the same host.
 */
function tokenOption(given: AddressOptions, unused: Variable | undefined, tools: AddressTools): string | undefined {
  if ("token" in given) return undefined;
  if (unused) {
    const host = hostOf(given.customUrl || given.endpoint || "", tools);
    if (host === undefined || host !== hostOf(unused.value, tools)) return undefined;
  }
  const names =
    givenAddress()?.name === "EAS_SERVICE_URL"
      ? ["EAS_SERVICE_TOKEN", "EAS_TOKEN"]
      : // If the environment names both addresses, each token belongs to its own address.
        firstOf("EAS_SERVICE_URL")
        ? ["EAS_TOKEN"]
        : ["EAS_TOKEN", "EAS_SERVICE_TOKEN"];
  const token = firstOf(...names);
  return token && named(token.name, () => tools.checkTokenText(token.value));
}

/** Returns a function that removes the token when a setter replaces the address by that of another host. */
function keeperOf(address: string, tools: AddressTools): NonNullable<EnvironmentOptions["onSet"]> {
  return (name, value) => {
    if (name === "token") return { onSet: undefined };
    const isForeign = name === "endpoint" && hostOf(value as string, tools) !== hostOf(address, tools);
    return isForeign ? { token: undefined, onSet: undefined } : undefined;
  };
}

/** Returns the gateway of an address, or its host and port. Undefined for an invalid address. */
function hostOf(address: string, { parseEndpoint }: AddressTools): string | undefined {
  try {
    const { gateway, origin } = parseEndpoint(address.split(/[?#]/, 1)[0] as string);
    return gateway ?? new URL(origin).host;
  } catch {
    return undefined;
  }
}

/** Runs a check of a variable's value. The error names the variable. */
function named<T>(variable: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    const { code, message } = error as Error & { code: EasArgumentErrorCode };
    throw argumentTypeError(code, `environment variable ${variable}: ${message}`);
  }
}

const LEVELS = ["debug", "info", "warn", "error"];
let hasWarned = false;

function logger(): EnvironmentLogger | undefined {
  const variable = firstOf("EAS_LOG");
  if (variable === undefined) return undefined;
  const level = LEVELS.indexOf(variable.value.trim().toLowerCase());
  if (level === -1) {
    if (!hasWarned)
      console.warn(`eas-prediction: EAS_LOG is ${show(variable.value)}: it must be debug, info, warn or error`);
    hasWarned = true;
    return undefined;
  }
  // On servers, these methods of the console write to stderr, whereas console.debug() writes to stdout.
  const printer = (minLevel: number, method: "warn" | "error") => (message: string) => {
    if (level <= minLevel)
      console[method](message.startsWith("eas-prediction") ? message : `eas-prediction: ${message}`);
  };
  return {
    attempt: printer(0, "warn"),
    debug: printer(1, "warn"),
    warn: printer(2, "warn"),
    error: printer(3, "error"),
  };
}
