import { EasError } from "../../errors.js";
import type { FrameOwner } from "../data-frame.js";
import type { QueueCalls } from "../queue-calls.js";
import { getOperation } from "../queue-operations.js";
import type { FrameSource, OpenSource, SourceEvents } from "./frame-source.js";
import type { WatchSettings } from "./watch-options.js";

/** How long the service may hold an answer back. */
const WAIT = "5s";
/** The most items that are asked for at once. */
const MOST_ITEMS = 100;

/** How much more a watcher takes. */
export interface Room {
  /** Frames that there is room for. */
  readonly size: () => number;
  /** Resolves when there may be more. */
  readonly change: () => Promise<void>;
}

/** A watch by one get after another, where nothing else works. Items stay in the queue until they are deleted. */
export function pollSource(
  calls: QueueCalls,
  settings: WatchSettings,
  start: bigint,
  owner: FrameOwner,
  room: Room,
): OpenSource {
  return async (events, signal) => {
    signal.throwIfAborted();
    return new PollSource(calls, settings, start, owner, room, events);
  };
}

class PollSource implements FrameSource {
  readonly pause = undefined;
  readonly resume = undefined;
  readonly #life = new AbortController();
  readonly #ended: Promise<void>;

  constructor(
    calls: QueueCalls,
    { autoCommit, tags }: WatchSettings,
    start: bigint,
    owner: FrameOwner,
    room: Room,
    events: SourceEvents,
  ) {
    const { signal } = this.#life;
    const get = (index: bigint, length: number, timeout: string) =>
      calls.run(
        getOperation({ index, length, timeout, autoDelete: autoCommit, tags: Object.fromEntries(tags), signal }, owner),
      );
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    aborted.catch(() => {});
    const poll = async (): Promise<never> => {
      let position = start;
      for (;;) {
        while (room.size() < 1) await Promise.race([room.change(), aborted]);
        // One first, since a get waits for as many as it is asked for.
        const frames = await get(position, 1, WAIT);
        const last = frames.at(-1)?.index;
        // From the start again, where items may be that were let go of.
        if (last === undefined) position = start;
        else {
          const length = Math.min(MOST_ITEMS, room.size() - 1);
          if (length > 0) frames.push(...(await get(last + 1n, length, "0s")));
          for (const frame of frames) {
            events.onItem(frame);
            position = frame.index + 1n;
          }
        }
      }
    };
    this.#ended = poll().catch((error: unknown) => {
      const cause = error instanceof Error ? error : new Error(String(error));
      events.onEnd({ graceful: false, cause: error instanceof EasError ? error : cause });
    });
  }

  async close(): Promise<void> {
    this.#life.abort(new Error("closed"));
    await this.#ended;
  }
}
