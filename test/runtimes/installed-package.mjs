// The package as npm installs it: what all runtimes are tested with.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** A folder that is no part of this package. */
export const FOLDER = `${ROOT}test/.tmp/runtimes/`;

/** Builds and packs the package, and installs it in a fresh folder. */
export function installPackage() {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  npm(ROOT, "run", "build");
  npm(ROOT, "pack", "--ignore-scripts", "--pack-destination", FOLDER);
  const tarball = readdirSync(FOLDER).find((name) => name.endsWith(".tgz"));
  writeFileSync(`${FOLDER}package.json`, JSON.stringify({ private: true, type: "module" }));
  npm(FOLDER, "install", "--no-audit", "--no-fund", `./${tarball}`);
}

function npm(cwd, ...args) {
  console.log(`> npm ${args.join(" ")}`);
  const { status, stdout, stderr } = spawnSync("npm", args, { cwd, encoding: "utf8", timeout: 300_000 });
  if (status !== 0) throw new Error(`npm ${args[0]} failed\n${(stdout + stderr).slice(-2000)}`);
}
