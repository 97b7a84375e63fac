import { MAX_RETRY_AFTER_MS, requestedWait } from "../../config/retry.js";
import {
  EasDecodeError,
  EasError,
  EasHttpError,
  EasNetworkError,
  EasQueueClosedError,
  EasUnsupportedError,
} from "../../errors.js";
import { isError, messageOf } from "../../util/realms.js";
import { pause } from "../../util/timing/abort.js";
import { clockNow } from "../../util/timing/clock.js";
import type { DataFrame } from "../frame.js";
import type { WatchSettings, WatchStatus } from "./options.js";
import type { FrameSource, OpenSource, SourceEnd, SourceEvents } from "./sources/frame-source.js";

/** The watcher members that the reconnect loop uses. */
export interface ReconnectHost {
  /** Opens a connection. */
  readonly open: OpenSource;
  readonly settings: WatchSettings;
  /** Fires when the watcher closes. */
  readonly signal: AbortSignal;
  /** Whether the client requests a new token for each attempt. */
  readonly hasFreshTokens: () => boolean;
  /** Reports a state change to the application. */
  readonly notify: (status: WatchStatus) => void;
  /** Logs `message` once for each `cause`. */
  readonly warn: (cause: string, message: string) => void;
  /** The consumer's uid and group, for use in messages. */
  readonly consumer: () => string;
  /**
   * Asks the service whether the queue has ended. Called after a connection has closed normally. `isBrief` is whether
   * that connection was brief. Resolves with false if the request fails.
   */
  readonly hasEnded: (isBrief: boolean) => Promise<boolean>;
  /** Handles a serialized frame. Returns whether the frame is new to the watcher. */
  onFrame(frame: Parameters<SourceEvents["onFrame"]>[0]): boolean;
  /** Handles a decoded frame. Returns whether the frame is new to the watcher. */
  onItem(frame: DataFrame): boolean;
  /** Handles an item that cannot be delivered. Returns whether the item is new to the watcher. */
  onUnreadable(error: EasDecodeError, index: bigint | undefined): boolean;
  onConnected(source: FrameSource): void;
  onDisconnected(): void;
}

/** The outcome of a connection that opened successfully. */
interface Connection extends SourceEnd {
  /** Whether the connection lasted for less than `STABLE_MS`. */
  readonly isBrief: boolean;
  /** Whether the connection delivered a new frame. */
  readonly isUseful: boolean;
}

/**
 * Duration after which a connection counts as good even without delivering a frame, in milliseconds. A successful
 * handshake alone is not sufficient.
 */
const STABLE_MS = 2_000;
/**
 * Number of consecutive brief connections that do not increase the delay if they delivered frames, because networks may
 * close a few connections even when the service works.
 */
const MAX_FREE_BRIEF = 5;
/** Number of consecutive brief connections after which a warning is logged. */
const MIN_BRIEF_TO_WARN = 3;

/**
 * Keeps a connection open. Reopens the connection when it breaks, until the signal fires or the watch ends. Resolves
 * with the error that ended the watch, or with undefined if there was no error.
 */
export async function reconnectLoop(host: ReconnectHost): Promise<unknown> {
  const { settings, signal, notify } = host;
  let failures = 0;
  let refusals = 0;
  let brief = 0;
  // Refusals are treated as transient once the service has accepted the watch.
  let isProven = false;
  while (!signal.aborted) {
    let end: SourceEnd;
    let opened: Connection | undefined;
    try {
      opened = await connect(host);
      end = opened;
    } catch (error) {
      end = { graceful: false, cause: error as Error };
    }
    if (signal.aborted || end.isQueueEnd) break;
    const isGood = opened !== undefined && (opened.isUseful || !opened.isBrief || end.asked === true);
    failures = isGood ? 1 : failures + 1;
    if (opened) brief = opened.isBrief && !end.asked ? brief + 1 : 0;
    // A normal close may mean that the queue has ended, but gateways and proxies also close idle connections normally.
    // Only the attributes show whether the queue has ended.
    const mayBeEnd = end.graceful && !end.asked && !opened?.isUseful && settings.attempts > 0;
    if (mayBeEnd && (await host.hasEnded(opened?.isBrief === true))) break;
    if (signal.aborted) break;
    if (isSetupError(end.cause)) return end.cause;
    if (!isProven && !isGood) {
      if (isUnreadable(end.cause) || (opened === undefined && isFinal(end.cause))) return end.cause;
      // The token may have expired while the connection was being opened, so call a token function once more.
      if (isRefusal(end.cause) && (++refusals === 2 || !host.hasFreshTokens())) return end.cause;
    }
    isProven ||= opened !== undefined;
    if (failures > settings.attempts && !end.asked) {
      return end.graceful && settings.attempts === 0 ? undefined : closedError(end);
    }
    const delay = delayAfter(end.cause, Math.max(failures, brief - MAX_FREE_BRIEF), settings);
    warn(host, end.cause, failures, opened ? brief : undefined);
    notify({ state: "reconnecting", cause: end.cause, failures, delay });
    await pause(delay, signal).catch(() => {});
  }
  return undefined;
}

/** Opens one connection. Resolves when the connection has ended. */
async function connect(host: ReconnectHost): Promise<Connection> {
  const { signal } = host;
  let isUseful = false;
  let onEnd!: (end: SourceEnd) => void;
  const ended = new Promise<SourceEnd>((resolve) => {
    onEnd = resolve;
  });
  const note = (isNew: boolean) => {
    isUseful ||= isNew;
  };
  const source = await host.open(
    {
      onFrame: (frame) => note(host.onFrame(frame)),
      onItem: (frame) => note(host.onItem(frame)),
      onUnreadable: (error, index) => note(host.onUnreadable(error, index)),
      onEnd,
    },
    signal,
  );
  const openedAt = clockNow();
  const onAbort = () => void source.close();
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  else host.onConnected(source);
  const end = await ended;
  signal.removeEventListener("abort", onAbort);
  host.onDisconnected();
  return { ...end, isUseful, isBrief: clockNow() - openedAt < STABLE_MS };
}

/** Logs repeated failures. Does not log a single failure, because gateways and proxies routinely close connections. */
function warn({ warn: log, consumer }: ReconnectHost, cause: Error, failures: number, brief: number | undefined): void {
  const message = messageOf(cause);
  if (brief === undefined || brief === 0) {
    if (failures > 1) log(message, `the watch failed ${failures} times in a row: ${message}`);
  } else if (brief >= MIN_BRIEF_TO_WARN) {
    const hint =
      cause instanceof EasHttpError
        ? ""
        : `. If another client uses ${consumer()}, each connection replaces the other: give each client its own uid`;
    log(
      "brief",
      `the last ${brief} connections of the watch ended within ${STABLE_MS / 1000} s of being opened, so the client reconnects at increasing intervals. Last error: ${message}${hint}`,
    );
  }
}

/** Returns the delay before the next attempt to connect, in milliseconds. */
function delayAfter(cause: Error, failures: number, { minDelay, maxDelay }: WatchSettings): number {
  const max = Math.min(maxDelay, minDelay * 2 ** (failures - 1));
  // The jitter prevents consumers from reconnecting at the same time.
  const delay = max * (0.5 + Math.random() / 2);
  const { retryAfter = 0 } = cause instanceof EasHttpError ? cause : {};
  return requestedWait(Math.min(retryAfter, MAX_RETRY_AFTER_MS), delay);
}

/** Whether the client's configuration makes every connection fail. */
function isSetupError(error: unknown): boolean {
  if (error instanceof EasUnsupportedError) return true;
  return isError(error) && "code" in error && error.code === "ERR_EAS_ARG_WATCH";
}

/** Whether the stream contained invalid data, which makes the rest of the stream undecodable. */
function isUnreadable(error: unknown): boolean {
  return error instanceof EasDecodeError;
}

/** Whether a retry of the first connection would fail in the same way. */
function isFinal(error: unknown): boolean {
  if (error instanceof EasNetworkError) return !error.retryable;
  return isError(error) && "code" in error && String(error.code).startsWith("ERR_EAS_ARG_");
}

/** Whether the service refused the request for a reason that only a different token can fix. */
function isRefusal(error: unknown): boolean {
  if (error instanceof EasHttpError) return !error.retryable;
  // Errors of other classes come from the application, for example from a token function that throws.
  return !(error instanceof EasError);
}

function closedError({ cause, closeCode, reason = "" }: SourceEnd): unknown {
  if (closeCode === undefined || isUnreadable(cause)) return cause;
  const suffix = reason === "" ? "" : `: ${reason}`;
  return new EasQueueClosedError(`the queue service closed the watch with ${closeCode}${suffix}`, {
    attempts: 1,
    cause,
    closeCode,
    reason,
  });
}
