import { defineConfig } from "tsup";
import packageJson from "./package.json" with { type: "json" };

const COMPRESSIONS = ["snappy", "lz4", "zstd"];
const FORMATS = ["tf", "torch", "torchrec", "easyrec", "blade", "caffe", "onnx", "queue"];

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
    // The configurations are built at the same time: each leaves the other's files.
    clean: ["!*.global.js*"],
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
    sourcemap: true,
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
