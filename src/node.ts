/** Connections for Node: pooling, proxies and certificates. */
export { type NodeTransportOptions, nodeTransport } from "./platform/node-transport.js";
