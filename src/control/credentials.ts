import { platform } from "#platform";
import { argumentTypeError, show } from "../util/argument-errors.js";

/** An Alibaba Cloud AccessKey, or temporary credentials from STS. */
export interface Credentials {
  /** The AccessKey ID. */
  readonly accessKeyId: string;
  /** The AccessKey secret. */
  readonly accessKeySecret: string;
  /** The security token of temporary credentials. */
  readonly securityToken?: string | undefined;
}

/** Returns credentials. Called before each request, so it can refresh credentials that expire. */
export type CredentialsProvider = () => Credentials | Promise<Credentials>;

/** Options for the credentials of requests. */
export interface CredentialsOptions {
  /** The AccessKey ID. Default: the environment variable `ALIBABA_CLOUD_ACCESS_KEY_ID`. */
  readonly accessKeyId?: string | undefined;
  /** The AccessKey secret. Default: the environment variable `ALIBABA_CLOUD_ACCESS_KEY_SECRET`. */
  readonly accessKeySecret?: string | undefined;
  /**
   * The security token of temporary credentials. Default: the environment variable `ALIBABA_CLOUD_SECURITY_TOKEN`, unless
   * `accessKeyId` is set.
   */
  readonly securityToken?: string | undefined;
  /** A function that returns credentials, in place of the three options above. */
  readonly credentials?: CredentialsProvider | undefined;
}

/** The environment variable with the default of each option. */
const VARIABLES = {
  accessKeyId: "ALIBABA_CLOUD_ACCESS_KEY_ID",
  accessKeySecret: "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
  securityToken: "ALIBABA_CLOUD_SECURITY_TOKEN",
} as const;

/**
 * Returns a function that resolves the credentials for each request. Throws a `TypeError` if credentials are missing.
 */
export function credentialsOf(options: CredentialsOptions): CredentialsProvider {
  const { credentials } = options;
  if (credentials !== undefined) {
    for (const name of Object.keys(VARIABLES) as (keyof typeof VARIABLES)[]) {
      if (options[name] === undefined) continue;
      throw credentialsError(`credentials and ${name} are both set: pass either the function or the AccessKey`);
    }
    if (typeof credentials !== "function") {
      throw credentialsError(`credentials is ${show(credentials)}: it must be a function that returns an AccessKey`);
    }
    return async () => checkCredentials(await credentials());
  }
  // The token in the environment belongs to the AccessKey in the environment, so it is not used with another AccessKey.
  const securityToken =
    options.securityToken ?? (options.accessKeyId === undefined ? platform.env(VARIABLES.securityToken) : undefined);
  const known: Credentials = {
    accessKeyId: required("accessKeyId", options.accessKeyId),
    accessKeySecret: required("accessKeySecret", options.accessKeySecret),
    securityToken: securityToken === "" ? undefined : securityToken,
  };
  checkCredentials(known);
  return () => known;
}

function required(name: "accessKeyId" | "accessKeySecret", option: string | undefined): string {
  const value = option ?? platform.env(VARIABLES[name]);
  if (value !== undefined && value !== "") return value;
  throw credentialsError(`${name} is missing: pass the ${name} option, or set ${VARIABLES[name]}`);
}

/** Returns valid credentials. Error messages never contain a value, because the value may be a secret. */
function checkCredentials(credentials: Credentials): Credentials {
  for (const name of Object.keys(VARIABLES) as (keyof typeof VARIABLES)[]) {
    const value: unknown = credentials?.[name];
    if (value === undefined && name === "securityToken") continue;
    // The id and the token are sent as headers, which cannot contain other characters.
    if (typeof value === "string" && /^[\x21-\x7e]+$/.test(value)) continue;
    throw credentialsError(`${name} is not valid: it must consist of visible ASCII characters, without spaces`);
  }
  return credentials;
}

function credentialsError(message: string): TypeError {
  return argumentTypeError("ERR_EAS_ARG_CREDENTIALS", message);
}
