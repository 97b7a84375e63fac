import type { Bytes } from "../../formats/request.js";
import { isSuccess, MAX_ERROR_BYTES, type TransportResponse } from "../../platform/contract.js";
import type { Attempt } from "../attempt.js";
import type { CallPlan } from "../call-plan.js";
import type { ConnectionPool } from "../connections/connection-pool.js";
import { DECODING_TOOLS } from "./decoding.js";

/**
 * Maximum decoded size of an error body. A larger body is left encoded, because errors keep only the first 64 KiB of a
 * body.
 */
const MAX_DECODED_ERROR_BYTES: number = 8 * MAX_ERROR_BYTES;

/** Decodes a response's content codings. Rejects when the attempt is canceled or times out. */
export function decodeResponse(
  pool: ConnectionPool,
  { decoding, maxResponseBytes }: CallPlan,
  response: TransportResponse,
  attempt: Attempt,
): Promise<Bytes> {
  const success = isSuccess(response.status);
  const maxBytes = success ? maxResponseBytes : Math.min(maxResponseBytes, MAX_DECODED_ERROR_BYTES);
  // Loaded on first use, because browsers do not need it: their `fetch` decodes bodies.
  const loading = import("./content-encoding.js");
  const decoded = loading.then(({ decodeContent }) =>
    decodeContent(response, pool.platform, maxBytes, decoding, success, DECODING_TOOLS),
  );
  // If an error response's body cannot be decoded, it stays encoded: reporting the status matters more.
  return attempt.outlive(success ? decoded : decoded.catch(() => response.body));
}
