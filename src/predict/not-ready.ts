import { EasHttpError } from "../errors.js";
import type { NotReadyReason } from "../http/options.js";
import { NO_HEALTHY_UPSTREAM } from "../http/status-hint.js";

/** Statuses by which a model that was reached refuses a call without a body, or a GET. */
const REFUSALS_OF_A_MODEL: readonly number[] = [400, 405, 411, 415, 422];

/** What an error says of a service that is not ready (pai-python-sdk, `pai/predictor.py`); undefined when it is another one. */
export function notReadyReason(error: unknown): NotReadyReason | undefined {
  if (!(error instanceof EasHttpError) || (error.status !== 503 && error.status !== 404)) return undefined;
  const text = textOf(error);
  if (text === "") return error.status === 503 ? "empty 503" : "empty 404";
  return error.status === 503 && text.includes(NO_HEALTHY_UPSTREAM) ? "no healthy upstream" : undefined;
}

/** Whether an error is the answer of a service that is there, and only has nothing for a bare GET. */
export function isAnsweredByModel(error: unknown): boolean {
  if (!(error instanceof EasHttpError)) return false;
  // FastAPI's words for a path that it does not have, as of vLLM's root.
  return (
    REFUSALS_OF_A_MODEL.includes(error.status) || (error.status === 404 && textOf(error) === '{"detail":"Not Found"}')
  );
}

function textOf({ body }: EasHttpError): string {
  return new TextDecoder().decode(body).trim();
}
