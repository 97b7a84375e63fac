import { CommandError, EXIT_CODES } from "./exit-codes.js";
import { runProgram } from "./program.js";

/** The version in package.json. The build replaces it. */
declare const PACKAGE_VERSION: string;

const SIGNALS = { SIGINT: EXIT_CODES.interrupted, SIGTERM: EXIT_CODES.terminated } as const;

const interruption = new AbortController();
for (const [name, exitCode] of Object.entries(SIGNALS)) {
  process.on(name, () => {
    // A second signal exits the process at once, in case the command does not stop by itself.
    if (interruption.signal.aborted) process.exit(exitCode);
    interruption.abort(new CommandError(name === "SIGINT" ? "interrupted" : "terminated", exitCode));
  });
}
// Without a listener, a closed pipe ends the process with a stack trace. `Terminal.write` reports the error instead.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

process.exitCode = await runProgram({
  args: process.argv.slice(2),
  version: PACKAGE_VERSION,
  streams: process,
  signal: interruption.signal,
});
