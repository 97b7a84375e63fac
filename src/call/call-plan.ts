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

/** Options that a preset determines unless they are set. */
export interface GivenOptions {
  readonly preset?: Preset | undefined;
  readonly timeout?: number | undefined;
  readonly totalTimeout?: number | undefined;
  readonly retryOn?: RetryOn | undefined;
  readonly hedgeAfter?: CallPlan["hedgeAfter"];
}

/** Everything that determines how a call is made, except its body. Immutable. */
export interface CallPlan {
  /** Effect of the call on the service. Determines whether the call may be retried. */
  readonly kind: CallKind;
  /**
   * Whether the call may stay open for a long time, like a stream or a long poll. Such calls use at most half of the
   * connections.
   */
  readonly isLongLived: boolean;
  /** Delay in milliseconds before a parallel attempt is sent. Applies to predict calls that go to instances directly. */
  readonly hedgeAfter: number | "p95" | undefined;
  readonly method: string;
  /** Address of the service. If there is a route, each attempt replaces the origin with the origin of an instance. */
  readonly target: Target;
  /** Selects the instance of each attempt; undefined behind a gateway. */
  readonly route: Route | undefined;
  /** Path and query within the service. */
  readonly suffix: Suffix;
  /** Path and query as sent, percent-encoded. */
  readonly path: string;
  /** Path and query as signed, not percent-encoded. */
  readonly resource: string;
  /** All headers except the authorization headers. */
  readonly headers: readonly HeaderPair[];
  /** All headers, if the authorization is the same in each attempt. */
  readonly fixedHeaders: readonly HeaderPair[] | undefined;
  /** Matches the names of headers that the runtime drops; see `Platform.droppedHeaders`. */
  readonly droppedHeaders: RegExp | undefined;
  /** Value of the header `Content-Type`, or an empty string. */
  readonly contentType: string;
  /** Whether the client or the call sets the content type. If true, inputs do not change it. */
  readonly hasContentType: boolean;
  readonly auth: Exclude<Auth, "auto">;
  readonly token: Token | undefined;
  /** Timeout of one attempt, in milliseconds. */
  readonly timeout: number;
  /** Timeout of the whole call, in milliseconds. */
  readonly totalTimeout: number;
  /** Whether the call is retried only if the service has certainly not started it. */
  readonly runsOnce: boolean;
  /** Default of the option `waitForReady`. */
  readonly waitForReady: boolean;
  /**
   * Options that are set explicitly on the client. If a call sets the preset `"long-running"`, the preset overrides
   * these options for that call. If it sets `"default"`, the options apply again.
   */
  readonly given: GivenOptions;
  /** Whether the call reads JSON. Such calls to paths of OpenAI's API default to the preset `"long-running"`. */
  readonly readsJson?: boolean;
  readonly retryCount: number;
  readonly retryOn: RetryOn | undefined;
  readonly signal: AbortSignal | undefined;
  readonly maxResponseBytes: number;
  readonly zeroCopy: boolean;
  readonly decoding: Decoding;
  readonly onUploadProgress?: TransportRequest["onUploadProgress"];
  /** Hooks to notify of the call. Undefined if nothing observes calls, so that such calls have no overhead. */
  readonly hooks: readonly CallHooks[] | undefined;
  /** Receives warnings about failing hooks. A full `CallLogger` also receives a message for each call. */
  readonly logger: CallLogger | Warner | undefined;
}

/** A body that was created after the start of its call. */
export interface LateBody {
  readonly body: Bytes;
  /** Headers to add to the call. */
  readonly headers?: readonly HeaderPair[] | undefined;
}

/**
 * A body as bytes or chunks, or a function that creates the body after the start of the call, for example by
 * compression.
 */
export type CallBody = Bytes | readonly Bytes[] | null | ((plan: CallPlan) => Promise<LateBody>);

/** A successful response and details of its call. */
export interface CallResult {
  readonly response: TransportResponse;
  /** The decoded body of the response. */
  readonly body: Bytes;
  /** Scheme, host and port of the server that responded. */
  readonly endpoint: string;
  /** Number of attempts, including the successful one. */
  readonly attempts: number;
  /** Tokens to redact in errors. */
  readonly token: Secrets;
  /** Start of the call, by `clockNow()`. */
  readonly startedAt: number;
}
