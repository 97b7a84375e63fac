// Bundles a program into one script for browsers, with each bundler and as few settings as possible.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { tool } from "./install.mjs";

const load = (path) => import(pathToFileURL(tool(path)).href);
const esbuild = () => load("esbuild/lib/main.js");

/** Removes comments, which may mention names that the code does not use. */
export async function minify(code) {
  const { transform } = await esbuild();
  return (await transform(code, { minify: true, legalComments: "none" })).code;
}

/** esbuild with additional settings. */
export async function esbuildWith(folder, entry, options) {
  const { build } = await esbuild();
  const { outputFiles, metafile } = await build({
    entryPoints: [join(folder, entry)],
    absWorkingDir: folder,
    bundle: true,
    write: false,
    metafile: true,
    logLevel: "silent",
    ...options,
  });
  return { code: outputFiles[0].text, inputs: Object.keys(metafile.inputs) };
}

/** By bundler: a function that returns the bundle of a folder's program. */
export const BUNDLERS = {
  esbuild: async (folder, entry) => (await esbuildWith(folder, entry, {})).code,

  async Rollup(folder, entry) {
    const [{ rollup }, { nodeResolve }] = await Promise.all([
      load("rollup/dist/es/rollup.js"),
      load("@rollup/plugin-node-resolve/dist/es/index.js"),
    ]);
    const bundle = await rollup({
      input: join(folder, entry),
      plugins: [nodeResolve({ browser: true })],
      onwarn(warning) {
        // Rollup handles these warnings about dependencies itself.
        if (warning.code !== "THIS_IS_UNDEFINED") throw new Error(warning.message);
      },
    });
    const { output } = await bundle.generate({ format: "iife", inlineDynamicImports: true });
    return output[0].code;
  },

  async Vite(folder, entry) {
    const { build: buildSite } = await load("vite/dist/node/index.js");
    writeFileSync(join(folder, "index.html"), `<script type="module" src="/${entry}"></script>`);
    // One script, without the polyfill, which needs the page's document.
    const rolldownOptions = { output: { format: "iife" } };
    const options = { modulePreload: false, outDir: "vite", emptyOutDir: true, rolldownOptions };
    await buildSite({ root: folder, configFile: false, logLevel: "silent", build: options });
    return onlyScript(join(folder, "vite/assets"));
  },

  async webpack(folder, entry) {
    const webpack = createRequire(import.meta.url)(tool("webpack/lib/index.js"));
    const output = { path: join(folder, "webpack"), clean: true };
    const stats = await promisify(webpack)({
      mode: "production",
      context: folder,
      entry: `./${entry}`,
      output,
      module: { parser: { javascript: { dynamicImportMode: "eager" } } },
      performance: { hints: false },
    });
    if (stats.hasErrors() || stats.hasWarnings()) throw new Error(stats.toString("errors-warnings"));
    return onlyScript(output.path);
  },
};

function onlyScript(folder) {
  const [name, ...more] = readdirSync(folder).filter((file) => file.endsWith(".js"));
  if (more.length > 0) throw new Error(`more than one script: ${[name, ...more]}`);
  return readFileSync(join(folder, name), "utf8");
}

const METRO_MODULES = ["metro-runtime", "@babel/runtime"];

/** Metro, which bundles for React Native. With `mainField` it resolves as before it supported the field "exports". */
export async function metro(folder, entry, { mainField }) {
  const require = createRequire(import.meta.url);
  const { runBuild } = require(tool("metro/src/index.js"));
  const { getDefaultConfig, mergeConfig } = require(tool("metro-config/src/index.js"));
  const config = mergeConfig(await getDefaultConfig(folder), {
    projectRoot: folder,
    cacheStores: [],
    fileMapCacheDirectory: folder,
    maxWorkers: 1,
    watcher: { unstable_lazySha1: true },
    // Metro adds its own modules to every bundle, and reads only folders that it is configured for.
    watchFolders: [folder, ...METRO_MODULES.map(tool)],
    reporter: { update() {} },
    resolver: {
      extraNodeModules: Object.fromEntries(METRO_MODULES.map((name) => [name, tool(name)])),
      resolverMainFields: ["react-native", "browser", "main"],
      unstable_conditionNames: ["react-native"],
      unstable_enablePackageExports: !mainField,
    },
    transformer: {
      babelTransformerPath: tool("metro-babel-transformer/src/index.js"),
      // Replaces React Native's Babel preset.
      getTransformOptions: async () => ({ transform: { experimentalImportSupport: true } }),
    },
  });
  const { build: serialize } = require(tool("metro/src/shared/output/bundle.js"));
  const output = { build: serialize, save: async () => {} };
  return (await runBuild(config, { entry, dev: false, minify: false, platform: "ios", output })).code;
}
