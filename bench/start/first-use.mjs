// Performs one operation after the import, to show what it loads.

import { equal } from "node:assert/strict";
import { ENDPOINT_TYPE_DIRECT, PredictClient, QueueClient, TFRequest } from "eas-prediction";

const [step, endpoint] = process.argv.slice(2);
const options = { endpoint, token: "token", serviceName: "small" };
const request = () => new TFRequest("serving_default").addFeed("x", [1], "DT_FLOAT", [1]);

async function predict(more) {
  const client = new PredictClient({ ...options, ...more });
  equal((await client.predict(new Uint8Array(8))).length, 1024);
  await client.close();
}

const STEPS = {
  encode: () => request().toBinary(),
  token: () => predict({ auth: "token" }),
  signature: () => predict({ auth: "signature" }),
  async direct() {
    const { hostname, port } = new URL(endpoint);
    const endpointSource = () => [{ host: hostname, port: Number(port) }];
    await predict({ endpoint: undefined, endpointType: ENDPOINT_TYPE_DIRECT, endpointSource });
  },
  async stream() {
    const client = new PredictClient({ ...options, auth: "token" });
    const stream = await client.stream(new Uint8Array(8));
    for await (const _ of stream);
    await client.close();
  },
  // The server is not a queue, so the watch loads its code and is refused.
  async watch() {
    const queue = new QueueClient({ endpoint, queueName: "small", token: "token", retryCount: 0, logger: null });
    const watcher = queue.watch(0n, 1, { reconnect: false, transport: "websocket" });
    await watcher
      .run()
      .next()
      .catch(() => {});
    await queue.close();
  },
  snappy: () => import("eas-prediction/compression/snappy"),
};

await STEPS[step]();
process.exit();
