import { easHost } from "../endpoint/host-names.js";
import type { Bytes } from "../formats/request.js";
import type { Transport, WebSocketDialer } from "../platform/contract.js";
import { fetchTransport } from "../platform/web/fetch-transport.js";
import { checkOptionNames, type OptionNames } from "../util/option-names.js";
import { isResponse } from "../util/realms.js";
import { randomUuid } from "../util/uuid.js";
import {
  breakBeforeHead,
  breakBody,
  breaksBody,
  closesAfter,
  type Fault,
  FaultQueue,
  refuseConnection,
} from "./faults.js";
import { type AuthForm, authorizationOf } from "./gateway/authorization.js";
import { checkCompressors } from "./gateway/compression.js";
import { Cors, type EmulatorCors } from "./gateway/cors.js";
import { requestOf } from "./gateway/incoming-request.js";
import { findRootQueue, findTarget } from "./gateway/request-target.js";
import { acceptSocket, answerWithoutService, runHandler } from "./gateway/responses.js";
import {
  discoveredService,
  discoveryAnswer,
  type EmulatorDiscoveryPath,
  type EmulatorInstance,
  type EmulatorInstances,
  makeInstances,
} from "./instances.js";
import type { EmulatorQueue } from "./queue/handle.js";
import type { EmulatorQueueOptions } from "./queue/options.js";
import { Queues } from "./queue/registry.js";
import type { EmulatorConnection } from "./queue/watch/watch.js";
import { memoryDialer } from "./server/memory-websocket.js";
import type { AcceptedSocket } from "./server/socket.js";
import { createDemoServices } from "./services/demo-services.js";
import type { EmulatorHandler, EmulatorService } from "./services/service.js";

/** A request that the emulator has answered, for tests to look at. */
export interface EmulatorLogEntry {
  readonly method: string;
  /** Path and query as they came. */
  readonly url: string;
  readonly headers: Headers;
  readonly body: Bytes;
  /** The name of the service or queue; undefined when neither is there. */
  readonly service: string | undefined;
  /** The instance that was called directly, as `<ip>:<port>`; undefined behind the gateway. */
  readonly instance: string | undefined;
  /** How the caller proved who it is, and `"wrong"` when it did not. */
  readonly auth: AuthForm;
  /** The status of the answer; 101 when it became a WebSocket, 0 when the connection was broken instead. */
  readonly status: number;
}

/** How an emulator behaves. */
export interface EmulatorOptions {
  /** Services by name, beside the demo services `echo`, `scorecard`, `digits`, `ranker` and `llm`; one of the same name replaces it. */
  readonly services?: Readonly<Record<string, EmulatorService | EmulatorHandler>> | undefined;
  /** Queues by name. Where a service has the same name, the queue is there. */
  readonly queues?: Readonly<Record<string, EmulatorQueueOptions>> | undefined;
  /** The queue that is also there without `/api/predict/<name>`, as a queue server that no gateway stands before. */
  readonly rootQueue?: string | undefined;
  /**
   * Token of all services and queues that do not set one. `""` accepts every caller. Default: a random token, which is new for
   * each emulator and available as `emulator.token`.
   */
  readonly token?: string | undefined;
  /** Whether a signature must have the body's true MD5 and a date within 15 minutes. Default false: as EAS itself. */
  readonly strictSignatures?: boolean | undefined;
  /**
   * Lets web pages of other origins call, as each service behind EAS decides for itself: all of them with `true`. Preflights
   * are then answered before all else; they are no calls, so they are not in the log and use up no fault. Default: none, and
   * browsers keep the answers from the page.
   */
  readonly cors?: boolean | EmulatorCors | undefined;
  /**
   * The instances of all services and queues, for clients that call them directly: how many, or the weight of each. Default 0:
   * discovery names the gateway itself.
   */
  readonly instances?: EmulatorInstances | undefined;
  /** Where discovery answers. Default: on both paths, since it differs between regions and versions. */
  readonly discoveryPaths?: readonly EmulatorDiscoveryPath[] | undefined;
  /** The latest requests that are kept. Default 1,000. */
  readonly logLength?: number | undefined;
}

/** The names of the options, for emulators in memory and servers alike. */
export const EMULATOR_OPTIONS: OptionNames<EmulatorOptions> = {
  services: 1,
  queues: 1,
  rootQueue: 1,
  token: 1,
  strictSignatures: 1,
  cors: 1,
  instances: 1,
  discoveryPaths: 1,
  logLength: 1,
};

/** A local EAS gateway with its services. */
export interface Emulator {
  /** Token of the services and queues that do not set one. */
  readonly token: string;
  /** The latest requests, oldest first. */
  readonly requests: readonly EmulatorLogEntry[];
  /** The instances that discovery knows, each of which can be stopped, made faulty and drained on its own. */
  readonly instances: readonly EmulatorInstance[];
  /** The gateway as a function: what a server, a worker or a test calls. Rejects where a fault breaks the connection. */
  fetch(request: Request): Promise<Response>;
  /**
   * The headers by which a page of this origin may read an answer, and by which caches give it to no other page, for a
   * server that answers in the gateway's place.
   */
  corsHeaders(origin: string | null): [name: string, value: string][];
  /** The gateway as a client's option `transport`: all of the client, and no network. Any endpoint will do. */
  readonly transport: Transport;
  /**
   * Grants the upgrade to a WebSocket of a queue's watch or a service, for servers: what it resolves with is attached to a
   * socket. A `Response` is the answer of a refused one.
   */
  connect(request: Request): Promise<Response | AcceptedSocket>;
  /** Opens WebSockets to queues and services, without a network. */
  readonly dialWebSocket: WebSocketDialer;
  /** Adds or replaces a service. */
  addService(name: string, service: EmulatorService | EmulatorHandler): void;
  /** Adds or replaces a queue. */
  addQueue(name: string, options?: EmulatorQueueOptions): EmulatorQueue;
  queue(name: string): EmulatorQueue | undefined;
  /** Breaks the connections of watches, without a close frame: all, or those chosen. Returns how many. */
  cutConnections(filter?: (connection: EmulatorConnection) => boolean): number;
  /** Makes the next requests go wrong. Faults are used up in the order in which they were given. */
  fault(fault: Fault): void;
  /** Forgets faults that are not used up, the log, and what happened in the queues; their items stay. */
  reset(): void;
}

/** Makes an emulator that is reached by `fetch` or `transport`, on every runtime. */
export function createEmulator(options: EmulatorOptions = {}): Emulator {
  checkOptionNames("the emulator", options, EMULATOR_OPTIONS);
  let { token } = options;
  // Generated on first use: workerd does not allow random values while a module is loaded.
  const getToken = () => {
    token ??= `emulator-token-${randomUuid()}`;
    return token;
  };
  const logLength = options.logLength ?? 1000;
  const cors = Cors.of(options.cors);
  const services = new Map<string, EmulatorService>();
  const faults = new FaultQueue();
  const requests: EmulatorLogEntry[] = [];
  const instances = makeInstances(options.instances);

  function addService(name: string, service: EmulatorService | EmulatorHandler): void {
    services.set(name, typeof service === "function" ? { handle: service } : checkCompressors(service));
  }
  for (const [name, service] of Object.entries({ ...createDemoServices(), ...options.services }))
    addService(name, service);

  const queues = new Queues();
  for (const [name, queue] of Object.entries(options.queues ?? {})) queues.add(name, queue);
  /** On Node the signal of a request that nobody holds never fires. */
  const held = new Set<Request>();

  /** What comes before every answer: the log, the authorization and the faults. */
  async function receive(request: Request, isUpgrade: boolean) {
    const url = new URL(request.url);
    const instance = instances.find(({ ip, port }) => url.host === `${ip}:${port}`);
    if (instance?.isRunning === false) throw refuseConnection();
    // Clients differ in how they join slashes (github.com/pai-eas/eas-golang-sdk keeps those of the endpoint).
    const pathname = url.pathname.replace(/\/{2,}/g, "/");
    // A host of a service has neither discovery nor the root queue.
    const isServiceHost = easHost(url.hostname)?.service !== undefined;
    const discovered = isServiceHost ? undefined : discoveredService(pathname, options.discoveryPaths);
    // The paths of discovery are not the root queue's, whether or not discovery answers there.
    const hasRootQueue = !isServiceHost && discoveredService(pathname) === undefined;
    const rootQueue = hasRootQueue ? queues.get(options.rootQueue ?? "") : undefined;
    const found = findTarget(url.hostname, pathname, { services, queues }) ?? findRootQueue(pathname, rootQueue);
    const body = new Uint8Array(await request.arrayBuffer());
    const entry = {
      method: request.method,
      url: url.pathname + url.search,
      headers: request.headers,
      body,
      service: found?.name ?? discovered,
      instance: instance && url.host,
      auth: "none" as AuthForm,
      status: 0,
    };
    requests.push(entry);
    if (requests.length > logLength) requests.shift();
    const wanted = found === undefined ? "" : ((found.queue ?? found.service)?.token ?? getToken());
    entry.auth = await authorizationOf(request, body, pathname + url.search, wanted, options.strictSignatures ?? false);
    const fault = instance?.takeFault(found?.name) ?? faults.take(found?.name, discovered !== undefined);
    await breakBeforeHead(fault, request.signal);
    const knows = discovered !== undefined && (services.has(discovered) || queues.get(discovered) !== undefined);
    const list = knows
      ? discoveryAnswer(
          { service: discovered, services: [...new Set([...services.keys(), ...queues.names()])], gateway: url },
          instances,
        )
      : undefined;
    const call = { request, query: url.searchParams, body, path: found?.path ?? "", entry, found, fault };
    return { ...call, refusal: answerWithoutService(call, { token: wanted, list, isUpgrade }) };
  }

  async function handle(request: Request): Promise<Response> {
    held.add(request);
    try {
      const call = await receive(request, false);
      const { entry, found, fault } = call;
      const answer = call.refusal ?? (await (found?.queue?.answer(call) ?? runHandler(call)));
      entry.status = answer.status;
      if (closesAfter(fault)) answer.headers.set("connection", "close");
      // A watch has no middle: `cutConnections` is there for it.
      const isEndless = found?.queue !== undefined && !answer.headers.has("content-length");
      return breaksBody(fault) && !isEndless ? await breakBody(answer, fault) : answer;
    } finally {
      held.delete(request);
    }
  }

  async function sharedAnswer(cors: Cors, request: Request): Promise<Response> {
    return cors.preflight(request) ?? cors.share(request, await handle(request));
  }

  async function connect(request: Request): Promise<Response | AcceptedSocket> {
    held.add(request);
    try {
      const call = await receive(request, true);
      const answer = call.refusal ?? (await acceptSocket(call));
      call.entry.status = isResponse(answer) ? answer.status : 101;
      return answer;
    } finally {
      held.delete(request);
    }
  }

  const dialWebSocket = memoryDialer(connect);
  return {
    get token() {
      return getToken();
    },
    requests,
    instances,
    fetch: cors === undefined ? handle : (request) => sharedAnswer(cors, request),
    corsHeaders: (origin) => cors?.headers(origin) ?? [],
    transport: {
      ...fetchTransport({
        fetch: (url, init) => handle(requestOf(url, init)),
        // No runtime's fetch is in between, which would decode the body.
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
      for (const instance of instances) instance.heal();
      requests.length = 0;
      queues.clearHistory();
    },
  };
}
