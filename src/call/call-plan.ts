import type { CallHooks, CallLogger, Warner } from "../config/hooks.js";
import type { Auth, Preset, RetryOn, Token } from "../config/options.js";
import type { CallKind } from "../config/retry.js";
import type { Suffix } from "../config/url.js";
import type { Route } from "../endpoint/direct-route.js";
import type { Target } from "../endpoint/parse-endpoint.js";
import type { Bytes } from "../formats/request.js";
import type { HeaderPair, TransportRequest, TransportResponse } from "../platform/contract.js";
import type { Decoding } from "./decoding/decoding.js";
import type { Secrets } from "./failures/redact.js";

/** Options that a preset sets unless the user sets them explicitly. */
export interface GivenOptions {
  readonly preset?: Preset | undefined;
  readonly timeout?: number | undefined;
  readonly totalTimeout?: number | undefined;
  readonly retryOn?: RetryOn | undefined;
  readonly hedgeAfter?: CallPlan["hedgeAfter"];
}

/** Everything needed to make a call, except the body. Immutable. */
export interface CallPlan {
  /** The call's effect on the service, which determines whether the call may be retried. */
  readonly kind: CallKind;
  /**
   * Whether the call may stay open for a long time, like a stream or a long poll. Such calls use at most half of the
   * connections.
   */
  readonly isLongLived: boolean;
  /** Delay in milliseconds before a parallel attempt is sent. Applies to predict calls that go to instances directly. */
  readonly hedgeAfter: number | "p95" | undefined;
  readonly method: string;
  /** Address of the service. If there is a route, each attempt replaces the origin with an instance's origin. */
  readonly target: Target;
  /** Selects the instance for each attempt; undefined behind a gateway. */
  readonly route: Route | undefined;
  /** Path and query within the service. */
  readonly suffix: Suffix;
  /** Path and query as sent, percent-encoded. */
  readonly path: string;
  /** Path and query as signed, not percent-encoded. */
  readonly resource: string;
  /** All headers except those for authorization. */
  readonly headers: readonly HeaderPair[];
  /** All headers, if the authorization is the same for every attempt. */
  readonly fixedHeaders: readonly HeaderPair[] | undefined;
  /** Matches the names of headers that the runtime drops; see `Platform.droppedHeaders`. */
  readonly droppedHeaders: RegExp | undefined;
  /** Value of the `Content-Type` header, or an empty string. */
  readonly contentType: string;
  /** Whether the client or the call sets the content type. If true, the input does not override it. */
  readonly hasContentType: boolean;
  readonly auth: Exclude<Auth, "auto">;
  readonly token: Token | undefined;
  /** Timeout for one attempt, in milliseconds. */
  readonly timeout: number;
  /** Timeout for the whole call, in milliseconds. */
  readonly totalTimeout: number;
  /** Whether the call is retried only if the service cannot have started it. */
  readonly runsOnce: boolean;
  /** Default for the `waitForReady` option. */
  readonly waitForReady: boolean;
  /**
   * Options that were set explicitly on the client. A call with the preset `"long-running"` ignores these options; a
   * call with the preset `"default"` uses them again.
   */
  readonly given: GivenOptions;
  /** Whether the call reads JSON. Such calls default to the preset `"long-running"` on OpenAI API paths. */
  readonly readsJson?: boolean;
  readonly retryCount: number;
  readonly retryOn: RetryOn | undefined;
  readonly signal: AbortSignal | undefined;
  readonly maxResponseBytes: number;
  readonly zeroCopy: boolean;
  readonly decoding: Decoding;
  readonly onUploadProgress?: TransportRequest["onUploadProgress"];
  /** Hooks to notify of the call. Undefined if nothing observes calls, which avoids any overhead. */
  readonly hooks: readonly CallHooks[] | undefined;
  /** Receives warnings about failing hooks. A full `CallLogger` also receives one message per call. */
  readonly logger: CallLogger | Warner | undefined;
}

/** A body created after its call has started. */
export interface LateBody {
  readonly body: Bytes;
  /** Headers to add to the call. */
  readonly headers?: readonly HeaderPair[] | undefined;
}

/**
 * A body as bytes or chunks, or a function that creates the body after the call has started, for example by compressing
 * the input.
 */
export type CallBody = Bytes | readonly Bytes[] | null | ((plan: CallPlan) => Promise<LateBody>);

/** A successful response and details about its call. */
export interface CallResult {
  readonly response: TransportResponse;
  /** The decoded response body. */
  readonly body: Bytes;
  /** Scheme, host and port of the server that responded. */
  readonly endpoint: string;
  /** Number of attempts, including the successful one. */
  readonly attempts: number;
  /** Tokens to redact in errors. */
  readonly token: Secrets;
  /** Start time of the call, from `clockNow()`. */
  readonly startedAt: number;
}
