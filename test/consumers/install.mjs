// The compilers, bundlers and runtimes that consumers use, as package-lock.json pins them: installed here, beside this
// package and not in it.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
/** The lock that node_modules was installed by. */
const STAMP = `${FOLDER}node_modules/.installed-lock.json`;
/** So that a registry that does not answer fails the run and does not hang it. */
const INSTALL_MS = 600_000;

/** Runs `npm ci` where nothing is installed yet, or by another lock. */
export function installTools() {
  const lock = readFileSync(`${FOLDER}package-lock.json`, "utf8");
  if (existsSync(STAMP) && readFileSync(STAMP, "utf8") === lock) return;
  console.log("> npm ci, in test/consumers");
  const { status, stderr, error } = spawnSync("npm", ["ci"], { cwd: FOLDER, encoding: "utf8", timeout: INSTALL_MS });
  if (status !== 0) throw new Error(`test/consumers cannot be installed: ${error?.message ?? stderr.slice(-2000)}`);
  // Last, so that an install that was broken off is made again.
  writeFileSync(STAMP, lock);
}

/** The path of what a tool's package holds. */
export function tool(path) {
  return `${FOLDER}node_modules/${path}`;
}
