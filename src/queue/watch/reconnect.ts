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

/** The watcher, as the reconnect loop sees it. */
export interface ReconnectHost {
  readonly open: OpenSource;
  readonly settings: WatchSettings;
  /** Fires when no connection is wanted any more. */
  readonly signal: AbortSignal;
  /** Whether another attempt is sent with another token. */
  readonly hasFreshTokens: () => boolean;
  readonly tell: (status: WatchStatus) => void;
  /** Logs `message` once for each `cause`. */
  readonly warn: (cause: string, message: string) => void;
  /** The consumer's uid and group, for messages. */
  readonly consumer: () => string;
  /**
   * Asks the service whether the queue has ended, after a connection that was ended in good order; `atOnce` when it lived
   * for a moment only. Resolves with false when that cannot be found out.
   */
  readonly hasEnded: (atOnce: boolean) => Promise<boolean>;
  /** Takes a serialized frame. Returns whether it is a frame that the watcher does not have yet. */
  onFrame(frame: Parameters<SourceEvents["onFrame"]>[0]): boolean;
  /** Takes a decoded frame. Returns whether it is a frame that the watcher does not have yet. */
  onItem(frame: DataFrame): boolean;
  /** As in `SourceEvents`. Returns whether the watcher sees the item for the first time. */
  onUnreadable(error: EasDecodeError, index: bigint | undefined): boolean;
  onConnected(source: FrameSource): void;
  onDisconnected(): void;
}

/** A connection that was opened and has ended. */
interface Connection extends SourceEnd {
  /** Whether it lived for less than `STABLE_MS`. */
  readonly isBrief: boolean;
  /** Whether it brought a frame that the watcher did not have. */
  readonly isUseful: boolean;
}

/** A connection that lived this long counts as good even if no frame came. The handshake alone proves nothing. */
const STABLE_MS = 2_000;
/** Brief connections in a row that brought frames and still do not lengthen the delay: a network may cut a few. */
const FREE_BRIEF = 5;
/** Brief connections in a row after which the logger is told. */
const MANY_BRIEF = 3;

/**
 * Keeps a connection open and reopens it when it breaks, until the signal fires or the watch has to end. Resolves with the
 * error that ended the watch, or with undefined.
 */
export async function reconnectLoop(host: ReconnectHost): Promise<unknown> {
  const { settings, signal, tell } = host;
  let failures = 0;
  let refusals = 0;
  let brief = 0;
  // Whether the service has accepted this watch before. What it refuses later is taken as transient.
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
    // Gateways and proxies end idle connections in good order, too. Only the attributes tell an ended queue.
    const mayBeEnd = end.graceful && !end.asked && !opened?.isUseful && settings.attempts > 0;
    if (mayBeEnd && (await host.hasEnded(opened?.isBrief === true))) break;
    if (signal.aborted) break;
    if (isCallersFault(end.cause)) return end.cause;
    if (!isProven && !isGood) {
      if (isUnreadable(end.cause) || (opened === undefined && isFinal(end.cause))) return end.cause;
      // A token may have expired on the way: a token function is asked once more.
      if (isRefusal(end.cause) && (++refusals === 2 || !host.hasFreshTokens())) return end.cause;
    }
    isProven ||= opened !== undefined;
    if (failures > settings.attempts && !end.asked) {
      return end.graceful && settings.attempts === 0 ? undefined : closedError(end);
    }
    const delay = delayAfter(end.cause, Math.max(failures, brief - FREE_BRIEF), settings);
    warn(host, end.cause, failures, opened ? brief : undefined);
    tell({ state: "reconnecting", cause: end.cause, failures, delay });
    await pause(delay, signal).catch(() => {});
  }
  return undefined;
}

/** Makes one connection and resolves when it is over. */
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

/** Logs failures that repeat. One alone is routine: gateways and proxies close connections. */
function warn({ warn: log, consumer }: ReconnectHost, cause: Error, failures: number, brief: number | undefined): void {
  const message = messageOf(cause);
  if (brief === undefined || brief === 0) {
    if (failures > 1) log(message, `the watch failed ${failures} times in a row: ${message}`);
  } else if (brief >= MANY_BRIEF) {
    const hint =
      cause instanceof EasHttpError
        ? ""
        : `. If another client uses ${consumer()}, each connection replaces the other: give each client its own uid`;
    log(
      "brief",
      `the last ${brief} connections of the watch ended within ${STABLE_MS / 1000} s of being opened, and the client reconnects at increasing intervals. Last error: ${message}${hint}`,
    );
  }
}

/** Milliseconds until the next connect. */
function delayAfter(cause: Error, failures: number, { minDelay, maxDelay }: WatchSettings): number {
  const longest = Math.min(maxDelay, minDelay * 2 ** (failures - 1));
  // Between half and all of it, so that consumers do not come back together.
  const delay = longest * (0.5 + Math.random() / 2);
  const { retryAfter = 0 } = cause instanceof EasHttpError ? cause : {};
  return requestedWait(Math.min(retryAfter, MAX_RETRY_AFTER_MS), delay);
}

/** Whether the way this client is set up makes every connection fail, whatever the service answers. */
function isCallersFault(error: unknown): boolean {
  if (error instanceof EasUnsupportedError) return true;
  return isError(error) && "code" in error && error.code === "ERR_EAS_ARG_WATCH";
}

/** Whether a stream holds something that is not a frame. The bytes behind it have no meaning. */
function isUnreadable(error: unknown): boolean {
  return error instanceof EasDecodeError;
}

/** Whether a first connection that failed like this would fail in the same way again. */
function isFinal(error: unknown): boolean {
  if (error instanceof EasNetworkError) return !error.retryable;
  return isError(error) && "code" in error && String(error.code).startsWith("ERR_EAS_ARG_");
}

/** Whether only another token can change the answer. */
function isRefusal(error: unknown): boolean {
  if (error instanceof EasHttpError) return !error.retryable;
  // Not an error of this package, such as what a token function throws.
  return !(error instanceof EasError);
}

function closedError({ cause, closeCode, reason = "" }: SourceEnd): unknown {
  if (closeCode === undefined || isUnreadable(cause)) return cause;
  const said = reason === "" ? "" : `: ${reason}`;
  return new EasQueueClosedError(`the queue service closed the watch with ${closeCode}${said}`, {
    attempts: 1,
    cause,
    closeCode,
    reason,
  });
}
