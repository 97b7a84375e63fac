// The packages of this folder, which are the runtimes that the package is tested on: installed when they are asked for.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const MODULES = `${FOLDER}node_modules/`;
const LOCK = `${FOLDER}package-lock.json`;
/** The lock that the packages were installed by. */
const STAMP = `${MODULES}.installed-lock.json`;
/** So that a registry that does not answer fails the run and does not hang it. */
const LONGEST_MS = 600_000;

/** Paths of the programs of runtimes, beneath `node_modules`. */
const PROGRAMS = {
  node20: "node20/bin/node",
  node22: "node22/bin/node",
  node24: "node24/bin/node",
  deno: ".bin/deno",
  bun: ".bin/bun",
  workerd: ".bin/workerd",
};

/**
 * Installs the packages of `test/runtimes` where they are absent or are those of another lock file. Returns the path of
 * each runtime's program by name. Throws, with what npm said, where they cannot be installed.
 */
export function installRuntimes() {
  const lock = readFileSync(LOCK, "utf8");
  if (!existsSync(STAMP) || readFileSync(STAMP, "utf8") !== lock) {
    run("npm", ["ci", "--no-audit", "--no-fund"]);
    // Its program is a text until this has run, which npm leaves out where install scripts are not allowed.
    run(process.execPath, ["node_modules/bun/install.js"]);
    // Last, so that what was left half installed is installed again.
    writeFileSync(STAMP, lock);
  }
  const programs = Object.fromEntries(Object.entries(PROGRAMS).map(([name, path]) => [name, MODULES + path]));
  const missing = Object.values(programs).filter((path) => !existsSync(path));
  if (missing.length > 0) {
    throw new Error(
      `test/runtimes is installed and lacks ${missing.join(", ")}: is there such a package for this system?`,
    );
  }
  return programs;
}

function run(command, args) {
  console.log(`> ${[command === process.execPath ? "node" : command, ...args].join(" ")}   (in test/runtimes)`);
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: FOLDER,
    encoding: "utf8",
    timeout: LONGEST_MS,
  });
  if (status === 0) return;
  const said = [error?.message, stdout, stderr].filter(Boolean).join("\n").trim().slice(-2000);
  throw new Error(
    `the runtimes cannot be installed: \`${command} ${args.join(" ")}\` failed in test/runtimes\n${said}`,
  );
}
