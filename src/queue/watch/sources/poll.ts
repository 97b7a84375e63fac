import { EasNetworkError } from "../../../errors.js";
import { isError, messageOf } from "../../../util/realms.js";
import { pause } from "../../../util/timing/abort.js";
import { clockNow } from "../../../util/timing/clock.js";
import type { QueueCalls } from "../../calls.js";
import type { DataFrame, FrameOwner } from "../../frame.js";
import { indexAt, isTooLarge } from "../deliveries/large-items.js";
import type { WatchSettings } from "../options.js";
import type { WatchTools } from "../tools.js";
import type { FrameSource, OpenSource, SourceEvents } from "./frame-source.js";

/** Time for which the service may delay the response. */
const WAIT = "5s";
/** Maximum number of items in one request. */
const MAX_ITEMS = 100;
/** Estimated size of a frame including tags but not data, in bytes. */
const FRAME_BYTES = 1_024;
/** Maximum number of consecutive responses that are too large. With autoCommit, the poll fails if there are more. */
const MAX_TOO_LARGE = 3;
/** Minimum time in milliseconds between two responses without items, because an ended queue responds without delay. */
const IDLE_MS = 1_000;

/** The room in a watcher's window. */
export interface Room {
  /** Returns the number of frames for which the window has room. */
  readonly size: () => number;
  /** Resolves when there may be more room in the window, or when the watcher closes. */
  readonly change: () => Promise<void>;
}

/** Returns a function that starts a watch based on repeated gets. Items stay in the queue until they are deleted. */
export function pollSource(
  tools: WatchTools,
  calls: QueueCalls,
  settings: WatchSettings,
  start: bigint,
  owner: FrameOwner,
  room: Room,
): OpenSource {
  return async (events, signal) => {
    // If the configuration is wrong, this request fails before the watch counts as open. A get would not be suitable,
    // because it might wait for an item or delete one.
    const attributes = await calls.run(tools.attributesOperation({ signal }));
    signal.throwIfAborted();
    return new PollSource(tools, calls, settings, start, owner, room, events, tools.maxPayloadBytesOf(attributes));
  };
}

class PollSource implements FrameSource {
  readonly #life = new AbortController();
  readonly #ended: Promise<void>;
  #resume: (() => void) | undefined;
  #paused: Promise<void> | undefined;

  constructor(
    tools: WatchTools,
    calls: QueueCalls,
    { autoCommit, tags }: WatchSettings,
    start: bigint,
    owner: FrameOwner,
    room: Room,
    events: SourceEvents,
    maxPayloadBytes: number,
  ) {
    const { signal } = this.#life;
    const getter = new tools.ItemGetter(() => calls);
    const { maxResponseBytes } = calls.template().plan;
    let largest = 0;
    /**
     * Returns the number of items to request. If there were more, the response could exceed `maxResponseBytes`, and a
     * get that deletes items would lose them.
     */
    const batch = () => {
      const each = Math.min(maxPayloadBytes, 4 * largest) + FRAME_BYTES;
      return Math.min(MAX_ITEMS, room.size(), Math.floor(maxResponseBytes / each));
    };
    const get = (index: bigint, length: number, timeout: string) =>
      getter.get({ index, length, timeout, autoDelete: autoCommit, tags: Object.fromEntries(tags), signal }, owner);
    // Start at 1, because a get from index 0 sorts items by priority. Continuing from the index of a high-priority item
    // would skip earlier items.
    const head = autoCommit || start > 0n ? start : 1n;
    const wanted = async () => {
      while (this.#paused !== undefined || room.size() < 1) {
        await (this.#paused ?? room.change());
        signal.throwIfAborted();
      }
    };
    /** Resolves when the queue has ended. */
    const poll = async (): Promise<void> => {
      let position = head;
      let isUnread = true;
      let tooLarge = 0;
      // Deliver all items at once, because with autoCommit they are already deleted.
      const take = (frames: DataFrame[]) => {
        for (const frame of frames) {
          isUnread = false;
          largest = Math.max(largest, frame.data.length);
          events.onItem(frame);
          if (!autoCommit) position = frame.index + 1n;
        }
      };
      for (;;) {
        await wanted();
        const askedAt = clockNow();
        // Request a single item first, because a get waits until the queue contains as many items as requested.
        const first = await get(position, 1, WAIT).catch(async (error: unknown) => {
          if (!isTooLarge(error)) throw error;
          // With autoCommit, the item is already deleted unless the deletion is a separate request.
          const index = autoCommit && !calls.mayResend ? undefined : await indexAt(tools, calls, position, signal);
          // The item was deleted in the meantime.
          if (index === null) return undefined;
          // The index to continue from is unknown, so the next request would fail in the same way.
          if (index === undefined && (!autoCommit || ++tooLarge > MAX_TOO_LARGE)) throw error;
          if (index !== undefined) position = index + 1n;
          events.onUnreadable(error, index);
          return undefined;
        });
        if (first === undefined) continue;
        tooLarge = 0;
        if (first.length === 0) {
          const rest = askedAt + IDLE_MS - clockNow();
          if (rest > 0) {
            if ((autoCommit || isUnread) && tools.hasEnded(await calls.run(tools.attributesOperation({ signal }))))
              return;
            await pause(rest, signal);
          }
          // Continue from the start of the queue, where released items may be.
          position = head;
          isUnread = true;
          continue;
        }
        take(first);
        const length = batch();
        if (length < 1 || this.#paused !== undefined) continue;
        try {
          take(await get(position, length, "0s"));
        } catch (error) {
          if (!isTooLarge(error) || autoCommit) throw error;
          // Together, the items are too large for one response. Request them individually to find the one that is too
          // large.
          largest = maxResponseBytes;
        }
      }
    };
    this.#ended = poll().then(
      () => {
        const cause = new EasNetworkError("the queue has ended", { attempts: 1, retryable: false });
        events.onEnd({ graceful: true, isQueueEnd: true, cause });
      },
      (error: unknown) => {
        const cause = isError(error) ? error : new Error(messageOf(error));
        events.onEnd({ graceful: false, asked: signal.aborted, cause });
      },
    );
  }

  readonly pause = (): void => {
    this.#paused ??= new Promise((resolve) => {
      this.#resume = resolve;
    });
  };

  readonly resume = (): void => {
    this.#paused = undefined;
    this.#resume?.();
  };

  async close(): Promise<void> {
    this.#life.abort(new Error("closed"));
    this.resume();
    await this.#ended;
  }
}
