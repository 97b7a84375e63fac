// Creates folders outside this repository with the installed tarball, as in a consumer's project.
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

/** Creates a temporary folder that is removed when the process ends. */
export function temporaryFolder() {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "eas-prediction-")));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Installs the tarball and its dependencies in `folder`. Returns the path of the package. */
export async function installTarball(folder, tarball) {
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true }));
  await run("npm", ["install", "--no-package-lock", "--no-save", "--ignore-scripts", tarball], { cwd: folder });
  return join(folder, "node_modules/eas-prediction");
}

/** Creates a project below the folder with the tarball, with its programs by name and its own packages. */
export function project(folder, project, { programs = {}, packages = [], type = "module" }) {
  const path = join(folder, project);
  mkdirSync(path);
  writeFileSync(join(path, "package.json"), JSON.stringify({ private: true, type }));
  for (const [name, source] of Object.entries(programs)) cpSync(join(PROGRAMS, source), join(path, name));
  for (const each of packages) cpSync(tool(each), join(path, "node_modules", each), { recursive: true });
  return path;
}
