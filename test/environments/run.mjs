// `npm run test:environments`: the built package in the test environments of its users: vitest with Node, jsdom and
// happy-dom, jest with Node and jsdom (CommonJS), and node:test. Arguments select environments by a part of their names.
import assert from "node:assert/strict";
import { cpSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Report } from "../consumers/report.mjs";
import { run } from "../consumers/run-command.mjs";
import { installLocked } from "../support/locked-install.mjs";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const ROOT = fileURLToPath(new URL("../..", import.meta.url));

const VITEST = ["node_modules/vitest/vitest.mjs", "run", "--config", "vitest/vitest.config.mjs"];
const JEST = ["node_modules/jest/bin/jest.js", "--config", "jest/jest.config.cjs", "--selectProjects"];
const NODE_TEST = ["--test", "--test-reporter", "tap", "node-test/all.test.mjs"];

const ENVIRONMENTS = {
  "vitest, node": [VITEST, { EAS_ENVIRONMENT: "node" }],
  "vitest, jsdom": [VITEST, { EAS_ENVIRONMENT: "jsdom" }],
  "vitest, happy-dom": [VITEST, { EAS_ENVIRONMENT: "happy-dom" }],
  "jest, node": [[...JEST, "node"]],
  "jest, jsdom": [[...JEST, "jsdom"]],
  "jest, jsdom with the globals of Node": [[...JEST, "jsdom with the globals of Node"]],
  "node:test": [NODE_TEST],
};

installLocked(FOLDER);
installPackage();
const report = new Report();
const wanted = process.argv.slice(2);
for (const [name, [args, env]] of Object.entries(ENVIRONMENTS)) {
  if (wanted.length > 0 && !wanted.some((part) => name.includes(part))) continue;
  await report.check(name, "predict, stream, fetch, queue, emulator, fake timers", async () => {
    const { stdout, stderr } = await run(process.execPath, args, { cwd: FOLDER, env: { NO_COLOR: "1", ...env } });
    return `${passedTests(stdout + stderr)} tests`;
  });
}
if (!report.close()) process.exitCode = 1;

/**
 * Copies the code of the tarball to the folder in which the tests find it. Its dependencies are those of this
 * repository.
 */
function installPackage() {
  const installed = `${FOLDER}node_modules/eas-prediction`;
  rmSync(installed, { recursive: true, force: true });
  for (const name of ["dist", "package.json"]) cpSync(`${ROOT}${name}`, `${installed}/${name}`, { recursive: true });
}

/** How many tests the runner reports as passed. A runner that has found no tests fails the check. */
function passedTests(output) {
  const [, count] = /^# pass (\d+)$/m.exec(output) ?? /^ *Tests:? +(\d+) passed/m.exec(output) ?? [];
  assert.ok(count > 0, `no passed tests in the output:\n${output}`);
  return count;
}
