// The official Python SDK, installed in two ways in bench/python/: with Debian's packages, whose protobuf has the fast
// C++ backend, and by `pip install eas-prediction`.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const DEBIAN_PYTHON = "/usr/bin/python3";
const PACKAGES = ["protobuf", "numpy", "urllib3", "websocket", "snappy", "venv"].map((name) => `python3-${name}`);
/** Time limits of each step, so that an unresponsive registry does not block the bench. */
const STEP_MS = 180_000;

/**
 * The folder, the Python interpreter and the pip packages of each environment. Debian's packages provide the
 * dependencies, so that pip does not install a second protobuf.
 */
const KINDS = {
  "Python SDK, C++": { folder: ".debian", base: DEBIAN_PYTHON, venv: ["--system-site-packages"], pip: ["--no-deps"] },
  "Python SDK, pip": { folder: ".pip", base: process.env.EAS_INTEROP_PYTHON ?? "python3", venv: [], pip: [] },
};

const VERSIONS = `
import json, platform
from importlib.metadata import version
from google.protobuf import __version__ as protobuf
from google.protobuf.internal import api_implementation
import numpy, urllib3, eas_prediction
print(json.dumps({"sdk": version("eas-prediction"), "python": platform.python_version(), "protobuf": protobuf,
                  "backend": api_implementation.Type(), "numpy": numpy.__version__, "urllib3": urllib3.__version__}))
`;

/**
 * Returns the environments that could be created: name, program, and versions. Logs the reason for each missing one,
 * whose rows are then left out.
 */
export function pythonSdks() {
  return Object.entries(KINDS).flatMap(([name, kind]) => {
    try {
      const python = install(kind);
      return [{ name, python, versions: JSON.parse(run(python, ["-c", VERSIONS])) }];
    } catch (error) {
      console.error(`${name} is left out: ${error.message}`);
      return [];
    }
  });
}

function install({ folder, base, venv, pip }) {
  const path = `${FOLDER}${folder}`;
  const python = `${path}/bin/python`;
  const stamp = `${path}/made.json`;
  if (base === DEBIAN_PYTHON) installPackages();
  const wanted = { base: run(base, ["--version"]), venv, pip };
  if (existsSync(stamp) && isDeepStrictEqual(JSON.parse(readFileSync(stamp, "utf8")), wanted)) return python;
  console.log(`making bench/python/${folder}`);
  rmSync(path, { recursive: true, force: true });
  run(base, ["-m", "venv", ...venv, path]);
  run(python, ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", ...pip, "eas-prediction"]);
  // Written last, so that an incomplete environment is created again.
  writeFileSync(stamp, JSON.stringify(wanted));
  return python;
}

function installPackages() {
  if (spawnSync("dpkg", ["--status", ...PACKAGES], { stdio: "ignore" }).status === 0) return;
  const advice = `apt-get install ${PACKAGES.join(" ")}`;
  if (process.getuid?.() !== 0) throw new Error(`it needs Debian's packages: ${advice}`);
  console.log(`> ${advice}`);
  const install = ["install", "--quiet", "--yes", "--no-install-recommends", ...PACKAGES];
  try {
    run("apt-get", install);
  } catch {
    run("apt-get", ["update", "--quiet"]);
    run("apt-get", install);
  }
}

function run(command, args) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", timeout: STEP_MS });
  if (status === 0) return stdout.trim();
  const said = error?.message ?? `${stdout}${stderr}`.trim().slice(-1000);
  throw new Error(`\`${command} ${args[0]} …\` failed: ${said}`);
}
