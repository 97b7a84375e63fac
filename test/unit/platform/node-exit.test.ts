import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { consolePage } from "../../../scripts/console-page.mjs";
import { type RunningEmulator, startEmulator } from "../../../src/emulator/index.js";
import { TOKEN } from "../../support/calls.js";
import { refusedOrigin } from "../../support/misbehaving-server.js";

// A process that used the package must exit by itself: no script calls process.exit.

const source = (file: string) => fileURLToPath(new URL(`../../../src/${file}`, import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "eas-exit-"));
  await build({
    entryPoints: { package: source("index.ts"), emulator: source("emulator/index.ts") },
    outdir: folder,
    outExtension: { ".js": ".cjs" },
    bundle: true,
    platform: "node",
    alias: { "#platform": source("platform/node/platform.ts") },
    plugins: [consolePage],
  });
  return () => rm(folder, { recursive: true });
});

let emulator: RunningEmulator;
let refused: string;
beforeEach(async () => {
  emulator = await startEmulator({ token: TOKEN, queues: { q: {}, svc: {}, "svc/sink": {} } });
  refused = await refusedOrigin();
  return () => emulator.close();
});

/** The start of every script: the package as `eas`, and helpers. */
const prelude = () => `
  const eas = require("./package.cjs");
  const on = (endpoint, more) => ({ endpoint, token: ${JSON.stringify(TOKEN)}, logger: null, ...more });
  const emulator = ${JSON.stringify(emulator.endpoint)}, refused = ${JSON.stringify(refused)};
  const predictor = (more, endpoint = emulator) => new eas.PredictClient(on(endpoint, { serviceName: "echo", ...more }));
  const queueOf = (more, endpoint = emulator) => new eas.QueueClient(on(endpoint, { queueName: "q", ...more }));
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const until = async (isSo) => { while (!isSo()) await turn(); };
  const held = () => process.getActiveResourcesInfo().filter((name) => name !== "Immediate").sort().join();
  // They are made when they are first looked at, and stay.
  void [process.stdout, process.stderr];
  const atStart = held();
  const over = async (watching, index, options) => {
    const watcher = watching.watch(index, 5, options);
    const { value } = await watcher.next();
    await value.commit();
    return watcher;
  };
`;

/** Runs a script in a new process and waits for its exit. `said` is its output. */
async function run(script: string): Promise<{ said: string[]; code: number; lingered: number }> {
  const child = spawn(
    process.execPath,
    ["--unhandled-rejections=strict", "-e", `${prelude()}(async () => {${script}\nconsole.log("done");})();`],
    { cwd: folder, timeout: 25_000, stdio: ["ignore", "pipe", "inherit"] },
  );
  onTestFinished(() => void child.kill());
  let output = "";
  let lastSaid = performance.now();
  child.stdout.on("data", (data) => {
    output += data;
    lastSaid = performance.now();
  });
  const [code] = (await once(child, "close")) as [number];
  return { said: output.trim().split("\n"), code, lingered: performance.now() - lastSaid };
}

/** Runs a script that prints only "done" and must exit long before undici closes idle connections. */
async function ends(script: string): Promise<void> {
  const { said, code, lingered } = await run(script);
  expect([said, code]).toEqual([["done"], 0]);
  // undici keeps a connection for 4 s. An idle connection must not keep the process alive.
  expect(lingered).toBeLessThan(3_500);
}

describe("a process exits by itself without closing anything", () => {
  test.each([
    [
      "that only made clients",
      'predictor(); queueOf(); new eas.AsyncInferenceClient(on(emulator, { serviceName: "echo" }));',
    ],
    ["that only prepared them", "await predictor().init(); await queueOf().init();"],
    ["that was answered", 'await Promise.all([1, 2, 3].map(() => predictor().predict("x")));'],
    ["over fetch", 'await predictor({ fetch }).predict("x");'],
    ["whose call nobody takes", 'await predictor({}, refused).predict("x").catch(() => {});'],
    [
      "whose call was refused",
      'await predictor({ token: "wrong" }).predict("x").then(() => console.log("?"), () => {});',
    ],
    ["whose queue was used", 'const queue = queueOf(); await queue.put("x"); await queue.get();'],
    [
      "that called instances directly",
      `const direct = { endpointType: "DIRECT", discovery: { interval: 1 } };
       const client = predictor(direct);
       for (let i = 0; i < 3; i++) await client.predict("x");
       const queue = queueOf(direct);
       await queue.put("x");
       await queue.get();`,
    ],
  ])("%s", (_name, script) => ends(script));

  test.each([
    ["timed out", "{ timeout: 100, retryCount: 0 }", ""],
    ["was aborted", "{ signal: controller.signal }", "setTimeout(() => controller.abort(), 100);"],
  ])("after a call that %s", async (_name, call, act) => {
    for (const stall of ["before-headers", "in-body"] as const) {
      for (const client of ["predictor()", "predictor({ fetch })"]) {
        emulator.fault({ stall });
        await ends(`
          const controller = new AbortController();
          const call = ${client}.predict("xyz", ${call}).then(() => console.log("?"), () => {});
          ${act}
          await call;`);
      }
    }
  });
});

describe("close() leaves no handle", () => {
  // Only resources that keep a process alive are listed there.
  const nothingHeld = 'await until(() => held() === atStart).then(() => console.log("nothing held"));';

  async function leavesNothing(script: string): Promise<void> {
    const { said, code, lingered } = await run(`${script}\n${nothingHeld}`);
    expect([said, code]).toEqual([["nothing held", "done"], 0]);
    expect(lingered).toBeLessThan(3_500);
  }

  test("of calls, watches over each transport, workers and jobs", () =>
    leavesNothing(`
      const client = predictor({ maxConnectionCount: 4 });
      await Promise.all(Array.from({ length: 20 }, () => client.predict("x")));
      await client.service("digits").predict("x").catch(() => {});
      const queues = [];
      for (const transport of ["websocket", "http", "poll"]) {
        // A group of its own, so that no watcher takes what another waits for.
        const queue = queueOf({ gid: transport });
        const stop = new AbortController();
        await queue.put("x");
        await queue.consume(() => stop.abort(), { transport, signal: stop.signal });
        await queue.put("y");
        await over(queue, 0, { transport });
        queues.push(queue);
      }
      const jobs = new eas.AsyncInferenceClient(on(emulator, { serviceName: "svc" }));
      const job = await jobs.submit("x");
      const waiting = job.result().catch(({ code }) => code);
      await Promise.all([client, jobs, ...queues].map((each) => each.close()));
      const code = await waiting;
      if (code !== "ERR_EAS_CLOSED") console.log("the wait ended with", code);`));

  test.each(["websocket", "http", "poll"])("of a watch over %s that waits to reconnect", (transport) =>
    leavesNothing(`
      const queue = queueOf({ retryCount: 0 }, refused);
      let told = false;
      queue.watch(0, 1, { transport: "${transport}", reconnect: { minDelay: 60000, maxDelay: 60000 },
        onStatus: ({ state }) => { told ||= state === "reconnecting"; } });
      await until(() => told);
      await queue.close();`),
  );

  test.each(["websocket", "http", "poll"])("of a watch over %s that has just started", (transport) =>
    leavesNothing(`
      const queue = queueOf();
      queue.watch(0, 1, { transport: "${transport}" });
      await queue.close();`),
  );

  test("of an emulator that closes while it has callers", () =>
    leavesNothing(`
      const { startEmulator } = require("./emulator.cjs");
      const own = await startEmulator({ token: "", queues: { q: {} }, cors: true });
      own.fault({ stall: "before-headers" });
      const stalled = predictor({ retryCount: 0 }, own.endpoint).predict("x").catch(() => {});
      const queues = ["websocket", "http", "poll"].map((transport) => {
        const queue = queueOf({ gid: transport }, own.endpoint);
        queue.watch(0, 1, { transport });
        return queue;
      });
      await until(() => own.requests.length === 4);
      await own.close();
      await stalled;
      await Promise.all(queues.map((queue) => queue.close()));`));

  test.each(["client", "worker"])("of a %s aborted in the middle", (who) =>
    leavesNothing(
      who === "client"
        ? `const client = predictor();
           await client.predict("x");
           const controller = new AbortController();
           const calls = [1, 2, 3].map(() => client.predict("x", { signal: controller.signal }).catch(() => {}));
           controller.abort();
           await Promise.all(calls);
           await client.close();`
        : `const queue = queueOf();
           const stop = new AbortController();
           const work = queue.consume(() => {}, { signal: stop.signal });
           stop.abort();
           await work;
           await queue.close();`,
    ),
  );
});
