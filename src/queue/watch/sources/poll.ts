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

/** How long the service may hold an answer back. */
const WAIT = "5s";
/** The most items that are asked for at once. */
const MAX_ITEMS = 100;
/** Bytes of a frame beyond its data, tags included. */
const FRAME_BYTES = 1_024;
/** Answers in a row that are too large, after which a poll with autoCommit is given up. */
const MAX_TOO_LARGE = 3;
/** The least time between two answers without an item: an ended queue holds none back, nor may a proxy's. */
const IDLE_MS = 1_000;

/** How much more a watcher takes. */
export interface Room {
  /** Frames that there is room for. */
  readonly size: () => number;
  /** Resolves when there may be more, or nothing is wanted any more. */
  readonly change: () => Promise<void>;
}

/** A watch by one get after another, where nothing else works. Items stay in the queue until they are deleted. */
export function pollSource(
  tools: WatchTools,
  calls: QueueCalls,
  settings: WatchSettings,
  start: bigint,
  owner: FrameOwner,
  room: Room,
): OpenSource {
  return async (events, signal) => {
    // What is wrong shows before the watch counts as open; a get would wait, or take an item.
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
    /** Items to ask for at once: an answer with more may be larger than `maxResponseBytes`, and a deleting get would lose it. */
    const batch = () => {
      const each = Math.min(maxPayloadBytes, 4 * largest) + FRAME_BYTES;
      return Math.min(MAX_ITEMS, room.size(), Math.floor(maxResponseBytes / each));
    };
    const get = (index: bigint, length: number, timeout: string) =>
      getter.get({ index, length, timeout, autoDelete: autoCommit, tags: Object.fromEntries(tags), signal }, owner);
    // From 0 the service sorts by priority: whoever goes on behind an item of a high one passes over those before it.
    // What is deleted as it is got is always taken from the head.
    const head = autoCommit || start > 0n ? start : 1n;
    const wanted = async () => {
      while (this.#paused !== undefined || room.size() < 1) {
        await (this.#paused ?? room.change());
        signal.throwIfAborted();
      }
    };
    /** Resolves at the end of the queue. */
    const poll = async (): Promise<void> => {
      let position = head;
      let isUnread = true;
      let tooLarge = 0;
      // At once, since with autoCommit nobody else has them any more.
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
        // One first, since a get waits for as many as it is asked for.
        const first = await get(position, 1, WAIT).catch(async (error: unknown) => {
          if (!isTooLarge(error)) throw error;
          // With autoCommit the item is deleted by now, unless the deletion is a request of its own.
          const index = autoCommit && !calls.mayResend ? undefined : await indexAt(tools, calls, position, signal);
          // The item was deleted in between.
          if (index === null) return undefined;
          // Without an index to go on from, or when each answer is too large, the same would come again.
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
          // From the start again, where items may be that were let go of.
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
          // Together they are too large. One by one the item that is too large by itself is found.
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
