import { isEasError } from "../errors.js";
import { isError } from "../util/realms.js";

const NAME = "AI_APICallError";
/** Symbols by which the AI SDK's `APICallError.isInstance` recognizes errors across copies of the SDK's packages. */
const MARKERS: readonly symbol[] = ["vercel.ai.error", `vercel.ai.error.${NAME}`].map((name) => Symbol.for(name));

/** Fields of the AI SDK's `APICallError`. */
export interface ApiCallFields {
  readonly url: string;
  readonly requestBodyValues: unknown;
  readonly statusCode?: number | undefined;
  readonly responseHeaders?: Readonly<Record<string, string>> | undefined;
  readonly responseBody?: string | undefined;
  readonly isRetryable: boolean;
  readonly cause?: unknown;
}

/**
 * Creates an error that the AI SDK's `APICallError.isInstance` accepts. Not an instance of the SDK's class, because
 * this package cannot import the SDK's package with strict package managers.
 */
export function apiCallError(message: string, fields: ApiCallFields): Error {
  const error = new Error(message);
  Object.defineProperty(error, "name", { value: NAME, configurable: true });
  for (const marker of MARKERS) Object.defineProperty(error, marker, { value: true });
  return Object.assign(error, fields);
}

/**
 * Improves an SDK error and returns it. If the cause is a client error, the client's message replaces the SDK's.
 * `isRetryable` is set according to what the status means on EAS.
 */
export function withEasDetails(error: unknown): unknown {
  if (!isError(error) || !MARKERS.every((marker) => marker in error)) return error;
  const { cause, responseHeaders } = error as Error & Partial<ApiCallFields>;
  // Replace the SDK's own message, "Failed to process successful response".
  if (isEasError(cause)) error.message = cause.message;
  const retry = responseHeaders?.["x-should-retry"];
  return retry === undefined ? error : Object.assign(error, { isRetryable: retry === "true" });
}

/** Returns whether the AI SDK would retry a call that failed with this status. */
export function isRetryableStatus(status: number, headers: Headers): boolean {
  const retry = headers.get("x-should-retry");
  return retry === null ? [408, 409, 429].includes(status) || status >= 500 : retry === "true";
}
