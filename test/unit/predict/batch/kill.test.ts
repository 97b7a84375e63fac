import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { startEmulator } from "../../../../src/emulator/index.js";

// A batch in a child process is killed with SIGKILL at a known step. A second process resumes it from the stored
// checkpoint.

const source = (file: string) => fileURLToPath(new URL(`../../../../src/${file}`, import.meta.url));

const ROWS = 40;
const CONCURRENCY = 3;
const EVERY = 5;

/**
 * Steps of the child. At the step that its arguments name, it reports the step and stops. `transaction` stores each
 * result together with its checkpoint. Otherwise, results are appended to a file, and `onCheckpoint` stores the
 * checkpoint.
 */
const PROGRAM = `
  const { appendFileSync, existsSync, readFileSync, renameSync, writeFileSync } = require("node:fs");
  const { batch, PredictClient } = require("./package.cjs");
  const [folder, endpoint, token, mode, step, at] = process.argv.slice(2);
  const client = new PredictClient({ endpoint, token, serviceName: "count", logger: null });
  let left = Number(at);
  const reach = async (name) => {
    if (name !== step || --left > 0) return;
    process.stdout.write("reached\\n");
    await new Promise(() => setInterval(() => {}, 1000));
  };
  const read = (name) => existsSync(folder + name) ? JSON.parse(readFileSync(folder + name, "utf8")) : undefined;
  const write = (name, value) => {
    writeFileSync(folder + name + ".new", JSON.stringify(value));
    renameSync(folder + name + ".new", folder + name);
  };
  (async () => {
    const rows = Array.from({ length: ${ROWS} }, (_, i) => "row " + i);
    const options = { concurrency: ${CONCURRENCY}, checkpointEvery: ${EVERY}, retryCount: 0 };
    if (mode === "transaction") {
      const stored = read("/state") ?? { results: [] };
      for await (const item of batch.stream(client, rows, { ...options, checkpoint: stored.checkpoint })) {
        await reach("before the result is stored");
        stored.results.push(item.index);
        stored.checkpoint = item.checkpoint;
        write("/state", stored);
        await reach("after the result is stored");
      }
    } else {
      const onCheckpoint = async (checkpoint) => {
        await reach("before the checkpoint is stored");
        write("/checkpoint", checkpoint);
        await reach("after the checkpoint is stored");
      };
      const items = batch.stream(client, rows, { ...options, checkpoint: read("/checkpoint"), onCheckpoint });
      for await (const { index } of items) {
        await reach("before the result is stored");
        appendFileSync(folder + "/results", index + "\\n");
        await reach("after the result is stored");
      }
    }
    await client.close();
  })();
`;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "eas-batch-"));
  await build({
    entryPoints: { package: source("index.ts") },
    outdir: folder,
    outExtension: { ".js": ".cjs" },
    bundle: true,
    platform: "node",
    alias: { "#platform": source("platform/node/platform.ts") },
  });
  const { writeFile } = await import("node:fs/promises");
  await writeFile(join(folder, "program.cjs"), PROGRAM);
  return () => rm(folder, { recursive: true });
});

async function start() {
  const emulator = await startEmulator();
  onTestFinished(() => emulator.close());
  /** Number of requests that the service received, by row. */
  const received = new Map<string, number>();
  emulator.addService("count", ({ body }) => {
    const row = new TextDecoder().decode(body);
    received.set(row, (received.get(row) ?? 0) + 1);
    return body;
  });
  const own = await mkdtemp(join(folder, "run-"));
  const child = (mode: string, step = "", at = 0) => {
    const args = [join(folder, "program.cjs"), own, emulator.endpoint, emulator.token, mode, step, `${at}`];
    return spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  };
  return {
    received,
    own,
    /** Starts the program, and kills it at a step. */
    async killAt(mode: string, step: string, at: number) {
      const process = child(mode, step, at);
      const [line] = await once(createInterface(process.stdout), "line");
      expect(line).toBe("reached");
      process.kill("SIGKILL");
      await once(process, "exit");
    },
    async finish(mode: string) {
      expect(await once(child(mode), "exit")).toEqual([0, null]);
    },
  };
}

/** Returns the number of occurrences of each row index. */
function countOf(indexes: readonly number[]): number[] {
  return Array.from({ length: ROWS }, (_, i) => indexes.filter((index) => index === i).length);
}

/** Checks that each row was sent, and returns the number of additional requests. */
function repeatedOf(received: ReadonlyMap<string, number>): number {
  expect(received.size).toBe(ROWS);
  return [...received.values()].reduce((sum, count) => sum + count - 1, 0);
}

describe("a batch that was killed and resumed", () => {
  test.each([
    ["before the result is stored", 1],
    ["before the result is stored", 14],
    ["after the result is stored", 14],
    ["before the checkpoint is stored", 2],
    ["after the checkpoint is stored", 2],
    ["before the checkpoint is stored", ROWS / EVERY],
    ["after the checkpoint is stored", ROWS / EVERY],
  ])("loses no result, and repeats at most checkpointEvery results (%s, %i)", async (step, at) => {
    const { received, own, killAt, finish } = await start();
    await killAt("append", step, at);
    await finish("append");
    const counts = countOf((await readFile(join(own, "results"), "utf8")).trim().split("\n").map(Number));
    expect(Math.min(...counts)).toBe(1);
    expect(counts.reduce((sum, count) => sum + count - 1, 0)).toBeLessThanOrEqual(EVERY);
    // The results that are repeated, and the requests that were in flight or whose results waited.
    expect(repeatedOf(received)).toBeLessThan(EVERY + 3 * CONCURRENCY);
  });

  test.each([
    ["before the result is stored", 9],
    ["after the result is stored", 9],
  ])("stores each result exactly once together with its checkpoint (%s, %i)", async (step, at) => {
    const { received, own, killAt, finish } = await start();
    await killAt("transaction", step, at);
    await finish("transaction");
    const { results } = JSON.parse(await readFile(join(own, "state"), "utf8"));
    expect(countOf(results)).toEqual(new Array(ROWS).fill(1));
    expect(repeatedOf(received)).toBeLessThan(3 * CONCURRENCY);
  });
});
