const common = { transform: {} };

module.exports = {
  testTimeout: 30_000,
  cacheDirectory: `${__dirname}/../node_modules/.jest-cache`,
  projects: [
    {
      ...common,
      displayName: "node",
      testMatch: ["**/all.test.cjs"],
      globals: { isJsdom: false },
    },
    {
      ...common,
      displayName: "jsdom with the globals of Node",
      testMatch: ["**/all.test.cjs"],
      testEnvironment: "./jsdom-with-globals.cjs",
      globals: { isJsdom: true },
      globalSetup: "./start-emulator.cjs",
      globalTeardown: "./close-emulator.cjs",
    },
    {
      ...common,
      displayName: "jsdom",
      testMatch: ["**/stock-jsdom.test.cjs"],
      testEnvironment: "jsdom",
    },
  ],
};
