import type { Socket } from "node:net";
import type { buildConnector, Dispatcher } from "undici";
import { optionError } from "../../../util/argument-errors.js";
import { Connection } from "./connection.js";

type Connector = buildConnector.connector;
type Undici = Pick<typeof import("undici"), "Pool" | "buildConnector" | "errors">;

const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;
const MAX_TIMER_MS = 2_147_483_647;
const MIN_HEADER_BYTES = 1_024;
const MAX_HEADER_BYTES = 16_777_216;

/** The `nodeTransport` options for establishing and using connections. */
interface ConnectionOptions {
  readonly connectTimeout?: number | undefined;
  readonly maxHeaderSize?: number | undefined;
  readonly reuseConnections?: boolean | undefined;
}

/** Checks the connection options. Throws a `TypeError` or `RangeError`. */
export function checkConnectionOptions(options: ConnectionOptions): void {
  const { connectTimeout, maxHeaderSize, reuseConnections } = options;
  const isTime = typeof connectTimeout === "number" && connectTimeout >= 1 && connectTimeout <= MAX_TIMER_MS;
  if (connectTimeout !== undefined && !isTime) {
    throw optionError("connectTimeout", connectTimeout, "be a number of milliseconds from 1 to 2,147,483,647");
  }
  const isSize = Number.isInteger(maxHeaderSize) && isWithin(maxHeaderSize as number);
  if (maxHeaderSize !== undefined && !isSize) {
    throw optionError("maxHeaderSize", maxHeaderSize, "be an integer number of bytes from 1,024 to 16,777,216");
  }
  if (reuseConnections !== undefined && typeof reuseConnections !== "boolean") {
    throw optionError("reuseConnections", reuseConnections, "be true or false");
  }
}

const isWithin = (bytes: number) => bytes >= MIN_HEADER_BYTES && bytes <= MAX_HEADER_BYTES;

/** Establishes connections for a transport's pools. Connecting is limited by a timeout and can be abandoned. */
export class Connectors {
  /** Timeout for one connection, in milliseconds. */
  readonly timeout: number;
  private readonly pending = new Set<(error: Error) => void>();

  constructor({ connectTimeout = DEFAULT_CONNECT_TIMEOUT_MS }: ConnectionOptions) {
    this.timeout = connectTimeout;
  }

  /** Returns a function that creates the pool for one origin, for the `factory` option of an undici agent. */
  factory({ Pool, buildConnector, errors }: Undici): (origin: string | URL, options: object) => Dispatcher {
    return (origin, options) => {
      const { connect } = options as { connect?: Connector | buildConnector.BuildOptions };
      const connector = typeof connect === "function" ? connect : buildConnector({ ...connect, timeout: 0 });
      return new Pool(origin, {
        ...options,
        connect: this.bounded(connector, (message) => new errors.ConnectTimeoutError(message)),
      });
    };
  }

  /** Abandons the pending connections. */
  abandon(error: Error): void {
    for (const abandon of this.pending) abandon(error);
  }

  private bounded(connect: Connector, timeoutError: (message: string) => Error): Connector {
    return (options, callback) => {
      const controller = new AbortController();
      let connecting: unknown;
      const timer = setTimeout(() => {
        abandon(
          timeoutError(
            `no connection to ${options.host ?? options.hostname} within ${this.timeout} ms (connectTimeout)`,
          ),
        );
      }, this.timeout);
      const settle = () => {
        clearTimeout(timer);
        return this.pending.delete(abandon);
      };
      const abandon = (error: Error) => {
        settle();
        // A connection through a proxy is abandoned by aborting the signal, and a direct connection by destroying the
        // socket.
        controller.abort(error);
        if (isSocket(connecting)) connecting.destroy();
        callback(error, null);
      };
      this.pending.add(abandon);
      const done = (...[error, socket]: Parameters<buildConnector.Callback>) => {
        if (!settle()) {
          socket?.on("error", () => {}).destroy();
        } else if (error) {
          callback(error, null);
        } else {
          Connection.attach(socket);
          callback(null, socket);
        }
      };
      const withSignal: buildConnector.Options & { signal: AbortSignal } = { ...options, signal: controller.signal };
      connecting = connect(withSignal, done as buildConnector.Callback);
    };
  }
}

/** Whether a connector returned the socket that it is connecting. A proxy's connector returns a promise instead. */
function isSocket(value: unknown): value is Socket {
  return typeof (value as Socket | undefined)?.destroy === "function";
}
