import type { DirectOptions } from "../endpoint/endpoint-source.js";
import type { EasError } from "../errors.js";
import type { Compression, Decompression } from "../formats/request.js";
import type { Transport, UploadProgress } from "../platform/contract.js";
import type { FetchFunction } from "../platform/web/fetch-transport.js";
import type { OptionNames } from "../util/option-names.js";
import type { CallHooks } from "./hooks.js";

/**
 * A service token, or a function that is called before each attempt and returns the token. Use a function for tokens
 * that expire.
 */
export type Token = string | (() => string | Promise<string>);

/**
 * Authentication scheme of a request.
 * - `"token"`: sends the raw token in `Authorization`, as EAS documents it.
 * - `"bearer"`: sends `Bearer <token>`, as OpenAI clients do it.
 * - `"signature"`: sends an HMAC-SHA1 of the method, body, content type, date and path, as the official SDKs do it.
 * - `"auto"`: signs predict calls over http to `/api/predict/` if the runtime can set `Date`. Otherwise, sends the raw
 *   token.
 */
export type Auth = "auto" | "token" | "bearer" | "signature";

/** Names and values of headers to add to requests. */
export type HeadersInput = Readonly<Record<string, string>> | Iterable<readonly [string, string]> | Headers;

/** HTTP method of a prediction. `"HEAD"` is not supported because EAS does not respond to it. */
export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/**
 * Reason why a service is not ready, as reported by a gateway: the response text, or the status if the body is empty.
 * `"engine unreachable"` means that the LLM gateway could not connect to its engine.
 */
export type NotReadyReason =
  | "no healthy upstream"
  | "empty 503"
  | "empty 404"
  | "no backend endpoint found"
  | "no available inference worker"
  | "no inference instance found"
  | "failed to get endpoint"
  | "failed to forward request"
  | "engine unreachable";

/**
 * A set of timeouts and retry rules.
 * - `"long-running"`: for language models and other slow services. Allows 600,000 ms for each attempt and does not
 *   limit the whole call. Retries only requests that the service cannot have started, and enables `waitForReady`.
 * - `"default"`: changes nothing. The client's options and their defaults apply.
 */
export type Preset = "default" | "long-running";

/** Options for waiting until a service is ready. */
export interface WaitOptions {
  /** Maximum duration of the whole wait, in milliseconds. Default 600,000. */
  readonly timeout?: number | undefined;
  /**
   * Called before each check of the service except the first. Receives the milliseconds since the first check and the
   * reason from the last response. If the function throws an error, the wait ends.
   */
  readonly onWait?: ((elapsed: number, reason: NotReadyReason) => void) | undefined;
}

/** Options for one call. Each option overrides the client's option of the same name. */
export interface CallOptions {
  /**
   * Path within the service, for example `"/v1/chat"`. A leading slash is added if missing. The path may include a
   * query.
   */
  readonly path?: string | undefined;
  /**
   * Query parameters, appended to the path's query. Values are percent-encoded; `null` adds the key without a value.
   */
  readonly query?: Readonly<Record<string, string | number | boolean | bigint | null>> | undefined;
  /** Headers for this call. They override the client's headers of the same name. */
  readonly headers?: HeadersInput | undefined;
  /** HTTP method. Default `"POST"`, or `"GET"` if the input is `null`. With `"GET"`, the input must be `null`. */
  readonly method?: Method | undefined;
  /**
   * `Content-Type` of this call. Overrides the content types of the client and the input, except that the boundary of a
   * `FormData` is kept.
   */
  readonly contentType?: string | undefined;
  /**
   * Timeouts and retry rules for one kind of service. The preset overrides the client's options and preset. Other
   * options for this call override the preset. Default: the client's preset. If the client has no preset, `json()`
   * calls to `/v1` and paths below it default to `"long-running"`. The client's options override that default.
   */
  readonly preset?: Preset | undefined;
  /**
   * Timeout for one attempt in milliseconds, from dispatch to the last decoded byte. Must be above 0 and at most
   * 2,147,483,647.
   */
  readonly timeout?: number | undefined;
  /** Timeout for the whole call in milliseconds, including all waits. Must be above 0 and at most 2,147,483,647. */
  readonly totalTimeout?: number | undefined;
  /** Maximum number of retries after the first attempt. */
  readonly retryCount?: number | undefined;
  /** Overrides the retry table: `true` retries, `false` does not, and `undefined` applies the table. */
  readonly retryOn?: RetryOn | undefined;
  /** Aborts the call, including its waits. The call then rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
  /** Whether large typed arrays are sent without a copy. See the client's `zeroCopy` option. */
  readonly zeroCopy?: boolean | undefined;
  /**
   * Whether to wait for a service that is not ready. If so, the client polls the service with GET requests and retries
   * the call once the service is ready. The wait has its own `timeout` and does not count toward `totalTimeout`. This
   * option applies to predictions and streams. Default `false`, or `true` with the preset `"long-running"`.
   */
  readonly waitForReady?: boolean | WaitOptions | undefined;
  /**
   * Reports upload progress in web pages and their workers. The count restarts at 0 for each attempt. In other
   * runtimes, for streams, and with a custom `transport` or `fetch`, the call rejects with `EasUnsupportedError`. An
   * error that the function throws is reported as an uncaught error and does not affect the call.
   */
  readonly onUploadProgress?: ((progress: UploadProgress) => void) | undefined;
}

/** Options for a client's `close()` method. */
export interface CloseOptions {
  /** Whether to cancel calls in flight instead of waiting for them. Default `false`. */
  readonly force?: boolean | undefined;
}

/** Names of all call options, for `checkOptionNames`. */
export const CALL_OPTIONS: OptionNames<CallOptions> = {
  path: 1,
  query: 1,
  headers: 1,
  method: 1,
  contentType: 1,
  preset: 1,
  timeout: 1,
  totalTimeout: 1,
  retryCount: 1,
  retryOn: 1,
  signal: 1,
  zeroCopy: 1,
  waitForReady: 1,
  onUploadProgress: 1,
};

/**
 * Decides whether to retry after a failed attempt. Attempts are numbered from 1. The limits on retries and time and the
 * retry budget still apply.
 */
export type RetryOn = (error: EasError, attempt: number) => boolean | undefined;

/** Options for connections and calls, shared by all clients. */
export interface ClientOptions extends DirectOptions {
  /**
   * Service token. Default: the environment variable `EAS_TOKEN`, see docs/environment.md. `null` sends no token.
   * Without a token, requests have no `Authorization` header.
   */
  readonly token?: Token | null | undefined;
  /** Authentication scheme. Default `"auto"`. */
  readonly auth?: Auth | undefined;
  /** Timeout for one attempt in milliseconds, from dispatch to the last decoded byte. Default 5,000. */
  readonly timeout?: number | undefined;
  /** Timeout for the whole call in milliseconds, including all waits. Default 60,000. */
  readonly totalTimeout?: number | undefined;
  /** Maximum number of retries after the first attempt. Default 5; 0 disables retries. */
  readonly retryCount?: number | undefined;
  /** Overrides the retry table. */
  readonly retryOn?: RetryOn | undefined;
  /**
   * Maximum number of requests in flight to one host. On Node, also the maximum number of connections. Default 100, or
   * 6 in browsers and workerd. Browsers limit connections per page, whereas each client has its own limit. If the
   * service does not support HTTP/2, share one client or create additional clients with `service()`.
   */
  readonly maxConnectionCount?: number | undefined;
  /**
   * Headers to send with every request. In a browser, throws a `TypeError` for headers that the browser would drop
   * silently, such as `User-Agent`.
   */
  readonly headers?: HeadersInput | undefined;
  /** Maximum size of a request body in bytes, after compression. Default 1 MiB on the shared gateway, unlimited otherwise. */
  readonly maxRequestBytes?: number | undefined;
  /**
   * Whether typed arrays of at least 64 KiB are sent without a copy. Such arrays must not change until the promise of
   * `predict` settles. Applies only on Node with the client's own connections, and only to arrays that match the dtype
   * and are not compressed. Other arrays are copied. Default `false`: arrays may change as soon as `predict` returns.
   */
  readonly zeroCopy?: boolean | undefined;
  /** Maximum size of a response body in bytes, after decompression. Default 256 MiB. */
  readonly maxResponseBytes?: number | undefined;
  /** Custom transport; see `fetchTransport` and `nodeTransport`. The caller owns it: the client does not close it. */
  readonly transport?: Transport | undefined;
  /** Custom `fetch` function that replaces the runtime's connections. */
  readonly fetch?: FetchFunction | undefined;
  /** Compression of request bodies. The service must be configured to accept it. Default: no compression. */
  readonly compression?: Compression | undefined;
  /**
   * Whether requests name their `compression` in `Content-Encoding`, as PMML services require. Default `false`, because
   * other services take the compression from their configuration, and some reject the header.
   */
  readonly announceCompression?: boolean | undefined;
  /**
   * Decompression of response bodies, in addition to the codings that the runtime decompresses. Default `"auto"`:
   * determined by `Content-Encoding`. For a service on another origin, a page can read that header only if the service
   * lists it in `Access-Control-Expose-Headers`. Otherwise, set the service's compression here, for example `snappy`.
   */
  readonly decompression?: Decompression | undefined;
  /** Functions that observe each call and its attempts; see `CallHooks`. Default: no hooks. */
  readonly hooks?: CallHooks | readonly CallHooks[] | undefined;
}

/** Default for `timeout` in milliseconds, as in the official SDKs. */
export const DEFAULT_TIMEOUT_MS = 5_000;
/**
 * `timeout` for the preset `"long-running"`, in milliseconds. A dedicated gateway keeps a request open for at most this
 * long.
 */
export const LONG_TIMEOUT_MS = 600_000;
/** Default for `totalTimeout`, in milliseconds. */
export const DEFAULT_TOTAL_TIMEOUT_MS = 60_000;
/** Default for `retryCount`, as in the official SDKs. */
export const DEFAULT_RETRY_COUNT = 5;
/** Default for `maxResponseBytes`. */
export const DEFAULT_MAX_RESPONSE_BYTES: number = 256 * 1024 * 1024;
/** Maximum size of a request body on the shared gateway, in bytes. */
export const SHARED_GATEWAY_MAX_REQUEST_BYTES: number = 1024 * 1024;
/** Maximum delay of `setTimeout`, in milliseconds. */
export const MAX_TIMER_MS = 2_147_483_647;
