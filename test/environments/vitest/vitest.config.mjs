import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ["*.test.mjs"],
    environment: process.env.EAS_ENVIRONMENT,
    testTimeout: 60_000,
  },
});
