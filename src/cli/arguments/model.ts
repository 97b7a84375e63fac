import type { PredictClient } from "eas-prediction";
import { CommandError } from "../exit-codes.js";

/** Returns the name of the first model that the service lists. Throws if it lists none. */
export async function firstModel(client: PredictClient, signal: AbortSignal): Promise<string> {
  const { data } = await client.json<{ data?: readonly { id?: unknown }[] }>(null, { path: "/v1/models", signal });
  const id = data?.[0]?.id;
  if (typeof id === "string") return id;
  throw new CommandError("the service lists no model under /v1/models: name one with --model");
}
