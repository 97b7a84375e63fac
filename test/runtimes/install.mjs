// Installs the packages of this folder: the runtimes on which the package is tested.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { installLocked } from "../support/locked-install.mjs";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const MODULES = `${FOLDER}node_modules/`;

/** Paths of the runtimes' programs, below `node_modules`. */
const PROGRAMS = {
  node20: "node20/bin/node",
  node22: "node22/bin/node",
  node24: "node24/bin/node",
  deno: ".bin/deno",
  bun: ".bin/bun",
  workerd: ".bin/workerd",
};

/**
 * Installs the packages of `test/runtimes` if they are missing or from another lock file. Returns the path of each
 * runtime's program by name. Throws with npm's output if that fails.
 */
export function installRuntimes() {
  // Bun's program is a placeholder until its install script has run, which npm skips if install scripts are disabled.
  installLocked(FOLDER, ["node_modules/bun/install.js"]);
  const programs = Object.fromEntries(Object.entries(PROGRAMS).map(([name, path]) => [name, MODULES + path]));
  const missing = Object.values(programs).filter((path) => !existsSync(path));
  if (missing.length > 0) {
    throw new Error(
      `test/runtimes is installed and lacks ${missing.join(", ")}: is there such a package for this system?`,
    );
  }
  return programs;
}
