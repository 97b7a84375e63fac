// Installs packages that only some tests need, in folders with their own package.json and lock file, on demand.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Timeout in milliseconds, so that an unresponsive registry fails the run instead of blocking it. */
const MAX_MS = 600_000;

/**
 * Runs `npm ci` in a folder, and then `node` with each of `scripts`, unless it is installed from the same lock file.
 * Throws with the output if a command fails. The folder's path ends with a slash.
 */
export function installLocked(folder, scripts = []) {
  const lock = readFileSync(`${folder}package-lock.json`, "utf8");
  /** The lock file of the installed packages. */
  const stamp = `${folder}node_modules/.installed-lock.json`;
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  run(folder, "npm", ["ci", "--no-audit", "--no-fund"]);
  for (const script of scripts) run(folder, process.execPath, [script]);
  // Written last, so that an incomplete installation is repeated.
  writeFileSync(stamp, lock);
}

function run(folder, command, args) {
  const name = folder.slice(ROOT.length, -1);
  const line = [command === process.execPath ? "node" : command, ...args].join(" ");
  console.log(`> ${line}   (in ${name})`);
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: folder,
    encoding: "utf8",
    timeout: MAX_MS,
  });
  if (status === 0) return;
  const said = [error?.message, stdout, stderr].filter(Boolean).join("\n").trim().slice(-2000);
  throw new Error(`${name} cannot be installed: \`${line}\` failed there\n${said}`);
}
