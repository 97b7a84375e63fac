import { unsignedPlan, withCallOptions } from "../../call/build-plan.js";
import type { CallPlan } from "../../call/call-plan.js";
import type { ConnectionPool } from "../../call/connections/connection-pool.js";
import { isInstanceFault, leaseInstance } from "../../call/connections/instance-lease.js";
import { describeCall } from "../../call/failures/failure.js";
import { type DialSettings, dialSocket } from "../../call/websocket.js";
import type { Settings } from "../../config/settings.js";
import { EasHttpError, EasTimeoutError, EasUnsupportedError } from "../../errors.js";
import { argumentTypeError } from "../../util/argument-errors.js";
import { raceAbort, waitFor } from "../../util/timing/abort.js";
import { probe } from "../readiness/probe.js";
import { PredictSocket } from "./socket.js";
import {
  checkKeepAlive,
  checkProtocols,
  checkSocketOptions,
  type KeepAlive,
  type SocketOptions,
} from "./socket-options.js";

/** Probe statuses that also explain why a WebSocket failed. Other statuses may be specific to the probe's path. */
const EXPLAINING_STATUSES: readonly number[] = [401, 403, 429, 503];

/** Implements `PredictClient.connect`. Loaded on first use. */
export async function connect(
  pool: ConnectionPool,
  settings: Settings,
  path: string | undefined,
  options: SocketOptions,
): Promise<PredictSocket> {
  checkSocketOptions(options);
  const { protocols: offered, query, headers, timeout, signal: given } = options;
  const protocols = checkProtocols(offered);
  const keepAlive = checkKeepAlive(options);
  const plan: CallPlan = {
    ...withCallOptions(unsignedPlan(settings, pool.platform), { path, query, headers, timeout, signal: given }),
    kind: "stream",
    isLongLived: true,
    method: "GET",
  };
  checkUpgrade(plan);
  const { dialWebSocket: dial = pool.dialWebSocket } = settings;
  if (dial === undefined) {
    throw new EasUnsupportedError(
      `connect() is not available: ${pool.webSocketsUnavailable}. Use stream(), which works over HTTP and through a relay; call connect() on a server; or set dialWebSocket or transport: nodeTransport(…)`,
    );
  }
  const signal = given ?? new AbortController().signal;
  const ask = async () => {
    const outcome = await probe(pool, settings, { timeout: plan.timeout, signal, retryCount: 0 }).catch((e) => e);
    if (outcome instanceof EasHttpError && EXPLAINING_STATUSES.includes(outcome.status)) throw outcome;
  };
  return open(pool, plan, { dial, protocols, signal, ask }, keepAlive);
}

/** Acquires an instance and a connection slot, which the socket holds until it is closed. */
async function open(
  pool: ConnectionPool,
  plan: CallPlan,
  settings: DialSettings,
  keepAlive: KeepAlive,
): Promise<PredictSocket> {
  const { signal } = settings;
  signal.throwIfAborted();
  const leased = await leaseInstance(pool, plan, [], (work) => raceAbort(work, signal));
  try {
    const limiter = pool.limiter(leased.plan.target.origin);
    if (!limiter.tryAcquire(true)) await acquireSlot(pool, leased.plan, signal);
    try {
      const dialed = await dialSocket(pool, leased.plan, settings);
      if (signal.aborted) {
        dialed.connection.terminate();
        throw signal.reason;
      }
      if (keepAlive.pingInterval !== undefined && !dialed.connection.ping) {
        dialed.connection.terminate();
        throw new EasUnsupportedError(
          "pingInterval is not supported: this runtime's WebSocket cannot send pings. Leave it out",
        );
      }
      return new PredictSocket(dialed, pool, signal, keepAlive, () => {
        limiter.release(true);
        // The instance responded, so the end of the socket does not count as an instance failure.
        leased.lease?.end(false, true);
      });
    } catch (error) {
      limiter.release(true);
      throw error;
    }
  } catch (error) {
    leased.lease?.end(isInstanceFault(error));
    throw error;
  }
}

/**
 * Waits for a slot for a long-lived connection. Rejects with `EasTimeoutError` after `timeout`, or with the signal's
 * reason if the caller aborts.
 */
async function acquireSlot(pool: ConnectionPool, plan: CallPlan, signal: AbortSignal): Promise<void> {
  const { timeout } = plan;
  const wait = pool.limiter(plan.target.origin).acquire(true);
  const timer = setTimeout(() => {
    const why = `streams and sockets take at most half of maxConnectionCount (${pool.connectionCount})`;
    const message = `${describeCall(plan)} found no free connection within ${timeout} ms (timeout): ${why}`;
    wait.cancel(new EasTimeoutError(message, { retryable: true, phase: "connect", timeout }));
  }, timeout);
  await waitFor(wait, signal).finally(() => clearTimeout(timer));
}

/** Throws a `TypeError` for headers that the WebSocket handshake sets. */
function checkUpgrade({ headers }: CallPlan): void {
  const own = headers.find(([name]) => name.startsWith("sec-websocket-"));
  if (own === undefined) return;
  throw argumentTypeError(
    "ERR_EAS_ARG_HEADER",
    `header ${own[0]} cannot be set: the connection sets it itself; use the protocols option for subprotocols`,
  );
}
