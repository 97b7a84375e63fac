import { TOKEN_NAME } from "../../config/headers.js";
import { type CallOptions, MAX_TIMER_MS } from "../../config/options.js";
import { checkTimeout } from "../../config/validate.js";
import { argumentRangeError, argumentTypeError, optionError, show } from "../../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../../util/option-names.js";
import { isBytes } from "../../util/realms.js";

/** Options for `PredictClient.connect`. */
export interface SocketOptions extends Pick<CallOptions, "query" | "headers"> {
  /** Subprotocols to offer, in order of preference. The service must choose one of them. Default: none. */
  readonly protocols?: string | readonly string[] | undefined;
  /**
   * Timeout for the handshake, in milliseconds. The wait for a free connection is limited separately by the same
   * timeout. Default: the client's `timeout`.
   */
  readonly timeout?: number | undefined;
  /**
   * Interval between pings, in milliseconds, at most 2,147,483,647. Default: no pings. Set this option if a gateway
   * closes idle connections. Do not set it behind an LLM gateway, because the first generation of that gateway loses
   * messages after a ping. If the runtime cannot send pings, `connect` rejects with `EasUnsupportedError`.
   */
  readonly pingInterval?: number | undefined;
  /**
   * Maximum time without a message or pong, in milliseconds. After this time, the socket fails with
   * `EasSocketClosedError`. Default: 60,000 or twice `pingInterval`, whichever is greater. Without `pingInterval`,
   * there is no limit.
   */
  readonly idleTimeout?: number | undefined;
  /** Aborts the handshake or the open socket. `connect` or the iteration then rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
}

const SOCKET_OPTIONS: OptionNames<SocketOptions> = {
  query: 1,
  headers: 1,
  protocols: 1,
  timeout: 1,
  pingInterval: 1,
  idleTimeout: 1,
  signal: 1,
};

/** Maximum size of a close reason in bytes (RFC 6455). */
const MAX_REASON_BYTES = 123;

/**
 * Checks the options of `connect`. Throws if subprotocols are passed instead of options, a likely mistake because the
 * `WebSocket` constructor expects subprotocols in this position.
 */
export function checkSocketOptions(options: unknown): void {
  if (typeof options === "object" && options !== null && !Array.isArray(options)) {
    return checkOptionNames("connect", options, SOCKET_OPTIONS);
  }
  throw argumentTypeError(
    "ERR_EAS_ARG_OPTION",
    `connect accepts options such as { protocols: ["chat"] }, not ${show(options)}`,
  );
}

/** The keep-alive settings of a socket, in milliseconds. */
export interface KeepAlive {
  readonly pingInterval: number | undefined;
  readonly idleTimeout: number | undefined;
}

/** Minimum default `idleTimeout` with pings, in milliseconds. Generous, because a busy model may send pongs late. */
const MIN_PONG_TIMEOUT_MS = 60_000;

/** Checks the keep-alive options and returns them with their defaults. */
export function checkKeepAlive({ pingInterval, idleTimeout }: SocketOptions): KeepAlive {
  if (pingInterval !== undefined) checkTimeout("pingInterval", pingInterval);
  if (idleTimeout !== undefined) checkTimeout("idleTimeout", idleTimeout);
  const limit =
    pingInterval === undefined ? undefined : Math.min(Math.max(MIN_PONG_TIMEOUT_MS, pingInterval * 2), MAX_TIMER_MS);
  return { pingInterval, idleTimeout: idleTimeout ?? limit };
}

/** Checks subprotocols and returns them as a list. */
export function checkProtocols(value: SocketOptions["protocols"] = []): readonly string[] {
  const list: readonly unknown[] = typeof value === "string" ? [value] : value;
  if (!Array.isArray(list)) {
    throw optionError("protocols", value, "be a name, or a list of names");
  }
  for (const name of list) {
    if (typeof name !== "string" || !TOKEN_NAME.test(name)) {
      throw argumentTypeError(
        "ERR_EAS_ARG_OPTION",
        `protocols contains ${show(name)}: a subprotocol name may contain only letters, digits and !#$%&'*+-.^_\`|~`,
      );
    }
  }
  if (new Set(list).size < list.length) {
    throw argumentTypeError(
      "ERR_EAS_ARG_OPTION",
      `protocols is ${show(list.join(", "))}: each name must occur only once`,
    );
  }
  return [...list];
}

/** Checks the arguments of `close`. Throws a `RangeError`. */
export function checkClose(code: number, reason: string): void {
  if (code !== 1000 && !(Number.isInteger(code) && code >= 3000 && code <= 4999)) {
    throw argumentRangeError("ERR_EAS_ARG_OPTION", `code is ${show(code)}: it must be 1000 or from 3000 to 4999`);
  }
  if (typeof reason !== "string" || new TextEncoder().encode(reason).length > MAX_REASON_BYTES) {
    throw argumentRangeError(
      "ERR_EAS_ARG_OPTION",
      `reason is ${show(reason)}: it must be text of at most ${MAX_REASON_BYTES} bytes`,
    );
  }
}

/** Checks the argument of `send`. Throws a `TypeError`. */
export function checkMessage(data: unknown): void {
  if (typeof data === "string" || isBytes(data)) return;
  throw argumentTypeError("ERR_EAS_ARG_REQUEST", `send accepts a string or a Uint8Array, not ${show(data)}`);
}
