import { isEasError } from "../errors.js";
import { isError } from "../util/realms.js";

const NAME = "AI_APICallError";
/** By these symbols `APICallError.isInstance` of the AI SDK recognizes errors, also those of other copies of its packages. */
const MARKERS: readonly symbol[] = ["vercel.ai.error", `vercel.ai.error.${NAME}`].map((name) => Symbol.for(name));

/** What the AI SDK's `APICallError` has. */
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
 * Returns an error that `APICallError.isInstance` of the AI SDK accepts. It is made without the SDK's class, which is in a package
 * that strict package managers do not let this one import; `instanceof` does not hold.
 */
export function apiCallError(message: string, fields: ApiCallFields): Error {
  const error = new Error(message);
  Object.defineProperty(error, "name", { value: NAME, configurable: true });
  for (const marker of MARKERS) Object.defineProperty(error, marker, { value: true });
  return Object.assign(error, fields);
}

/**
 * Completes an error of the SDK and returns it: the message is that of the client's error, where that is the cause, and
 * `isRetryable` is what the statuses mean on EAS.
 */
export function explained(error: unknown): unknown {
  if (!isError(error) || !MARKERS.every((marker) => marker in error)) return error;
  const { cause, responseHeaders } = error as Error & Partial<ApiCallFields>;
  // The message of the SDK itself is "Failed to process successful response".
  if (isEasError(cause)) error.message = cause.message;
  const retry = responseHeaders?.["x-should-retry"];
  return retry === undefined ? error : Object.assign(error, { isRetryable: retry === "true" });
}

/** Whether the AI SDK would retry a status. */
export function isRetryableStatus(status: number, headers: Headers): boolean {
  const retry = headers.get("x-should-retry");
  return retry === null ? [408, 409, 429].includes(status) || status >= 500 : retry === "true";
}
