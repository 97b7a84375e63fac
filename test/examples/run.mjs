// `npm run test:examples`: runs each file of examples/ as its own comment describes, in a folder with the packed
// package installed, against an emulator on the loopback interface. Arguments select examples: `npm run test:examples
// -- deno.ts browser`. It installs the tools that it needs, and fails if that is not possible.
import { cpSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { installRuntimes } from "../runtimes/install.mjs";
import { installPackage } from "../runtimes/installed-package.mjs";
import { browserPage } from "./browser-page.mjs";
import { nextjs } from "./nextjs.mjs";
import { scripts } from "./scripts.mjs";
import { workers } from "./worker.mjs";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const EXAMPLES = [...scripts, ...workers, nextjs, browserPage];

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !EXAMPLES.some((example) => example.name === name));
const chosen = EXAMPLES.filter(({ name }) => wanted.length === 0 || wanted.includes(name));
try {
  if (unknown.length > 0) {
    throw new Error(`unknown example ${unknown}. The examples are ${EXAMPLES.map(({ name }) => name).join(", ")}`);
  }
  const programs = { ...installRuntimes(), node: process.execPath };
  const folder = installPackage();
  process.exitCode = (await runAll(chosen, { folder, programs })) ? 0 : 1;
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}

async function runAll(examples, context) {
  const { startEmulator } = await import("../../dist/emulator.js");
  const emulator = await startEmulator();
  const results = [];
  try {
    for (const example of examples) {
      for (const file of example.files) cpSync(`${ROOT}examples/${file}`, `${context.folder}/${file}`);
      const begin = performance.now();
      const seconds = () => `${((performance.now() - begin) / 1000).toFixed(1)} s`;
      try {
        const result = await example.run({ ...context, emulator });
        results.push([example.name, "passed", seconds(), result]);
      } catch (error) {
        console.error(`\n${example.name}:`, error);
        results.push([example.name, "FAILED", seconds(), error.message.split("\n", 1)[0]]);
      }
    }
  } finally {
    await emulator.close();
  }
  const table = [["example", "", "time", "result"], ...results];
  const width = (column) => Math.max(...table.map((row) => row[column].length));
  console.log();
  for (const row of table) console.log(row.map((cell, i) => (i === 3 ? cell : cell.padEnd(width(i)))).join("  "));
  const passed = results.filter(([, verdict]) => verdict === "passed").length;
  console.log(`\n${passed} passed, ${results.length - passed} failed`);
  return passed === results.length && passed > 0;
}
