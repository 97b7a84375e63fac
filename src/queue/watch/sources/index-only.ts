import { EasDecodeError } from "../../../errors.js";
import type { Bytes } from "../../../formats/request.js";
import type { DataFrame, FrameOwner } from "../../frame.js";
import type { WatchTools } from "../tools.js";
import type { FrameSource, OpenSource, SourceEnd } from "./frame-source.js";

/**
 * Time after the last item that was too large before the connection should be replaced by one that receives data, in
 * milliseconds.
 */
const REPLACE_AFTER_MS = 30_000;

/**
 * Opens a watch that receives only indexes, and reads the items individually. Used to find an item that is too large in
 * runtimes that close the WebSocket when a message is too large. For that item, `fetch` calls `onFound` and rejects
 * with an `EasDecodeError`, or resolves with null if the item has been deleted in the meantime. For other deleted
 * items, `fetch` resolves with undefined.
 */
export function indexSource(
  { readFrame }: WatchTools,
  open: OpenSource,
  owner: FrameOwner,
  fetch: (index: bigint, signal: AbortSignal) => Promise<DataFrame | null | undefined>,
  onFound: () => void,
): OpenSource {
  return async (events, signal) => {
    const life = new AbortController();
    const waiting: Bytes[] = [];
    let isPaused = false;
    let isBusy = false;
    let isReplaceable = false;
    let failure: Error | undefined;
    let end: SourceEnd | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;

    const found = (): void => {
      onFound();
      clearTimeout(timer);
      timer = setTimeout(() => {
        isReplaceable = true;
      }, REPLACE_AFTER_MS);
    };
    const read = async (bytes: Bytes): Promise<void> => {
      let index: bigint;
      try {
        index = readFrame(bytes, owner).index;
      } catch {
        return events.onFrame(bytes);
      }
      try {
        const frame = await fetch(index, life.signal);
        if (end !== undefined) return;
        if (frame === null) found();
        else if (frame !== undefined) events.onItem(frame);
      } catch (error) {
        if (!(error instanceof EasDecodeError)) throw error;
        if (end !== undefined) return;
        found();
        events.onUnreadable(error, index);
      }
    };
    const work = async (): Promise<void> => {
      if (isBusy) return;
      isBusy = true;
      try {
        while (!isPaused && end === undefined && waiting.length > 0) await read(waiting.shift() as Bytes);
      } catch (error) {
        // The next connection delivers the remaining items again.
        failure = error as Error;
        void source.close();
      }
      isBusy = false;
    };
    const source = await open(
      {
        ...events,
        onFrame(bytes) {
          waiting.push(bytes);
          void work();
        },
        onEnd(given) {
          end = failure === undefined ? given : { graceful: false, cause: failure };
          clearTimeout(timer);
          life.abort(new Error("the connection has ended"));
          events.onEnd(end);
        },
      },
      signal,
    );
    void work();
    const result: FrameSource = {
      get isReplaceable() {
        return isReplaceable;
      },
      pause() {
        isPaused = true;
      },
      resume() {
        isPaused = false;
        void work();
      },
      close: () => source.close(),
    };
    return result;
  };
}
