// The tests of this folder with the newest majors of the libraries, which this folder has in node_modules.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const alias = Object.fromEntries(
  ["@ai-sdk/openai-compatible", "ai", "openai", "zod"].map((name) => [name, at(`node_modules/${name}`)]),
);

export default defineConfig({
  root: at("../.."),
  resolve: { alias: { ...alias, "#platform": at("../../src/platform/node/platform.ts") } },
  test: {
    include: ["test/libraries/*.test.ts", "test/unit/predict/llm-libraries.test.ts"],
    reporters: ["default"],
    testTimeout: 60_000,
  },
});
