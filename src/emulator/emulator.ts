import { easHost } from "../endpoint/host-names.js";
import type { Bytes } from "../formats/request.js";
import type { Transport, WebSocketDialer } from "../platform/contract.js";
import { fetchTransport } from "../platform/web/fetch-transport.js";
import { checkOptionNames, type OptionNames } from "../util/option-names.js";
import { isResponse } from "../util/realms.js";
import { randomUuid } from "../util/uuid.js";
import type { Cassette } from "./cassettes/cassette.js";
import { Player, type ReplayOptions } from "./cassettes/player.js";
import { ControlPlane, type EmulatorControl, type EmulatorControlOptions } from "./control/control-plane.js";
import {
  breakBeforeHead,
  breakBody,
  breaksBody,
  closesAfter,
  type Fault,
  FaultQueue,
  refuseConnection,
} from "./faults.js";
import { type AuthForm, verifyAuthorization } from "./gateway/authorization.js";
import { checkService } from "./gateway/compression.js";
import { Cors, type EmulatorCors } from "./gateway/cors.js";
import { createRequest } from "./gateway/incoming-request.js";
import { decode, findRootQueue, findTarget } from "./gateway/request-target.js";
import { acceptSocket, gatewayResponse, runHandler } from "./gateway/responses.js";
import {
  createInstances,
  discoveredService,
  discoveryBody,
  type EmulatorDiscoveryPath,
  type EmulatorInstance,
  type EmulatorInstances,
} from "./instances.js";
import type { EmulatorQueue } from "./queue/handle.js";
import type { EmulatorQueueOptions } from "./queue/options.js";
import { Queues } from "./queue/registry.js";
import type { EmulatorConnection } from "./queue/watch.js";
import { memoryDialer } from "./server/memory-dialer.js";
import type { AcceptedSocket } from "./server/socket.js";
import { createDemoServices } from "./services/demo-services.js";
import type { EmulatorHandler, EmulatorService } from "./services/service.js";

/** A request received by the emulator, recorded so that tests can inspect it. */
export interface EmulatorLogEntry {
  /** HTTP method. */
  readonly method: string;
  /** Path and query, unchanged. */
  readonly url: string;
  /** Request headers. */
  readonly headers: Headers;
  /** The body as received, before decompression. */
  readonly body: Bytes;
  /** Name of the service or queue; undefined if the request does not address one. */
  readonly service: string | undefined;
  /** The instance that was called directly, as `<ip>:<port>`; undefined for calls through the gateway. */
  readonly instance: string | undefined;
  /** The form of authentication that the caller used; `"wrong"` if the credentials were rejected. */
  readonly auth: AuthForm;
  /** Status of the response; 101 for an accepted WebSocket, 0 if a fault broke the connection instead. */
  readonly status: number;
}

/** Called for each request when it has arrived. The authentication and the status of the entry are set later. @internal */
export type RequestObserver = (request: Request, entry: EmulatorLogEntry) => void;

/** The parts of an emulator that its console shows and changes. @internal */
export interface EmulatorInternals {
  /** Returns all services and queues, with the token of each. */
  targets(): readonly { readonly name: string; readonly isQueue: boolean; readonly token: string }[];
  readonly faults: FaultQueue;
  readonly observers: Set<RequestObserver>;
}

/** Options for `createEmulator`. */
export interface EmulatorOptions {
  /**
   * Services by name, in addition to the demo services `echo`, `scorecard`, `digits`, `ranker` and `llm`. A service with the
   * name of a demo service replaces it.
   */
  readonly services?: Readonly<Record<string, EmulatorService | EmulatorHandler>> | undefined;
  /** Queues by name. A queue takes precedence over a service of the same name. */
  readonly queues?: Readonly<Record<string, EmulatorQueueOptions>> | undefined;
  /** Name of the queue that is also served at the root path, like a queue server without a gateway in front of it. */
  readonly rootQueue?: string | undefined;
  /**
   * Token for every service and queue that does not set its own. `""` accepts every caller. Default: a random token,
   * available as `emulator.token`.
   */
  readonly token?: string | undefined;
  /**
   * Whether a signature must include the body's correct MD5 and a date within 15 minutes of now. Default false, because
   * EAS checks neither.
   */
  readonly strictSignatures?: boolean | undefined;
  /**
   * Lets web pages from other origins call the emulator: `true` allows every origin. On EAS, this depends on the
   * service. If the option is set, preflight requests are handled first: they are not logged and do not consume faults.
   * Default: no CORS headers are sent, so browsers do not expose responses to the page.
   */
  readonly cors?: boolean | EmulatorCors | undefined;
  /**
   * The instances of all services and queues, for clients that call instances directly: the number of instances, or the
   * weight of each instance. Default 0, which makes discovery return the gateway's own address.
   */
  readonly instances?: EmulatorInstances | undefined;
  /** Paths on which discovery responds. Default: both, because the path differs between regions and versions. */
  readonly discoveryPaths?: readonly EmulatorDiscoveryPath[] | undefined;
  /**
   * Recorded sessions to respond from, before the services and queues. The emulator neither checks the credentials of
   * such requests nor calls services. Default: none.
   */
  readonly cassettes?: Cassette | readonly Cassette[] | undefined;
  /** Options for replaying `cassettes`. Default: strictly and without delays. */
  readonly replay?: ReplayOptions | undefined;
  /** Options for the control plane, which finds services by name for `findService` of `eas-prediction/control`. */
  readonly control?: EmulatorControlOptions | undefined;
  /** Maximum number of requests kept in `requests`; older requests are dropped. Default 1,000. */
  readonly logLength?: number | undefined;
}

/** The option names shared by `createEmulator` and `startEmulator`. */
export const EMULATOR_OPTIONS: OptionNames<EmulatorOptions> = {
  services: 1,
  queues: 1,
  rootQueue: 1,
  token: 1,
  strictSignatures: 1,
  cors: 1,
  instances: 1,
  discoveryPaths: 1,
  cassettes: 1,
  replay: 1,
  control: 1,
  logLength: 1,
};

/** A local EAS gateway with its services. */
export interface Emulator {
  /** Token for every service and queue that does not set its own. */
  readonly token: string;
  /** The latest requests, oldest first. */
  readonly requests: readonly EmulatorLogEntry[];
  /** The AccessKey and the region of the control plane. Pass them to `findService` with the emulator's address. */
  readonly control: EmulatorControl;
  /** The instances known to discovery. Each can be stopped, made faulty and drained individually. */
  readonly instances: readonly EmulatorInstance[];
  /** Handles a request to the gateway. Rejects if a fault breaks the connection. */
  fetch(request: Request): Promise<Response>;
  /**
   * Returns the CORS headers for a page from `origin`, for servers that respond on behalf of the gateway. The headers
   * include `Vary`, which keeps caches from serving the response to another origin.
   */
  corsHeaders(origin: string | null): [name: string, value: string][];
  /**
   * A transport for a client's `transport` option. The client's requests reach the emulator without a network,
   * regardless of the client's endpoint.
   */
  readonly transport: Transport;
  /**
   * Accepts or refuses a WebSocket upgrade. For use by servers. Resolves with the socket to attach, or with the
   * `Response` that refuses the upgrade.
   */
  connect(request: Request): Promise<Response | AcceptedSocket>;
  /** Opens WebSockets to queues and services without a network. */
  readonly dialWebSocket: WebSocketDialer;
  /** Adds or replaces a service. */
  addService(name: string, service: EmulatorService | EmulatorHandler): void;
  /** Adds or replaces a queue. */
  addQueue(name: string, options?: EmulatorQueueOptions): EmulatorQueue;
  /** Returns the queue with that name, or undefined if there is none. */
  queue(name: string): EmulatorQueue | undefined;
  /**
   * Breaks watch connections without a close frame: all, or those that `filter` selects. Returns the number of broken
   * connections.
   */
  cutConnections(filter?: (connection: EmulatorConnection) => boolean): number;
  /** Makes the next matching requests fail. Faults are consumed in the order in which they were added. */
  fault(fault: Fault): void;
  /** Clears pending faults, the request log and the queues' history, and rewinds the cassettes. Queue items are kept. */
  reset(): void;
  /** The parts that the console of `startEmulator` shows and changes. @internal */
  readonly internals: EmulatorInternals;
}

/**
 * Creates an emulator without a server, on every runtime. Call it through `fetch`, or pass its `transport` to a client.
 *
 * @example
 * const emulator = createEmulator();
 * const { token, transport } = emulator;
 * const client = new PredictClient({ endpoint: "http://emulator", serviceName: "echo", token, transport });
 *
 * @throws TypeError or RangeError for unknown or invalid options.
 */
export function createEmulator(options: EmulatorOptions = {}): Emulator {
  checkOptionNames("the emulator", options, EMULATOR_OPTIONS);
  let { token } = options;
  // Generate the token on first use, because workerd does not allow random values while a module is loading.
  const getToken = () => {
    token ??= `emulator-token-${randomUuid()}`;
    return token;
  };
  const logLength = options.logLength ?? 1000;
  const cors = Cors.of(options.cors);
  const services = new Map<string, EmulatorService>();
  const faults = new FaultQueue();
  const requests: EmulatorLogEntry[] = [];
  const instances = createInstances(options.instances);
  const player = options.cassettes === undefined ? undefined : new Player(options.cassettes, options.replay);

  function addService(name: string, service: EmulatorService | EmulatorHandler): void {
    services.set(name, typeof service === "function" ? { handle: service } : checkService(service));
  }
  for (const [name, service] of Object.entries({ ...createDemoServices(), ...options.services }))
    addService(name, service);

  const observers = new Set<RequestObserver>();
  const queues = new Queues();
  for (const [name, queue] of Object.entries(options.queues ?? {})) queues.add(name, queue);
  const control = new ControlPlane(options.control ?? {}, {
    names: () => [...new Set([...services.keys(), ...queues.names()])],
    tokenOf(name) {
      const found = queues.get(name) ?? services.get(name);
      return found === undefined ? undefined : (found.token ?? getToken());
    },
  });
  /** Requests in progress. Stored here because, on Node, the signal of a garbage-collected request never fires. */
  const inProgress = new Set<Request>();

  function log(request: Request, entry: EmulatorLogEntry): void {
    requests.push(entry);
    if (requests.length > logLength) requests.shift();
    for (const observe of observers) observe(request, entry);
  }

  /** Logs and authorizes a request, applies faults, and finds its target. Called before every response. */
  async function receive(request: Request, isUpgrade: boolean) {
    const url = new URL(request.url);
    const instance = instances.find(({ ip, port }) => url.host === `${ip}:${port}`);
    if (instance?.isRunning === false) throw refuseConnection();
    // Some clients send duplicate slashes: github.com/pai-eas/eas-golang-sdk keeps the trailing slashes of the
    // endpoint.
    const pathname = url.pathname.replace(/\/{2,}/g, "/");
    // A single service's host name serves neither discovery nor the root queue.
    const isServiceHost = easHost(url.hostname)?.service !== undefined;
    const discovered = isServiceHost ? undefined : discoveredService(pathname, options.discoveryPaths);
    // Discovery paths never reach the root queue, even if discovery is disabled there.
    const hasRootQueue = !isServiceHost && discoveredService(pathname) === undefined;
    const rootQueue = hasRootQueue ? queues.get(options.rootQueue ?? "") : undefined;
    const found = findTarget(url.hostname, pathname, { services, queues }) ?? findRootQueue(pathname, rootQueue);
    const body = new Uint8Array(await request.arrayBuffer());
    const entry = {
      method: request.method,
      url: url.pathname + url.search,
      headers: request.headers,
      body,
      service: found?.name ?? discovered ?? (player && recordedService(pathname)),
      instance: instance && url.host,
      auth: "none" as AuthForm,
      status: 0,
    };
    log(request, entry);
    const expectedToken = found === undefined ? "" : ((found.queue ?? found.service)?.token ?? getToken());
    entry.auth = await verifyAuthorization(
      request,
      body,
      pathname + url.search,
      expectedToken,
      options.strictSignatures ?? false,
    );
    const faultTarget = found?.name ?? (player && recordedService(pathname));
    const fault = instance?.takeFault(faultTarget) ?? faults.take(faultTarget, discovered !== undefined);
    await breakBeforeHead(fault, request.signal);
    // The status of a fault replaces the recorded response, which stays available for the next request.
    const replay = fault?.status === undefined ? player?.take({ request, url: entry.url, body, isUpgrade }) : undefined;
    const isKnown = discovered !== undefined && (services.has(discovered) || queues.get(discovered) !== undefined);
    const list = isKnown
      ? discoveryBody(
          { service: discovered, services: [...new Set([...services.keys(), ...queues.names()])], gateway: url },
          instances,
        )
      : undefined;
    const call = { request, query: url.searchParams, body, path: found?.path ?? "", entry, found, fault, replay };
    return { ...call, refusal: gatewayResponse(call, { token: expectedToken, list, isUpgrade }) };
  }

  async function describeServices(request: Request, { pathname, search }: URL): Promise<Response> {
    const response = await control.respond(request);
    const { method, headers } = request;
    const about = { service: undefined, instance: undefined, auth: "none", status: response.status } as const;
    log(request, { method, url: pathname + search, headers, body: new Uint8Array(), ...about });
    return response;
  }

  async function handle(request: Request): Promise<Response> {
    inProgress.add(request);
    try {
      const url = new URL(request.url);
      if (ControlPlane.serves(url.pathname)) return await describeServices(request, url);
      const call = await receive(request, false);
      const { entry, found, fault, replay } = call;
      const response = await (replay?.respond(request.signal) ??
        call.refusal ??
        found?.queue?.handle(call) ??
        runHandler(call));
      entry.status = response.status;
      if (closesAfter(fault)) response.headers.set("connection", "close");
      // A watch's body is endless, so in-body faults do not apply; `cutConnections` serves that purpose.
      const isEndless = replay === undefined && found?.queue !== undefined && !response.headers.has("content-length");
      return breaksBody(fault) && !isEndless ? await breakBody(response, fault) : response;
    } finally {
      inProgress.delete(request);
    }
  }

  async function handleWithCors(cors: Cors, request: Request): Promise<Response> {
    return cors.preflight(request) ?? cors.share(request, await handle(request));
  }

  async function connect(request: Request): Promise<Response | AcceptedSocket> {
    inProgress.add(request);
    try {
      const call = await receive(request, true);
      const response = await (call.replay?.accept(request.signal, call.fault) ?? call.refusal ?? acceptSocket(call));
      call.entry.status = isResponse(response) ? response.status : 101;
      return response;
    } finally {
      inProgress.delete(request);
    }
  }

  const dialWebSocket = memoryDialer(connect);
  return {
    get token() {
      return getToken();
    },
    requests,
    control,
    instances,
    fetch: cors === undefined ? handle : (request) => handleWithCors(cors, request),
    corsHeaders: (origin) => cors?.headers(origin) ?? [],
    transport: {
      ...fetchTransport({
        fetch: (url, init) => handle(createRequest(url, init)),
        // Requests do not go through the runtime's `fetch`, so nothing decodes the body.
        decodes: [],
      }),
      dialWebSocket,
    },
    connect,
    dialWebSocket,
    addService,
    addQueue: (name, options = {}) => queues.add(name, options),
    queue: (name) => queues.get(name),
    cutConnections: (filter) => queues.watches.cut(filter),
    fault: (fault) => faults.add(fault),
    reset() {
      faults.clear();
      for (const instance of instances) instance.clearFaults();
      requests.length = 0;
      queues.clearHistory();
      player?.rewind();
    },
    internals: {
      targets: () =>
        [...new Set([...services.keys(), ...queues.names()])].map((name) => {
          const queue = queues.get(name);
          const token = (queue ?? services.get(name))?.token ?? getToken();
          return { name, isQueue: queue !== undefined, token };
        }),
      faults,
      observers,
    },
  };
}

/** Returns the service that a recorded request names, which the emulator need not have. */
function recordedService(pathname: string): string | undefined {
  const [, name] = /\/api\/predict\/([^/]+)/.exec(pathname) ?? [];
  return name === undefined ? undefined : decode(name);
}
