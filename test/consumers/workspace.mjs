// A folder outside this repository that has the tarball installed, as a consumer's project has it.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { tool } from "./install.mjs";
import { run } from "./run-command.mjs";

const PROGRAMS = fileURLToPath(new URL("programs/", import.meta.url));

export function readProgram(name) {
  return readFileSync(join(PROGRAMS, name), "utf8");
}

/** An empty folder of the system's; gone when the process ends. */
export function temporaryFolder() {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "eas-prediction-")));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Installs the tarball and what it depends on in `folder`. Returns where the package is then. */
export async function installTarball(folder, tarball) {
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true }));
  await run("npm", ["install", "--no-package-lock", "--no-save", "--ignore-scripts", tarball], { cwd: folder });
  return join(folder, "node_modules/eas-prediction");
}

/** A project below the folder with the tarball: its programs, by their names there, and packages of its own. */
export function project(folder, project, { programs = {}, packages = [], type = "module" }) {
  const path = join(folder, project);
  mkdirSync(path);
  writeFileSync(join(path, "package.json"), JSON.stringify({ private: true, type }));
  for (const [name, source] of Object.entries(programs)) cpSync(join(PROGRAMS, source), join(path, name));
  for (const each of packages) cpSync(tool(each), join(path, "node_modules", each), { recursive: true });
  return path;
}
