import { type Command, InvalidArgumentError, Option } from "commander";
import { addConnectionOptions, type ConnectionOptions, clientOptions } from "../arguments/connection.js";
import { INPUT_HELP, readInput } from "../arguments/input.js";
import { firstModel } from "../arguments/model.js";
import { integer } from "../arguments/numbers.js";
import { addExamples, addJsonOption, type CommandContext } from "../command.js";
import { invalidOptions } from "../doctor/address.js";
import type { Sample } from "../doctor/bodies.js";
import { type ExtraChecks, examine } from "../doctor/examine.js";
import { renderResults, summaryOf } from "../doctor/render.js";
import { environmentOf, ticketOf } from "../doctor/report.js";
import { type CheckResult, printable } from "../doctor/result.js";
import { parseUrl } from "../doctor/steps.js";
import type { StreamSample } from "../doctor/stream.js";
import { type Subject, subjectOf } from "../doctor/subject.js";
import { CommandError, EXIT_CODES } from "../exit-codes.js";
import type { Terminal } from "../terminal.js";

const DEFAULT_TIMEOUT_MS = 10_000;
const CHAT_PATH = "/v1/chat/completions";
/** Maximum value of `--body-limit`, in megabytes. Each body is held in memory. */
const MAX_BODY_LIMIT = 256;

interface DoctorFlags extends ConnectionOptions {
  readonly path: string;
  readonly data?: string;
  readonly contentType?: string;
  readonly origin?: string;
  readonly stream?: string | true;
  readonly model?: string;
  readonly bodyLimit?: number;
  readonly report?: boolean;
}

/** Adds the command `doctor`. */
export function addDoctorCommand(program: Command, context: CommandContext): void {
  const command = program.command("doctor").summary("find out why a service cannot be called");
  command.description(
    "Checks the address, DNS, TCP, TLS, the proxy, the token and the clock, and prints a fix for each finding. By default it sends only GET requests without a body. Exits with 3 if it finds a problem.",
  );
  addConnectionOptions(command, "service");
  command
    .option("--origin <origin>", "also check CORS, as for a page of this origin", originOf)
    .option("-d, --data <data>", `also send this body and check its content type: ${INPUT_HELP}`)
    .option("--content-type <type>", "content type of the body")
    .option("--path <path>", "path within the service for --data and --body-limit", pathOf, "")
    .option("--stream [path]", `also check that a stream is not buffered (default path: ${CHAT_PATH})`, pathOf)
    .option("--model <name>", "model of the stream (default: the first one of /v1/models)")
    .option("--body-limit <megabytes>", "also send bodies of up to this size", integer(1, MAX_BODY_LIMIT))
    .addOption(new Option("--report", "print a text for a support ticket, without the token").conflicts("json"));
  addJsonOption(command);
  addExamples(command, [
    ["Check a service", "eas-prediction doctor -s my_service -e https://1234567890.cn-hangzhou.pai-eas.aliyuncs.com"],
    ["Check whether a page can call it", "eas-prediction doctor -s my_service --origin https://app.example.com"],
    ["Check streams of an LLM", "eas-prediction doctor -s llm --stream"],
  ]);
  command.action((flags: DoctorFlags) => run(flags, context, program.version() ?? ""));
}

async function run(flags: DoctorFlags, { terminal, signal }: CommandContext, version: string): Promise<void> {
  const { timeout = DEFAULT_TIMEOUT_MS } = flags;
  const options = await clientOptions(flags);
  const sample = await sampleOf(flags, terminal);
  let subject: Subject;
  try {
    subject = await subjectOf({ options, timeout, env: terminal.env, signal });
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
    const result = printable(invalidOptions(error), options.token);
    return finish([result], flags, terminal, ticketOf("unknown", [result], environmentOf(version), undefined));
  }
  const progress = terminal.progress("checking the address");
  try {
    const extra: ExtraChecks = {
      path: flags.path,
      origin: flags.origin,
      sample,
      bodyLimit: flags.bodyLimit,
      stream: flags.stream === undefined ? undefined : () => streamSampleOf(flags, subject, sample),
    };
    const results = await examine(subject, extra, (step) => progress.update(step));
    progress.stop();
    const ticket = ticketOf(subject.url.href, results, environmentOf(version), subject.client);
    await finish(results, flags, terminal, ticket);
  } finally {
    progress.stop();
    await subject.client.close({ force: true });
  }
}

async function finish(
  results: readonly CheckResult[],
  { report }: DoctorFlags,
  terminal: Terminal,
  ticket: string,
): Promise<void> {
  if (report === true) await terminal.print(ticket);
  else await terminal.result({ results }, () => renderResults(results, terminal));
  if (results.some(({ severity }) => severity === "problem")) {
    throw new CommandError(summaryOf(results), EXIT_CODES.finding);
  }
}

async function sampleOf({ data, contentType, path }: DoctorFlags, { stdin }: Terminal): Promise<Sample | undefined> {
  return data === undefined ? undefined : { data: await readInput(data, stdin), contentType, path };
}

/** Returns the request for the check of streams: the data, or a chat with the first model. */
async function streamSampleOf(
  { stream, model }: DoctorFlags,
  { client, signal }: Subject,
  sample: Sample | undefined,
): Promise<StreamSample> {
  const path = typeof stream === "string" ? stream : CHAT_PATH;
  if (sample !== undefined) return { path, body: new TextDecoder().decode(sample.data) };
  const request = {
    model: model ?? (await firstModel(client, signal)),
    messages: [{ role: "user", content: "Count from 1 to 50." }],
    max_tokens: 128,
    stream: true,
  };
  return { path, body: JSON.stringify(request) };
}

function pathOf(text: string): string {
  if (text === "" || text.startsWith("/")) return text;
  throw new InvalidArgumentError('It must begin with "/".');
}

function originOf(text: string): string {
  const url = parseUrl(text);
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.origin === text.replace(/\/$/, "")) return url.origin;
  throw new InvalidArgumentError("It must be an origin, such as https://app.example.com.");
}
