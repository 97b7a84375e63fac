// `npm run test:console`: uses the emulator's console in Chromium, Firefox and WebKit, and checks its accessibility with axe.
// Arguments select browsers: `npm run test:console -- firefox`.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { BROWSER_NAMES, installBrowsers } from "../runtimes/browsers/install.mjs";
import { installRuntimes } from "../runtimes/install.mjs";
import { CHECKS } from "./checks.mjs";

const chosen = process.argv.slice(2);
const names = chosen.length > 0 ? chosen : BROWSER_NAMES;
installRuntimes();
installBrowsers(names);
// Imported after the installation.
const { PAGES } = await import("../runtimes/browsers/start.mjs");
const { startEmulator } = await import("eas-prediction/emulator");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Milliseconds for one check: a hang guard, because the checks wait without a limit. */
const MAX_MS = 20_000;
let passed = 0;
let failed = 0;
for (const name of names) {
  const startedAt = performance.now();
  const emulator = await startEmulator({ console: true, queues: { jobs: {} }, instances: 2 });
  const page = await PAGES[name](emulator.consoleUrl);
  const context = {
    emulator,
    press: page.press,
    /** Runs a function in the page, with these arguments as JSON. */
    run: (task, ...args) => page.evaluate(`async () => (${task})(...${JSON.stringify(args)})`),
    /** Waits until a function returns something other than undefined, null and false in the page, and returns it. */
    until: (task, ...args) =>
      page.evaluate(`async () => {
        for (;;) {
          const value = await (${task})(...${JSON.stringify(args)});
          if (value !== undefined && value !== null && value !== false) return value;
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      }`),
    loadAxe: () => page.evaluate(`async () => { ${axe}; }`),
  };
  for (const [title, check] of Object.entries(CHECKS)) {
    try {
      await bounded(check(context));
      passed++;
    } catch (error) {
      failed++;
      console.log(`FAILED ${name}: ${title}\n  ${error.stack}`);
    }
  }
  await page.close();
  await emulator.close();
  console.log(`${name}: ${Math.round((performance.now() - startedAt) / 1000)} s`);
}
console.log(`${passed} passed, ${failed} failed`);
// WebDriver's processes may keep sockets open for a while.
process.exit(failed === 0 && passed > 0 ? 0 : 1);

async function bounded(work) {
  let timer;
  const timeout = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not finished after ${MAX_MS} ms`)), MAX_MS);
  });
  await Promise.race([work, timeout]).finally(() => clearTimeout(timer));
}
