import addCompletion from "@bomb.sh/tab/commander";
import { Command, CommanderError } from "commander";
import { isEasError } from "eas-prediction";
import type { AddCommand, CommandContext } from "./command.js";
import { addBenchCommand } from "./commands/bench.js";
import { addChatCommand } from "./commands/chat.js";
import { addDoctorCommand } from "./commands/doctor.js";
import { addEmulatorCommand } from "./commands/emulator.js";
import { addJobCommand } from "./commands/job.js";
import { addPredictCommand } from "./commands/predict.js";
import { addQueueCommand } from "./commands/queue.js";
import { addServicesCommand } from "./commands/services.js";
import { addTypesCommand } from "./commands/types.js";
import { CommandError, EXIT_CODES } from "./exit-codes.js";
import { printable } from "./printable.js";
import { Terminal, type TerminalStreams } from "./terminal.js";

/** All commands, in the order of the help text. */
const COMMANDS: readonly AddCommand[] = [
  addEmulatorCommand,
  addPredictCommand,
  addChatCommand,
  addQueueCommand,
  addJobCommand,
  addServicesCommand,
  addBenchCommand,
  addDoctorCommand,
  addTypesCommand,
];

/** Name of the command that prints a completion script. */
const COMPLETION = "completion";

const HELP = `
Environment:
  EAS_ENDPOINT, EAS_SERVICE_NAME, EAS_TOKEN   defaults for --endpoint, --service and --token
  NO_COLOR                                    disables colors

Exit codes:
  0 success, 1 failed, 2 invalid arguments, 3 doctor found a problem, 130 interrupted

Completion:
  $ source <(eas-prediction ${COMPLETION} bash)   also zsh and fish
`;

/** Returns the program with all commands. */
function createProgram(version: string, context: CommandContext): Command {
  const { terminal } = context;
  const program = new Command("eas-prediction")
    .description("Calls, tests and emulates services on Alibaba Cloud PAI-EAS.")
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print help")
    .helpCommand("help [command]", "print a command's help")
    .addHelpText("after", HELP)
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text),
      getOutHelpWidth: () => terminal.columns,
      getErrHelpWidth: () => terminal.columns,
      getOutHasColors: () => terminal.colors.isColorSupported,
      getErrHasColors: () => terminal.errorColors.isColorSupported,
    })
    .hook("preAction", (_program, command) => {
      terminal.json = command.opts().json === true;
    });
  for (const addCommand of COMMANDS) addCommand(program, context);
  addCompletion(program, { completionCommandName: COMPLETION });
  return program;
}

/** Options for `runProgram`. */
export interface ProgramOptions {
  /** The arguments after the name of the program. */
  readonly args: readonly string[];
  readonly version: string;
  readonly streams: TerminalStreams;
  /** Fires when the process is interrupted or terminated. Its reason is a `CommandError`. */
  readonly signal: AbortSignal;
}

/**
 * Runs a command and returns the exit code. Errors are written to standard error, without a stack trace and without the
 * token.
 */
export async function runProgram({ args, version, streams, signal }: ProgramOptions): Promise<number> {
  const terminal = new Terminal(streams);
  try {
    await createProgram(version, { terminal, signal }).parseAsync(args, { from: "user" });
    return EXIT_CODES.success;
  } catch (error) {
    // Commander has already printed its message.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_CODES.success : EXIT_CODES.usage;
    // The program that reads the pipe, for example `head`, has closed it. The command did not fail.
    if (isBrokenPipe(error)) return EXIT_CODES.success;
    const cause = signal.aborted ? signal.reason : error;
    return report(terminal, cause);
  }
}

/** Prints an error and returns its exit code. */
function report(terminal: Terminal, error: unknown): number {
  const code = exitCodeOf(error);
  if (code === EXIT_CODES.interrupted || code === EXIT_CODES.terminated) return code;
  const text = error instanceof Error ? error.message : String(error);
  // A message may contain an excerpt of a response.
  const message = terminal.stderr.isTTY === true ? printable(text) : text;
  if (terminal.json) terminal.note(JSON.stringify({ error: isEasError(error) ? error.toJSON() : { message } }));
  else {
    terminal.note(`${terminal.errorColors.red("error:")} ${message}`);
    const hint = isEasError(error) && "hint" in error ? error.hint : undefined;
    if (hint !== undefined && hint !== "" && !message.includes(hint)) terminal.note(hint);
  }
  return code;
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CommandError) return error.exitCode;
  // The client throws these classes for invalid options and arguments, before anything is sent.
  if (error instanceof TypeError || error instanceof RangeError) return EXIT_CODES.usage;
  return EXIT_CODES.failure;
}

function isBrokenPipe(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | null)?.code === "EPIPE";
}
