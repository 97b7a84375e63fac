// Fuzzes every decoder, in a thread, so that a decoder that never returns can be named and stopped.
//
// npm run test:fuzz -- [--runs 5000] [--seed 1] [--only tf,json] [--run 17]
//
// The environment variables EAS_FUZZ_RUNS, EAS_FUZZ_SEED, EAS_FUZZ_ONLY and EAS_FUZZ_RUN set the same options.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { build } from "esbuild";

const DEFAULT_RUNS = 500;
/** Milliseconds that no input needs, even on a slow machine. */
const HANG_MS = 60_000;
const INPUT_BYTES = 1 << 18;

const { values } = parseArgs({
  options: { runs: { type: "string" }, seed: { type: "string" }, only: { type: "string" }, run: { type: "string" } },
});
const option = (name) => values[name] ?? process.env[`EAS_FUZZ_${name.toUpperCase()}`];
const number = (name, otherwise) => {
  const text = option(name);
  if (text === undefined || text === "") return otherwise;
  if (!/^\d{1,9}$/.test(text)) throw new TypeError(`${name} is ${JSON.stringify(text)}: it must be an integer`);
  return Number(text);
};

const settings = {
  runs: number("runs", DEFAULT_RUNS),
  seed: number("seed", Math.floor(Math.random() * 1e9)),
  only: option("only")?.split(",") ?? [],
  run: number("run", undefined),
};
console.log(`seed ${settings.seed}, ${settings.runs} runs per decoder`);

const folder = mkdtempSync(join(tmpdir(), "eas-fuzz-"));
const program = join(folder, "worker.mjs");
await build({
  entryPoints: [fileURLToPath(new URL("worker.ts", import.meta.url))],
  outfile: program,
  bundle: true,
  format: "esm",
  platform: "node",
  target: "node20",
  alias: { "#platform": fileURLToPath(new URL("../../src/platform/node/platform.ts", import.meta.url)) },
  external: ["undici", "isomorphic-ws", "ws"],
  banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
  logLevel: "warning",
});

/** Progress of the worker: number of steps, and length of the input, followed by the input. */
const shared = new SharedArrayBuffer(8 + INPUT_BYTES);
const [state, input] = [new Int32Array(shared, 0, 2), new Uint8Array(shared, 8)];
let at = "the beginning";
const worker = new Worker(program, { workerData: { settings, shared } });
let steps = -1;
const watchdog = setInterval(() => {
  if (state[0] !== steps) {
    steps = state[0];
    return;
  }
  const hex = Buffer.from(input.slice(0, Math.min(state[1], 400))).toString("hex");
  console.error(`${at} has not ended within ${HANG_MS} ms, seed ${settings.seed}; ${state[1]} bytes: ${hex}`);
  process.exitCode = 1;
  void worker.terminate();
}, HANG_MS);

worker.on("message", ({ name, line, failed }) => {
  if (name !== undefined) at = name;
  if (line !== undefined) console.log(line);
  if (failed) process.exitCode = 1;
});
worker.on("error", (error) => {
  console.error(`${at}: ${error.stack}`);
  process.exitCode = 1;
});
worker.on("exit", (code) => {
  clearInterval(watchdog);
  rmSync(folder, { recursive: true, force: true });
  if (code !== 0) process.exitCode = 1;
});
