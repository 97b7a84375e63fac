/** What there is for Node alone: connections with pooling, proxies and certificates; servers of `node:http`. */

export { type NodeTransportOptions, nodeTransport } from "./platform/node/http/transport.js";
export { type NodeIncoming, type NodeOutgoing, nodeListener, type RequestHandler } from "./platform/node/listener.js";
export type { Pem } from "./platform/node/options.js";
