import { type KnownResponse, knownResponse } from "../../call/failures/known-responses.js";
import type { NotReadyReason } from "../../config/options.js";
import { EasHttpError } from "../../errors.js";

/** Statuses that models return for a GET or a request without a body. */
const REFUSALS_OF_A_MODEL: readonly number[] = [400, 405, 411, 415, 422];

function knownOf(error: unknown): KnownResponse | undefined {
  return error instanceof EasHttpError ? knownResponse(error.status, error.text.trim()) : undefined;
}

/**
 * Returns the reason why a service is not ready; undefined for other errors. See `pai/predictor.py` in
 * pai-python-sdk.
 */
export function notReadyReason(error: unknown): NotReadyReason | undefined {
  return knownOf(error)?.notReady;
}

/**
 * Returns whether the LLM gateway itself refused a GET. Such an error says nothing about whether an engine is running.
 */
export function isOfGatewayOnly(error: unknown): boolean {
  return knownOf(error)?.isGatewayOnly === true;
}

/** Returns whether an error comes from a ready service that does not accept a GET without a body. */
export function isAnsweredByModel(error: unknown): boolean {
  if (!(error instanceof EasHttpError)) return false;
  const text = error.text.trim();
  // FastAPI sends this response for an unknown path, such as the root of vLLM.
  if (error.status === 404) return text === '{"detail":"Not Found"}';
  return REFUSALS_OF_A_MODEL.includes(error.status) && knownResponse(error.status, text) === undefined;
}
