import { checkOptionNames, type OptionNames } from "../../util/option-names.js";
import { randomUuid } from "../../util/uuid.js";
import { type ControlKey, SignatureVerifier } from "./verify-signature.js";

/** Options for the emulator's control plane. */
export interface EmulatorControlOptions {
  /** The AccessKey ID that is accepted. Default: a random one. */
  readonly accessKeyId?: string | undefined;
  /** The AccessKey secret that is accepted. Default: a random one. */
  readonly accessKeySecret?: string | undefined;
  /** The security token that requests must contain. Default: none is required. */
  readonly securityToken?: string | undefined;
  /** The region of all services. Default `"cn-hangzhou"`. */
  readonly region?: string | undefined;
  /** Returns fields that replace those of a service, for example `{ Status: "Stopped" }`. Called for each request. */
  readonly describe?: ((serviceName: string) => Readonly<Record<string, unknown>>) | undefined;
  /** Returns the endpoints of a service, as DescribeServiceEndpoints lists them. Default: the shared gateway. */
  readonly endpoints?: ((serviceName: string) => readonly Readonly<Record<string, unknown>>[]) | undefined;
  /** Returns the current time in milliseconds since 1970. Default `Date.now`. */
  readonly now?: (() => number) | undefined;
}

/** The AccessKey and the region of the emulator's control plane. */
export interface EmulatorControl {
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  readonly region: string;
}

const CONTROL_OPTIONS: OptionNames<EmulatorControlOptions> = {
  accessKeyId: 1,
  accessKeySecret: 1,
  securityToken: 1,
  region: 1,
  describe: 1,
  endpoints: 1,
  now: 1,
};

/** The part of the emulator that the control plane describes. */
export interface ControlledServices {
  /** Returns the token of a service or queue. Undefined for an unknown name. */
  readonly tokenOf: (name: string) => string | undefined;
  readonly names: () => readonly string[];
}

const PATH = /^\/api\/v2\/services(?:\/([^/]+)\/([^/]+)(\/endpoints)?)?$/;
const PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 100;

/**
 * The read-only part of EAS's control plane: ListServices, DescribeService and DescribeServiceEndpoints. Verifies the
 * signature of each request.
 */
export class ControlPlane implements EmulatorControl {
  readonly region: string;
  readonly #options: EmulatorControlOptions;
  readonly #services: ControlledServices;
  #key: ControlKey | undefined;
  #verifier: SignatureVerifier | undefined;

  constructor(options: EmulatorControlOptions, services: ControlledServices) {
    checkOptionNames("the control plane", options, CONTROL_OPTIONS);
    this.#options = options;
    this.#services = services;
    this.region = options.region ?? "cn-hangzhou";
  }

  get accessKeyId(): string {
    return this.#accessKey().accessKeyId;
  }

  get accessKeySecret(): string {
    return this.#accessKey().accessKeySecret;
  }

  /** Whether a path belongs to the control plane. */
  static serves(pathname: string): boolean {
    return PATH.test(pathname);
  }

  /** Responds to a request whose path belongs to the control plane. */
  async respond(request: Request): Promise<Response> {
    this.#verifier ??= new SignatureVerifier(this.#accessKey(), this.#options.now ?? Date.now);
    const refusal = await this.#verifier.refusal(request, new Uint8Array(await request.arrayBuffer()));
    if (refusal !== undefined) return failure(refusal.status, refusal.code, refusal.message);
    const url = new URL(request.url);
    const [, cluster, encodedName, endpoints] = PATH.exec(url.pathname) as RegExpExecArray;
    if (request.method !== "GET") return failure(405, "UnsupportedHTTPMethod", "This http method is not supported.");
    const action = request.headers.get("x-acs-action");
    if (encodedName === undefined) {
      return action === "ListServices" ? this.#list(url) : unknownAction();
    }
    const name = decodeURIComponent(encodedName);
    const token = this.#services.tokenOf(name);
    if (cluster !== this.region || token === undefined) {
      return failure(404, "InvalidService.NotFound", `The service ${name} is not found in ${cluster}.`);
    }
    if (endpoints === undefined) {
      return action === "DescribeService" ? success(this.#description(name, token, url)) : unknownAction();
    }
    return action === "DescribeServiceEndpoints"
      ? success({ AccessToken: token, Endpoints: this.#endpointList(name, url), Message: "OK" })
      : unknownAction();
  }

  /** The key is created on first use, because workerd does not allow random values while a module is loaded. */
  #accessKey(): ControlKey {
    this.#key ??= {
      accessKeyId: this.#options.accessKeyId ?? `LTAI${randomUuid().replaceAll("-", "").slice(0, 20)}`,
      accessKeySecret: this.#options.accessKeySecret ?? randomUuid().replaceAll("-", ""),
      securityToken: this.#options.securityToken,
    };
    return this.#key;
  }

  #list(url: URL): Response {
    const query = url.searchParams;
    const size = Math.min(MAX_PAGE_SIZE, Number(query.get("PageSize") ?? PAGE_SIZE));
    const page = Number(query.get("PageNumber") ?? 1);
    const filter = query.get("Filter") ?? "";
    const services = this.#services
      .names()
      .filter((name) => name.includes(filter))
      .map((name) => this.#description(name, this.#services.tokenOf(name) as string, url))
      .filter(({ Status, Gateway, ServiceGroup }) =>
        [
          [query.get("ServiceStatus"), Status],
          [query.get("Gateway"), Gateway],
          [query.get("GroupName"), ServiceGroup],
        ].every(([wanted, value]) => wanted === null || wanted === value),
      );
    const start = (page - 1) * size;
    return success({
      PageNumber: page,
      PageSize: size,
      TotalCount: services.length,
      // The real service's list does not contain tokens.
      Services: services.slice(start, start + size).map(({ AccessToken: _, ...service }) => service),
    });
  }

  #description(name: string, token: string, url: URL): Record<string, unknown> {
    const address = addressOf(name, url);
    return {
      ServiceName: name,
      Region: this.region,
      Status: "Running",
      RunningInstance: 1,
      TotalInstance: 1,
      InternetEndpoint: address,
      IntranetEndpoint: address,
      AccessToken: token,
      ...this.#options.describe?.(name),
    };
  }

  #endpointList(name: string, url: URL): readonly Readonly<Record<string, unknown>>[] {
    const address = addressOf(name, url);
    return (
      this.#options.endpoints?.(name) ?? [
        {
          EndpointType: "DefaultGateway",
          BackendId: "default",
          PathType: "Service",
          InternetEndpoints: [address],
          IntranetEndpoints: [address],
        },
      ]
    );
  }
}

function addressOf(name: string, url: URL): string {
  return `${url.origin}/api/predict/${name}`;
}

function success(body: Record<string, unknown>): Response {
  return json(200, { RequestId: randomUuid().toUpperCase(), ...body });
}

function failure(status: number, code: string, message: string): Response {
  return json(status, { RequestId: randomUuid().toUpperCase(), Code: code, Message: message });
}

function unknownAction(): Response {
  return failure(404, "InvalidAction.NotFound", "Specified api is not found, please check your url and method.");
}

function json(status: number, body: unknown): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/json;charset=utf-8", date: new Date().toUTCString() },
  });
}
