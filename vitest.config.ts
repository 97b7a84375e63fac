import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { viteConsolePage } from "./scripts/console-page.mjs";

/** Resolves the package's name in src/cli to the sources, so that tests of its modules need no build. */
const commandLineSources = {
  name: "command-line-sources",
  enforce: "pre" as const,
  resolveId(source: string, importer: string | undefined) {
    const match = importer?.includes("/src/cli/") ? /^eas-prediction(\/\w+)?$/.exec(source) : null;
    return match === null ? undefined : fileURLToPath(new URL(`src${match[1] ?? ""}/index.ts`, import.meta.url));
  },
};

export default defineConfig({
  plugins: [commandLineSources, viteConsolePage],
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
