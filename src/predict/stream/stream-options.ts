import type { CallOptions } from "../../config/options.js";

/** Options of `PredictClient.stream`; each overrides that of the client. The client's timeouts do not apply to streams. */
export interface StreamOptions extends Omit<CallOptions, "onUploadProgress"> {
  /** Milliseconds for the head of the answer in one attempt. Default: no limit, since LLM services may queue a call for long. */
  readonly timeout?: number | undefined;
  /** Milliseconds for the whole call up to the last byte. Default: no limit. */
  readonly totalTimeout?: number | undefined;
  /**
   * Maximum milliseconds without data while the caller reads. Default 60,000, or 600,000 with the preset `"long-running"`.
   */
  readonly idleTimeout?: number | undefined;
}

/** Default of `idleTimeout`, in milliseconds. */
export const DEFAULT_IDLE_TIMEOUT_MS = 60_000;
