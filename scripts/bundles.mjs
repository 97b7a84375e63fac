// What of this package ends in a page: bundles of the built package, as a consumer's bundler makes them.

import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build, version } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));

export const ESBUILD_VERSION = version;

/** `bar` is that of design §6, `budget` what is enforced; both in kB of 1,000 bytes, minified and gzipped. */
export const CASES = [
  {
    name: "string predict",
    code: 'export { PredictClient } from "eas-prediction"',
    bar: 9,
    budget: 15.4,
  },
  {
    name: "+ TF",
    code: 'export { PredictClient, TFRequest } from "eas-prediction"',
    bar: 12,
    budget: 21.4,
  },
  {
    name: "+ queue",
    code: 'export { PredictClient, TFRequest, QueueClient } from "eas-prediction"',
    bar: 18,
    budget: 33.1,
  },
  {
    name: "everything",
    code: 'export * from "eas-prediction"',
    bar: 48,
    budget: 45.6,
  },
];

/** Bundles `code` for a browser with esbuild's own defaults; `kB` is what a server that compresses sends of it. */
export async function bundle(code) {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: root },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    // Without this repository's own compiler settings, which a consumer does not have.
    tsconfigRaw: {},
    write: false,
    logLevel: "silent",
  });
  const { text, contents } = outputFiles[0];
  return { text, bytes: contents.length, kB: gzipSync(contents, { level: 9 }).length / 1000 };
}
