import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { WebSocketServer } from "ws";
import { EasUnsupportedError } from "../../errors.js";
import { argumentRangeError, show } from "../../util/argument-errors.js";

import { checkOptionNames, type OptionNames } from "../../util/option-names.js";
import { isError, isResponse } from "../../util/realms.js";
import { type Recorder, type RecorderOptions, startRecorder } from "../cassettes/recorder/recorder.js";
import type { EmulatorConsole } from "../console/console.js";
import type { Observation } from "../console/monitor.js";
import { createEmulator, EMULATOR_OPTIONS, type Emulator, type EmulatorOptions } from "../emulator.js";
import { isBrokenByFault, isEndedByFault } from "../faults.js";
import { type HostCheck, hostCheck } from "../gateway/host-check.js";
import { RefusedRequest, readRequest } from "../gateway/incoming-request.js";
import type { Instance, Listener } from "../instances.js";
import type { EmulatorQueueLog } from "../queue/options.js";
import { attach, refuseUpgrade, reset } from "./upgrade.js";

/** Options for `startEmulator`: those for `createEmulator` and those for the server. */
export interface StartEmulatorOptions extends EmulatorOptions {
  /**
   * An existing emulator to serve, with its services and queues. If it is set, the options for a new emulator are
   * ignored.
   */
  readonly emulator?: Emulator | undefined;
  /** Port of the gateway on the loopback interface. Default 0: any free port. */
  readonly port?: number | undefined;
  /**
   * Port of the first instance on the loopback interface; the other instances use the following ports. EAS starts at
   * 50001. `startEmulator` rejects if one of these ports is in use. Default 0: any free ports.
   */
  readonly instancePort?: number | undefined;
  /**
   * Host names to accept in addition to the loopback names (`localhost`, `*.localhost`, `127.0.0.0/8` and `[::1]`),
   * with any port: exact names, or `*.example.com` for all names below `example.com`. `"*"` disables the check.
   * Default: none.
   *
   * Requests with any other `Host` header are refused with status 403, because DNS rebinding lets web pages send such
   * requests. Requests whose target is an absolute URL, which are sent by clients that use a proxy, are not checked.
   */
  readonly hosts?: readonly string[] | "*" | undefined;
  /**
   * Whether to serve the console at `/`: a web page that calls the services, shows requests and queues, and switches
   * faults. Its address is `consoleUrl`. Default false.
   *
   * The console accepts loopback names only, regardless of `hosts`. It requires a random token, which is part of
   * `consoleUrl`.
   */
  readonly console?: boolean | undefined;
}

/** The `startEmulator` options that `createEmulator` does not have. */
const SERVER_OPTIONS: OptionNames<Omit<StartEmulatorOptions, keyof EmulatorOptions>> = {
  emulator: 1,
  port: 1,
  instancePort: 1,
  hosts: 1,
  console: 1,
};

/** An emulator that listens as an HTTP server. */
export interface RunningEmulator extends Emulator {
  /** The endpoint for clients: `http://127.0.0.1:<port>`. */
  readonly endpoint: string;
  /** Port of the gateway. */
  readonly port: number;
  /** Address of the console, with its token; undefined without the option `console`. Anyone who has it controls the emulator. */
  readonly consoleUrl: string | undefined;
  /**
   * Starts a recorder between clients and a service, by default the emulator itself. `close()` of the emulator also
   * closes the recorder. See `startRecorder`.
   */
  record(options?: Omit<RecorderOptions, "target"> & Partial<Pick<RecorderOptions, "target">>): Promise<Recorder>;
  /** Breaks all connections and stops listening. The emulator and its queues keep their state and can be served again. */
  close(): Promise<void>;
}

/**
 * Starts an emulator as an HTTP server on the loopback interface. Requires Node, Deno or Bun; on other runtimes use
 * `createEmulator`.
 *
 * @example
 * const emulator = await startEmulator();
 * const client = new PredictClient(emulator.endpoint, "echo", { token: emulator.token });
 *
 * @throws TypeError or RangeError for unknown or invalid options; EasUnsupportedError without `node:http`; the system's error
 *   when a port is in use.
 */
export async function startEmulator(options: StartEmulatorOptions = {}): Promise<RunningEmulator> {
  checkOptionNames("the emulator", options, { ...EMULATOR_OPTIONS, ...SERVER_OPTIONS });
  const { emulator: existing, port = 0, instancePort = 0, hosts, console: hasConsole = false, ...rest } = options;
  const isAllowed = hostCheck(hosts);
  const emulator = existing ?? createEmulator(rest);
  const [{ createServer }, { WebSocketServer }] = await serverModules();
  // Loaded only here, because few programs need it.
  const page = hasConsole ? new (await import("../console/console.js")).EmulatorConsole(emulator) : undefined;
  const target = { emulator, isAllowed, page };
  /** Starts the server of one instance. */
  const listen = (at: number) => listenAt(at, false);
  /** Starts the server of the gateway, which also serves the console, or of one instance. */
  async function listenAt(at: number, isGateway: boolean): Promise<Listener> {
    const protocols = new WeakMap<IncomingMessage, string>();
    const sockets = new WebSocketServer({
      noServer: true,
      // The official Go SDK rejects a handshake response with extensions.
      perMessageDeflate: false,
      autoPong: false,
      handleProtocols: (_offered, incoming) => protocols.get(incoming) ?? false,
    });
    const server = createServer((incoming, outgoing) => {
      if (isGateway && page?.serves(incoming)) void page.respond(incoming, outgoing);
      else void handleRequest(target, incoming, outgoing);
    });
    const unattached = new Set<Duplex>();
    server.on("upgrade", (incoming: IncomingMessage, socket: Duplex, head: Uint8Array) => {
      if (incoming.headers.upgrade?.toLowerCase() !== "websocket")
        return continueWithoutUpgrade(server, incoming, socket, head);
      unattached.add(socket);
      void upgrade({ ...target, sockets, protocols }, incoming, socket, head).finally(() => unattached.delete(socket));
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(at, "127.0.0.1", resolve);
    });
    return {
      port: (server.address() as { port: number }).port,
      close: () => {
        for (const socket of [...unattached]) socket.destroy();
        return close(server, sockets);
      },
    };
  }
  const instances = emulator.instances as readonly Instance[];
  const firstPort = checkInstancePort(instancePort, instances.length);
  const gateway = await listenAt(port, true);
  const endpoint = `http://127.0.0.1:${gateway.port}`;
  const recorders: Recorder[] = [];
  async function closeAll(): Promise<void> {
    page?.close();
    await Promise.all(recorders.map((recorder) => recorder.close()));
    await Promise.all([gateway.close(), ...instances.map((instance) => instance.stop())]);
  }
  try {
    for (const [i, instance] of instances.entries()) {
      instance.port = firstPort === 0 ? 0 : firstPort + i;
      instance.listen = listen;
      await instance.start();
    }
  } catch (error) {
    await closeAll();
    throw error;
  }
  return {
    ...emulator,
    port: gateway.port,
    endpoint,
    consoleUrl: page?.url(endpoint),
    async record(options) {
      const recorder = await startRecorder({ target: endpoint, ...options });
      recorders.push(recorder);
      return recorder;
    },
    close: closeAll,
  };
}

function checkInstancePort(port: number, count: number): number {
  const last = 65_535 - Math.max(0, count - 1);
  if (Number.isInteger(port) && port >= 0 && port <= last) return port;
  throw argumentRangeError(
    "ERR_EAS_ARG_OPTION",
    `instancePort is ${show(port)}: it must be an integer from 0 to ${last}, so that ${count} instances have ports`,
  );
}

/** Loads the modules of the server. Bundlers for browsers, such as Vite, may replace them with empty modules. */
async function serverModules(): Promise<[typeof import("node:http"), typeof import("ws")]> {
  const modules = await Promise.all([import("node:http"), import("ws")]).catch((cause: unknown) => cause);
  if (Array.isArray(modules) && modules[0].createServer && modules[1].WebSocketServer) return modules as never;
  throw new EasUnsupportedError("startEmulator needs node:http: use createEmulator and its transport here", {
    cause: isError(modules) ? modules : undefined,
  });
}

function close(server: Server, sockets: WebSocketServer): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
    // Upgraded connections no longer belong to the HTTP server.
    for (const socket of sockets.clients) socket.terminate();
  });
}

/** The emulator that a server serves. */
interface ServedEmulator {
  readonly emulator: Emulator;
  readonly isAllowed: HostCheck;
  readonly page: EmulatorConsole | undefined;
}

async function handleRequest(
  { emulator, isAllowed, page }: ServedEmulator,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const disconnected = new AbortController();
  let observation: Observation | undefined;
  outgoing.once("close", () => {
    disconnected.abort();
    // Without effect after a complete response.
    observation?.ended("disconnected");
  });
  try {
    const request = await readRequest(incoming, isAllowed, disconnected.signal);
    observation = page?.observe(request);
    const response = await emulator.fetch(request);
    observation?.responded(response);
    const headers: [string, string][] = [...response.headers];
    // Without a status text, Node sends its own reason phrase.
    if (response.statusText === "") outgoing.writeHead(response.status, headers.flat());
    else outgoing.writeHead(response.status, response.statusText, headers.flat());
    // Send the headers of an endless body before its first byte.
    if (!response.headers.has("content-length")) outgoing.flushHeaders();
    await pipe(response, outgoing, observation);
    observation?.ended("complete");
  } catch (error) {
    observation?.ended("broken");
    if (error instanceof RefusedRequest) {
      const shared = emulator.corsHeaders(incoming.headers.origin ?? null);
      const length = ["content-length", String(new TextEncoder().encode(error.message).length)];
      outgoing.writeHead(error.status, [...REFUSAL_HEADERS, length, ...shared].flat()).end(error.message);
      return;
    }
    if (!disconnected.signal.aborted) reportFailure(error);
    if (isEndedByFault(error)) incoming.socket.end();
    else incoming.socket.resetAndDestroy();
  }
}

const REFUSAL_HEADERS = [
  ["connection", "close"],
  ["content-type", "text/plain; charset=utf-8"],
] as const;

/** Logs an error unless a fault caused it, because a bug in the emulator must not look like an injected fault. */
function reportFailure(error: unknown): void {
  if (isBrokenByFault(error)) return;
  console.error("eas-prediction emulator: a request failed inside the emulator, and its connection was closed:", error);
}

/**
 * Continues with HTTP/1.1, which declines the offered protocol. Needed because Java's HTTP client and curl offer
 * HTTP/2.
 */
function continueWithoutUpgrade(server: Server, incoming: IncomingMessage, socket: Duplex, head: Uint8Array): void {
  const { method, url, rawHeaders } = incoming;
  const lines = [`${method} ${url} HTTP/1.1`];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (!/^(upgrade|connection|http2-settings)$/i.test(rawHeaders[i] as string)) {
      lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
    }
  }
  // Node stopped parsing HTTP at the upgrade, so let it parse the same request again without the offered upgrade.
  socket.unshift(head);
  socket.unshift([...lines, "", ""].join("\r\n"), "latin1");
  server.emit("connection", socket);
}

interface UpgradeServer extends ServedEmulator {
  readonly sockets: WebSocketServer;
  /** The chosen subprotocol of each upgrade in progress. */
  readonly protocols: WeakMap<IncomingMessage, string>;
}

/** Upgrades a connection to a WebSocket, or responds with the refusal. */
async function upgrade(
  { emulator, isAllowed, page, sockets, protocols }: UpgradeServer,
  incoming: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
): Promise<void> {
  // `ws` does not handle errors of the connection before the upgrade is complete.
  const onError = () => socket.destroy();
  socket.on("error", onError);
  const disconnected = new AbortController();
  socket.once("close", () => disconnected.abort());
  let observation: Observation | undefined;
  try {
    const request = await readRequest(incoming, isAllowed, disconnected.signal);
    observation = page?.observe(request);
    const accepted = await emulator.connect(request);
    observation?.responded(isResponse(accepted) ? accepted : { status: 101, headers: new Headers() });
    socket.once("close", () => observation?.ended("complete"));
    if (isResponse(accepted)) {
      refuseUpgrade(socket, accepted.status, accepted.statusText, [...accepted.headers], await accepted.text());
      return;
    }
    socket.off("error", onError);
    if (accepted.protocol !== undefined) protocols.set(incoming, accepted.protocol);
    sockets.handleUpgrade(incoming, socket, head as Buffer, (webSocket) => attach(accepted, webSocket));
  } catch (error) {
    if (error instanceof RefusedRequest) return refuseUpgrade(socket, error.status, "", REFUSAL_HEADERS, error.message);
    observation?.ended("broken");
    if (!disconnected.signal.aborted) reportFailure(error);
    if (isEndedByFault(error)) socket.end();
    else reset(socket);
  }
}

/**
 * Returns a queue log that appends to a file. Use one file for each queue, and only one process at a time. An acknowledged
 * write has reached the operating system: it survives a killed process, but not necessarily a power failure.
 *
 * @param path - Path of the file. It is created when the first line is appended.
 */
export function fileLog(path: string): EmulatorQueueLog {
  let files: typeof import("node:fs") | undefined;
  return {
    async load() {
      files = await import("node:fs");
      if (!files.existsSync(path)) return [];
      const bytes = files.readFileSync(path);
      // Remove a partial last line, which was never acknowledged, so that the next line does not continue it.
      const end = bytes.lastIndexOf(10) + 1;
      if (end < bytes.length) files.truncateSync(path, end);
      return new TextDecoder().decode(bytes.subarray(0, end)).split("\n").slice(0, -1);
    },
    append: (line) => files?.appendFileSync(path, `${line}\n`),
  };
}

/** Sends a body with backpressure. An error from the body breaks the connection. */
async function pipe(response: Response, outgoing: ServerResponse, observation?: Observation): Promise<void> {
  if (response.body === null) {
    outgoing.end();
    return;
  }
  const reader = response.body.getReader();
  // Otherwise, an endless body would continue after the caller has disconnected.
  outgoing.once("close", () => void reader.cancel().catch(() => {}));
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    observation?.sent(value);
    if (!outgoing.write(value)) await waitForDrain(outgoing);
  }
  outgoing.end();
}

/**
 * Resolves when the response can accept more data or is closed. Removes its listeners, because an endless body causes
 * many waits on the same response.
 */
function waitForDrain(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      outgoing.off("drain", done).off("close", done);
      resolve();
    };
    outgoing.on("drain", done).on("close", done);
    if (outgoing.destroyed) done();
  });
}
