// A server of its own process, whose memory and event loop are measured: a relay, or a bare server of node:http.
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
    // The peak of the process is that of all its life; what is there now is a lower bound of the one since `begin`.
    const peak = Math.max(process.resourceUsage().maxRSS * 1024, process.memoryUsage().rss);
    return { growth: peak - rss, longest: clock.longest };
  },
};
process.on("message", (command) => process.send({ command, result: COMMANDS[command]() ?? {} }));
server.listen(0, "127.0.0.1", () => process.send({ command: "listening", result: server.address().port }));
