import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { type Command, Option } from "commander";
import { type CallOptions, PredictClient, type PredictClientOptions, type PredictResult } from "eas-prediction";
import { type BodyFlags, isJson, readBody, textOf } from "../arguments/body.js";
import { addConnectionOptions, type ConnectionOptions, clientOptions } from "../arguments/connection.js";
import { INPUT_HELP } from "../arguments/input.js";
import { collect, fraction, fractions } from "../arguments/numbers.js";
import { checkOutputFile, writeOutputFile } from "../arguments/output.js";
import { addExamples, addJsonOption, type CommandContext } from "../command.js";
import { CommandError, usageError } from "../exit-codes.js";
import { printable } from "../printable.js";
import {
  createTensorCall,
  type Output,
  TENSOR_FORMATS,
  type TensorFormat,
  type TensorJson,
} from "../tensors/formats.js";
import type { ImageFlags } from "../tensors/image.js";
import { isNpy, writeNpy } from "../tensors/npy.js";
import { outputTable } from "../tensors/output-table.js";
import { readTensor, TENSOR_HELP } from "../tensors/tensor-spec.js";
import type { Terminal } from "../terminal.js";

interface PredictFlags extends ConnectionOptions, BodyFlags, ImageFlags {
  readonly tensor?: readonly string[];
  readonly format: TensorFormat;
  readonly signature?: string;
  readonly fetch?: readonly string[];
  readonly select?: string;
  readonly path?: string;
  readonly method?: NonNullable<CallOptions["method"]>;
  readonly stream?: boolean;
  readonly output?: string;
}

/** Adds the command `predict`, which sends one request to a service. */
export function addPredictCommand(program: Command, context: CommandContext): void {
  const command = program
    .command("predict")
    .summary("send one request to a service")
    .description("Sends text, JSON, a file or tensors to a service and prints the response.")
    .argument("[input]", INPUT_HELP);
  addConnectionOptions(command, "service");
  command
    .option("--path <path>", "path within the service, such as /v1/embeddings")
    .addOption(new Option("--method <method>", "HTTP method").choices(["GET", "POST", "PUT", "PATCH", "DELETE"]))
    .option("--json-body", "sends the input as JSON, and refuses other input")
    .option("--content-type <type>", "content type of the input")
    .option("--stream", "prints the response while it arrives; with --json, one line for each event")
    .option("-o, --output <file>", "writes the response to a file; tensors to .npy or .json")
    .optionsGroup("Tensors:")
    .option("-t, --tensor <input>", `${TENSOR_HELP}; can be repeated`, collect)
    .addOption(new Option("--format <format>", "format of the request").choices([...TENSOR_FORMATS]).default("tf"))
    .option("--signature <name>", "signature of the model")
    .option("--fetch <output>", "output to request; can be repeated", collect)
    .option("--select <output>", "output to print or to write")
    .optionsGroup("Images:")
    .option("--scale <number>", "factor for the values 0 to 255, such as 16/255 (default: 1/255)", fraction)
    .option("--mean <numbers>", "number to subtract, or one for each channel", fractions)
    .option("--std <numbers>", "divisor, or one for each channel", fractions)
    .addOption(new Option("--layout <layout>", "order of the dimensions").choices(["NCHW", "NHWC"]))
    .addOption(new Option("--color <order>", "order of the channels").choices(["RGB", "BGR"]))
    .addOption(new Option("--fit <method>", "resizes images to the shape").choices(["fill", "cover", "contain"]))
    .optionsGroup("Options:");
  addJsonOption(command);
  addExamples(command, [
    ["Send JSON", `eas-prediction predict '[{"age":35}]' --service scorecard`],
    ["Send a file", "eas-prediction predict @photo.jpg --service detector --output boxes.json"],
    ["List the models of a service", "eas-prediction predict --method GET --path /v1/models --service llm"],
    [
      "Classify an image",
      "eas-prediction predict --service digits --tensor images=@digit.png:1,64:DT_FLOAT --scale 16/255",
    ],
    [
      "Send and receive NumPy arrays",
      "eas-prediction predict --service model --format torch -t 0=@input.npy --select 0 -o output.npy",
    ],
  ]);
  command.action((input: string | undefined, flags: PredictFlags) => run(input, flags, context));
}

async function run(input: string | undefined, flags: PredictFlags, context: CommandContext): Promise<void> {
  checkFlags(input, flags);
  if (flags.output !== undefined) await checkOutputFile(flags.output);
  const client = new PredictClient((await clientOptions(flags)) as PredictClientOptions);
  try {
    if (flags.tensor !== undefined) await predictTensors(client, flags, context);
    else await predictBody(client, input, flags, context);
  } finally {
    await client.close({ force: true });
  }
}

/** Throws a usage error for options that contradict each other. */
function checkFlags(input: string | undefined, flags: PredictFlags): void {
  const { tensor, method, stream, output = "" } = flags;
  if (tensor !== undefined) {
    if (input !== undefined) throw usageError("--tensor cannot be combined with an input: choose one of them");
    if (stream === true) throw usageError("--stream cannot be combined with --tensor: tensors arrive as a whole");
    if (output !== "" && !/\.(npy|json)$/i.test(output)) {
      throw usageError(`--output ${output}: tensors can be written to a .npy or a .json file`);
    }
    return;
  }
  for (const name of ["signature", "fetch", "select"] as const) {
    if (flags[name] !== undefined) throw usageError(`--${name} needs --tensor`);
  }
  if (input === undefined && (method === undefined || method === "POST")) {
    throw usageError(
      "the input is missing: pass text, @file, - for standard input, or --tensor. For a request without a body, add --method GET",
    );
  }
}

function callOptions({ path, method, timeout }: PredictFlags, signal: AbortSignal): CallOptions {
  // Language models take longer than the default timeout.
  const isLong = timeout === undefined && /^\/?v1\//.test(path ?? "");
  return {
    signal,
    ...(path !== undefined && { path }),
    ...(method !== undefined && { method }),
    ...(isLong && { preset: "long-running" }),
  };
}

async function predictTensors(
  client: PredictClient,
  flags: PredictFlags,
  { terminal, signal }: CommandContext,
): Promise<void> {
  const { format, signature, fetch = [], select, output } = flags;
  const inputs = await Promise.all((flags.tensor ?? []).map((argument) => readTensor(argument, flags)));
  const call = createTensorCall(format, { signature, inputs, fetches: fetch });
  const { response, ...details } = await withProgress(
    terminal,
    client.predictDetailed(call.request, callOptions(flags, signal)),
  );
  const all = call.outputs(response);
  const outputs = select === undefined ? all : [outputNamed(all, select)];
  if (output === undefined || terminal.json) {
    const shown = jsonOf(response, select);
    await terminal.result({ ...summary(details), outputs: shown }, () => outputTable(terminal, outputs));
  }
  if (output === undefined) return;
  if (/\.json$/i.test(output)) await writeOutputFile(output, `${JSON.stringify(jsonOf(response, select))}\n`);
  else await writeOutputFile(output, npyOf(outputs));
}

function outputNamed(outputs: readonly Output[], name: string): Output {
  const output = outputs.find((output) => output.name === name);
  if (output !== undefined) return output;
  throw new CommandError(`--select ${name}: the response has no such output. Its outputs are ${namesOf(outputs)}`);
}

function namesOf(outputs: readonly Output[]): string {
  return outputs.map(({ name }) => printable(name)).join(", ");
}

function npyOf(outputs: readonly Output[]): Uint8Array {
  const [output] = outputs;
  if (output === undefined) throw new CommandError("the response has no outputs, so nothing was written");
  if (outputs.length > 1) {
    throw new CommandError(
      `a .npy file contains one output, and the response has several: choose one with --select: ${namesOf(outputs)}`,
    );
  }
  return writeNpy(output.tensor, output.name);
}

function jsonOf(response: TensorJson, select: string | undefined): Record<string, unknown> {
  const outputs = response.toJSON();
  return select === undefined ? outputs : { [select]: outputs[select] };
}

async function predictBody(
  client: PredictClient,
  input: string | undefined,
  flags: PredictFlags,
  { terminal, signal }: CommandContext,
): Promise<void> {
  const body = input === undefined ? undefined : await readBody(input, terminal.stdin, flags);
  const contentType = body?.contentType ?? flags.contentType;
  const options: CallOptions = { ...callOptions(flags, signal), ...(contentType !== undefined && { contentType }) };
  if (flags.stream === true) {
    await printStream(client, body?.bytes ?? null, options, flags, terminal);
    return;
  }
  const result = await withProgress(terminal, call(client, body?.bytes, options));
  await printBody(result, flags, terminal);
}

/** Sends a request and returns its response as bytes. */
async function call(
  client: PredictClient,
  body: Uint8Array | undefined,
  options: CallOptions,
): Promise<PredictResult<Uint8Array>> {
  if (body !== undefined) return client.predictDetailed(body, options);
  const result = await client.predictDetailed(null, options);
  return { ...result, response: result.response.bytes };
}

async function printBody(
  { response: bytes, ...details }: PredictResult<Uint8Array>,
  { output }: PredictFlags,
  terminal: Terminal,
): Promise<void> {
  if (output !== undefined) {
    if (/\.npy$/i.test(output) && !isNpy(bytes)) {
      throw new CommandError(`--output ${output}: the response is not a .npy file, so nothing was written`);
    }
    await writeOutputFile(output, bytes);
    if (!terminal.json) return;
  }
  const text = textOf(bytes);
  if (terminal.json) await terminal.print(bodyJson(summary(details), bytes, text, output));
  else if (text !== undefined) await terminal.print(shownText(text, terminal));
  else if (terminal.stdout.isTTY !== true) await terminal.write(bytes);
  else throw binaryError(bytes.length, details.headers);
}

/** Returns the text of a response without its last line break. In a terminal, control characters are removed. */
function shownText(text: string, { stdout }: Terminal): string {
  const line = text.replace(/\n$/, "");
  return stdout.isTTY === true ? printable(line) : line;
}

function binaryError(length: number, headers: Headers): CommandError {
  const type = headers.get("content-type") ?? "an unknown type";
  return new CommandError(
    `the response has ${length} bytes of ${printable(type)}, which a terminal cannot show: write it to a file with --output`,
  );
}

/** Returns a response as one line of JSON. A JSON body is inserted as text, so that large integers keep all digits. */
function bodyJson(details: object, bytes: Uint8Array, text: string | undefined, output: string | undefined): string {
  if (output !== undefined) return JSON.stringify({ ...details, bytes: bytes.length, output });
  if (text === undefined) return JSON.stringify({ ...details, base64: Buffer.from(bytes).toString("base64") });
  if (!isJson(text)) return JSON.stringify({ ...details, text });
  return `${JSON.stringify(details).slice(0, -1)},"json":${text.trim().replace(/[\r\n]+\s*/g, " ")}}`;
}

function summary({ status, headers, attempts, elapsed }: Omit<PredictResult<unknown>, "response">): object {
  const contentType = headers.get("content-type") ?? undefined;
  return { status, attempts, elapsed: Math.round(elapsed), contentType };
}

/** Prints or writes a response while it arrives. */
async function printStream(
  client: PredictClient,
  body: Uint8Array | null,
  options: CallOptions,
  { output }: PredictFlags,
  terminal: Terminal,
): Promise<void> {
  const { method, ...rest } = options;
  const stream = await withProgress(
    terminal,
    client.stream(body, { ...rest, ...(method !== undefined && { method }) }),
  );
  const isEvents = /^text\/event-stream\b/i.test(stream.headers.get("content-type") ?? "");
  if (output !== undefined) {
    await pipeline(stream, createWriteStream(output));
  } else if (terminal.json && isEvents) {
    for await (const { event, data } of stream.events()) await terminal.printJson({ event, data });
  } else if (terminal.json) {
    for await (const line of stream.lines()) await terminal.printJson({ text: line });
  } else if (terminal.stdout.isTTY === true) {
    const decoder = new TextDecoder();
    for await (const chunk of stream) await terminal.write(printable(decoder.decode(chunk, { stream: true })));
  } else {
    for await (const chunk of stream) await terminal.write(chunk);
  }
}

/** Shows progress until the promise settles. */
async function withProgress<T>(terminal: Terminal, promise: Promise<T>): Promise<T> {
  const progress = terminal.progress("waiting for the service");
  try {
    return await promise;
  } finally {
    progress.stop();
  }
}
