import { defineConfig } from "tsup";

const FORMATS = ["tf", "torch", "torchrec", "easyrec", "blade", "caffe", "onnx", "queue"];

export default defineConfig({
  entry: {
    index: "src/index.ts",
    node: "src/node.ts",
    dispose: "src/dispose.ts",
    emulator: "src/emulator/index.ts",
    ...Object.fromEntries(FORMATS.map((format) => [`proto/${format}`, `src/proto/${format}.ts`])),
    "platform/node": "src/platform/node.ts",
    "platform/browser": "src/platform/browser.ts",
    "platform/workerd": "src/platform/workerd.ts",
    "platform/web": "src/platform/web.ts",
  },
  format: ["esm", "cjs"],
  target: "es2022",
  platform: "neutral",
  splitting: true,
  treeshake: false,
  sourcemap: true,
  clean: true,
  // tsc makes the declarations: scripts/declarations.mjs.
  dts: false,
  external: ["#platform", "undici", "@bufbuild/protobuf", /^@bufbuild\/protobuf\//, "isomorphic-ws"],
  // Small, and ESM only: bundled, so that require() works too.
  noExternal: [/^@noble\/hashes/],
});
