/**
 * The program of the child processes in `kill.test.ts`. It runs a job, prints each step, and stops forever at the step
 * `STOP`, where the test kills it.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { AsyncInferenceClient, run, type Transport } from "../../../../src/index.js";
import { nodeTransport } from "../../../../src/node.js";

const { ENDPOINT = "", FOLDER = "", STOP = "", MODE = "" } = process.env;

/** Announces a step. Never resolves if the process is to be killed at this step. */
async function step(name: string): Promise<void> {
  process.stdout.write(`${name}\n`);
  // The timer keeps the process alive.
  if (name === STOP) await new Promise(() => setInterval(() => {}, 1_000_000));
}

/** Runs an action between two announced steps. */
async function between<T>(name: string, act: () => T | Promise<T>): Promise<T> {
  await step(`before ${name}`);
  const result = await act();
  await step(`after ${name}`);
  return result;
}

const path = (key: string) => `${FOLDER}/${key}.json`;
let sets = 0;
const store = {
  get(key: string): string | undefined {
    try {
      return readFileSync(path(key), "utf8");
    } catch {
      return undefined;
    }
  },
  set: (key: string, value: string) =>
    between(`set ${++sets}`, () => {
      writeFileSync(`${path(key)}.new`, value);
      renameSync(`${path(key)}.new`, path(key));
    }),
  delete: (key: string) => between("forget", () => rmSync(path(key), { force: true })),
};

const inner = nodeTransport();
const NAMES: Readonly<Record<string, string>> = { POST: "submit", DELETE: "deletion" };
const transport: Transport = {
  send: async (request) => {
    const isRead = request.method === "GET" && request.path.includes("/sink?");
    const name = isRead ? "read" : NAMES[request.method];
    return name === undefined ? inner.send(request) : between(name, () => inner.send(request));
  },
  close: () => inner.close(),
};

const client = new AsyncInferenceClient({ endpoint: ENDPOINT, serviceName: "q", token: "t", transport });
let text: string;
if (MODE === "run") {
  const result = await run(
    client,
    { prompt: "a cat" },
    {
      store,
      key: "k",
      settleTime: 0,
      onResult: () => between("onResult", () => {}),
    },
  );
  text = result.toString();
} else {
  const stored = store.get("k");
  const job = stored === undefined ? await client.submit({ prompt: "a cat" }) : client.resume(JSON.parse(stored));
  if (stored === undefined) await store.set("k", JSON.stringify(job));
  text = (await job.result()).text();
}
process.stdout.write(`result ${text}\n`);
await client.close();
await inner.close();
