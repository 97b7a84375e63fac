// Files that a process loads at its start and on first use, as reported by the engine, for both kinds of modules.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/**
 * Returns the files of dist and node_modules that `node file args` loads, as { path, bytes }, relative to the
 * repository.
 */
export function loadedFiles(file, args = []) {
  const folder = mkdtempSync(join(tmpdir(), "loaded-"));
  try {
    const env = { ...process.env, NODE_V8_COVERAGE: folder };
    const { status, stderr } = spawnSync(process.execPath, [file, ...args], { env, timeout: 20_000 });
    if (status !== 0) throw new Error(`${file} ${args.join(" ")} failed: ${stderr}`);
    const scripts = readdirSync(folder).flatMap((name) => JSON.parse(readFileSync(join(folder, name), "utf8")).result);
    const paths = scripts
      .map(({ url }) => url)
      .filter((url) => url.startsWith("file:"))
      .map(fileURLToPath);
    return [...new Set(paths)]
      .map((path) => ({ path: relative(ROOT, path), bytes: statSync(path).size }))
      .filter(({ path }) => /^(dist|node_modules)\//.test(path));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
