// A server in a separate process, whose memory and event loop are measured: a relay, or a plain node:http server.
import { createServer } from "node:http";
import { PredictClient } from "../../dist/index.js";
import { nodeListener } from "../../dist/node.js";
import { createRelay } from "../../dist/relay.js";
import { LoopClock } from "./measure.mjs";

const { kind, service, idleTimeout } = JSON.parse(process.argv[2]);

const SERVERS = {
  bare: () => (_incoming, outgoing) => outgoing.end("ok"),
  memory: () => listenTo({ fetch: async () => new Response("ok") }),
  service: () => listenTo(new PredictClient({ customUrl: service, token: "t" })),
};

function listenTo(client) {
  return nodeListener(createRelay({ client, allow: [{ methods: ["GET", "POST"], paths: ["/*"] }], idleTimeout }));
}

const server = createServer(SERVERS[kind]());
let clock;
let rss = 0;
const COMMANDS = {
  begin() {
    globalThis.gc?.();
    rss = process.memoryUsage().rss;
    clock = new LoopClock();
  },
  end() {
    clock.stop();
    // The process's peak covers its whole lifetime. The current value is a lower bound for the peak since `begin`.
    const peak = Math.max(process.resourceUsage().maxRSS * 1024, process.memoryUsage().rss);
    return { growth: peak - rss, longest: clock.longest };
  },
};
process.on("message", (command) => process.send({ command, result: COMMANDS[command]() ?? {} }));
server.listen(0, "127.0.0.1", () => process.send({ command: "listening", result: server.address().port }));
