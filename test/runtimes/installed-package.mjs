// Installs the package with npm, for the tests of all runtimes.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Builds, packs and installs the package in a new folder, which is removed when the process ends. Returns its path. */
export function installPackage() {
  // Outside this repository, because Bun and bundlers would use its compiler settings.
  const folder = mkdtempSync(join(tmpdir(), "eas-prediction-runtimes-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  npm(ROOT, "run", "build");
  npm(ROOT, "pack", "--ignore-scripts", "--pack-destination", folder);
  const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz"));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
  npm(folder, "install", "--no-audit", "--no-fund", `./${tarball}`);
  return folder;
}

function npm(cwd, ...args) {
  console.log(`> npm ${args[0]} ${args[0] === "run" ? args[1] : ""}`);
  const { status, stdout, stderr } = spawnSync("npm", args, { cwd, encoding: "utf8", timeout: 300_000 });
  if (status !== 0) throw new Error(`npm ${args[0]} failed\n${(stdout + stderr).slice(-2000)}`);
}
