// For Node.js only: connections with pooling, proxies and certificates, and a listener for servers of `node:http`.

export { type NodeTransportOptions, nodeTransport } from "./platform/node/http/transport.js";
export { type NodeIncoming, type NodeOutgoing, nodeListener, type RequestHandler } from "./platform/node/listener.js";
export type { Pem } from "./platform/node/options.js";
