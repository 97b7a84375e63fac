import type { PutOptions } from "../operations.js";
import type { QueueData } from "../options.js";
import type { PutResult } from "../put-result.js";
import type { PutTarget } from "./handler.js";

/** Maximum number of times that an item is put, if an earlier put may have been accepted. */
const MAX_PUTS = 3;

/**
 * Puts an item. If the queue may have accepted the item, puts it again with the same request id. A copy costs less
 * than another run of the handler, which would also put a copy.
 */
export async function putSurely(target: PutTarget, data: QueueData, options: PutOptions): Promise<PutResult> {
  for (let puts = 1; ; puts++) {
    try {
      return await target.put(data, options);
    } catch (error) {
      const { maybeAccepted } = Object(error) as { maybeAccepted?: unknown };
      if (maybeAccepted !== true || puts === MAX_PUTS) throw error;
    }
  }
}
