// The process between a caller and the service: a relay, or a server of node:http that only pipes.

import { once } from "node:events";
import { Agent, createServer, request } from "node:http";
import { PredictClient } from "eas-prediction";
import { nodeListener } from "eas-prediction/node";
import { createRelay } from "eas-prediction/relay";
import { serve, settings } from "../child.mjs";
import { TOKEN } from "../data.mjs";
import { PATH } from "./stream-data.mjs";

const { name, origin, services } = settings();
const CONNECTIONS = 1024;

const LISTENERS = {
  /** As a careful user would write it: it adds the token, and cancels the request of a caller that disconnects. */
  pipe() {
    const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS, noDelay: true });
    const { hostname, port } = new URL(origin);
    return (incoming, outgoing) => {
      const headers = { "content-type": incoming.headers["content-type"], authorization: TOKEN };
      const length = incoming.headers["content-length"];
      if (length !== undefined) headers["content-length"] = length;
      const { method, url: path } = incoming;
      const upstream = request({ agent, hostname, port, method, path, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode, { "content-type": answer.headers["content-type"] });
        answer.pipe(outgoing);
      });
      upstream.on("error", () => outgoing.destroy());
      outgoing.on("close", () => outgoing.writableFinished || upstream.destroy());
      incoming.pipe(upstream);
    };
  },
  relay() {
    const clients = services.map((serviceName) => [
      serviceName,
      new PredictClient({ endpoint: origin, serviceName, token: TOKEN, maxConnectionCount: CONNECTIONS }),
    ]);
    const allow = [{ paths: services.map((serviceName) => `/${serviceName}${PATH}`) }];
    return nodeListener(createRelay({ services: Object.fromEntries(clients), allow }));
  },
};

const server = createServer({ noDelay: true }, LISTENERS[name]());

serve({
  async listen() {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return `http://127.0.0.1:${server.address().port}`;
  },
  /** Returns the microseconds of processor time used so far. */
  cpu() {
    const { user, system } = process.cpuUsage();
    return user + system;
  },
});
