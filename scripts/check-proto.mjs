// Checks that proto/ passes buf lint and buf format, and that src/gen equals the output of `buf generate`. Needs no
// network. Exits with 1 on a failure.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const bin = join(root, "node_modules", ".bin");

/** Runs buf from node_modules, which also contains its plugin. Returns whether it succeeded. */
function buf(...args) {
  const env = { ...process.env, PATH: bin + delimiter + process.env.PATH };
  const { status, error } = spawnSync(join(bin, "buf"), args, { cwd: root, env, stdio: "inherit" });
  if (error) console.error(`buf cannot be run: ${error.message}`);
  if (status !== 0) console.error(`buf ${args[0]} failed`);
  return status === 0;
}

/** Returns the paths of all files below a folder, or an empty list. */
function filesIn(folder) {
  try {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
  } catch (error) {
    if (error.code === "ENOENT") return [];
    throw error;
  }
}

/** Generates into a temporary folder and returns the differences from src/gen, one per line. */
function checkFresh() {
  const temporary = mkdtempSync(join(tmpdir(), "check-proto-"));
  try {
    // `-o` is the prefix of the plugin's `out`. All other settings of buf.gen.yaml stay.
    if (!buf("generate", "-o", temporary)) return false;
    const [made, kept] = [join(temporary, "src", "gen"), join(root, "src", "gen")];
    const [madeFiles, keptFiles] = [new Set(filesIn(made)), new Set(filesIn(kept))];
    const faults = [];
    for (const file of [...new Set([...madeFiles, ...keptFiles])].sort()) {
      if (!keptFiles.has(file)) faults.push(`missing: src/gen/${file}`);
      else if (!madeFiles.has(file)) faults.push(`extra:   src/gen/${file}`);
      else if (!readFileSync(join(made, file)).equals(readFileSync(join(kept, file)))) {
        faults.push(`differs: src/gen/${file}`);
      }
    }
    if (madeFiles.size === 0) faults.push("buf generate made no files");
    if (faults.length === 0) console.log(`src/gen is fresh (${madeFiles.size} files)`);
    else console.error(`${faults.join("\n")}\nsrc/gen is stale: run \`npm run proto\``);
    return faults.length === 0;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

const results = [buf("lint"), buf("format", "--diff", "--exit-code"), checkFresh()];
process.exitCode = results.every(Boolean) ? 0 : 1;
