import { fork } from "node:child_process";
import { once } from "node:events";

/** Starts a server in a separate process. */
export async function startFaultServer(file = "fault-server.mjs") {
  const child = fork(new URL(file, import.meta.url), { execArgv: [] });
  const waiting = new Map();
  let last = 0;
  let ended = false;
  const ports = new Promise((resolve, reject) => {
    waiting.set(0, resolve);
    child.once("exit", (code) => {
      if (ended) return;
      reject(new Error(`the fault server exited with ${code}`));
      console.error(`the fault server exited with ${code}`);
      process.exit(1);
    });
  });
  child.on("message", ({ at, result }) => {
    waiting.get(at)(result);
    waiting.delete(at);
  });
  const ask = (command, given) =>
    new Promise((resolve) => {
      waiting.set(++last, resolve);
      child.send({ at: last, command, given });
    });
  return {
    ports: await ports,
    ask,
    /** Suspends the process for some time, like a paused virtual machine. */
    async stopFor(milliseconds) {
      child.kill("SIGSTOP");
      await new Promise((resolve) => setTimeout(resolve, milliseconds));
      child.kill("SIGCONT");
    },
    async end() {
      ended = true;
      const exit = once(child, "exit");
      await ask("end");
      await exit;
    },
  };
}

/** Kills and restarts an instance repeatedly until it is stopped. */
export async function startKilledInstance(upTime, downTime) {
  const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  let port = 0;
  let kills = 0;
  let isOver = false;
  const start = async () => {
    const child = fork(new URL("one-instance.mjs", import.meta.url), [String(port)], { execArgv: [] });
    [port] = await once(child, "message");
    return child;
  };
  const kill = async (child) => {
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
    kills++;
  };
  let child = await start();
  const loop = (async () => {
    while (!isOver) {
      await pause(upTime);
      await kill(child);
      await pause(downTime);
      child = await start();
    }
    await kill(child);
  })();
  return {
    port,
    async end() {
      isOver = true;
      await loop;
      return kills;
    },
  };
}
