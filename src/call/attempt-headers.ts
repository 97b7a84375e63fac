import type { HeaderPair } from "../platform/contract.js";
import { raceAbort } from "../util/timing/abort.js";
import { authorize, currentToken } from "./auth.js";
import type { CallPlan } from "./call-plan.js";

/** The headers of one attempt that is not signed, and the token in them. Rejects with the signal's reason when it fires. */
export async function attemptHeaders(
  plan: CallPlan,
  signal: AbortSignal | undefined,
): Promise<{ readonly headers: readonly HeaderPair[]; readonly token: string }> {
  signal?.throwIfAborted();
  const given = currentToken(plan.token);
  const token = typeof given === "string" || signal === undefined ? await given : await raceAbort(given, signal);
  signal?.throwIfAborted();
  if (token === "") return { headers: plan.headers, token };
  return { headers: [...plan.headers, ...(await authorize(plan, token, undefined))], token };
}
