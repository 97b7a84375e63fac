// A batch of a million rows with checkpoints, over a transport in memory. Its heap must not depend on the number of rows.
import { batch, PredictClient } from "../../dist/index.js";

/** Maximum growth of the heap in bytes, from a tenth of the rows to all rows. Storing a row takes more than 8 bytes. */
const MAX_GROWTH = 2 * 1024 * 1024;
/** Maximum size of a checkpoint as JSON, in characters. */
const MAX_CHECKPOINT = 2_000;

export function batches({ counts }) {
  return [
    { name: `batch of ${counts.rows} rows`, rows: counts.rows, concurrency: 32, run },
    { name: `batch of ${counts.rows / 10} rows, auto`, rows: counts.rows / 10, concurrency: "auto", run },
  ];
}

async function run(_server, { name, rows, concurrency }) {
  const headers = new Headers();
  const transport = {
    async send({ body }) {
      return { status: 200, headers, body: body.slice(), contentEncoding: undefined };
    },
    async close() {},
  };
  const client = new PredictClient({ endpoint: "http://127.0.0.1", serviceName: "rows", token: "t", transport });
  function* requests() {
    for (let row = 0; row < rows; row++) yield `row ${row}`;
  }
  const seen = new Uint8Array(rows);
  const heaps = [];
  let largest = 0;
  let checkpoints = 0;
  const problems = [];
  const onCheckpoint = (checkpoint) => {
    checkpoints++;
    largest = Math.max(largest, JSON.stringify(checkpoint).length);
  };
  const startedAt = performance.now();
  let count = 0;
  for await (const { index, answer, error } of batch.stream(client, requests(), { concurrency, onCheckpoint })) {
    if (error) problems.push(`row ${index}: ${error.stack}`);
    else if (String(answer) !== `row ${index}`) problems.push(`row ${index} has the answer "${answer}"`);
    seen[index]++;
    if (++count % (rows / 10) === 0) {
      globalThis.gc();
      heaps.push(process.memoryUsage().heapUsed);
    }
  }
  const seconds = (performance.now() - startedAt) / 1000;
  await client.close();
  const heap = Math.max(...heaps.slice(1)) - heaps[0];
  if (!seen.every((times) => times === 1)) problems.push("some rows have no result, or more than one");
  if (heap > MAX_GROWTH) problems.push(`the heap grew by ${heap} bytes: ${heaps.join(", ")}`);
  if (largest > MAX_CHECKPOINT) problems.push(`a checkpoint has ${largest} characters`);
  const extra = `${Math.round(rows / seconds)} rows/s, ${checkpoints} checkpoints of at most ${largest} characters`;
  return { row: { name, calls: rows, answered: count, heap, extra }, problems };
}
