// Packages that only some tests need, in folders with a package.json and a lock of their own: installed when they are asked for.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** So that a registry that does not answer fails the run and does not hang it. */
const MAX_MS = 600_000;

/**
 * Runs `npm ci` in a folder, and then `node` with each of `scripts`, where nothing is installed yet or by another lock. Throws,
 * with what was said, where that fails. The folder's path ends with a slash.
 */
export function installLocked(folder, scripts = []) {
  const lock = readFileSync(`${folder}package-lock.json`, "utf8");
  /** The lock that the packages were installed by. */
  const stamp = `${folder}node_modules/.installed-lock.json`;
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  run(folder, "npm", ["ci", "--no-audit", "--no-fund"]);
  for (const script of scripts) run(folder, process.execPath, [script]);
  // Last, so that what was left half installed is installed again.
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
