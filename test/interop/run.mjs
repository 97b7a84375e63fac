// `npm run test:interop`: tests the latest official Python SDK, unchanged, against this package. It calls the emulator
// in each of its formats. Both clients must send the same bytes for the same random values. Its QueueClient runs the
// flows of its documentation, and shares queues with this package. The test modules in its wheel, and the package
// alipai (the PAI Python SDK), run unchanged against the emulator.
//
// | variable            | effect                                                                                      |
// | ------------------- | ------------------------------------------------------------------------------------------- |
// | EAS_INTEROP=skip    | skips the test, for machines without Python or a Python registry                            |
// | EAS_INTEROP_SEED    | repeats the random values of an earlier run                                                 |
// | EAS_INTEROP_FORMATS | runs only these, separated by commas: formats, "queue", "python-tests", "alipai", "control" |
// | EAS_INTEROP_PYTHON  | the Python for the virtual environment, by default "python3"                                |
//
// `npm run test:interop -- --fresh` reinstalls the SDK, to get the latest version.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { pythonWithAlipai, pythonWithSdk } from "./environment.mjs";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Milliseconds after which the run counts as hung. A run takes about two minutes, and the installation as long. */
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
    // Imported after the package is built.
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

/** Builds the package if a source is newer than the build. */
function buildWhereStale() {
  const built = `${ROOT}dist/emulator.js`;
  const sources = readdirSync(`${ROOT}src`, { recursive: true }).map((name) => `${ROOT}src/${name}`);
  const changed = Math.max(...[...sources, `${ROOT}tsup.config.ts`].map((file) => statSync(file).mtimeMs));
  if (existsSync(built) && statSync(built).mtimeMs >= changed) return;
  console.log("building the package, whose sources have changed");
  const { status } = spawnSync("npm", ["run", "build"], { cwd: ROOT, stdio: "inherit" });
  if (status !== 0) throw new Error("the package cannot be built");
}
