// A worker process that is suspended with SIGSTOP while it handles items, like a paused virtual machine, and resumes
// later. In the meantime the proxy drops its silent connection, and the other worker of the group receives its items.
import { fork } from "node:child_process";
import { once } from "node:events";
import { checkChaos } from "./chaos-checks.mjs";
import { startFaultServer } from "./server-process.mjs";

/** Milliseconds for which the process is suspended. */
const STOP_MS = Number(process.env.FAULTS_STOP_MS ?? 12_000);
/** Milliseconds of silence after which the proxy drops a connection. A client pings every 2 s. */
const SILENCE_MS = 6_000;
/** Milliseconds without progress after which a run fails. */
const STALL_MS = 60_000;
const WINDOW = 8;

export function stoppedClients({ counts }) {
  const name = `worker, client stopped for ${STOP_MS} ms`;
  return [{ name, mode: "gateway", kind: "worker", calls: counts.scripted * 5, run: runStopped }];
}

/** A worker process and its reports. */
class WorkerProcess {
  gid = "g";
  transport = "websocket";
  method = "consume";
  runs = [];
  failures = new Map();
  unreadable = [];
  statuses = [];
  warnings = [];

  constructor(uid, port) {
    this.uid = uid;
    const file = new URL("stopped-process.mjs", import.meta.url);
    this.child = fork(file, [port, uid, this.gid, WINDOW], { execArgv: [] });
    this.child.on("message", ({ run, status, warning }) => {
      if (run) this.runs.push(run);
      if (status) this.statuses.push(status);
      if (warning) this.warnings.push(warning);
    });
    this.exit = once(this.child, "exit");
  }
}

async function runStopped(_server, { name, mode, kind, calls, seed }) {
  const server = await startFaultServer("chaos-server.mjs");
  const problems = [];
  await server.ask("begin", { seed, plan: { clientSilenceMs: SILENCE_MS } });
  const workers = ["stopped", "other"].map((uid) => new WorkerProcess(uid, server.ports[0]));
  const [stopped] = workers;
  const texts = Array.from({ length: calls }, (_, i) => `1:${i}:${"x".repeat(i % 97)}`);
  const half = calls >> 1;
  const seen = () => new Set(workers.flatMap(({ runs }) => runs.map(({ text }) => text)));
  let heldAtStop = 0;

  async function until(what, isDone) {
    let last = "";
    let since = performance.now();
    for (;;) {
      const status = await server.ask("status");
      if (isDone(status)) return;
      const now = JSON.stringify([status.left, status.consumers, workers.map(({ runs }) => runs.length)]);
      if (now !== last) since = performance.now();
      last = now;
      if (performance.now() - since > STALL_MS) throw new Error(`no progress before ${what}: ${now}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  try {
    await until("both have joined", ({ consumers }) => consumers.length === 2);
    await server.ask("fill", { texts: texts.slice(0, half) });
    await until("the worker is at work", () => stopped.runs.length >= half / 10);
    stopped.child.kill("SIGSTOP");
    try {
      heldAtStop = stopped.runs.length;
      await new Promise((resolve) => setTimeout(resolve, STOP_MS));
      await until("the other worker has all", ({ left }) => left === 0);
    } finally {
      stopped.child.kill("SIGCONT");
    }
    await until("the worker has joined again", ({ consumers }) => consumers.length === 2);
    await server.ask("fill", { texts: texts.slice(half) });
    await until("all is handled", ({ left }) => left === 0);
  } catch (error) {
    problems.push(error.stack);
  }
  for (const { child } of workers) child.send("stop");
  const killAll = setTimeout(() => {
    for (const { child } of workers) child.kill("SIGKILL");
  }, STALL_MS);
  for (const { uid, exit } of workers) {
    const [code] = await exit;
    if (code !== 0) problems.push(`${uid} exited with ${code}`);
  }
  clearTimeout(killAll);
  const report = await server.ask("report");
  await server.end();
  problems.push(...checkChaos({ report, workers, required: texts, window: WINDOW }));
  const runs = workers.reduce((sum, worker) => sum + worker.runs.length, 0);
  // The other workers handled the items of the suspended worker again.
  if (runs > calls + WINDOW) problems.push(`${runs} runs of ${calls} items`);
  if (stopped.runs.length === heldAtStop) problems.push("the suspended worker did not resume");
  const silent = new Map(report.ends).get("stopped silent") ?? 0;
  if (silent !== 1) problems.push(`the suspended connection was dropped ${silent} times`);
  const connections = report.opened.reduce((sum, [, times]) => sum + times, 0);
  const warnings = workers.reduce((sum, worker) => sum + worker.warnings.length, 0);
  const extra = `${connections} connections, ${runs} runs, ${warnings} warnings`;
  return { row: { name, mode, kind, calls, answered: seen().size, retries: connections - 2, extra }, problems };
}
