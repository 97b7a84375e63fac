import type { CallOptions } from "../http/options.js";

/** Options of `PredictClient.stream`; each stands above the client's own, but the client's times are not for streams. */
export interface StreamOptions extends Omit<CallOptions, "onUploadProgress"> {
  /** Milliseconds for the head of the answer in one attempt. Default: no limit, since LLM services may queue a call for long. */
  readonly timeout?: number | undefined;
  /** Milliseconds for the whole call up to the last byte. Default: no limit. */
  readonly totalTimeout?: number | undefined;
  /** Milliseconds for which nothing may come while somebody reads. Default 60,000. */
  readonly idleTimeout?: number | undefined;
}

/** Default of `idleTimeout`, in milliseconds. */
export const DEFAULT_IDLE_TIMEOUT_MS = 60_000;
