import type { Bytes } from "../../formats/request.js";
import { isSuccess, MAX_ERROR_BYTES, type TransportResponse } from "../../platform/contract.js";
import type { Attempt } from "../attempt.js";
import type { CallPlan } from "../call-plan.js";
import type { ConnectionPool } from "../connections/connection-pool.js";
import { DECODING_TOOLS } from "./decoding.js";

/** Limit for the decoded body of an error. A larger body stays encoded: errors keep 64 KiB, and a small body can expand to much. */
const MAX_DECODED_ERROR_BYTES: number = 8 * MAX_ERROR_BYTES;

/** Decodes the content coding of a response, unless the attempt ends first. */
export function decodeResponse(
  pool: ConnectionPool,
  { decoding, maxResponseBytes }: CallPlan,
  response: TransportResponse,
  attempt: Attempt,
): Promise<Bytes> {
  const success = isSuccess(response.status);
  const most = success ? maxResponseBytes : Math.min(maxResponseBytes, MAX_DECODED_ERROR_BYTES);
  // Loaded on first use: in browsers `fetch` decodes by itself.
  const loading = import("./content-encoding.js");
  const decoded = loading.then(({ decodeContent }) =>
    decodeContent(response, pool.platform, most, decoding, success, DECODING_TOOLS),
  );
  // An error must surface as the error that it is, even when its body cannot be decoded.
  return attempt.outlive(success ? decoded : decoded.catch(() => response.body));
}
