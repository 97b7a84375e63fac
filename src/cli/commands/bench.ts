import { writeFile } from "node:fs/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type CallOptions, type Method, PredictClient, type PredictClientOptions } from "eas-prediction";
import { addConnectionOptions, type ConnectionOptions, clientOptions } from "../arguments/connection.js";
import { INPUT_HELP, readInput } from "../arguments/input.js";
import { firstModel } from "../arguments/model.js";
import { duration, integer } from "../arguments/numbers.js";
import { type ArrivalKind, arrivalTimes, randomFrom } from "../bench/arrivals.js";
import { htmlReport } from "../bench/html-report.js";
import { type LoadClock, type LoadResult, runLoad, type Sample } from "../bench/load.js";
import { jsonReport, reportOf } from "../bench/report.js";
import { textReport } from "../bench/text-report.js";
import { addExamples, addJsonOption, type CommandContext } from "../command.js";
import { usageError } from "../exit-codes.js";
import type { Terminal } from "../terminal.js";

/** Maximum number of requests in flight in an open loop. Further requests are counted as not sent. */
const MAX_IN_FLIGHT = 2_000;
const MAX_RATE = 20_000;
const MAX_DURATION_MS = 3_600_000;
const MAX_REQUESTS = 10_000_000;

interface BenchFlags extends ConnectionOptions {
  readonly rate?: number;
  readonly arrivals: ArrivalKind;
  readonly concurrency?: number;
  readonly duration: number;
  readonly requests: number;
  readonly warmUp: number;
  readonly data?: string;
  readonly path?: string;
  readonly method?: string;
  readonly contentType?: string;
  readonly chat?: string;
  readonly model?: string;
  readonly maxTokens: number;
  readonly html?: string;
  readonly targetP99?: number;
  readonly targetRate?: number;
  readonly perInstance: number;
  readonly seed: number;
  readonly yes?: boolean;
}

/** Adds the `bench` command. */
export function addBenchCommand(program: Command, context: CommandContext): void {
  const command = program.command("bench").summary("measure the latency of a service under load");
  command.description(
    "Sends requests at a given rate, or with a given number in flight, and measures the latency. With a rate, latency is measured from each request's scheduled start, so that a stalled service cannot hide its own delay.",
  );
  addConnectionOptions(command, "service");
  command
    .addOption(new Option("-r, --rate <number>", "requests per second").argParser(rate).conflicts("concurrency"))
    .addOption(
      new Option("--arrivals <kind>", "intervals between requests: random, as with many callers, or all equal")
        .choices(["poisson", "constant"])
        .default("poisson"),
    )
    .option("-c, --concurrency <count>", "number of requests in flight, instead of a rate", integer(1, MAX_IN_FLIGHT))
    .option("--duration <duration>", "maximum duration of the measurement, at most 1h", duration, 10_000)
    .option("-n, --requests <count>", "maximum number of measured requests", integer(1, MAX_REQUESTS), 100_000)
    .option("--warm-up <duration>", "warm-up time that is not measured; 0s for none", durationOrZero, 1_000)
    .option("-d, --data <data>", `body of each request: ${INPUT_HELP}`)
    .option("--path <path>", "path within the service")
    .option("--method <method>", "HTTP method")
    .option("--content-type <type>", "content type of the body")
    .addOption(new Option("--chat <prompt>", "stream chats from /v1/chat/completions").conflicts(["data", "method"]))
    .option("--model <name>", "model for the chats (default: the first one in /v1/models)")
    .option("--max-tokens <count>", "maximum number of tokens per chat", integer(1, 1_000_000), 128)
    .option("--html <file>", "also write the report as an HTML page")
    .option("--target-p99 <duration>", "estimate how many instances this p99 latency needs", duration)
    .option("--target-rate <number>", "requests per second for --target-p99 (default: --rate)", rate)
    .option("--per-instance <count>", "number of requests that an instance handles at a time", integer(1, 10_000), 1)
    .option("--seed <number>", "seed for the random arrivals", integer(0, 4_294_967_295), 1)
    .option("--yes", "confirm that you may put load on the service; required unless it runs on this machine");
  addJsonOption(command);
  addExamples(command, [
    ["Send 50 requests per second", "eas-prediction bench -s echo -d hello --rate 50"],
    [
      "Run 20 chats at a time and write an HTML report",
      "eas-prediction bench -s llm --chat hello -c 20 --html report.html",
    ],
    ["Number of instances", "eas-prediction bench -s echo -d hi --rate 5 --target-p99 200ms --target-rate 500"],
  ]);
  command.action((flags: BenchFlags) => run(flags, context, program.version() ?? ""));
}

async function run(flags: BenchFlags, { terminal, signal }: CommandContext, version: string): Promise<void> {
  checkFlags(flags);
  const client = await clientOf(flags);
  // Fails before the load test if the file cannot be written.
  if (flags.html !== undefined) await writeReport(flags.html, "");
  const progress = terminal.progress("connecting");
  try {
    const send = await senderOf(client, flags, terminal, signal);
    // A wrong address or token fails here, once and with its own message, instead of in every request.
    await send(signal);
    const result = await runLoad({
      send,
      arrivals: flags.rate === undefined ? undefined : arrivalTimes(flags.arrivals, flags.rate, randomFrom(flags.seed)),
      concurrency: flags.concurrency ?? (flags.rate === undefined ? 1 : MAX_IN_FLIGHT),
      requests: flags.requests,
      duration: flags.duration,
      warmUp: flags.warmUp,
      clock: REAL_CLOCK,
      signal,
      onProgress: (result) => progress.update(progressText(result)),
    });
    progress.stop();
    await finish(result, flags, terminal, version, client);
  } finally {
    progress.stop();
    await client.close({ force: true });
  }
  signal.throwIfAborted();
}

async function finish(
  result: LoadResult,
  flags: BenchFlags,
  terminal: Terminal,
  version: string,
  client: PredictClient,
): Promise<void> {
  const { rate, targetP99, targetRate = rate, perInstance } = flags;
  const report = reportOf(result, {
    target: String(client),
    load:
      rate === undefined
        ? `${flags.concurrency ?? 1} requests in flight`
        : `${rate} requests per second (${flags.arrivals} arrivals)`,
    capacityTarget:
      targetP99 === undefined || targetRate === undefined
        ? undefined
        : { p99: targetP99, rate: targetRate, perInstance },
  });
  await terminal.result(jsonReport(report), () => textReport(report, terminal));
  if (flags.html !== undefined) await writeReport(flags.html, htmlReport(report, { version, date: new Date() }));
}

function checkFlags({ rate, duration, targetP99, targetRate, method, data, chat }: BenchFlags): void {
  if (duration > MAX_DURATION_MS) throw usageError("--duration is more than 1h: a load test may take at most 1h");
  if (targetP99 !== undefined && targetRate === undefined && rate === undefined) {
    throw usageError("--target-p99 needs the rate to plan for: add --target-rate <number>");
  }
  if (chat === undefined && data === undefined && method !== "GET") {
    throw usageError("there is nothing to send: add --data <data>, --chat <prompt> or --method GET");
  }
}

async function clientOf(flags: BenchFlags): Promise<PredictClient> {
  const options: PredictClientOptions = {
    ...(await clientOptions(flags)),
    // A retry would hide an error, and its delay would look like latency.
    retryCount: 0,
    maxConnectionCount: flags.concurrency ?? MAX_IN_FLIGHT,
  };
  const client = new PredictClient(options);
  const host = hostOf(client);
  if (flags.yes === true || isLoopback(host)) return client;
  await client.close();
  throw usageError(`${host} is not on this machine: add --yes to confirm that you may put load on it`);
}

function hostOf(client: PredictClient): string {
  return new URL(client.openai().baseURL).hostname;
}

function isLoopback(hostname: string): boolean {
  return /^(localhost|.*\.localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(hostname);
}

/** Returns the function that sends one request. */
async function senderOf(
  client: PredictClient,
  flags: BenchFlags,
  { stdin }: Terminal,
  signal: AbortSignal,
): Promise<(signal: AbortSignal) => Promise<Sample>> {
  const call: CallOptions = {
    ...(flags.path !== undefined && { path: flags.path }),
    ...(flags.method !== undefined && { method: flags.method as Method }),
    ...(flags.contentType !== undefined && { contentType: flags.contentType }),
  };
  if (flags.chat !== undefined) {
    const model = flags.model ?? (await firstModel(client, signal));
    return chatSender(client, { ...flags, model }, { path: "/v1/chat/completions", ...call });
  }
  const body = flags.data === undefined ? null : await readInput(flags.data, stdin);
  return async (signal) => {
    await client.predict(body, { ...call, signal });
    return {};
  };
}

function chatSender(client: PredictClient, { chat, model, maxTokens }: BenchFlags, call: CallOptions) {
  const request = {
    model,
    messages: [{ role: "user", content: chat as string }],
    max_tokens: maxTokens,
    stream: true,
    stream_options: { include_usage: true },
  };
  return async (signal: AbortSignal): Promise<Sample> => {
    const start = performance.now();
    let firstToken: number | undefined;
    let parts = 0;
    const stream = (await client.stream(request, { ...call, signal })).chat();
    for await (const { type } of stream) {
      if (type !== "text" && type !== "reasoning") continue;
      parts++;
      firstToken ??= performance.now() - start;
    }
    const tokens = stream.completion.usage?.completion_tokens ?? parts;
    return firstToken === undefined ? { tokens } : { firstToken, tokens };
  };
}

const REAL_CLOCK: LoadClock = {
  now: () => performance.now(),
  until(time, signal) {
    const wait = time - performance.now();
    if (wait <= 0 || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, wait);
      signal.addEventListener("abort", end);
    });
  },
};

function progressText({ latency, errors }: LoadResult): string {
  const failed = [...errors.values()].reduce((sum, count) => sum + count, 0);
  return `${latency.count} completed, ${failed} failed, p99 ${latency.percentile(99).toFixed(0)} ms`;
}

async function writeReport(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text);
  } catch (cause) {
    throw usageError(`--html ${file} cannot be written: ${(cause as Error).message}`, { cause });
  }
}

function rate(text: string): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (value > 0 && value <= MAX_RATE) return value;
  throw new InvalidArgumentError(`It must be a number above 0 and at most ${MAX_RATE}.`);
}

function durationOrZero(text: string): number {
  return /^0+(ms|s|m|h)?$/.test(text) ? 0 : duration(text);
}
