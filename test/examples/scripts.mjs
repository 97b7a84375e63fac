// Tests the script examples, each of which prints the response.
import { deepEqual } from "node:assert/strict";
import { run } from "../runtimes/processes.mjs";

/** By example: the command of its comment, and the expected output. The digits are not part of the training data. */
const SCRIPTS = {
  "node-esm.mjs": { service: "digits", command: ({ node }) => [node, "node-esm.mjs"], digit: 5 },
  "node-cjs.cjs": {
    service: "scorecard",
    command: ({ node }) => [node, "node-cjs.cjs"],
    // The values that train.py wrote for these two samples.
    lines: ["malignant: benign with a probability of 0.283", "benign: benign with a probability of 0.707"],
  },
  "deno.ts": {
    service: "digits",
    command: ({ deno }) => [deno, "run", "--check", "--no-prompt", "--allow-env", "--allow-net", "deno.ts"],
    digit: 7,
  },
  "bun.ts": { service: "digits", command: ({ bun }) => [bun, "bun.ts"], digit: 2 },
};

export const scripts = Object.entries(SCRIPTS).map(([file, { service, command, digit, lines }]) => ({
  name: file,
  files: [file],
  async run({ folder, emulator, programs }) {
    const before = emulator.requests.length;
    const [program, ...args] = command(programs);
    const printed = await run(program, args, {
      cwd: folder,
      env: {
        EAS_ENDPOINT: emulator.endpoint,
        EAS_SERVICE_NAME: service,
        EAS_TOKEN: emulator.token,
        DENO_DIR: `${folder}/.deno`,
        DENO_NO_UPDATE_CHECK: "1",
        NO_COLOR: "1",
      },
    });
    const said = printed.trim().split("\n");
    if (lines) deepEqual(said, lines);
    else
      deepEqual(
        [said.length, /^It is a (\d), with a probability of (0\.[5-9]\d\d|1\.000)\.$/.exec(said[0])?.[1]],
        [1, String(digit)],
      );
    // Checks the queue itself in addition to the output of the script.
    const seen = emulator.requests.slice(before).map(({ service, status }) => `${service} ${status}`);
    deepEqual(seen, [`${service} 200`]);
    return said.join("; ");
  },
}));
