import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { defineConfig, type Options } from "tsup";
import packageJson from "./package.json" with { type: "json" };
import { consolePage } from "./scripts/console-page.mjs";

const COMPRESSIONS = ["snappy", "lz4", "zstd"];
const FORMATS = ["tf", "torch", "torchrec", "easyrec", "blade", "caffe", "onnx", "queue"];

/** Modules of src/ that every page with a client loads at its start. Their imports belong to the start as well. */
const START = [
  "call/client-core",
  "call/run-call",
  "formats/text/string-request",
  "predict/fetch/service-url",
  "predict/input/form-type",
  "predict/input/json-text",
  "predict/stream/stream-options",
  "util/async-dispose",
  "util/async-queue",
  "util/json-form",
];

/**
 * Makes the modules that are loaded on first use import the modules of the start. As a result, the start is a single
 * shared file. Otherwise, esbuild creates a file for each combination of late modules that share code with the start,
 * and gzip compresses each file separately. A module with a dynamic import of a late module must not be in the start:
 * Rolldown keeps such cycles as separate chunks, which it refuses in the formats "iife" and "umd".
 */
const singleStart: NonNullable<Options["esbuildPlugins"]>[number] = {
  name: "single-start",
  setup({ onLoad, onResolve }) {
    const imports = START.map((name) => `import "start:${name}.ts";`).join("\n");
    onLoad({ filter: /\/src\/(predict|queue)\/lazy\.ts$/ }, async ({ path }) => ({
      contents: `${await readFile(path, "utf8")}\n${imports}`,
      loader: "ts",
    }));
    onResolve({ filter: /^start:/ }, ({ path }) => ({
      path: resolve("src", path.slice("start:".length)),
      sideEffects: true,
    }));
  },
};

export default defineConfig([
  {
    entry: {
      index: "src/index.ts",
      node: "src/node.ts",
      relay: "src/relay/index.ts",
      dispose: "src/dispose.ts",
      emulator: "src/emulator/index.ts",
      "emulator/memory": "src/emulator/memory.ts",
      image: "src/image/index.ts",
      opentelemetry: "src/telemetry/opentelemetry.ts",
      ai: "src/ai/index.ts",
      control: "src/control/index.ts",
      "proto/proto-request": "src/proto/proto-request.ts",
      ...Object.fromEntries(FORMATS.map((format) => [`proto/${format}`, `src/proto/${format}.ts`])),
      ...Object.fromEntries(COMPRESSIONS.map((name) => [`compression/${name}`, `src/compression/${name}.ts`])),
      "platform/node": "src/platform/node/platform.ts",
      "platform/browser": "src/platform/browser/platform.ts",
      "platform/workerd": "src/platform/workerd/platform.ts",
      "platform/web": "src/platform/web/platform.ts",
    },
    // scripts/commonjs.mjs makes the files for require().
    format: ["esm"],
    tsconfig: "tsconfig.bundle.json",
    target: "es2022",
    platform: "neutral",
    splitting: true,
    treeshake: false,
    sourcemap: true,
    // The maps give stack traces the names and lines of the sources. The sources are in the repository, so the maps do
    // not repeat them.
    esbuildOptions(options) {
      options.sourcesContent = false;
    },
    // The configurations are built at the same time: each leaves the other's files.
    clean: ["!*.global.js"],
    // tsc makes the declarations: scripts/declarations.mjs.
    dts: false,
    external: [
      "#platform",
      "undici",
      /^@bufbuild\/protobuf(\/|$)/,
      "isomorphic-ws",
      "@opentelemetry/api",
      "@ai-sdk/openai-compatible",
    ],
    // @noble/hashes is small and ESM only: bundled, so that require() works too. @stablelib/snappy is small and CommonJS only:
    // bundled, so that import works in browsers too.
    noExternal: [/^@noble\/hashes/, /^@stablelib\/snappy$/],
    esbuildPlugins: [singleStart, consolePage],
  },
  // The main entry as one file for a script tag: what the package's fields "unpkg" and "jsdelivr" name.
  {
    entry: { "eas-prediction": "src/index.ts" },
    format: ["iife"],
    globalName: "EasPrediction",
    tsconfig: "tsconfig.bundle.json",
    target: "es2022",
    platform: "browser",
    minify: true,
    sourcemap: false,
    dts: false,
    noExternal: [/./],
    esbuildOptions(options) {
      options.alias = { "#platform": "./src/platform/browser/platform.ts" };
    },
  },
  // The command line. It imports the package by its name, and contains its other dependencies.
  {
    entry: { cli: "src/cli/main.ts" },
    format: ["esm"],
    tsconfig: "tsconfig.bundle.json",
    target: "node20",
    platform: "node",
    // Deno resolves Node's modules only with "node:".
    removeNodeProtocol: false,
    minify: true,
    // Stack traces of the command line are not shown.
    sourcemap: false,
    clean: false,
    dts: false,
    define: { PACKAGE_VERSION: JSON.stringify(packageJson.version) },
    external: [/^eas-prediction(\/|$)/],
    noExternal: [/^(?!eas-prediction)/],
    // Some of the bundled dependencies are CommonJS and require Node's modules.
    banner: {
      js: '#!/usr/bin/env node\nimport { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
    },
  },
]);
