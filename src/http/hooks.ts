import { argumentTypeError, show } from "../argument-errors.js";
import type { EasError } from "../errors.js";
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

/** What all events after a call's start have. Nothing in it holds the token. */
export interface CallEvent {
  readonly call: CallInfo;
  readonly method: string;
  /** Where the attempt goes, without its query. */
  readonly url: string;
  /** Scheme, host and port of it. */
  readonly endpoint: string;
  /** Which attempt this is, from 1; 0 in an error before the first. */
  readonly attempt: number;
  /** Bytes of the request's body as they are sent; undefined for one that is streamed. */
  readonly requestBytes: number | undefined;
  readonly timings: CallTimings;
}

/** Times in milliseconds. */
export interface CallTimings {
  /** What the attempt waited for a free connection and its token before it was sent. */
  readonly queued: number;
  /** From sending to the head of the answer; undefined where none came, or the transport does not tell. */
  readonly firstByte: number | undefined;
  /** Since the call began, all attempts and waits before included. */
  readonly total: number;
}

/** An attempt is about to be sent. */
export interface CallRequestEvent extends CallEvent {
  /** Adds a header to this attempt, such as `traceparent`. Not one of the authorization or of the connection. */
  setHeader(name: string, value: string): void;
}

/** The call was answered, and its answer read to the end. Of a stream: its body has ended. */
export interface CallResponseEvent extends CallEvent {
  readonly status: number;
  readonly headers: Headers;
  /** Bytes of the answer's body as they came. */
  readonly responseBytes: number;
}

/** An attempt failed, and there will be another one. */
export interface CallRetryEvent extends CallEvent {
  readonly error: EasError;
  /** Milliseconds until then. */
  readonly delay: number;
  /** The status of the failed attempt, where one came. */
  readonly status: number | undefined;
}

/** The call failed for good; its promise rejects with the same error. */
export interface CallErrorEvent extends CallEvent {
  /** An `EasError`, an error for a bad argument, or the reason of the caller's abort. */
  readonly error: unknown;
  /** The status of the failed attempt, where one came. */
  readonly status: number | undefined;
}

/**
 * Functions that hear of a client's calls. They are called synchronously and never waited for; what they throw, or reject
 * with, changes no call. Each call has one `start`, and ends with one `response` or one `error`.
 */
export interface CallHooks {
  /** A call begins: synchronously in `predict()`, before it waits for anything. */
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

/** Hooks by name. */
export const HOOK_NAMES: readonly (keyof CallHooks)[] = ["start", "request", "response", "retry", "error"];

/** Where a client says what its calls do. `console` is one. */
export interface CallLogger {
  /** Hears of each answer. */
  debug(message: string): void;
  /** Hears of each retry. */
  warn(message: string): void;
  /** Hears of each call that failed. */
  error(message: string): void;
}

/** Checks hooks, one or a list of them, and returns them as a list. */
export function checkHooks(value: CallHooks | readonly CallHooks[]): readonly CallHooks[] {
  const list = Array.isArray(value) ? (value as readonly CallHooks[]) : [value as CallHooks];
  for (const hooks of list) {
    if (typeof hooks !== "object" || hooks === null)
      throw refused("hooks", hooks, "an object such as { response(event) {} }");
    for (const name of HOOK_NAMES) {
      const hook: unknown = hooks[name];
      if (hook !== undefined && typeof hook !== "function") throw refused(`hooks.${name}`, hook, "a function");
    }
  }
  return [...list];
}

/** Checks a logger and returns it. */
export function checkLogger(value: CallLogger): CallLogger {
  for (const name of ["debug", "warn", "error"] as const) {
    if (typeof value?.[name] !== "function")
      throw refused("logger", value, "an object with debug(), warn() and error(), such as console");
  }
  return value;
}

/** All that hears of a client's calls; undefined where nothing does. */
export function hooksOf({
  hooks = [],
  logger,
}: {
  readonly hooks: readonly CallHooks[] | undefined;
  readonly logger: CallLogger | undefined;
}): readonly CallHooks[] | undefined {
  if (logger === undefined) return hooks.length === 0 ? undefined : hooks;
  return [loggingHooks(logger), ...hooks];
}

function loggingHooks(logger: CallLogger): CallHooks {
  const named = ({ method, url, attempt }: CallEvent) => `${method} ${url} (attempt ${attempt})`;
  return {
    response(event) {
      const { status, responseBytes, timings } = event;
      logger.debug(`${named(event)}: ${status}, ${responseBytes} bytes after ${Math.round(timings.total)} ms`);
    },
    retry: (event) =>
      logger.warn(`${named(event)} failed, again in ${Math.round(event.delay)} ms: ${event.error.message}`),
    error: (event) => logger.error(`${named(event)} failed: ${messageOf(event.error)}`),
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function refused(name: string, value: unknown, right: string): TypeError {
  return argumentTypeError("ERR_EAS_ARG_OPTION", `${name} is ${show(value)}: it must be ${right}`);
}
