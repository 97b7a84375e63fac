// Checks the tarball packed by npm: its files, and the findings of package linters.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { tool } from "./install.mjs";
import { run } from "./run-command.mjs";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const LIST = fileURLToPath(new URL("tarball-files.txt", import.meta.url));

/** Builds and packs into `folder`, as publishing does. Returns the tarball's path, its files and sizes. */
export async function pack(folder) {
  // This file would remain in the tarball, and in its list, if npm did not run the build.
  if (existsSync(`${ROOT}dist`)) writeFileSync(`${ROOT}dist/not-built-by-prepare`, "");
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder], { cwd: ROOT });
  // The output of the build precedes the JSON.
  const [packed] = JSON.parse(stdout.slice(stdout.search(/^\[/m)));
  return { ...packed, path: join(folder, packed.filename), paths: packed.files.map(({ path }) => path).sort() };
}

/** Compares the tarball's files with the committed list. With `update`, rewrites that list. */
export function checkFiles({ paths }, update) {
  const files = [...new Set(paths.map((path) => path.replace(/-[A-Z0-9]{8}(?=\.c?js)/, "-*")))].sort();
  if (update) writeFileSync(LIST, `${files.join("\n")}\n`);
  const listed = new Set(readFileSync(LIST, "utf8").trim().split("\n"));
  const added = files.filter((file) => !listed.delete(file));
  const advice = "`npm run test:package -- --update` takes the tarball as it is";
  assert.deepEqual({ added, missing: [...listed] }, { added: [], missing: [] }, advice);
  for (const file of ["LICENSE", "README.md", "CHANGELOG.md", "THIRD-PARTY-NOTICES.md"])
    assert.ok(paths.includes(file));
  return `${paths.length} files`;
}

/** Prints the sizes, which are not checked. */
export function describeSize({ size, unpackedSize }) {
  return `${Math.round(size / 1000)} kB packed, ${Math.round(unpackedSize / 1000)} kB unpacked`;
}

/** Checks that source maps contain only relative paths, and neither the sources nor anything about the build machine. */
export function checkSourceMaps(installed) {
  const maps = readdirSync(`${installed}/dist`, { recursive: true }).filter((name) => name.endsWith(".map"));
  assert.ok(maps.length > 30);
  for (const name of maps) {
    const text = readFileSync(`${installed}/dist/${name}`, "utf8");
    const { sources, sourceRoot, sourcesContent } = JSON.parse(text);
    assert.equal(sourceRoot, undefined, name);
    assert.equal(sourcesContent, undefined, name);
    assert.deepEqual(
      sources.filter((source) => !/^(\.\.\/)+(src|node_modules)\/|^[\w-]+\.js$/.test(source)),
      [],
      name,
    );
    assert.ok(!text.includes(ROOT.slice(0, -1)), name);
  }
  return `${maps.length} maps`;
}

/** publint, with warnings and suggestions as errors. */
export async function publint({ path }) {
  await run(process.execPath, [tool("publint/src/cli.js"), "run", path, "--strict"]);
}

/** Runs "Are the types wrong" for every entry and module resolution of TypeScript, including node10. */
export async function areTheTypesWrong({ path }, entries) {
  const cli = tool("@arethetypeswrong/cli/dist/index.js");
  const { stdout } = await run(process.execPath, [cli, path, "--format", "json"]);
  const { analysis, problems = {} } = JSON.parse(stdout);
  assert.deepEqual(problems, {});
  assert.deepEqual(Object.keys(analysis.entrypoints).sort(), entries.sort());
  return `${entries.length} entries`;
}
