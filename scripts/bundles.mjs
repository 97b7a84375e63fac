// Bundles of the built package, as a consumer's bundler creates them.

import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build, version } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));

export const ESBUILD_VERSION = version;

/** `bar` is the goal and `budget` the enforced limit, in kB of 1,000 bytes, minified and gzipped. */
export const CASES = [
  {
    name: "string predict",
    code: 'export { PredictClient } from "eas-prediction"',
    bar: 18,
    budget: 26.5,
  },
  {
    name: "+ TF",
    code: 'export { PredictClient, TFRequest } from "eas-prediction"',
    bar: 24,
    budget: 33.9,
  },
  {
    name: "+ queue",
    code: 'export { PredictClient, TFRequest, QueueClient } from "eas-prediction"',
    bar: 35,
    budget: 47,
  },
  {
    name: "everything",
    code: 'export * from "eas-prediction"',
    bar: 50,
    budget: 60,
  },
];

/** Returns the esbuild options for the imports of a page, with the defaults of a consumer. */
export function pageOf(code) {
  return {
    stdin: { contents: code, resolveDir: root },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    // Without the compiler settings of this repository, which consumers do not have.
    tsconfigRaw: {},
    write: false,
    metafile: true,
    logLevel: "silent",
  };
}

/**
 * Bundles `code` for a browser with code splitting, as most bundlers do by default. Measures the files that the page
 * loads at its start; `kB` is their gzipped size.
 */
export async function bundle(code) {
  const { outputFiles, metafile } = await build({
    ...pageOf(code),
    splitting: true,
    outdir: root,
    absWorkingDir: root,
  });
  const atStart = new Set();
  const load = (path) => {
    if (atStart.has(path)) return;
    atStart.add(path);
    for (const { path: other, kind } of metafile.outputs[path].imports) if (kind === "import-statement") load(other);
  };
  load(Object.keys(metafile.outputs).find((path) => metafile.outputs[path].entryPoint === "<stdin>"));
  const files = outputFiles.filter(({ path }) => atStart.has(relative(root, path)));
  return {
    text: files.map(({ text }) => text).join("\n"),
    files: files.length,
    bytes: sum(files.map(({ contents }) => contents.length)),
    kB: sum(files.map(({ contents }) => gzipSync(contents, { level: 9 }).length)) / 1000,
  };
}

function sum(numbers) {
  return numbers.reduce((a, b) => a + b, 0);
}
