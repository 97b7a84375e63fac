import { type EasError, EasHttpError } from "../errors.js";
import {
  MAX_ERROR_BYTES,
  type TransportResponse,
  type WebSocketConnection,
  type WebSocketDialer,
  type WebSocketDialOptions,
} from "../platform/contract.js";
import { linkSignal, raceAbort, unlinkSignal } from "../util/timing/abort.js";
import { attemptHeaders } from "./attempt-headers.js";
import { secretsOf } from "./auth.js";
import type { CallPlan } from "./call-plan.js";
import type { ConnectionPool } from "./connections/connection-pool.js";
import { DECODING_TOOLS } from "./decoding/decoding.js";
import { type FailedCall, httpFailure, isTransportError, networkFailure, timeoutFailure } from "./failures/failure.js";

/** The server's time for its half of the closing handshake, in milliseconds. */
export const CLOSE_MS = 2_000;

/** Statuses that `Retry-After` may accompany. */
const BUSY: readonly number[] = [429, 503];
const NO_BODY = { body: new Uint8Array(0), contentEncoding: undefined };

/** How a WebSocket is opened. */
export interface DialSettings {
  readonly dial: WebSocketDialer;
  readonly protocols?: readonly string[] | undefined;
  /** Ends the dial, and has no say over what is open. */
  readonly signal: AbortSignal;
  /** Makes some call of the same service: where a runtime does not tell why an upgrade failed, HTTP does. */
  readonly ask: () => Promise<unknown>;
}

/** An open WebSocket, and what errors need to know of it. */
export interface DialedSocket {
  readonly connection: WebSocketConnection;
  readonly call: FailedCall;
}

/** Opens a WebSocket within `plan.timeout`. Rejects with the error of a call, or with the signal's reason. */
export async function dialSocket(
  pool: ConnectionPool,
  plan: CallPlan,
  { dial, protocols, signal, ask }: DialSettings,
): Promise<DialedSocket> {
  const { headers, token } = await attemptHeaders(plan, signal);
  // It may have fired in the turn in which that ended.
  signal.throwIfAborted();
  const url = plan.target.origin.replace(/^http/, "ws") + plan.path;
  const call: FailedCall = { plan, token: secretsOf(plan.token, token), attempts: 1 };
  // Not AbortSignal.any, which some runtimes do not have.
  const deadline = new AbortController();
  const abortable = { abort: (reason: unknown) => deadline.abort(reason) };
  linkSignal(signal, abortable);
  const expired = new Error("expired");
  const timer = setTimeout(() => deadline.abort(expired), plan.timeout);
  try {
    const options = { headers, protocols, signal: deadline.signal, maxMessageBytes: plan.maxResponseBytes };
    const connection = await dialInTime(dial, url, options);
    pool.respondedOrigins.add(plan.target.origin);
    return { connection, call };
  } catch (error) {
    signal.throwIfAborted();
    if (error === expired) throw timeoutFailure(call, "headers").error;
    if (isTransportError(error) && error.status !== undefined) {
      const { status, response } = error;
      // Deno and Bun report only the status. Where `Retry-After` matters, HTTP reports the headers as well.
      if (!response && BUSY.includes(status)) {
        await ask().catch((answer) => {
          if (answer instanceof EasHttpError && answer.status === status) throw answer;
        });
        signal.throwIfAborted();
      }
      throw await refusal(pool, call, response ?? { ...NO_BODY, status, headers: new Headers() });
    }
    if (isUnexplained(error)) {
      await ask().catch((answer) => {
        if (answer instanceof EasHttpError) throw answer;
      });
    }
    throw networkFailure(call, error, "headers", pool.respondedOrigins.has(plan.target.origin)).error;
  } finally {
    clearTimeout(timer);
    unlinkSignal(signal, abortable);
  }
}

/** Returns the error for a refused upgrade. Decompresses the body where that is possible. */
async function refusal({ platform }: ConnectionPool, call: FailedCall, response: TransportResponse): Promise<EasError> {
  const decoding = { codecs: [], always: undefined };
  const loading = import("./decoding/content-encoding.js");
  const decoded = loading.then((all) =>
    all.decodeContent(response, platform, MAX_ERROR_BYTES, decoding, false, DECODING_TOOLS),
  );
  const { error } = await httpFailure(call, response, await decoded.catch(() => response.body), true);
  return error;
}

/** Whether all that is known is that there is no WebSocket, as with the `WebSocket` of Node itself, which edge VMs have. */
function isUnexplained(error: unknown): boolean {
  if (!isTransportError(error)) return false;
  return error.sent === "maybe" && error.status === undefined && error.systemCode === undefined && !error.final;
}

/** Dials, and waits no longer than the signal allows, whether or not the dialer listens to it. */
async function dialInTime(
  dial: WebSocketDialer,
  url: string,
  options: WebSocketDialOptions,
): Promise<WebSocketConnection> {
  const dialing = (async () => dial(url, options))();
  try {
    return await raceAbort(dialing, options.signal);
  } catch (error) {
    // The dialer may ignore the signal, or the connection may have opened in the same turn.
    void dialing.then((connection) => connection.terminate()).catch(() => {});
    throw error;
  }
}
