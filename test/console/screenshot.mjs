// `npm run screenshot:console`: takes docs/console.png, the picture of the console, in Chromium. Needs a build.
import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { installBrowsers } from "../runtimes/browsers/install.mjs";
import { installRuntimes } from "../runtimes/install.mjs";

/** Maximum size of the picture in bytes. */
const MAX_BYTES = 150_000;
const FILE = fileURLToPath(new URL("../../docs/console.png", import.meta.url));
/** A drawn 3, from 0 to 1. */
const STROKE = [
  [0.3, 0.2],
  [0.5, 0.12],
  [0.68, 0.22],
  [0.66, 0.38],
  [0.48, 0.48],
  [0.68, 0.56],
  [0.7, 0.75],
  [0.52, 0.88],
  [0.3, 0.8],
];

installRuntimes();
installBrowsers(["chromium"]);
// Imported after the installation.
const { PAGES } = await import("../runtimes/browsers/start.mjs");
const { QueueClient } = await import("eas-prediction");
const { startEmulator } = await import("eas-prediction/emulator");

const emulator = await startEmulator({ console: true, port: 8501, queues: { jobs: {} }, instances: 3 });
const { endpoint, token } = emulator;
const { page, close } = await PAGES.chromium(emulator.consoleUrl, { viewport: { width: 1040, height: 940 } });
const call = (path, body) =>
  fetch(`${endpoint}/api/predict/${path}`, { method: "POST", body, headers: { authorization: token } });

await page.getByRole("button", { name: "digits" }).click();
const { x, y, width, height } = await page.locator("canvas").boundingBox();
await page.mouse.move(x + STROKE[0][0] * width, y + STROKE[0][1] * height);
await page.mouse.down();
for (const [left, top] of STROKE) await page.mouse.move(x + left * width, y + top * height, { steps: 4 });
await page.mouse.up();
await page.locator(".bars .best").waitFor();

// A worker that is slower than the puts, so that the charts show something.
const queue = new QueueClient({ endpoint, queueName: "jobs", token, uid: "worker-1" });
const watcher = await queue.watch(0n, 4);
const work = (async () => {
  for await (const frame of watcher) {
    await new Promise((resolve) => setTimeout(resolve, 450));
    await frame.commit();
  }
})();
for (let i = 0; i < 24; i++) {
  await queue.put(`picture ${i}`);
  await new Promise((resolve) => setTimeout(resolve, i < 14 ? 150 : 900));
}
await call("echo", "hello");
await call("scorecard", "not JSON");
emulator.fault({ service: "echo", status: 429, headers: { "retry-after": "1" } });
await call("echo", "hello again");
await page.getByLabel("Applies to").selectOption("llm");
await page.getByRole("switch", { name: "Slow: 2 seconds" }).check();
await emulator.instances[2].stop();
await page.getByText("stopped, weight 100").waitFor();
await page.getByRole("button", { name: "/api/predict/scorecard" }).first().click();
await page.getByText("Outcome").first().waitFor();
await page.evaluate(() => document.activeElement?.blur());
await page.screenshot({ path: FILE });

watcher.close();
await work.catch(() => {});
await queue.close();
await close();
await emulator.close();
const { size } = statSync(FILE);
console.log(`docs/console.png has ${Math.round(size / 1000)} kB`);
if (size > MAX_BYTES) process.exitCode = 1;
