import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { EasUnsupportedError } from "../../../errors.js";
import { argumentTypeError, optionError, show, showUrl } from "../../../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../../../util/option-names.js";
import { isError } from "../../../util/realms.js";
import { hostCheck } from "../../gateway/host-check.js";
import { refuseUpgrade, reset } from "../../server/upgrade.js";
import type { Cassette } from "../cassette.js";
import { readCassette } from "../load.js";
import { checkSecrets } from "../player.js";
import { Secrets } from "../redaction.js";
import { recordExchange, refuse } from "./exchange.js";
import { Session } from "./session.js";
import { recordSocket } from "./socket-exchange.js";
import { createIndex, DirectoryStore, files, MemoryStore } from "./store.js";

/** Options for `startRecorder`. */
export interface RecorderOptions {
  /**
   * The endpoint to record: an HTTP or HTTPS URL, without a query. Its path is prepended to the path of each request.
   */
  readonly target: string | URL;
  /**
   * Directory for the cassette, which is created if necessary. Only one recorder at a time can use a directory. Default:
   * the cassette is kept in memory, up to 256 MiB.
   */
  readonly directory?: string | undefined;
  /** Whether to replace a cassette that the directory contains. Default false: `startRecorder` rejects. */
  readonly overwrite?: boolean | undefined;
  /** Port of the recorder on the loopback interface. Default 0: any free port. */
  readonly port?: number | undefined;
  /**
   * Texts to remove from the recording, in addition to the credentials that requests contain. Needed for secrets that
   * are not sent, such as the token of a client that signs requests. Each must have at least 4 characters. Default:
   * none.
   */
  readonly secrets?: readonly string[] | undefined;
  /**
   * Maximum size of a recorded body in bytes. A longer response is recorded up to the limit, and a request with a longer
   * body is not recorded. The client receives everything. Default 64 MiB.
   */
  readonly maxBodyBytes?: number | undefined;
}

const RECORDER_OPTIONS: OptionNames<RecorderOptions> = {
  target: 1,
  directory: 1,
  overwrite: 1,
  port: 1,
  secrets: 1,
  maxBodyBytes: 1,
};

const DEFAULT_MAX_BODY_BYTES = 64 * 1024 * 1024;

/** A running recorder. */
export interface Recorder {
  /** The endpoint for clients, to use instead of the target: `http://127.0.0.1:<port>`. */
  readonly endpoint: string;
  /** Port of the recorder. */
  readonly port: number;
  /** Messages about what was not recorded, such as calls to a target that could not be reached. At most 1,000. */
  readonly warnings: readonly string[];
  /** Returns the interactions that have ended so far, with their bodies. */
  cassette(): Promise<Cassette>;
  /**
   * Stops listening, ends the connections and completes the cassette. A response in progress is recorded as canceled.
   * Rejects if the cassette cannot be written.
   */
  close(): Promise<void>;
}

/**
 * Starts a recorder: an HTTP server on the loopback interface that forwards requests and WebSockets to a service, and
 * records them for the `cassettes` option of an emulator. Tokens, signatures, cookies and secrets in queries are
 * forwarded but not recorded, even where the service repeats them in a response. Requires Node, Deno or Bun.
 *
 * @example
 * const recorder = await startRecorder({ target: endpoint, directory: "test/cassettes/chat" });
 * const client = new PredictClient(recorder.endpoint, "chat", { token });
 * await client.predict("hello");
 * await recorder.close();
 *
 * @throws TypeError or RangeError for invalid options, for a directory that contains a cassette, and for a directory that
 * another recorder uses. EasUnsupportedError without `node:http`. Otherwise, the system's error.
 */
export async function startRecorder(options: RecorderOptions): Promise<Recorder> {
  checkOptionNames("the recorder", options, RECORDER_OPTIONS);
  const { directory, overwrite = false, port = 0, maxBodyBytes = DEFAULT_MAX_BODY_BYTES } = options;
  const target = checkTarget(options.target);
  const secrets = checkSecrets("secrets", options.secrets ?? []);
  if (directory !== undefined && (typeof directory !== "string" || directory === "")) {
    throw optionError("directory", directory, "be the path of a directory");
  }
  if (!Number.isSafeInteger(maxBodyBytes) || maxBodyBytes < 0) {
    throw optionError("maxBodyBytes", maxBodyBytes, "be an integer of at least 0");
  }
  const { http, https, ws } = await serverModules();
  const store =
    directory === undefined
      ? new MemoryStore(maxBodyBytes)
      : await DirectoryStore.open(directory, maxBodyBytes, overwrite);
  const session = new Session(target, store, new Secrets(secrets));
  const isAllowed = hostCheck();
  const protocols = new WeakMap<IncomingMessage, string>();
  const sockets = new ws.WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    autoPong: false,
    handleProtocols: (_, incoming) => protocols.get(incoming) ?? false,
  });
  const connections = new Set<Duplex>();
  const server = http.createServer((incoming, outgoing) => {
    if (!isAllowed(incoming.headers.host)) return refuse(outgoing, 403, REFUSED_HOST);
    const work = recordExchange(session, { http, https }, incoming, outgoing);
    session.track(
      `a ${incoming.method} request`,
      work.catch((error: unknown) => {
        reset(incoming.socket);
        throw error;
      }),
    );
  });
  server.on("connection", (socket: Duplex) => {
    connections.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => connections.delete(socket));
  });
  server.on("upgrade", (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (!isAllowed(incoming.headers.host)) return refuseUpgrade(socket, 403, "", [], REFUSED_HOST);
    const work = recordSocket(session, ws, incoming, socket, (protocol, accepted) => {
      if (protocol !== "") protocols.set(incoming, protocol);
      sockets.handleUpgrade(incoming, socket, head, accepted);
    });
    session.track(
      "a WebSocket",
      work.catch((error: unknown) => {
        reset(socket);
        throw error;
      }),
    );
  });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", resolve);
    });
  } catch (error) {
    await store.close([]);
    throw error;
  }
  const actualPort = (server.address() as { port: number }).port;
  let closed: Promise<void> | undefined;
  const close = async () => {
    const stopped = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of connections) socket.destroy();
    await Promise.all([stopped, session.settled()]);
    await store.close(session.interactions);
  };
  return {
    endpoint: `http://127.0.0.1:${actualPort}`,
    port: actualPort,
    warnings: session.warnings,
    async cassette() {
      const index = createIndex([...session.interactions]);
      if (store.bodies !== undefined) return { ...index, bodies: { ...store.bodies } };
      const { readFile } = await files();
      return readCassette((file) =>
        file === "cassette.json" ? new TextEncoder().encode(JSON.stringify(index)) : readFile(`${directory}/${file}`),
      );
    },
    close: () => {
      closed ??= close();
      return closed;
    },
  };
}

/**
 * Reads a cassette from a directory that `startRecorder` has written. Requires Node, Deno or Bun.
 *
 * @throws TypeError if a file is missing or damaged, or if the version is unknown; EasUnsupportedError without `node:fs`.
 */
export async function loadCassette(directory: string): Promise<Cassette> {
  const { readFile } = await files();
  return readCassette(async (file) => new Uint8Array(await readFile(`${directory}/${file}`)));
}

const REFUSED_HOST = "recorder: only requests to loopback names are accepted";

function checkTarget(target: unknown): URL {
  const text = String(target);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isValid = url !== undefined && /^https?:$/.test(url.protocol) && url.search === "" && url.hash === "";
  if (!isValid) {
    throw argumentTypeError(
      "ERR_EAS_ARG_OPTION",
      `target is ${typeof target === "string" ? showUrl(target) : show(target)}: it must be an HTTP or HTTPS URL without a query`,
    );
  }
  if (url.username !== "" || url.password !== "") {
    throw argumentTypeError(
      "ERR_EAS_ARG_OPTION",
      "target has a user name or password: set the token of the client instead",
    );
  }
  return url;
}

async function serverModules(): Promise<{
  http: typeof import("node:http");
  https: typeof import("node:https");
  ws: typeof import("ws");
}> {
  const modules = await Promise.all([import("node:http"), import("node:https"), import("ws")]).catch(
    (cause: unknown) => cause,
  );
  if (Array.isArray(modules) && modules[0].createServer && modules[2].WebSocketServer) {
    return { http: modules[0], https: modules[1], ws: modules[2] };
  }
  throw new EasUnsupportedError("startRecorder needs node:http", { cause: isError(modules) ? modules : undefined });
}
