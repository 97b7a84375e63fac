import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { WebSocketServer } from "ws";
import { EasUnsupportedError } from "../../errors.js";
import { argumentRangeError, show } from "../../util/argument-errors.js";

import { checkOptionNames, type OptionNames } from "../../util/option-names.js";
import { isError, isResponse } from "../../util/realms.js";
import { createEmulator, EMULATOR_OPTIONS, type Emulator, type EmulatorOptions } from "../emulator.js";
import { isBrokenByFault, isEndedByFault } from "../faults.js";
import { type HostCheck, hostCheck } from "../gateway/host-names.js";
import { RefusedRequest, toRequest } from "../gateway/incoming-request.js";
import type { Instance, Listener } from "../instances.js";
import type { EmulatorQueueLog } from "../queue/options.js";
import { attach, refuseUpgrade, reset } from "./server-socket.js";

/** How `startEmulator` listens, beside what the emulator does. */
export interface StartEmulatorOptions extends EmulatorOptions {
  /** An emulator that is there already, with its queues; the options of a new one have no effect then. */
  readonly emulator?: Emulator | undefined;
  /** Port on the loopback interface. Default 0: any free one. */
  readonly port?: number | undefined;
  /**
   * Port of the first instance on the loopback interface; the others have the ports after it. EAS begins at 50001. Rejects when
   * one of them is in use. Default 0: any free ports.
   */
  readonly instancePort?: number | undefined;
  /**
   * Host names that are answered in addition to those of the loopback interface (`localhost`, `*.localhost`, `127.0.0.0/8` and
   * `[::1]`), with any port: exact names, or `*.example.com` for all names below `example.com`. `"*"` turns the check off.
   * Requests with another `Host` header are answered with 403, since a web page that DNS rebinding has led to 127.0.0.1 sends
   * such requests. Requests whose target is an absolute URL, as clients with a proxy send it, are not checked. Default: none.
   */
  readonly hosts?: readonly string[] | "*" | undefined;
}

/** Options of `startEmulator` that `createEmulator` does not have. */
const SERVER_OPTIONS: OptionNames<Omit<StartEmulatorOptions, keyof EmulatorOptions>> = {
  emulator: 1,
  port: 1,
  instancePort: 1,
  hosts: 1,
};

/** An emulator behind a real HTTP server. */
export interface RunningEmulator extends Emulator {
  /** What a client takes as its endpoint: `http://127.0.0.1:<port>`. */
  readonly endpoint: string;
  readonly port: number;
  /** Breaks all connections and stops listening. The emulator itself, and its queues, can be given to another server. */
  close(): Promise<void>;
}

/** Starts an emulator on the loopback interface. Needs Node, Deno or Bun; elsewhere use `createEmulator`. */
export async function startEmulator(options: StartEmulatorOptions = {}): Promise<RunningEmulator> {
  checkOptionNames("the emulator", options, { ...EMULATOR_OPTIONS, ...SERVER_OPTIONS });
  const { emulator: given, port = 0, instancePort = 0, hosts, ...rest } = options;
  const isAllowed = hostCheck(hosts);
  const emulator = given ?? createEmulator(rest);
  const [{ createServer }, { WebSocketServer }] = await serverModules();
  /** Listens as the gateway, or as one of the instances. */
  async function listen(at: number): Promise<Listener> {
    const protocols = new WeakMap<IncomingMessage, string>();
    const sockets = new WebSocketServer({
      noServer: true,
      // The official Go SDK refuses an upgrade that is answered with extensions.
      perMessageDeflate: false,
      autoPong: false,
      handleProtocols: (_offered, incoming) => protocols.get(incoming) ?? false,
    });
    const server = createServer((incoming, outgoing) => void answer(emulator, isAllowed, incoming, outgoing));
    const unattached = new Set<Duplex>();
    server.on("upgrade", (incoming: IncomingMessage, socket: Duplex, head: Uint8Array) => {
      if (incoming.headers.upgrade?.toLowerCase() !== "websocket")
        return answerWithoutUpgrade(server, incoming, socket, head);
      unattached.add(socket);
      void upgrade(emulator, { sockets, protocols, isAllowed }, incoming, socket, head).finally(() =>
        unattached.delete(socket),
      );
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
  const gateway = await listen(port);
  async function closeAll(): Promise<void> {
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
    endpoint: `http://127.0.0.1:${gateway.port}`,
    close: closeAll,
  };
}

function checkInstancePort(port: number, count: number): number {
  const last = 65_535 - Math.max(0, count - 1);
  if (Number.isInteger(port) && port >= 0 && port <= last) return port;
  throw argumentRangeError(
    "ERR_EAS_ARG_OPTION",
    `instancePort is ${show(port)}: it must be a whole number from 0 to ${last}, so that ${count} instances have ports`,
  );
}

/** Bundlers for browsers may put empty modules in their places, Vite for one. */
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
    // Connections that were upgraded are no longer the server's.
    for (const socket of sockets.clients) socket.terminate();
  });
}

async function answer(
  emulator: Emulator,
  isAllowed: HostCheck,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const gone = new AbortController();
  outgoing.once("close", () => gone.abort());
  try {
    const response = await emulator.fetch(await toRequest(incoming, isAllowed, gone.signal));
    const headers: [string, string][] = [...response.headers];
    // Node sends its own reason phrase if the answer does not have one.
    if (response.statusText === "") outgoing.writeHead(response.status, headers.flat());
    else outgoing.writeHead(response.status, response.statusText, headers.flat());
    // The headers of an endless body are not to wait for its first byte.
    if (!response.headers.has("content-length")) outgoing.flushHeaders();
    await pipe(response, outgoing);
  } catch (error) {
    if (error instanceof RefusedRequest) {
      const shared = emulator.corsHeaders(incoming.headers.origin ?? null);
      const length = ["content-length", String(new TextEncoder().encode(error.message).length)];
      outgoing.writeHead(error.status, [...REFUSAL_HEADERS, length, ...shared].flat()).end(error.message);
      return;
    }
    if (!gone.signal.aborted) reportFailure(error);
    if (isEndedByFault(error)) incoming.socket.end();
    else incoming.socket.resetAndDestroy();
  }
}

const REFUSAL_HEADERS = [
  ["connection", "close"],
  ["content-type", "text/plain; charset=utf-8"],
] as const;

/** A connection that breaks because of a fault is intended. Everything else is a bug, which must not look like one. */
function reportFailure(error: unknown): void {
  if (isBrokenByFault(error)) return;
  console.error("eas-prediction emulator: a request failed inside the emulator, and its connection was closed:", error);
}

/** A caller may offer HTTP/2, as Java's and curl's clients do: a server that goes on with HTTP/1.1 has refused. */
function answerWithoutUpgrade(server: Server, incoming: IncomingMessage, socket: Duplex, head: Uint8Array): void {
  const { method, url, rawHeaders } = incoming;
  const lines = [`${method} ${url} HTTP/1.1`];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (!/^(upgrade|connection|http2-settings)$/i.test(rawHeaders[i] as string)) {
      lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
    }
  }
  // Node has stopped reading HTTP here: it begins again with the same request, without the offer.
  socket.unshift(head);
  socket.unshift([...lines, "", ""].join("\r\n"), "latin1");
  server.emit("connection", socket);
}

interface UpgradeServer {
  readonly sockets: WebSocketServer;
  /** Subprotocols by the upgrade that is under way. */
  readonly protocols: WeakMap<IncomingMessage, string>;
  readonly isAllowed: HostCheck;
}

/** Makes a connection a WebSocket, or answers why not. */
async function upgrade(
  emulator: Emulator,
  { sockets, protocols, isAllowed }: UpgradeServer,
  incoming: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
): Promise<void> {
  // A connection that breaks now is not yet in the care of `ws`.
  const onError = () => socket.destroy();
  socket.on("error", onError);
  const gone = new AbortController();
  socket.once("close", () => gone.abort());
  try {
    const accepted = await emulator.connect(await toRequest(incoming, isAllowed, gone.signal));
    if (isResponse(accepted)) {
      refuseUpgrade(socket, accepted.status, accepted.statusText, [...accepted.headers], await accepted.text());
      return;
    }
    socket.off("error", onError);
    if (accepted.protocol !== undefined) protocols.set(incoming, accepted.protocol);
    sockets.handleUpgrade(incoming, socket, head as Buffer, (webSocket) => attach(accepted, webSocket));
  } catch (error) {
    if (error instanceof RefusedRequest) return refuseUpgrade(socket, error.status, "", REFUSAL_HEADERS, error.message);
    if (!gone.signal.aborted) reportFailure(error);
    if (isEndedByFault(error)) socket.end();
    else reset(socket);
  }
}

/**
 * Keeps a queue's log in a file, to which it only ever appends. What was answered for is with the operating system: a process
 * that is killed loses nothing, a machine that loses its power may. One file for each queue, and one process at a time.
 */
export function fileLog(path: string): EmulatorQueueLog {
  let files: typeof import("node:fs") | undefined;
  return {
    async load() {
      files = await import("node:fs");
      if (!files.existsSync(path)) return [];
      const bytes = files.readFileSync(path);
      // Half a line at the end was never answered for, and the next one must not be glued to it.
      const end = bytes.lastIndexOf(10) + 1;
      if (end < bytes.length) files.truncateSync(path, end);
      return new TextDecoder().decode(bytes.subarray(0, end)).split("\n").slice(0, -1);
    },
    append: (line) => files?.appendFileSync(path, `${line}\n`),
  };
}

/** Sends a body with the caller's pace; what it throws breaks the connection. */
async function pipe(response: Response, outgoing: ServerResponse): Promise<void> {
  if (response.body === null) {
    outgoing.end();
    return;
  }
  const reader = response.body.getReader();
  // An endless body would else not hear that the caller has gone.
  outgoing.once("close", () => void reader.cancel().catch(() => {}));
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (!outgoing.write(value)) await drained(outgoing);
  }
  outgoing.end();
}

/** Resolves when more can be written, or nothing more at all. Leaves no listeners: an endless body waits often. */
function drained(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      outgoing.off("drain", done).off("close", done);
      resolve();
    };
    outgoing.on("drain", done).on("close", done);
    if (outgoing.destroyed) done();
  });
}
