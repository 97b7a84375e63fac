// The client of ends.mjs, in a separate process. Arguments: the server's port, the seed, the first run and the number
// of runs.
import { once } from "node:events";
import { createServer, get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { isEasError, PredictClient } from "../../dist/index.js";
import { nodeListener, nodeTransport } from "../../dist/node.js";
import { createRelay } from "../../dist/relay.js";
import { BYTE_AT, FRAMINGS, runOf } from "./end-runs.mjs";

const [port, seed, first, count] = process.argv.slice(2).map(Number);
const transport = nodeTransport({ reuseConnections: false });
const client = new PredictClient({
  endpoint: `http://127.0.0.1:${port}`,
  serviceName: "svc",
  token: "t",
  retryCount: 0,
  // Without keep-alive: otherwise a request could be sent on a connection that is being closed.
  transport,
});
const relay = createServer(
  nodeListener(createRelay({ client, base: "/eas", allow: [{ methods: ["GET"], paths: ["/*"] }], onError: () => {} })),
);
relay.listen(0, "127.0.0.1");
await once(relay, "listening");

const OPEN = {
  stream: (path) => client.stream(null, { path }),
  fetch: async (path) => (await client.fetch(path)).body,
  relay: (path) =>
    new Promise((resolve, reject) => {
      get(`http://127.0.0.1:${relay.address().port}/eas${path}`, (response) => {
        if (response.statusCode === 200) resolve(response);
        else response.on("data", (data) => reject(new Error(`the relay returned ${response.statusCode}: ${data}`)));
      }).on("error", reject);
    }),
};

/** Reads the response at the pace of the run. */
async function read({ way, reader }, at) {
  const body = await OPEN[way](`/run-${at}`);
  if (reader === "late") await sleep(60);
  let length = 0;
  for await (const piece of body) {
    for (let i = 0; i < piece.length; i += 97) {
      if (piece[i] !== BYTE_AT(length + i)) throw new Error(`the byte at ${length + i} is wrong`);
    }
    length += piece.length;
    if (reader === "slow") await sleep(3);
    if (reader === "stops") await sleep(80);
  }
  return length;
}

/** Returns the problem of a run; undefined if the body was complete or its failure was reported. */
function wrongIn({ framing, bytes, sent, ending, way }, length, error) {
  if (error !== undefined) {
    const isTold =
      way === "relay"
        ? error.code === "ECONNRESET" || /answered 502/.test(error.message)
        : isEasError(error) || isEasError(error.cause);
    if (!isTold) return `an error of another kind: ${error.stack}`;
    return sent === bytes && ending === "FIN" ? `a whole body is an error: ${error.stack}` : undefined;
  }
  if (length === bytes) return undefined;
  if (FRAMINGS[framing].isDelimited) return `${length} of ${bytes} bytes, and no error`;
  // In this framing only the end of the connection ends the body.
  return length === sent || ending === "RST" ? undefined : `${length} of ${sent} bytes that were sent, and no error`;
}

async function one(at) {
  const run = runOf(seed, at);
  let length;
  let error;
  try {
    length = await read(run, at);
  } catch (thrown) {
    error = thrown;
  }
  await new Promise((resolve) =>
    process.send({ at, error: error?.message, wrong: wrongIn(run, length, error) }, resolve),
  );
}

let next = first;
await Promise.all(
  Array.from({ length: 8 }, async () => {
    while (next < count) await one(next++);
  }),
);
await client.close();
await transport.close();
relay.closeAllConnections();
relay.close();
process.disconnect();
