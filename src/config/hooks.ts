import type { EasError } from "../errors.js";
import { optionError } from "../util/argument-errors.js";
import { messageOf } from "../util/realms.js";
import type { CallKind } from "./retry.js";

/** One logical call with all its attempts. The same object in all of its events, so that it can be a key. */
export interface CallInfo {
  /** What the call does: a prediction, a stream, or one of a queue's calls. */
  readonly kind: CallKind;
  readonly method: string;
  /** Path of the call, without its query. */
  readonly path: string;
  /** When the call began: milliseconds since 1970. */
  readonly startedAt: number;
}

/**
 * What all events after a call's start have. No event holds the token that the call was sent with, not even where the service
 * echoes it.
 */
export interface CallEvent {
  readonly call: CallInfo;
  readonly method: string;
  /** Where the attempt goes, without its query. */
  readonly url: string;
  /** Scheme, host and port of it; `(any instance)` where a direct call has not yet chosen one. */
  readonly endpoint: string;
  /** Which attempt this is, from 1; 0 in an error before the first. In an error between two attempts it is the last one. */
  readonly attempt: number;
  /** Bytes of the attempt's body as they are sent, compressed; undefined for one that is streamed, 0 before the first. */
  readonly requestBytes: number | undefined;
  readonly timings: CallTimings;
}

/** Times in milliseconds. */
export interface CallTimings {
  /**
   * What the attempt waited before it was sent: for a free connection and its token; the first one for its body to be made
   * or compressed, too, and a direct one for discovery. The pause before a retry is not in it.
   */
  readonly queued: number;
  /** From sending to the head of the answer; undefined where none came, or the transport does not tell. */
  readonly firstByte: number | undefined;
  /** Since the call began, all attempts and waits before included. */
  readonly total: number;
}

/** An attempt is about to be sent. */
export interface CallRequestEvent extends CallEvent {
  /**
   * Adds a header to this attempt, such as `traceparent`, in place of the caller's own of that name. Throws a `TypeError` for a
   * header of the authorization, the body or the connection, for a value that cannot be sent, and when the hook has returned.
   */
  setHeader(name: string, value: string): void;
}

/** The call was answered, and its answer read to the end. Of a stream: its body has ended, or its reader has left it. */
export interface CallResponseEvent extends CallEvent {
  readonly status: number;
  readonly headers: Headers;
  /** Bytes of the answer's body as they came, still compressed; where `fetch` decompresses by itself, what it gave. */
  readonly responseBytes: number;
}

/** An attempt failed, and there will be another one. */
export interface CallRetryEvent extends CallEvent {
  readonly error: EasError;
  /** Milliseconds until then. */
  readonly delay: number;
  /** The status of the failed attempt; undefined where no whole answer came. */
  readonly status: number | undefined;
}

/** The call failed for good; its promise rejects with the same error. */
export interface CallErrorEvent extends CallEvent {
  /** An `EasError`, an error for a bad argument, or the reason of the caller's abort. */
  readonly error: unknown;
  /** The status of the failed attempt; undefined where no answer came. */
  readonly status: number | undefined;
}

/**
 * Functions that hear of a client's calls. They are called synchronously and never waited for; what they throw, or reject
 * with, changes no call, and is a warning of the client's `logger`. Each call has one `start`, and ends with one `response` or
 * one `error`; what is refused before a call begins, such as a bad option, has neither. Between them each attempt has one
 * `request`, and each that is followed by another one a `retry`. With `hedgeAfter` two attempts may be under way at a time:
 * the call ends with one of them, and the other one is given up without a word. WebSockets and discovery are no calls.
 */
export interface CallHooks {
  /** A call begins: synchronously, before anything is waited for; in `stream()` and `fetch()` when their own code is loaded. */
  start?(call: CallInfo): unknown;
  /** An attempt is about to be sent. */
  request?(event: CallRequestEvent): unknown;
  /** The call was answered. */
  response?(event: CallResponseEvent): unknown;
  /** An attempt failed, and another one follows. */
  retry?(event: CallRetryEvent): unknown;
  /** The call failed for good. */
  error?(event: CallErrorEvent): unknown;
}

const HOOK_NAMES: readonly (keyof CallHooks)[] = ["start", "request", "response", "retry", "error"];

/** Where a client says what its calls do. `console` is one. */
export interface CallLogger {
  /** Hears of each answer. */
  debug(message: string): void;
  /** Hears of each retry, and of each hook that fails. */
  warn(message: string): void;
  /** Hears of each call that failed. */
  error(message: string): void;
}

/** Hears of what was not to happen. */
export type Warner = Pick<CallLogger, "warn">;

/** Checks hooks, one or a list of them, and returns them as a list. */
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

/** Checks a logger and returns it. */
export function checkLogger(value: CallLogger): CallLogger {
  for (const name of ["debug", "warn", "error"] as const) {
    if (typeof value?.[name] !== "function")
      throw optionError("logger", value, "be an object with debug(), warn() and error(), such as console");
  }
  return value;
}

/** The hooks of calls; undefined where nothing hears of them, which a logger that only warns does not. */
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
