import { readFile } from "node:fs/promises";
import { type Command, Option } from "commander";
import { usageError } from "../exit-codes.js";
import { collect, duration } from "./numbers.js";

/** Values of the options added by `addConnectionOptions`. */
export interface ConnectionOptions {
  readonly endpoint?: string;
  readonly service?: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly header?: readonly string[];
  readonly timeout?: number;
}

/** The option that names a command's target, for each kind of target. */
const SUBJECTS: Readonly<Record<"service" | "queue", readonly [flags: string, description: string]>> = {
  service: ["-s, --service <name>", "name of the service (default: EAS_SERVICE_NAME)"],
  queue: ["-q, --queue <name>", "name of the queue, such as my_queue or my_queue/sink"],
};

/** Adds the options for a service or queue: its name, its address and its token. */
export function addConnectionOptions(command: Command, subject: "service" | "queue"): Command {
  const [flags, description] = SUBJECTS[subject];
  return command
    .option(flags, description)
    .option("-e, --endpoint <address>", "address of the gateway or service (default: EAS_ENDPOINT)")
    .addOption(
      new Option(
        "--token <token>",
        "token of the service (default: EAS_TOKEN, which other users of the machine cannot see)",
      ).conflicts("tokenFile"),
    )
    .option("--token-file <file>", "file that contains the token")
    .option("-H, --header <name: value>", "header to send; can be repeated", collect)
    .option("--timeout <duration>", "timeout for each attempt, such as 30s", duration);
}

/**
 * Returns the client options for a command. Absent options are left out, so that the client reads the environment
 * variables. Throws a usage error if the token file cannot be read.
 */
export async function clientOptions(options: ConnectionOptions): Promise<{
  endpoint?: string;
  serviceName?: string;
  token?: string;
  headers?: [string, string][];
  timeout?: number;
}> {
  const token = options.tokenFile === undefined ? options.token : await tokenFrom(options.tokenFile);
  return {
    ...(options.endpoint !== undefined && { endpoint: options.endpoint }),
    ...(options.service !== undefined && { serviceName: options.service }),
    ...(token !== undefined && { token }),
    ...(options.header !== undefined && { headers: options.header.map(headerOf) }),
    ...(options.timeout !== undefined && { timeout: options.timeout }),
  };
}

async function tokenFrom(file: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    throw usageError(`--token-file ${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
  const token = text.trim();
  if (token === "") throw usageError(`--token-file ${file} is empty: it must contain the service's token`);
  return token;
}

function headerOf(line: string): [string, string] {
  const colon = line.indexOf(":");
  if (colon > 0) return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
  throw usageError(`--header ${JSON.stringify(line)} has no colon: write it as "Name: value"`);
}
