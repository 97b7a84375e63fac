// A worker for a queue of EAS. README.md describes its environment variables.
import { createServer } from "node:http";
import { QueueClient } from "eas-prediction";
import { openTelemetryHooks } from "eas-prediction/opentelemetry";
import { handle } from "./handler.mjs";
import { observe, shutdownTelemetry } from "./telemetry.mjs";

const {
  EAS_ENDPOINT: endpoint,
  EAS_TOKEN: token,
  EAS_QUEUE: queueName,
  EAS_DEAD_LETTER_QUEUE: deadLetterName,
  CONCURRENCY = "1",
  MAX_ATTEMPTS = "3",
  DRAIN_TIMEOUT_MS = "30000",
  PORT = "8080",
  HOST = "0.0.0.0",
} = process.env;

const open = (name) => new QueueClient({ endpoint, queueName: name, token, hooks: openTelemetryHooks() });
const [queue, sink, deadLetter] = [queueName, `${queueName}/sink`, deadLetterName].map(open);

const worker = queue.consume(handle, {
  concurrency: Number(CONCURRENCY),
  maxAttempts: Number(MAX_ATTEMPTS),
  drainTimeout: Number(DRAIN_TIMEOUT_MS),
  deadLetter,
  sink,
});
observe(worker, { queue: queueName });
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => worker.stop().catch(() => {}));

// Kubernetes asks these paths. A worker that has lost its connection is not ready, but it is alive: it reconnects.
const server = createServer(({ url }, response) => {
  const { lastError, ...stats } = worker.stats;
  const status = url === "/livez" || url === "/stats" ? 200 : url === "/readyz" ? (stats.connected ? 200 : 503) : 404;
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ ...stats, lastError: lastError && String(lastError) }));
});
server.listen(Number(PORT), HOST, () => console.log(`probes on port ${server.address().port}`));

try {
  await worker;
  console.log("stopped", JSON.stringify({ ...worker.stats, lastError: undefined }));
} catch (error) {
  console.error("the worker has ended:", error.message);
  process.exitCode = 1;
}
server.close();
await shutdownTelemetry();
await Promise.allSettled([queue, sink, deadLetter].map((client) => client.close()));
// A handler that ignores its signal would keep the process alive.
process.exit();
