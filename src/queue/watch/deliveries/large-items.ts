import { openStream } from "../../../call/stream-call.js";
import { EasDecodeError } from "../../../errors.js";
import { joinChunks } from "../../../platform/chunks.js";
import type { QueueCalls } from "../../calls.js";
import type { FrameOwner } from "../../frame.js";
import { FRAME_HEAD_BYTES } from "../sources/frame-splitter.js";
import type { WatchTools } from "../tools.js";

const NO_OWNER: FrameOwner = { commit: async () => {}, negative: async () => {}, release: () => {} };

/** Whether a response was larger than `maxResponseBytes`, before or after decompression. */
export function isTooLarge(error: unknown): error is EasDecodeError {
  return error instanceof EasDecodeError && error.format !== "queue";
}

/**
 * Returns the index of the first item at or after `position`, without reading the item's data. Returns null if there is
 * no such item, or undefined if the index cannot be determined.
 */
export async function indexAt(
  tools: WatchTools,
  calls: QueueCalls,
  position: bigint,
  signal: AbortSignal,
): Promise<bigint | null | undefined> {
  if (calls.pool.transport.stream === undefined) {
    const first = tools.firstEntryOf(await calls.run(tools.attributesOperation({ signal })));
    return first !== undefined && first >= position ? first : undefined;
  }
  const plan = calls.planOf(tools.getOperation({ index: position, timeout: 0, autoDelete: false, signal }, NO_OWNER));
  const { response } = await openStream(calls.pool, plan, null, {}, (answer) => answer);
  let head = new Uint8Array(0);
  try {
    for (;;) {
      const chunk = await response.read();
      if (chunk === undefined) return head.length === 0 ? null : undefined;
      head = joinChunks([head, chunk], head.length + chunk.length);
      const index = tools.readFirstIndex(head.subarray(0, FRAME_HEAD_BYTES));
      if (index !== undefined || head.length >= FRAME_HEAD_BYTES) return index;
    }
  } finally {
    response.cancel(undefined);
  }
}
