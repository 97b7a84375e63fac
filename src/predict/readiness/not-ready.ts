import { type KnownResponse, knownResponse } from "../../call/failures/known-responses.js";
import type { NotReadyReason } from "../../config/options.js";
import { EasHttpError } from "../../errors.js";

/** Statuses by which a model that was reached refuses a call without a body, or a GET. */
const REFUSALS_OF_A_MODEL: readonly number[] = [400, 405, 411, 415, 422];

function knownOf(error: unknown): KnownResponse | undefined {
  return error instanceof EasHttpError ? knownResponse(error.status, error.text.trim()) : undefined;
}

/** Returns why a service is not ready, if the error says so; see pai-python-sdk, `pai/predictor.py`. */
export function notReadyReason(error: unknown): NotReadyReason | undefined {
  return knownOf(error)?.notReady;
}

/** Whether the LLM gateway refused a GET itself, so that the error does not tell whether an engine is there. */
export function isOfGatewayOnly(error: unknown): boolean {
  return knownOf(error)?.isGatewayOnly === true;
}

/** Whether an error is the response of a service that is ready but does not accept a GET without a body. */
export function isAnsweredByModel(error: unknown): boolean {
  if (!(error instanceof EasHttpError)) return false;
  const text = error.text.trim();
  // FastAPI's response for a path that it does not have, such as the root of vLLM.
  if (error.status === 404) return text === '{"detail":"Not Found"}';
  return REFUSALS_OF_A_MODEL.includes(error.status) && knownResponse(error.status, text) === undefined;
}
