import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import {
  AsyncInferenceClient,
  type AsyncInferenceClientOptions,
  type DataFrame,
  type InferenceJob,
  type InferenceJobJson,
  type JobStatus,
} from "eas-prediction";
import { textOf } from "../arguments/body.js";
import { addConnectionOptions, type ConnectionOptions, clientOptions } from "../arguments/connection.js";
import { INPUT_HELP, readInput } from "../arguments/input.js";
import { collect, duration, integer } from "../arguments/numbers.js";
import { checkOutputFile, writeOutputFile } from "../arguments/output.js";
import { tagsOf } from "../arguments/tags.js";
import { addExamples, addJsonOption, type CommandContext } from "../command.js";
import { CommandError, usageError } from "../exit-codes.js";
import { printable } from "../printable.js";
import type { Terminal } from "../terminal.js";

interface SubmitFlags extends ConnectionOptions {
  readonly path?: string;
  readonly tag?: readonly string[];
  readonly priority?: number;
  readonly handle?: string;
}

interface ResultFlags extends ConnectionOptions {
  readonly wait?: number;
  readonly output?: string;
}

const HANDLE_HELP = "handle of the job: JSON, @file, or - for standard input";

/** Adds the command `job` with its subcommands. */
export function addJobCommand(program: Command, { terminal, signal }: CommandContext): void {
  const jobs = program.command("job").summary("submit jobs to an asynchronous service");
  jobs.description(
    "Submits jobs to an asynchronous inference service, and gets their results in this or another process.",
  );

  const subcommand = (usage: string, description: string) => {
    const command = jobs.command(usage).description(description);
    addConnectionOptions(command, "service");
    return addJsonOption(command);
  };

  const submit = subcommand("submit", "Submits a job and prints its handle as JSON.")
    .argument("<data>", INPUT_HELP)
    .option("--path <path>", "path within the service that processes the job")
    .option("-t, --tag <name=value>", "tag for the job; can be repeated", collect)
    .option("--priority <number>", "priority of the job", integer(0))
    .option("--handle <file>", "writes the handle to a file instead");
  addExamples(submit, [
    ["Submit a job", `eas-prediction job submit '{"prompt":"a cat"}' --service txt2img --handle job.json`],
  ]);
  submit.action(async (data: string, flags: SubmitFlags) => {
    const { path, tag, priority, handle } = flags;
    const body = await readInput(data, terminal.stdin);
    if (handle !== undefined) await checkOutputFile(handle, "--handle");
    const tags = tag === undefined ? undefined : tagsOf(tag);
    await withClient(await clientOptions(flags), async (client) => {
      const job = await client.submit(body, {
        signal,
        ...(path !== undefined && { path }),
        ...(tags !== undefined && { tags }),
        ...(priority !== undefined && { priority }),
      });
      await keepHandle(job, handle, terminal);
    });
  });

  const status = subcommand("status", "Prints the state of a job: waiting, running or done.")
    .argument("<handle>", HANDLE_HELP)
    .option("-f, --follow", "prints each change of the state until the job is done");
  status.action((handle: string, flags: ConnectionOptions & { follow?: boolean }) =>
    withJob(handle, flags, terminal, async (job) => {
      for await (const state of job.status({ signal })) {
        await terminal.result(state, () => stateText(state));
        if (flags.follow !== true) break;
      }
    }),
  );

  const result = subcommand("result", "Waits for the result of a job, prints it and deletes it from the service.")
    .argument("<handle>", HANDLE_HELP)
    .option("-w, --wait <duration>", "maximum time to wait (default: no limit)", duration)
    .option("-o, --output <file>", "writes the result to a file");
  addExamples(result, [
    ["Wait for a result", "eas-prediction job result @job.json --wait 10m --output cat.json"],
    ["Submit a job and wait", "eas-prediction job submit @in.json -s txt2img | eas-prediction job result -"],
  ]);
  result.action((handle: string, flags: ResultFlags) =>
    withJob(handle, flags, terminal, async (job) => {
      const { wait, output } = flags;
      if (output !== undefined) await checkOutputFile(output);
      const progress = terminal.progress("waiting for the result");
      try {
        const frame = await job.result({
          signal,
          onStatus: (state) => progress.update(stateText(state)),
          ...(wait !== undefined && { timeout: wait }),
        });
        progress.stop();
        await printResult(frame, output, terminal);
      } finally {
        progress.stop();
      }
    }),
  );

  const discard = subcommand("discard", "Deletes a job and its result. Does not stop a job that is running.");
  discard.argument("<handle>", HANDLE_HELP);
  discard.action((handle: string, flags: ConnectionOptions) =>
    withJob(handle, flags, terminal, (job) => job.discard()),
  );
}

async function withClient(
  options: AsyncInferenceClientOptions,
  use: (client: AsyncInferenceClient) => Promise<void>,
): Promise<void> {
  const client = new AsyncInferenceClient(options);
  try {
    await use(client);
  } finally {
    await client.close();
  }
}

/** Resumes the job of a handle. The service in the handle is the default of `--service`. */
async function withJob(
  argument: string,
  flags: ConnectionOptions,
  { stdin }: Terminal,
  use: (job: InferenceJob) => Promise<void>,
): Promise<void> {
  const handle = parseHandle(new TextDecoder().decode(await readInput(argument, stdin)));
  const options = await clientOptions(flags);
  const serviceName = options.serviceName ?? handle.service;
  await withClient({ ...options, ...(serviceName !== undefined && { serviceName }) }, (client) =>
    use(client.resume(handle)),
  );
}

/** Throws a usage error if a text is not the handle of a job. */
function parseHandle(text: string): InferenceJobJson {
  let handle: unknown;
  try {
    handle = JSON.parse(text);
  } catch {}
  if (typeof handle === "object" && handle !== null && "tag" in handle && "index" in handle) {
    return handle as InferenceJobJson;
  }
  throw usageError("the handle is not the output of job submit: pass its JSON, @file, or - for standard input");
}

/** Prints the handle, or writes it to a file. The handle is printed if it cannot be written, so that the job is not lost. */
async function keepHandle(job: InferenceJob, file: string | undefined, terminal: Terminal): Promise<void> {
  if (file === undefined) {
    await terminal.printJson(job);
    return;
  }
  try {
    await writeFile(file, `${JSON.stringify(job)}\n`);
  } catch (cause) {
    await terminal.printJson(job);
    throw new CommandError(`--handle ${file} cannot be written: ${(cause as Error).message}`, undefined, { cause });
  }
}

function stateText(state: JobStatus): string {
  if (state.state !== "waiting") return state.state;
  return `waiting, ${state.ahead} ${state.ahead === 1 ? "job" : "jobs"} ahead`;
}

/** Prints a result. A result that cannot be written to its file is printed, because the service has deleted it. */
async function printResult(frame: DataFrame, output: string | undefined, terminal: Terminal): Promise<void> {
  const { tags, data } = frame;
  if (output !== undefined) {
    try {
      await writeOutputFile(output, data);
      return;
    } catch (error) {
      await terminal.printJson(frame.toJSON());
      throw error;
    }
  }
  const text = textOf(data);
  const isTerminal = terminal.stdout.isTTY === true;
  if (terminal.json) await terminal.printJson(text === undefined ? frame.toJSON() : { tags, text });
  else if (text !== undefined) await terminal.print(isTerminal ? printable(text) : text);
  // A terminal cannot show bytes, and the service has deleted the result.
  else if (isTerminal) await terminal.printJson(frame.toJSON());
  else await terminal.write(data);
}
