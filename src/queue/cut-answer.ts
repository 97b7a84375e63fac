import type { CallResult } from "../call/call-plan.js";
import { EasDecodeError } from "../errors.js";
import type { Transport } from "../platform/contract.js";
import type { DataFrame } from "./frame.js";

/**
 * Returns the frames of a response to a `get` of up to `length` items. Throws `EasDecodeError` if only the end of the
 * connection ended the response and it has fewer items: it may be truncated, and the queue may have deleted the rest.
 */
export function checkComplete(
  frames: DataFrame[],
  length: number,
  { response: { status, headers } }: CallResult,
  { showsFraming }: Transport,
): DataFrame[] {
  if (!showsFraming || status !== 200 || frames.length >= length) return frames;
  if (headers.has("content-length") || headers.has("transfer-encoding")) return frames;
  const indexes = frames.map(({ index }) => index).join(", ") || "none";
  throw new EasDecodeError(
    `the response to get has no Content-Length and may be truncated: it has ${indexes} of up to ${length} items. The queue may have deleted more`,
    { format: "queue" },
  );
}
