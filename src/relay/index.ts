/** A relay for web pages, which keeps a service's token on a server. */
export type { RelayMethod, RelayRule } from "./allow-list.js";
export { createRelay } from "./create-relay.js";
export type { RelayOperation } from "./queue-rules.js";
export type { RelayOptions } from "./relay-options.js";
export type { RelayClient, RelayRequestInit } from "./services.js";
