import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: {
    alias: { "#platform": fileURLToPath(new URL("src/platform/node/platform.ts", import.meta.url)) },
  },
  test: {
    include: ["test/{unit,vectors,package,libraries}/**/*.test.ts"],
    reporters: ["default", ["json", { outputFile: process.env.EAS_TEST_REPORT ?? "test/.report/vitest.json" }]],
    // Rejections that nobody handles are faults of ours.
    dangerouslyIgnoreUnhandledErrors: false,
    // A hang guard: no test waits for it, also on a busy machine.
    testTimeout: 60_000,
  },
});
