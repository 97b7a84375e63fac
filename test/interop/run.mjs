// `npm run test:interop`: the official Python SDK, unchanged and of the latest version, against this package. It calls the
// emulator in each of its formats, and both clients are given the same random values and must send the same bytes. Its
// QueueClient does what its documentation shows, and shares queues with ours. The test modules in its wheel and the package
// alipai, the PAI Python SDK, run unchanged against the emulator.
//
// | variable            | does                                                                                     |
// | ------------------- | ---------------------------------------------------------------------------------------- |
// | EAS_INTEROP=skip    | leaves the test out, for a machine without Python or its registry                        |
// | EAS_INTEROP_SEED    | makes the random values of an earlier run again                                          |
// | EAS_INTEROP_FORMATS | only these formats, separated by commas; also "queue", "python-tests" and "alipai"       |
// | EAS_INTEROP_PYTHON  | the Python to make the virtual environment of, "python3" when absent                     |
//
// `npm run test:interop -- --fresh` installs the SDK again, for its latest version.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { pythonWithAlipai, pythonWithSdk } from "./environment.mjs";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** A hang guard. A run takes about two minutes, and the installation as much. */
const WHOLE_RUN_MS = 900_000;

if (process.env.EAS_INTEROP === "skip") {
  const line = "!".repeat(78);
  console.log(`${line}\ninterop: SKIPPED by EAS_INTEROP=skip. Nothing was compared with the official SDK.\n${line}`);
} else {
  try {
    buildWhereStale();
    const fresh = process.argv.includes("--fresh");
    const pythons = { sdk: once(() => pythonWithSdk(fresh)), alipai: once(() => pythonWithAlipai(fresh)) };
    setTimeout(() => {
      console.error(`interop: not done after ${WHOLE_RUN_MS / 1000} s`);
      process.exit(1);
    }, WHOLE_RUN_MS).unref();
    // Not before the package is built.
    const { check } = await import("./check.mjs");
    if (!(await check(pythons))) process.exitCode = 1;
  } catch (error) {
    console.error(error.constructor === Error ? `interop: ${error.message}` : error);
    process.exitCode = 1;
  }
}

function once(create) {
  let made;
  return () => {
    made ??= create();
    return made;
  };
}

/** Builds the package when a source is newer than what was built. */
function buildWhereStale() {
  const built = `${ROOT}dist/emulator.js`;
  const sources = readdirSync(`${ROOT}src`, { recursive: true }).map((name) => `${ROOT}src/${name}`);
  const changed = Math.max(...[...sources, `${ROOT}tsup.config.ts`].map((file) => statSync(file).mtimeMs));
  if (existsSync(built) && statSync(built).mtimeMs >= changed) return;
  console.log("building the package, whose sources have changed");
  const { status } = spawnSync("npm", ["run", "build"], { cwd: ROOT, stdio: "inherit" });
  if (status !== 0) throw new Error("the package cannot be built");
}
