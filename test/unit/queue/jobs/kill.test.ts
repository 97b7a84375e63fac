import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { startEmulator } from "../../../../src/emulator/index.js";

const source = (file: string) => fileURLToPath(new URL(`../../../../src/${file}`, import.meta.url));

let program: string;
beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), "eas-jobs-"));
  program = join(folder, "child.mjs");
  await build({
    entryPoints: [fileURLToPath(new URL("./child.ts", import.meta.url))],
    outfile: program,
    bundle: true,
    platform: "node",
    format: "esm",
    alias: { "#platform": source("platform/node/platform.ts") },
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
  });
  return () => rm(folder, { recursive: true });
});

/** Starts a service, and returns a function that runs a child process until a step or its end. */
async function start(mode: "run" | "job") {
  let hold: Promise<void> | undefined;
  let calls = 0;
  const emulator = await startEmulator({
    token: "t",
    queues: {
      q: {
        service: async ({ body }) => {
          calls++;
          await hold;
          return `image of ${new TextDecoder().decode(body)}`;
        },
      },
    },
  });
  onTestFinished(() => emulator.close());
  const folder = await mkdtemp(join(tmpdir(), "eas-store-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const env = { ...process.env, ENDPOINT: emulator.endpoint, FOLDER: folder, MODE: mode };
  /** Runs a child process, kills it with SIGKILL at the step `stop`, and returns its lines. */
  async function child(stop?: string): Promise<string[]> {
    const spawned = spawn(process.execPath, [program], {
      env: { ...env, STOP: stop ?? "" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exit = once(spawned, "exit");
    const lines: string[] = [];
    for await (const line of createInterface(spawned.stdout)) {
      lines.push(line);
      if (line === stop) spawned.kill("SIGKILL");
    }
    const [code, signal] = await exit;
    expect([code, signal]).toEqual(stop === undefined ? [0, null] : [null, "SIGKILL"]);
    return lines;
  }
  const { input, sink } = emulator.queue("q")!;
  const posts = () => emulator.requests.filter(({ method }) => method === "POST").length;
  return {
    child,
    posts,
    input,
    sink,
    calls: () => calls,
    stored: () => readdir(folder),
    /** Delays the service until the returned function is called. */
    holdService() {
      let release = () => {};
      hold = new Promise((resolve) => {
        release = resolve;
      });
      return release;
    },
  };
}

const RESULT = 'result image of {"prompt":"a cat"}';

/** The steps of `run`, in order. */
const STEPS = [
  "before set 1",
  "after set 1",
  "before submit",
  "after submit",
  "before set 2",
  "after set 2",
  "before read",
  "after read",
  "before onResult",
  "after onResult",
  "before set 3",
  "after set 3",
  "before deletion",
  "after deletion",
  "before forget",
];

describe("a process that is killed during run()", () => {
  test("announces all steps if it is not killed", async () => {
    const { child, sink, stored, posts } = await start("run");
    expect((await child()).filter((line) => line !== "before read" && line !== "after read")).toEqual([
      ...STEPS.filter((name) => !name.includes("read")),
      "after forget",
      RESULT,
    ]);
    expect([posts(), sink.length, await stored()]).toEqual([1, 0, []]);
  });

  test.each(STEPS)("%s: another process returns the result of the only job", async (name) => {
    const { child, posts, calls, input, sink, stored } = await start("run");
    expect(await child(name)).not.toContain(RESULT);
    expect(await child()).toContain(RESULT);
    expect([posts(), calls(), input.length, sink.length, await stored()]).toEqual([1, 1, 0, 0, []]);
  });

  test("while the service processes the job: another process waits for the same job", async () => {
    const { child, holdService, posts, calls, sink } = await start("run");
    const release = holdService();
    // The second search of a job in progress must find the job in the input queue.
    expect(await child("after submit")).not.toContain(RESULT);
    expect(await child("before read")).not.toContain("before submit");
    release();
    expect(await child()).toContain(RESULT);
    expect([posts(), calls(), sink.length]).toEqual([1, 1, 0]);
  });

  test("several times, at every step: the service received one job", async () => {
    const { child, posts, calls, sink } = await start("run");
    for (const name of ["after set 1", "after submit", "after read", "before onResult", "after deletion"]) {
      await child(name);
    }
    expect(await child()).toContain(RESULT);
    expect([posts(), calls(), sink.length]).toEqual([1, 1, 0]);
  });
});

describe("a process that is killed between submit() and result()", () => {
  test.each(["after set 1", "before read", "after read", "before deletion"])(
    "%s: another process resumes the job from its handle",
    async (name) => {
      const { child, posts, calls, sink } = await start("job");
      expect(await child(name)).not.toContain(RESULT);
      expect(await child()).toContain(RESULT);
      expect([posts(), calls(), sink.length]).toEqual([1, 1, 0]);
    },
  );
});
