import type { PredictClient } from "eas-prediction";
import type { CheckResult } from "./result.js";

/** Facts about the environment in which the checks ran. */
export interface Environment {
  readonly version: string;
  /** Name and version of the runtime, such as `Node 22.1.0`. */
  readonly runtime: string;
  /** Operating system and processor, such as `linux x64`. */
  readonly system: string;
  readonly time: Date;
}

/** Returns the environment of this process. */
export function environmentOf(version: string): Environment {
  const { bun, deno, node } = process.versions as Record<string, string | undefined>;
  const runtime = bun ? `Bun ${bun}` : deno ? `Deno ${deno}` : `Node ${node}`;
  return { version, runtime, system: `${process.platform} ${process.arch}`, time: new Date() };
}

/** Returns the text for a support ticket. It contains neither the token nor any body. */
export function ticketOf(
  address: string,
  results: readonly CheckResult[],
  { version, runtime, system, time }: Environment,
  client: PredictClient | undefined,
): string {
  const lines = results.flatMap(({ id, severity, seen, fix }) => [
    `- ${severity} ${id}: ${seen}`,
    ...(fix === undefined ? [] : [`  fix: ${fix}`]),
  ]);
  const calls = reportOf(client);
  return [
    `eas-prediction ${version}, ${runtime}, ${system}`,
    `time: ${time.toISOString()}`,
    `service: ${address}`,
    "",
    "Checks:",
    ...lines,
    ...(calls === undefined ? [] : ["", "Calls:", calls]),
  ].join("\n");
}

/** Returns the client's own report of its last calls, if this version of the client has one. */
function reportOf(client: PredictClient | undefined): string | undefined {
  const { report } = (client ?? {}) as { report?: () => string };
  return report?.call(client);
}
