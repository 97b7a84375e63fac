// A worker in a separate process that can be suspended. It reports each item before it handles it.
import { QueueClient } from "../../dist/index.js";

const [port, uid, gid, window] = process.argv.slice(2);
const stop = new AbortController();
const tell = (message) => process.connected && process.send(message);
const client = new QueueClient({
  endpoint: `http://127.0.0.1:${port}`,
  queueName: "chaos",
  token: "fault-token",
  uid,
  gid,
  logger: { warn: (warning) => tell({ warning }) },
});
process.on("message", () => stop.abort());
const onOrphaned = () => process.exit(1);
process.on("disconnect", onOrphaned);
await client.consume(
  async (frame) => {
    tell({ run: { text: frame.text(), index: String(frame.index) } });
    await new Promise((resolve) => setTimeout(resolve, 5));
  },
  {
    concurrency: 4,
    window: Number(window),
    signal: stop.signal,
    transport: "websocket",
    reconnect: { minDelay: 20, maxDelay: 500 },
    onStatus: ({ state, cause }) => tell({ status: { state, cause: String(cause?.message) } }),
  },
);
await client.close();
process.off("disconnect", onOrphaned);
process.disconnect();
