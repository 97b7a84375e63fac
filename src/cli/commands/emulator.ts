import type { Command } from "commander";
import { type StartEmulatorOptions, scorecardSamples, startEmulator } from "eas-prediction/emulator";
import { collect, integer } from "../arguments/numbers.js";
import { addExamples, addJsonOption, type CommandContext } from "../command.js";
import { usageError } from "../exit-codes.js";
import { openInBrowser } from "../open-in-browser.js";

interface EmulatorFlags {
  readonly port: number;
  readonly token?: string;
  readonly queue?: readonly string[];
  readonly instances: number;
  readonly host?: readonly string[];
  readonly cors?: boolean;
  readonly console: boolean;
  readonly open?: boolean;
}

/** The emulator's services, with an example request for each. */
const DEMO_SERVICES: readonly { name: string; path: string; body: string; type: string }[] = [
  { name: "echo", path: "", body: "hello", type: "text/plain" },
  { name: "scorecard", path: "", body: JSON.stringify([scorecardSamples[0]?.features]), type: "application/json" },
  {
    name: "llm",
    path: "/v1/chat/completions",
    body: '{"model":"eas-ngram","messages":[{"role":"user","content":"hello"}]}',
    type: "application/json",
  },
];

/** Adds the `emulator` command, which serves a local EAS until it is interrupted. */
export function addEmulatorCommand(program: Command, context: CommandContext): void {
  const command = program
    .command("emulator")
    .summary("start a local EAS with small models")
    .description("Starts a local EAS gateway with small models and queues. Runs until you press Ctrl-C.")
    .option("-p, --port <port>", "port on the loopback interface; 0 chooses a free one", integer(0, 65_535), 0)
    .option("--token <token>", "token for all services and queues (default: a random one)")
    .option("-q, --queue <name>", "queue to create in addition to the queue named jobs", collect)
    .option("--instances <count>", "number of instances for direct connections", integer(0, 100), 0)
    .option("--host <name>", "host name to accept besides loopback names", collect)
    .option("--cors", "allow pages from other origins to call the services")
    .option("--open", "open the console in the browser")
    .option("--no-console", "do not serve the console");
  addJsonOption(command);
  addExamples(command, [
    ["Start it and open the console", "eas-prediction emulator --open"],
    ["Start it on a fixed port", "eas-prediction emulator --port 8501"],
    ["Start it and read its address from a script", "eas-prediction emulator --json | head -1"],
  ]);
  command.action((flags: EmulatorFlags) => run(flags, context));
}

async function run(flags: EmulatorFlags, { terminal, signal }: CommandContext): Promise<void> {
  if (flags.open === true && !flags.console) throw usageError("--open: needs the console. Remove --no-console.");
  const emulator = await start(flags);
  try {
    const { endpoint, token, consoleUrl } = emulator;
    const [names, queues] = [services(), queueNames(flags)];
    if (terminal.json) await terminal.printJson({ endpoint, token, console: consoleUrl, services: names, queues });
    else await terminal.print(banner({ endpoint, token, consoleUrl, flags, bold: terminal.colors.bold }));
    if (flags.open === true && consoleUrl !== undefined && !(await openInBrowser(consoleUrl, terminal.env))) {
      terminal.warn(`no browser could be started. Open ${consoleUrl}`);
    }
    await aborted(signal);
    terminal.note("stopping");
  } finally {
    await emulator.close();
  }
  throw signal.reason;
}

async function start(flags: EmulatorFlags) {
  const options: StartEmulatorOptions = {
    port: flags.port,
    instances: flags.instances,
    console: flags.console,
    queues: Object.fromEntries(queueNames(flags).map((name) => [name, {}])),
    ...(flags.token !== undefined && { token: flags.token }),
    ...(flags.host !== undefined && { hosts: flags.host }),
    ...(flags.cors !== undefined && { cors: flags.cors }),
  };
  try {
    return await startEmulator(options);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EADDRINUSE") throw cause;
    throw usageError(`--port ${flags.port} is in use: choose another port, or 0 for a free one`, { cause });
  }
}

function services(): string[] {
  return ["echo", "scorecard", "digits", "ranker", "llm"];
}

function queueNames({ queue = [] }: EmulatorFlags): string[] {
  return ["jobs", ...queue];
}

interface Banner {
  readonly endpoint: string;
  readonly token: string;
  readonly consoleUrl: string | undefined;
  readonly flags: EmulatorFlags;
  readonly bold: (text: string) => string;
}

function banner({ endpoint, token, consoleUrl, flags, bold }: Banner): string {
  const curl = DEMO_SERVICES.map(
    ({ name, path, body, type }) =>
      `  curl ${endpoint}/api/predict/${name}${path} -H 'Authorization: ${token}' -H 'Content-Type: ${type}' -d '${body}'`,
  );
  return [
    `${bold("Endpoint")}  ${endpoint}`,
    `${bold("Token")}     ${token}`,
    ...(consoleUrl === undefined ? [] : [`${bold("Console")}   ${consoleUrl}`]),
    `${bold("Services")}  ${services().join(", ")}`,
    `${bold("Queues")}    ${queueNames(flags).join(", ")}`,
    "",
    "For other terminals:",
    `  export EAS_ENDPOINT=${endpoint} EAS_TOKEN=${token}`,
    "",
    "Try it:",
    ...curl,
    "",
    "Press Ctrl-C to stop.",
  ].join("\n");
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
