// The package as npm installs it: what all runtimes are tested with.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Builds and packs the package, and installs it in a fresh folder, whose path it returns; it goes when the process ends. */
export function installPackage() {
  // Far from this repository: Bun and bundlers would take its compiler settings.
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
