// One worker of the fleet. It records each handled item in a file, which survives SIGKILL.
import { appendFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { QueueClient } from "../../dist/index.js";

const [endpoint, queueName, token, file] = process.argv.slice(2);
const queue = new QueueClient({ endpoint, queueName, token });
const worker = queue.consume(
  async (frame) => {
    appendFileSync(file, `start ${frame.text()}\n`);
    await pause(5);
    appendFileSync(file, `end ${frame.text()}\n`);
  },
  { concurrency: 4, window: 8, drainTimeout: 60_000 },
);
process.on("SIGTERM", () => worker.stop());
// The test has ended without stopping its workers.
const onOrphaned = () => process.exit(2);
process.on("disconnect", onOrphaned);
await worker.ready();
process.send("ready");
await worker;
await queue.close();
process.off("disconnect", onOrphaned);
process.disconnect();
