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

/** Options that a preset has a say in, as far as they are set. */
export interface GivenOptions {
  readonly preset?: Preset | undefined;
  readonly timeout?: number | undefined;
  readonly totalTimeout?: number | undefined;
  readonly retryOn?: RetryOn | undefined;
  readonly hedgeAfter?: CallPlan["hedgeAfter"];
}

/** What calls under the same settings have in common; nothing in it changes while a call is under way. */
export interface CallPlan {
  readonly kind: CallKind;
  /** Whether the service holds the answer back on purpose, so that it must not take the last connections. */
  readonly isLongLived: boolean;
  /** When a second attempt is sent beside the first; only with a route, and for a predict call. */
  readonly hedgeAfter: number | "p95" | undefined;
  readonly method: string;
  /** Where it goes; with a route, one instance in each attempt. */
  readonly target: Target;
  /** How instances are chosen, where calls go to them directly. */
  readonly route: Route | undefined;
  readonly suffix: Suffix;
  /** Path and query as they are sent. */
  readonly path: string;
  /** Path and query as a signature names them. */
  readonly resource: string;
  /** All headers but those of the authorization. */
  readonly headers: readonly HeaderPair[];
  /** All headers, where the authorization is the same in all attempts. */
  readonly fixedHeaders: readonly HeaderPair[] | undefined;
  /** Names of headers that the runtime drops; see `Platform`. */
  readonly droppedHeaders: RegExp | undefined;
  readonly contentType: string;
  /** Whether the client or the call sets the content type, so that inputs do not. */
  readonly hasContentType: boolean;
  readonly auth: Exclude<Auth, "auto">;
  readonly token: Token | undefined;
  readonly timeout: number;
  readonly totalTimeout: number;
  /** Whether the call is retried only if it was certainly not begun, as a stream. */
  readonly runsOnce: boolean;
  /** Default of the option `waitForReady`. */
  readonly waitForReady: boolean;
  /** The client's own options, which a preset of the call overrides or brings back. */
  readonly given: GivenOptions;
  /** Whether the call reads JSON, so that it may be slow at paths of language models. */
  readonly readsJson?: boolean;
  readonly retryCount: number;
  readonly retryOn: RetryOn | undefined;
  readonly signal: AbortSignal | undefined;
  readonly maxResponseBytes: number;
  readonly zeroCopy: boolean;
  readonly decoding: Decoding;
  readonly onUploadProgress?: TransportRequest["onUploadProgress"];
  /** Who hears of the call; undefined where nobody does, so that it costs nothing. */
  readonly hooks: readonly CallHooks[] | undefined;
  /** Hears of hooks that fail; one that is more, of all calls. */
  readonly logger: CallLogger | Warner | undefined;
}

/**
 * A body, whole or in pieces, or a function that makes it when the call has begun, such as a compression; it may give the call
 * another plan, of the same target and kind.
 */
export type CallBody = Bytes | readonly Bytes[] | null | ((call: { plan: CallPlan }) => Promise<Bytes>);

/** A successful answer and what it took. */
export interface CallResult {
  readonly response: TransportResponse;
  /** The response's body, with its content coding undone. */
  readonly body: Bytes;
  /** Scheme, host and port that answered. */
  readonly endpoint: string;
  readonly attempts: number;
  /** The tokens that no error may show. */
  readonly token: Secrets;
  /** When the call began, by `performance.now()`. */
  readonly startedAt: number;
}
