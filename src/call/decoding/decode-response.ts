import type { Bytes } from "../../formats/request.js";
import { isSuccess, MAX_ERROR_BYTES, type TransportResponse } from "../../platform/contract.js";
import type { Attempt } from "../attempt.js";
import type { CallPlan } from "../call-plan.js";
import type { ConnectionPool } from "../connections/connection-pool.js";
import { DECODING_TOOLS } from "./decoding.js";

/** Maximum decoded size of an error body. A larger body stays encoded. Errors keep only the first 64 KiB of a body. */
const MAX_DECODED_ERROR_BYTES: number = 8 * MAX_ERROR_BYTES;

/** Decodes the content codings of a response. Rejects when the attempt is canceled or times out. */
export function decodeResponse(
  pool: ConnectionPool,
  { decoding, maxResponseBytes }: CallPlan,
  response: TransportResponse,
  attempt: Attempt,
): Promise<Bytes> {
  const success = isSuccess(response.status);
  const maxBytes = success ? maxResponseBytes : Math.min(maxResponseBytes, MAX_DECODED_ERROR_BYTES);
  // Loaded on first use, since `fetch` decodes in browsers.
  const loading = import("./content-encoding.js");
  const decoded = loading.then(({ decodeContent }) =>
    decodeContent(response, pool.platform, maxBytes, decoding, success, DECODING_TOOLS),
  );
  // If the body of an error response cannot be decoded, it stays encoded, because the status matters more.
  return attempt.outlive(success ? decoded : decoded.catch(() => response.body));
}
