import {
  EasDecodeError,
  EasError,
  EasHttpError,
  EasNetworkError,
  EasQueueClosedError,
  EasUnsupportedError,
} from "../../errors.js";
import { MAX_RETRY_AFTER_MS, requestedWait } from "../../http/retry.js";
import { pause } from "../../util/abort.js";
import type { FrameSource, OpenSource, SourceEnd, SourceEvents } from "./frame-source.js";
import type { WatchSettings, WatchStatus } from "./watch-options.js";

/** What a connection is kept for. */
export interface Keeper extends Omit<SourceEvents, "onEnd"> {
  readonly open: OpenSource;
  readonly settings: WatchSettings;
  /** Fires when no connection is wanted any more. */
  readonly signal: AbortSignal;
  /** Whether another attempt is sent with another token. */
  readonly hasFreshTokens: () => boolean;
  readonly tell: (status: WatchStatus) => void;
  onConnected(source: FrameSource): void;
  onDisconnected(): void;
}

/** Answers that no other attempt changes, but perhaps another token. */
const REFUSALS: readonly number[] = [400, 401, 403, 404, 405];
/** A queue that has ended ends a connection at once; what ends after this time was only idle. */
const AT_ONCE_MS = 5_000;

/**
 * Keeps a connection, and makes it again when it breaks, until it is not wanted any more or cannot be had. Resolves with
 * the error that ended it, or with undefined.
 */
export async function keepConnected(keeper: Keeper): Promise<unknown> {
  const { settings, signal, tell } = keeper;
  let failures = 0;
  let refusals = 0;
  let emptyEnds = 0;
  while (!signal.aborted) {
    let end: SourceEnd;
    let isFinal = false;
    try {
      const { isEmpty, ...ended } = await connect(keeper);
      end = ended;
      failures = 1;
      refusals = 0;
      // A gateway may end a connection in good order; a queue that has ended ends each, without a frame.
      emptyEnds = end.graceful && !end.asked && isEmpty ? emptyEnds + 1 : 0;
      if (emptyEnds === 2) return undefined;
    } catch (error) {
      failures++;
      emptyEnds = 0;
      end = { graceful: false, cause: error as Error };
      // A browser that lets nothing through, or what no request can be made of.
      isFinal = error instanceof EasNetworkError && !error.retryable;
    }
    if (signal.aborted) break;
    if (isFinal || isHopeless(end.cause)) return end.cause;
    // A token may have run out on the way: a function is asked for another, once.
    if (isRefusal(end.cause) && (++refusals === 2 || !keeper.hasFreshTokens())) return end.cause;
    if (failures > settings.attempts && !end.asked) return end.graceful ? undefined : closedError(end);
    const delay = delayAfter(end.cause, failures, settings);
    tell({ state: "reconnecting", cause: end.cause, failures, delay });
    await pause(delay, signal).catch(() => {});
  }
  return undefined;
}

/** Makes one connection and resolves when it is over. */
async function connect(keeper: Keeper): Promise<SourceEnd & { readonly isEmpty: boolean }> {
  const { signal } = keeper;
  let received = 0;
  let onEnd!: (end: SourceEnd) => void;
  const ended = new Promise<SourceEnd>((resolve) => {
    onEnd = resolve;
  });
  const source = await keeper.open(
    {
      onFrame(frame) {
        received++;
        keeper.onFrame(frame);
      },
      onItem(frame) {
        received++;
        keeper.onItem(frame);
      },
      onEnd,
    },
    signal,
  );
  const openedAt = performance.now();
  const onAbort = () => void source.close();
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  else keeper.onConnected(source);
  const end = await ended;
  signal.removeEventListener("abort", onAbort);
  keeper.onDisconnected();
  return { ...end, isEmpty: received === 0 && performance.now() - openedAt < AT_ONCE_MS };
}

/** Milliseconds until the next connect. */
function delayAfter(cause: Error, failures: number, { leastDelay, mostDelay }: WatchSettings): number {
  const longest = Math.min(mostDelay, leastDelay * 2 ** (failures - 1));
  // Between half and all of it, so that consumers do not come back together.
  const delay = longest * (0.5 + Math.random() / 2);
  const { retryAfter = 0 } = cause instanceof EasHttpError ? cause : {};
  return requestedWait(Math.min(retryAfter, MAX_RETRY_AFTER_MS), delay);
}

/** Whether another connection would end in the same way, whatever the token. */
function isHopeless(error: unknown): boolean {
  // The bytes behind what cannot be read have no meaning.
  if (error instanceof EasDecodeError || error instanceof EasUnsupportedError) return true;
  return error instanceof Error && "code" in error && String(error.code).startsWith("ERR_EAS_ARG_");
}

function isRefusal(error: unknown): boolean {
  if (error instanceof EasHttpError) return REFUSALS.includes(error.status);
  // Not ours: what a token function throws, for one.
  return !(error instanceof EasError);
}

function closedError({ cause, closeCode, reason = "" }: SourceEnd): unknown {
  if (closeCode === undefined) return cause;
  const said = reason === "" ? "" : `: ${reason}`;
  return new EasQueueClosedError(`the queue service closed the watch with ${closeCode}${said}`, {
    attempts: 1,
    cause,
    closeCode,
    reason,
  });
}
