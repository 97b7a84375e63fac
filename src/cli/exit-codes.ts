/**
 * Exit codes of the command line. Scripts rely on them, so they do not change within a major version.
 *
 * | code | meaning |
 * | ---- | ------- |
 * | 0 | success |
 * | 1 | the service, the queue or the network failed |
 * | 2 | invalid arguments, options, environment variables or files; nothing was sent |
 * | 3 | `doctor` found a problem, or a condition that the caller asked for does not hold |
 * | 130 | interrupted with Ctrl-C |
 * | 143 | terminated with SIGTERM |
 */
export const EXIT_CODES = { success: 0, failure: 1, usage: 2, finding: 3, interrupted: 130, terminated: 143 } as const;

/** An error that is shown without a stack trace, and ends the command with its exit code. */
export class CommandError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT_CODES.failure, options?: ErrorOptions) {
    super(message, options);
    this.name = "CommandError";
    this.exitCode = exitCode;
  }
}

/** Returns an error for invalid arguments. The message says what is wrong and what to write instead. */
export function usageError(message: string, options?: ErrorOptions): CommandError {
  return new CommandError(message, EXIT_CODES.usage, options);
}
