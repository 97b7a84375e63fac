import type { ConnectionPool } from "../../call/connections/connection-pool.js";
import { EasUnsupportedError } from "../../errors.js";
import type { WebSocketDialer } from "../../platform/contract.js";
import type { WatchSettings, WatchTransport } from "./options.js";
import type { WatchReports } from "./reports.js";

/**
 * Selects the transport for a watch. Throws `EasUnsupportedError` if that transport is not available. Logs the
 * limitations of polling.
 */
export function transportOf(
  pool: ConnectionPool,
  dialWebSocket: WebSocketDialer | undefined,
  { transport, autoCommit }: WatchSettings,
  reports: WatchReports,
): WatchTransport {
  if (transport === "websocket" && dialWebSocket === undefined) {
    throw new EasUnsupportedError(
      `transport "websocket" cannot be used: ${pool.webSocketsUnavailable}. Use transport "http", which streams over HTTP, or "poll"; or set the client's dialWebSocket`,
    );
  }
  const fallsBack = transport === "auto" && dialWebSocket === undefined && pool.transport.stream === undefined;
  if (transport !== "poll" && !fallsBack) {
    if (transport !== "auto") return transport;
    return dialWebSocket === undefined ? "http" : "websocket";
  }
  const why = fallsBack ? "the watch polls: this transport has neither WebSockets nor streams" : "the watch polls";
  // With autoCommit, each item is deleted when it is read, so no other consumer receives it.
  const limitation = autoCommit
    ? ""
    : ". Polled items are not assigned to a consumer: all consumers in a group get each item, and a commit deletes it for every group. Use one consumer, or autoCommit, or another transport";
  if (fallsBack || !autoCommit) reports.warn("poll", why + limitation);
  return "poll";
}
