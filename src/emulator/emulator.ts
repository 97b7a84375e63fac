import { fetchTransport } from "../platform/fetch-transport.js";
import type { Transport } from "../platform/platform.js";
import type { Bytes } from "../request.js";
import { type AuthForm, authorizationOf } from "./authorization.js";
import { checkCompressors, compressAnswer, decompressBody } from "./compression.js";
import { breakBody, type Fault, FaultQueue, pause, resetConnection } from "./faults.js";
import type { EmulatorCall, EmulatorHandler, EmulatorService } from "./service.js";
import { demoServices } from "./services/demo-services.js";

/** A request that the emulator has answered, for tests to look at. */
export interface EmulatorLogEntry {
  readonly method: string;
  /** Path and query as they came. */
  readonly url: string;
  readonly headers: Headers;
  readonly body: Bytes;
  /** Undefined when no service is there. */
  readonly service: string | undefined;
  /** How the caller proved who it is, and `"wrong"` when it did not. */
  readonly auth: AuthForm;
  /** The status of the answer; 0 when the connection was broken instead. */
  readonly status: number;
}

/** How an emulator behaves. */
export interface EmulatorOptions {
  /** Services by name, beside the demo services `echo`, `scorecard`, `digits` and `ranker`; one of the same name replaces it. */
  readonly services?: Readonly<Record<string, EmulatorService | EmulatorHandler>> | undefined;
  /** Token of all services that have none of their own. Default `"emulator-token"`; `""` takes every caller. */
  readonly token?: string | undefined;
  /** Whether a signature must have the body's true MD5 and a date within 15 minutes. Default false: as EAS itself. */
  readonly strictSignatures?: boolean | undefined;
  /** The latest requests that are kept. Default 1,000. */
  readonly logLength?: number | undefined;
}

/** A local EAS gateway with its services. */
export interface Emulator {
  /** Token of the services that have none of their own. */
  readonly token: string;
  /** The latest requests, oldest first. */
  readonly requests: readonly EmulatorLogEntry[];
  /** The gateway as a function: what a server, a worker or a test calls. Rejects where a fault breaks the connection. */
  fetch(request: Request): Promise<Response>;
  /** The gateway as a client's option `transport`: all of the client, and no network. Any endpoint will do. */
  readonly transport: Transport;
  /** Adds or replaces a service. */
  addService(name: string, service: EmulatorService | EmulatorHandler): void;
  /** Makes the next requests go wrong. Faults are used up in the order in which they were given. */
  fault(fault: Fault): void;
  /** Forgets faults that are not used up, and the log. */
  reset(): void;
}

const PREDICT = "/api/predict/";

/** Makes an emulator that is reached by `fetch` or `transport`, on every runtime. */
export function createEmulator(options: EmulatorOptions = {}): Emulator {
  const token = options.token ?? "emulator-token";
  const logLength = options.logLength ?? 1000;
  const services = new Map<string, EmulatorService>();
  const faults = new FaultQueue();
  const requests: EmulatorLogEntry[] = [];

  function addService(name: string, service: EmulatorService | EmulatorHandler): void {
    services.set(name, typeof service === "function" ? { handle: service } : checkCompressors(service));
  }
  for (const [name, service] of Object.entries({ ...demoServices, ...options.services })) addService(name, service);

  async function handle(request: Request): Promise<Response> {
    const url = new URL(request.url);
    // Clients differ in how they join slashes (github.com/pai-eas/eas-golang-sdk keeps those of the endpoint).
    const pathname = url.pathname.replace(/\/{2,}/g, "/");
    const found = findService(pathname, services);
    const body = new Uint8Array(await request.arrayBuffer());
    const entry = {
      method: request.method,
      url: url.pathname + url.search,
      headers: request.headers,
      body,
      service: found?.name,
      auth: "none" as AuthForm,
      status: 0,
    };
    requests.push(entry);
    if (requests.length > logLength) requests.shift();
    const wanted = found === undefined ? "" : (found.service.token ?? token);
    entry.auth = await authorizationOf(request, body, pathname + url.search, wanted, options.strictSignatures ?? false);
    const fault = faults.take(found?.name);
    if (fault?.delay !== undefined) await pause(fault.delay, request.signal);
    if (fault?.reset === "before-headers") throw resetConnection();
    if (fault?.stall === "before-headers") await pause(undefined, request.signal);
    let response = answerWithoutService(fault, found, entry, wanted);
    if (response === undefined && found !== undefined) {
      response = await runHandler(found.service, {
        service: found.name,
        method: request.method,
        path: found.path,
        query: url.searchParams,
        headers: request.headers,
        body,
        signal: request.signal,
      });
    }
    const answer = response as Response;
    entry.status = answer.status;
    if (fault?.close) answer.headers.set("connection", "close");
    return fault?.reset === "in-body" || fault?.stall === "in-body" ? breakBody(answer, fault) : answer;
  }

  return {
    token,
    requests,
    fetch: handle,
    transport: fetchTransport({
      fetch: (url, init) => handle(new Request(url, init)),
      // There is no runtime's fetch between, which would undo a content coding.
      decodes: [],
    }),
    addService,
    fault: (fault) => faults.add(fault),
    reset() {
      faults.clear();
      requests.length = 0;
    },
  };
}

interface FoundService {
  readonly name: string;
  readonly path: string;
  readonly service: EmulatorService;
}

/** The service of a path: the longest name that whole segments of it spell, since a name may have a slash in it. */
function findService(pathname: string, services: ReadonlyMap<string, EmulatorService>): FoundService | undefined {
  const at = pathname.indexOf(PREDICT);
  if (at === -1) return undefined;
  const segments = pathname.slice(at + PREDICT.length).split("/");
  for (let length = segments.length; length > 0; length--) {
    const name = decode(segments.slice(0, length).join("/"));
    const service = services.get(name);
    if (service === undefined) continue;
    const rest = segments.slice(length);
    return { name, path: rest.length === 0 ? "" : `/${rest.join("/")}`, service };
  }
  return undefined;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function answerWithoutService(
  fault: Fault | undefined,
  found: FoundService | undefined,
  entry: EmulatorLogEntry,
  wanted: string,
): Response | undefined {
  if (fault?.status !== undefined) return answerWith(fault.status, fault.body ?? "", fault.headers);
  if (found === undefined) return answerWith(404, `service of ${entry.url.split("?", 1)[0]} not found`);
  if (wanted !== "" && (entry.auth === "none" || entry.auth === "wrong")) {
    return answerWith(401, entry.auth === "none" ? "no authorization" : "authorization failed");
  }
  const methods = found.service.methods ?? ["POST"];
  if (!methods.includes(entry.method)) {
    return answerWith(405, "method not allowed", { allow: methods.join(", ") });
  }
  return undefined;
}

async function runHandler(service: EmulatorService, call: EmulatorCall): Promise<Response> {
  try {
    const answer = await service.handle({ ...call, body: await decompressBody(service.decompressor, call) });
    const response = answer instanceof Response ? answer : answerWith(200, answer);
    return await compressAnswer(service.compressor, response);
  } catch (error) {
    return answerWith(400, error instanceof Error ? error.message : String(error));
  }
}

function answerWith(status: number, body: string | Uint8Array, headers?: Readonly<Record<string, string>>): Response {
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const type = typeof body === "string" ? "text/plain; charset=utf-8" : "application/octet-stream";
  // 204 and 304 have no body, and `Response` refuses even an empty one.
  return new Response(status === 204 || status === 304 ? null : (bytes as Bytes), {
    status,
    headers: { "content-type": type, "content-length": String(bytes.length), ...headers },
  });
}
