import { type Command, Option } from "commander";
import type { Terminal } from "./terminal.js";

/** Everything that a command can use besides its arguments. */
export interface CommandContext {
  readonly terminal: Terminal;
  /** Fires when the process is interrupted or terminated. Pass it to every call, so that Ctrl-C ends the command. */
  readonly signal: AbortSignal;
}

/** Adds one command to the program, with its options, examples and action. */
export type AddCommand = (program: Command, context: CommandContext) => void;

/** Adds the `--json` option. */
export function addJsonOption(command: Command): Command {
  return command.addOption(new Option("--json", "print the result as JSON"));
}

/** Adds examples to the end of a command's help. Each example has a description and a command line. */
export function addExamples(
  command: Command,
  examples: readonly (readonly [description: string, line: string])[],
): void {
  const lines = examples.map(([description, line]) => `  # ${description}\n  $ ${line}`);
  command.addHelpText("after", `\nExamples:\n${lines.join("\n\n")}`);
}
