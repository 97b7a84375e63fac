import type { DirectOptions } from "../endpoint/endpoint-source.js";
import type { EasError } from "../errors.js";
import type { Compression, CompressionCodec, Decompression } from "../formats/request.js";
import type { Transport, UploadProgress } from "../platform/contract.js";
import type { FetchFunction } from "../platform/web/fetch-transport.js";
import { argumentRangeError, argumentTypeError, optionError, show } from "../util/argument-errors.js";
import type { OptionNames } from "../util/option-names.js";
import { importOf } from "./compression-imports.js";
import type { CallHooks } from "./hooks.js";

/** A token, or a function that gives one before each attempt, so that it may be short-lived. */
export type Token = string | (() => string | Promise<string>);

/**
 * How a request proves who sends it. `"token"`: the raw token, as EAS documents it. `"bearer"`: `Bearer <token>`, as
 * OpenAI clients send it. `"signature"`: HMAC-SHA1 over method, body, content type, date and path, as the official SDKs
 * do it. `"auto"`: the signature for a predict call over http to `/api/predict/` where the runtime can set `Date`, else
 * the raw token.
 */
export type Auth = "auto" | "token" | "bearer" | "signature";

/** Header names and values to add to requests. */
export type HeadersInput = Readonly<Record<string, string>> | Iterable<readonly [string, string]> | Headers;

/** HTTP methods of predictions. There is no `"HEAD"`, which EAS holds back. */
export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/**
 * How a gateway reports that a service is stopped, starting or scaled to zero: by its text, or by a status without a body.
 * `"engine unreachable"`: the LLM gateway could not connect to its engine.
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
 * How long a call may take and how it is retried. `"long-running"` is for language models and other slow services: 600,000 ms for
 * each attempt and no limit for the call, retries only of requests that were certainly not begun, and `waitForReady`. `"default"`
 * sets nothing: the client's options and their defaults apply.
 */
export type Preset = "default" | "long-running";

/** How a service is waited for that is not ready. */
export interface WaitOptions {
  /** Milliseconds for the whole wait. Default 600,000. */
  readonly timeout?: number | undefined;
  /** Hears of each wait before the service is asked again: milliseconds since the first, and why. What it throws ends the wait. */
  readonly onWait?: ((elapsed: number, reason: NotReadyReason) => void) | undefined;
}

/** What may be set for one call; each option stands above the client's own. */
export interface CallOptions {
  /** Path behind the service, for example `"/v1/chat"`; a missing leading slash is added. It may carry a query. */
  readonly path?: string | undefined;
  /** Query parameters, appended to those of the path; values are percent-encoded, `null` gives a bare key. */
  readonly query?: Readonly<Record<string, string | number | boolean | bigint | null>> | undefined;
  /** Headers for this call, above the client's. */
  readonly headers?: HeadersInput | undefined;
  /** HTTP method. Default `"POST"`, or `"GET"` for an input of `null`. `"GET"` takes no other input. */
  readonly method?: Method | undefined;
  /** `Content-Type` of this call. Overrides those of the client and of the input, except the boundary of a `FormData`. */
  readonly contentType?: string | undefined;
  /**
   * Timeouts and retries for a kind of service. Overrides the client's options and preset; the options of this call override it.
   * Default: the client's preset; for `json()` at and below a path `/v1/`, where the client has no preset, `"long-running"` below the
   * client's options.
   */
  readonly preset?: Preset | undefined;
  /** Milliseconds for one attempt, from dispatch to the last byte decoded. */
  readonly timeout?: number | undefined;
  /** Milliseconds for the whole call with all waits. */
  readonly totalTimeout?: number | undefined;
  /** Retries after the first attempt. */
  readonly retryCount?: number | undefined;
  /** Overrides the retry table: true retries, false does not, undefined leaves it to the table. */
  readonly retryOn?: RetryOn | undefined;
  /** Ends the call at once, waits included; it then rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
  /** Whether large typed arrays are sent without a copy; see the client's option. */
  readonly zeroCopy?: boolean | undefined;
  /**
   * Waits out a cold start: when the service is not ready, it is asked by GET until it is, and then the call is retried. The
   * wait has a `timeout` of its own in addition to `totalTimeout`. For predictions and streams. Default false; true with the preset
   * `"long-running"`.
   */
  readonly waitForReady?: boolean | WaitOptions | undefined;
  /**
   * Called in web pages and their workers with how much of the request has gone; each attempt begins again with 0. Elsewhere, for
   * streams, and with a `transport` or `fetch` of your own the call rejects with `EasUnsupportedError`. What it throws is reported
   * as an uncaught error and does not touch the call.
   */
  readonly onUploadProgress?: ((progress: UploadProgress) => void) | undefined;
}

/** Options of a client's `close`. */
export interface CloseOptions {
  /** Whether to cancel the attempts in flight, too, instead of letting them end. Default false. */
  readonly force?: boolean | undefined;
}

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

/** Decides on a failed attempt, numbered from 1. Limits on count, time and budget hold all the same. */
export type RetryOn = (error: EasError, attempt: number) => boolean | undefined;

/** Options of a client's connections and calls, common to all clients. */
export interface ClientOptions extends DirectOptions {
  /** Service token. Without one no `Authorization` header is sent. */
  readonly token?: Token | undefined;
  /** How the token is used. Default `"auto"`. */
  readonly auth?: Auth | undefined;
  /** Milliseconds for one attempt, from dispatch to the last byte decoded. Default 5,000. */
  readonly timeout?: number | undefined;
  /** Milliseconds for the whole call with all waits. Default 60,000. */
  readonly totalTimeout?: number | undefined;
  /** Retries after the first attempt. Default 5; 0 makes one attempt. */
  readonly retryCount?: number | undefined;
  /** Overrides the retry table. */
  readonly retryOn?: RetryOn | undefined;
  /**
   * Requests in flight to one host, and on Node connections. Default 100; 6 in browsers and workerd. Each client has a limit
   * of its own, while a browser has one for the whole page: share a client, or its `service()`, where there is no HTTP/2.
   */
  readonly maxConnectionCount?: number | undefined;
  /** Headers of every request. Those that a browser drops silently, such as `User-Agent`, are refused there. */
  readonly headers?: HeadersInput | undefined;
  /**
   * The most bytes that a request body may have, after compression. Default 1 MiB on the shared gateway, whose limit
   * that is; none elsewhere.
   */
  readonly maxRequestBytes?: number | undefined;
  /**
   * Sends the memory of large typed arrays itself, of 64 KiB and more, where the dtype is theirs and nothing is compressed: you
   * promise not to change them until the promise of `predict` has settled. On Node, with its own connections; elsewhere a copy
   * is made all the same. Default false: arrays may change as soon as `predict` has returned.
   */
  readonly zeroCopy?: boolean | undefined;
  /** The most bytes that a response body may have, after decompression. Default 256 MiB. */
  readonly maxResponseBytes?: number | undefined;
  /** Connections of your own; see `fetchTransport` and `nodeTransport`. The client does not close them. */
  readonly transport?: Transport | undefined;
  /** A `fetch` to send with, in place of the runtime's connections. */
  readonly fetch?: FetchFunction | undefined;
  /** Compression of request bodies; the service must be configured for it. Default none. */
  readonly compression?: Compression | undefined;
  /**
   * Whether requests name their `compression` in `Content-Encoding`, as PMML services require. Default false: other services
   * know it from their configuration, and some refuse the header.
   */
  readonly announceCompression?: boolean | undefined;
  /**
   * Decompression of response bodies, beside what the runtime's own connections undo. Default `"auto"`. A page sees the
   * `Content-Encoding` of another origin only where the service exposes it (`Access-Control-Expose-Headers`), so that snappy,
   * lz4 and zstd from there need the one compression in place of `"auto"`.
   */
  readonly decompression?: Decompression | undefined;
  /** Functions that hear of each call and its attempts; see `CallHooks`. Default none. */
  readonly hooks?: CallHooks | readonly CallHooks[] | undefined;
}

/** Default of `timeout`, in milliseconds; the official SDKs' own. */
export const DEFAULT_TIMEOUT_MS = 5_000;
/** `timeout` of the preset `"long-running"`, in milliseconds: the maximum that a dedicated gateway holds a request. */
export const LONG_TIMEOUT_MS = 600_000;
/** Default of `totalTimeout`, in milliseconds. */
export const DEFAULT_TOTAL_TIMEOUT_MS = 60_000;
/** Default of `retryCount`; the official SDKs' own. */
export const DEFAULT_RETRY_COUNT = 5;
/** Default of `maxResponseBytes`. */
export const DEFAULT_MAX_RESPONSE_BYTES: number = 256 * 1024 * 1024;
/** What the shared gateway takes as a body. */
export const SHARED_GATEWAY_MAX_REQUEST_BYTES: number = 1024 * 1024;
/** The longest time that timers can hold. */
export const MAX_TIMER_MS = 2_147_483_647;

const ALL_ENTRIES = "snappy, lz4, lz4Frame and zstd are objects to import from eas-prediction/compression/…";

/** What to do for who has an Agent, a proxy or certificates. */
export const OWN_CONNECTIONS =
  "; for an Agent's settings pass transport: nodeTransport({ connections, proxy, ca, … }) from eas-prediction/node";

const METHODS: readonly Method[] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
/** The values that `client.fetch` and libraries take: what they send is never signed. */
export const UNSIGNED_AUTHS: readonly Auth[] = ["auto", "token", "bearer"];
const AUTHS: readonly Auth[] = ["auto", "token", "bearer", "signature"];

/** Checks a time in milliseconds and returns it. */
export function checkTimeout(name: string, value: number): number {
  if (typeof value !== "number" || !(value > 0 && value <= MAX_TIMER_MS)) {
    throw argumentRangeError(
      "ERR_EAS_ARG_TIMEOUT",
      `${name} is ${show(value)}: it must be a number of milliseconds above 0 and at most ${MAX_TIMER_MS}, the maximum of timers`,
    );
  }
  return value;
}

/** Checks the name of a preset and returns it. */
export function checkPreset(value: Preset): Preset {
  if (value === "long-running" || value === "default") return value;
  throw optionError("preset", value, 'be "long-running" or "default"');
}

/** Checks a count and returns it. */
export function checkCount(name: string, value: number, least: number): number {
  if (!Number.isSafeInteger(value) || value < least) {
    throw argumentRangeError(
      "ERR_EAS_ARG_OPTION",
      `${name} is ${show(value)}: it must be an integer of at least ${least}`,
    );
  }
  return value;
}

/** Checks a limit in bytes, which may be infinite, and returns it. */
export function checkLimit(name: string, value: number, least: number): number {
  return value === Number.POSITIVE_INFINITY ? value : checkCount(name, value, least);
}

/** Checks an option that is a function and returns it. */
export function checkFunction<T>(name: string, value: T, advice = ""): T {
  if (typeof value !== "function") {
    throw optionError(name, value, `be a function${advice}`);
  }
  return value;
}

/** Checks an option that is true or false and returns it. */
export function checkBoolean(name: string, value: boolean): boolean {
  if (typeof value !== "boolean") throw optionError(name, value, "be true or false");
  return value;
}

/** Checks a method and returns it. */
export function checkMethod(value: Method): Method {
  if (!METHODS.includes(value)) throw optionError("method", value, `be one of ${METHODS.join(", ")}`);
  return value;
}

/** Checks a transport and returns it. */
export function checkTransport(value: Transport): Transport {
  if (typeof value?.send !== "function") {
    throw optionError("transport", value, `be an object with send()${OWN_CONNECTIONS}`);
  }
  return value;
}

/** Checks a caller's signal and returns it. */
export function checkSignal(value: AbortSignal): AbortSignal {
  if (typeof value?.aborted !== "boolean" || typeof value.addEventListener !== "function") {
    throw optionError("signal", value, "be an AbortSignal");
  }
  return value;
}

/** Checks an authorization mode and returns it. */
export function checkAuth(value: Auth, allowed: readonly Auth[] = AUTHS): Auth {
  if (!allowed.includes(value)) {
    // Without the value, which may be the token.
    throw argumentTypeError(
      "ERR_EAS_ARG_OPTION",
      `auth must be one of ${allowed.join(", ")}; the token itself is the option token`,
    );
  }
  return value;
}

/** Checks a token and returns it. Errors never show its value. */
export function checkToken(value: Token): Token {
  return typeof value === "function" ? value : checkTokenText(value);
}

/** Checks a token that is sent and returns it. */
export function checkTokenText(value: unknown): string {
  const fault =
    typeof value !== "string"
      ? `is of type ${typeof value}: pass a string, or a function that returns one`
      : value.trim() === ""
        ? "is empty"
        : /[\r\n]$/.test(value)
          ? "ends with a line break: remove it, for example with trim()"
          : /^bearer\s/i.test(value)
            ? 'begins with "Bearer ": pass the token alone, and set auth: "bearer" if the service expects that form'
            : undefined;
  if (fault === undefined) return value as string;
  const remedy = value === undefined || value === "" ? ". For a service without a token, leave the option out" : "";
  throw argumentTypeError("ERR_EAS_ARG_TOKEN", `token ${fault}${remedy}`);
}

/** Checks a compression and returns it. */
export function checkCompression(value: Compression): Compression {
  if (!isBuiltIn(value) && typeof (value as CompressionCodec | null)?.compress !== "function") {
    throw wrongCompression("compression", value, 'it must be "gzip", "zlib" or an object with name and compress()');
  }
  return value;
}

/** Checks a decompression and returns it. */
export function checkDecompression(value: Decompression): Decompression {
  if (value === "auto" || isBuiltIn(value)) return value;
  if (!Array.isArray(value)) {
    if (typeof (value as CompressionCodec | null)?.decompress === "function") return value;
    const right = 'it must be "auto", "gzip", "zlib", an object with name and decompress(), or a list of such objects';
    throw wrongCompression("decompression", value, right);
  }
  for (const [i, codec] of value.entries()) {
    if (typeof codec?.decompress !== "function" || !Array.isArray(codec.contentCodings)) {
      const right = "it must be an object with name, contentCodings and decompress(); gzip and zlib need not be listed";
      throw wrongCompression(`decompression[${i}]`, codec, right);
    }
  }
  return [...value];
}

function isBuiltIn(value: unknown): value is "gzip" | "zlib" {
  return value === "gzip" || value === "zlib";
}

function wrongCompression(name: string, value: unknown, right: string): TypeError {
  const entry = importOf(value);
  const advice = entry === undefined ? `${right}; ${ALL_ENTRIES}` : `${entry} and pass the object, not its name`;
  return argumentTypeError("ERR_EAS_ARG_OPTION", `${name} is ${show(value)}: ${advice}`);
}
