import type { EasError } from "../errors.js";
import { optionError } from "../util/argument-errors.js";
import { messageOf } from "../util/realms.js";
import type { CallKind } from "./retry.js";

/**
 * One logical call, including all its attempts. All events for a call share the same `CallInfo` object, so that it can
 * be used as a `WeakMap` key.
 */
export interface CallInfo {
  /** Kind of call: a prediction, a stream or a queue operation. */
  readonly kind: CallKind;
  /** HTTP method. */
  readonly method: string;
  /** Path of the call, without the query. */
  readonly path: string;
  /** Start time of the call, in milliseconds since 1970. */
  readonly startedAt: number;
}

/**
 * Properties common to all events after a call's start. Events never contain the token, even if the service echoes it.
 */
export interface CallEvent {
  /** The call that the event belongs to. */
  readonly call: CallInfo;
  /** HTTP method. */
  readonly method: string;
  /** URL of the attempt, without the query. */
  readonly url: string;
  /** Scheme, host and port of `url`. `"(any instance)"` if a direct call has not yet selected an instance. */
  readonly endpoint: string;
  /**
   * Attempt number, starting at 1. For an error before the first attempt, 0. Between two attempts, the number of the
   * previous attempt.
   */
  readonly attempt: number;
  /** Size of the attempt's body in bytes, after compression. Undefined for a streamed body; 0 before the first attempt. */
  readonly requestBytes: number | undefined;
  /** Durations measured up to this event. */
  readonly timings: CallTimings;
}

/** Durations in milliseconds. */
export interface CallTimings {
  /**
   * Time that the attempt waited for its token and a free connection before it was sent. For the first attempt, this
   * includes the time to create and compress the body and, for direct calls, the time for discovery. It does not
   * include the delay before a retry.
   */
  readonly queued: number;
  /**
   * Time from sending the request to receiving the response headers. Undefined if no response arrived, or if the
   * transport does not report it.
   */
  readonly firstByte: number | undefined;
  /** Time since the start of the call, including all earlier attempts and waits. */
  readonly total: number;
}

/** Event that occurs before an attempt is sent. */
export interface CallRequestEvent extends CallEvent {
  /**
   * Sets a header of this attempt, such as `traceparent`. Replaces the caller's header of the same name. Throws a
   * `TypeError` for an invalid value, for headers that the client sets itself (authorization, body and connection), or
   * if the hook has already returned.
   */
  setHeader(name: string, value: string): void;
}

/**
 * Event that occurs after a call's response has been read. For a stream, the event occurs when the body ends or the
 * reader cancels it.
 */
export interface CallResponseEvent extends CallEvent {
  /** HTTP status. */
  readonly status: number;
  /** Copy of the response headers, without the token. */
  readonly headers: Headers;
  /**
   * Size of the response body in bytes, as received. If `fetch` decompresses the body, the size after decompression.
   */
  readonly responseBytes: number;
}

/** Event that occurs after an attempt has failed, if the call will be retried. */
export interface CallRetryEvent extends CallEvent {
  /** Error from the failed attempt. */
  readonly error: EasError;
  /** Time until the next attempt, in milliseconds. */
  readonly delay: number;
  /** HTTP status of the failed attempt; undefined if no complete response was received. */
  readonly status: number | undefined;
}

/** Event that occurs after a call has failed. The call's promise rejects with the same error. */
export interface CallErrorEvent extends CallEvent {
  /** An `EasError`, an error for an invalid argument, or the caller's abort reason. */
  readonly error: unknown;
  /** HTTP status of the failed attempt; undefined if no response was received. */
  readonly status: number | undefined;
}

/**
 * Functions that observe a client's calls. The client calls them synchronously and does not wait for any promises that
 * they return. If a hook throws or rejects, the call continues, and the client's `logger` receives a warning.
 *
 * Each call has one `start` event and ends with one `response` or `error` event. Each attempt in between has one
 * `request` event, followed by a `retry` event if the attempt fails and the call is retried. Errors before a call
 * starts, such as an invalid option, do not cause events. With `hedgeAfter`, two attempts may run in parallel. The
 * attempt whose response is not used does not have a final event of its own. WebSockets and discovery requests do not
 * cause events.
 *
 * @example
 * const client = new PredictClient({
 *   endpoint,
 *   serviceName,
 *   hooks: { response: ({ status, timings }) => histogram.record(timings.total, { status }) },
 * });
 */
export interface CallHooks {
  /** Called synchronously when a call starts, except that `stream()` and `fetch()` first load their code. */
  start?(call: CallInfo): unknown;
  /** Called before an attempt is sent. */
  request?(event: CallRequestEvent): unknown;
  /** Called after a call has succeeded. */
  response?(event: CallResponseEvent): unknown;
  /** Called after an attempt has failed, before the retry delay. */
  retry?(event: CallRetryEvent): unknown;
  /** Called after a call has failed. */
  error?(event: CallErrorEvent): unknown;
}

const HOOK_NAMES: readonly (keyof CallHooks)[] = ["start", "request", "response", "retry", "error"];

/** Logger for a client's messages, for example `console`. */
export interface CallLogger {
  /** Receives one message for each successful call. */
  debug(message: string): void;
  /** Receives one message for each retry and for each hook that fails. */
  warn(message: string): void;
  /** Receives one message for each failed call. */
  error(message: string): void;
}

/** A logger that receives only warnings. */
export type Warner = Pick<CallLogger, "warn">;

/** Checks one `CallHooks` object or a list of them and returns a new list. Throws a `TypeError` for other values. */
export function checkHooks(value: CallHooks | readonly CallHooks[]): readonly CallHooks[] {
  const list = Array.isArray(value) ? (value as readonly CallHooks[]) : [value as CallHooks];
  for (const hooks of list) {
    if (typeof hooks !== "object" || hooks === null || !HOOK_NAMES.some((name) => name in hooks))
      throw optionError("hooks", hooks, `be an object with some of the functions ${HOOK_NAMES.join(", ")}`);
    for (const name of HOOK_NAMES) {
      const hook: unknown = hooks[name];
      if (hook !== undefined && typeof hook !== "function") throw optionError(`hooks.${name}`, hook, "be a function");
    }
  }
  return list.slice();
}

/** Checks the `logger` option and returns it. Throws a `TypeError` for other values. */
export function checkLogger(value: CallLogger): CallLogger {
  for (const name of ["debug", "warn", "error"] as const) {
    if (typeof value?.[name] !== "function")
      throw optionError("logger", value, "be an object with debug(), warn() and error(), such as console");
  }
  return value;
}

/** Returns the hooks for a client's calls, or undefined if there are no hooks and the logger does not log calls. */
export function hooksOf({
  hooks = [],
  logger,
}: {
  readonly hooks: readonly CallHooks[] | undefined;
  readonly logger: CallLogger | Warner | undefined;
}): readonly CallHooks[] | undefined {
  return hooks.length > 0 || (logger !== undefined && "debug" in logger) ? hooks : undefined;
}

/** Returns an error's message on one line, so that a service cannot forge log lines. */
export function oneLineMessage(error: unknown): string {
  return messageOf(error).replace(/\p{Cc}+/gu, " ");
}
