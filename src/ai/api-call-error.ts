import { isEasError } from "../errors.js";
import { isError } from "../util/realms.js";

const NAME = "AI_APICallError";
/** Symbols by which `APICallError.isInstance` of the AI SDK recognizes its errors across copies of its packages. */
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
 * Creates an error that `APICallError.isInstance` of the AI SDK accepts. The error is not an instance of the SDK's
 * class, because this package cannot import the SDK's package with strict package managers.
 */
export function apiCallError(message: string, fields: ApiCallFields): Error {
  const error = new Error(message);
  Object.defineProperty(error, "name", { value: NAME, configurable: true });
  for (const marker of MARKERS) Object.defineProperty(error, marker, { value: true });
  return Object.assign(error, fields);
}

/**
 * Improves an error of the SDK and returns it. If an error of the client is the cause, its message replaces the
 * message of the SDK's error. `isRetryable` is set according to the meaning of the statuses on EAS.
 */
export function withEasDetails(error: unknown): unknown {
  if (!isError(error) || !MARKERS.every((marker) => marker in error)) return error;
  const { cause, responseHeaders } = error as Error & Partial<ApiCallFields>;
  // The SDK's own message is "Failed to process successful response".
  if (isEasError(cause)) error.message = cause.message;
  const retry = responseHeaders?.["x-should-retry"];
  return retry === undefined ? error : Object.assign(error, { isRetryable: retry === "true" });
}

/** Returns whether the AI SDK would retry a call that failed with this status. */
export function isRetryableStatus(status: number, headers: Headers): boolean {
  const retry = headers.get("x-should-retry");
  return retry === null ? [408, 409, 429].includes(status) || status >= 500 : retry === "true";
}
