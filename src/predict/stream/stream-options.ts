import type { CallOptions } from "../../config/options.js";

/**
 * Options for `PredictClient.stream`. These options override the client's options. The client's timeouts do not
 * apply to streams.
 */
export interface StreamOptions extends Omit<CallOptions, "onUploadProgress"> {
  /**
   * Timeout for one attempt's response headers, in milliseconds. Default: no limit, because LLM services may queue a
   * request for several minutes.
   */
  readonly timeout?: number | undefined;
  /** Timeout for the whole call, up to the last byte, in milliseconds. Default: no limit. */
  readonly totalTimeout?: number | undefined;
  /**
   * Maximum time without data while the caller is reading, in milliseconds. Default 60,000; 600,000 with the preset
   * `"long-running"`.
   */
  readonly idleTimeout?: number | undefined;
}

/** Default for `idleTimeout`, in milliseconds. */
export const DEFAULT_IDLE_TIMEOUT_MS = 60_000;
