// The official Python SDK to compare with, installed in two ways: with Debian's packages, whose protobuf has the C++ backend and
// is the SDK at its best, and as `pip install eas-prediction` gives it. Made once, in bench/python/.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const DEBIAN_PYTHON = "/usr/bin/python3";
const PACKAGES = ["protobuf", "numpy", "urllib3", "websocket", "snappy", "venv"].map((name) => `python3-${name}`);
/** Bounds of one step, so that a registry that does not answer ends the bench and does not hang it. */
const STEP_MS = 180_000;

/**
 * Where each of the two is made, of which Python, and what pip is to install there. Debian's packages stand for all that
 * the SDK needs, so that pip is kept from adding a second protobuf.
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
 * Those that could be made: name, the program to start, and the versions that ran. Says on the console why one is missing;
 * the figures then have no such row.
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
  // Last, so that an environment that was left half made is made again.
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
