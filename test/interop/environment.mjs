// The virtual environment that the official Python SDK is installed in: made once, and again when what it is to hold or
// the Python that it is made of changes.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";

const FOLDER = fileURLToPath(new URL(".venv", import.meta.url));
const REQUIREMENTS = fileURLToPath(new URL("requirements.txt", import.meta.url));
const STAMP = `${FOLDER}/interop.json`;
const PYTHON = process.platform === "win32" ? `${FOLDER}/Scripts/python.exe` : `${FOLDER}/bin/python`;

/** Bounds of one step, so that a registry that does not answer fails the run and does not hang it. */
const STEP_MS = 180_000;

/** The path of a Python that has the SDK. `fresh`: installs again, for the latest version of today. */
export function pythonWithSdk(fresh) {
  const base = process.env.EAS_INTEROP_PYTHON ?? "python3";
  const wanted = {
    python: run(base, ["--version"], "Python 3 is needed; EAS_INTEROP_PYTHON may say where it is"),
    requirements: readFileSync(REQUIREMENTS, "utf8"),
  };
  const { installed, made } = existsSync(STAMP) ? JSON.parse(readFileSync(STAMP, "utf8")) : {};
  if (!fresh && existsSync(PYTHON) && isDeepStrictEqual(made, wanted)) {
    console.log(`environment of ${installed}: \`npm run test:interop -- --fresh\` makes it again, with the latest SDK`);
    return PYTHON;
  }
  console.log("making a virtual environment and installing the latest SDK");
  rmSync(FOLDER, { recursive: true, force: true });
  run(base, ["-m", "venv", FOLDER], "the module venv is needed (on Debian the package python3-venv)");
  const pip = ["-m", "pip", "--disable-pip-version-check", "--no-input"];
  run(
    PYTHON,
    [...pip, "install", "--quiet", "--timeout", "30", "--requirement", REQUIREMENTS],
    "the Python registry must be reachable by pip",
  );
  const versions = run(PYTHON, [...pip, "freeze"], "pip could not list what it installed");
  // Last, so that an environment that was left half made is made again.
  writeFileSync(
    STAMP,
    JSON.stringify({ made: wanted, installed: new Date().toISOString(), versions: versions.split("\n") }),
  );
  return PYTHON;
}

function run(command, args, need) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", timeout: STEP_MS });
  if (status === 0) return stdout.trim();
  const why = error?.message ?? `${stdout}${stderr}`.trim();
  throw new Error(
    `the interop test cannot run: \`${[command, ...args].join(" ")}\` failed: ${why}\n${need}. EAS_INTEROP=skip leaves this test out.`,
  );
}
