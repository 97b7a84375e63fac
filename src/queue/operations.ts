import type { CallResult } from "../call/call-plan.js";
import type { CallOptions } from "../config/options.js";
import { checkBoolean, checkCount } from "../config/validate.js";
import { EasDecodeError, EasHttpError } from "../errors.js";
import type { Bytes } from "../formats/request.js";
import type { HeaderPair, Transport } from "../platform/contract.js";
import { argumentRangeError, argumentTypeError, show } from "../util/argument-errors.js";
import { changeNames, type OptionNames } from "../util/option-names.js";
import { type QueueAttributes, readAttributes } from "./attributes.js";
import { QUEUE_CALL_OPTIONS, type QueryPairs, type QueueCallOptions, type QueueOperation } from "./calls.js";
import type { DataFrame, FrameOwner } from "./frame.js";
import { readFrames } from "./frame-codec.js";
import { checkOperationOptions, refuseUndefined } from "./options.js";
import { type PutResult, StoredItem } from "./put-result.js";
import {
  checkDuration,
  checkIndex,
  checkRequestId,
  checkTags,
  type FrameIndex,
  isLast,
  type QueueTags,
  REQUEST_ID,
} from "./values.js";

// The operations use the same methods and queries as the official SDKs: queue_client.py (Python), queue_client.go (Go)
// and QueueClient.java (Java).

/** Options for `QueueClient.put`. */
export interface PutOptions extends QueueCallOptions, Pick<CallOptions, "onUploadProgress"> {
  /**
   * Tags for the item. An asynchronous inference service copies them to the result. You can pass the tags of a received
   * item; their `requestId`, which the service has set, is ignored.
   */
  readonly tags?: QueueTags | undefined;
  /**
   * The item's request id. Default: the service chooses an id. A worker that puts a result uses the request's id. You
   * can repeat a put that may have been accepted with the same id; see `WatchOptions.skipRepeated`.
   */
  readonly requestId?: string;
  /** The item's priority. Items with priority 1 are delivered before items with priority 0. Default 0. */
  readonly priority?: number | undefined;
  /** Path within the service, for services that accept requests on several paths, such as `"/v1/txt2img"`. */
  readonly path?: string | undefined;
}

/** Options for `QueueClient.get`. */
export interface GetOptions extends Omit<QueueCallOptions, "timeout"> {
  /**
   * Gets only items with this request id. Throws if the value is `undefined`, because the call would otherwise get the
   * head of the queue. Omit the property to get items with any id.
   */
  readonly requestId?: string;
  /**
   * Index of the first item. If there is no item at this index, the next one is returned. Use -1 for the newest item.
   * Default 0, the head of the queue. Throws if the value is `undefined`.
   */
  readonly index?: FrameIndex;
  /** Maximum number of items. Default 1. */
  readonly length?: number | undefined;
  /**
   * Time to wait for items: milliseconds, or a duration such as `"500ms"` or `"1m30s"`. With 0, the call does not wait.
   * Default `"5s"`.
   */
  readonly timeout?: number | string | undefined;
  /**
   * Whether the service deletes the items. Default true. In web pages and Cloudflare Workers, the client first reads
   * the items and then deletes them. Another client can receive the same items between these two requests.
   */
  readonly autoDelete?: boolean | undefined;
  /** Gets only items with these tags. Throws if the value is `undefined`. */
  readonly tags?: QueueTags;
  /** Timeout for one attempt in milliseconds, in addition to `timeout`. Default: the client's `timeout`. */
  readonly attemptTimeout?: number | undefined;
}

/** The position of an item, as returned by `QueueClient.search`. */
export interface SearchResult {
  /** The consumer that received the item, in the form `group.user`. Empty if no consumer has received it. */
  readonly consumerId: string;
  /** Whether a consumer has received the item. */
  readonly isPending: boolean;
  /** Number of items before this item. 0 if a consumer has received the item. */
  readonly waitCount: number;
}

/** The header that requests frames in the protobuf format. */
export const FRAMES: HeaderPair = ["accept", "application/vnd.google.protobuf"];

/** Names of the options of `put`. */
export const PUT_OPTIONS: OptionNames<PutOptions> = /* @__PURE__ */ changeNames(QUEUE_CALL_OPTIONS, [], {
  tags: 1,
  requestId: 1,
  priority: 1,
  path: 1,
  onUploadProgress: 1,
});

const GET_OPTIONS: OptionNames<GetOptions> = /* @__PURE__ */ changeNames(QUEUE_CALL_OPTIONS, [], {
  requestId: 1,
  index: 1,
  length: 1,
  autoDelete: 1,
  tags: 1,
  attemptTimeout: 1,
});

/**
 * Returns the operation for a put. `defaultId` is the request id for a put that does not set one, and makes it possible
 * to recognize resent copies.
 */
export function putOperation(options: PutOptions, defaultId?: string): QueueOperation<PutResult> {
  checkOperationOptions("put", 'tags: { task: "1" }', options, PUT_OPTIONS);
  refuseUndefined("put", ["requestId"], options);
  const { tags, requestId, priority, path, ...call } = options;
  const query = checkTags(tags, "without request id");
  const id = requestId === undefined ? defaultId : checkRequestId(requestId);
  if (id !== undefined) query.push([REQUEST_ID, id]);
  if (priority !== undefined) query.push(["_priority_", String(checkCount("priority", priority, 0))]);
  return {
    kind: "put",
    method: "POST",
    query,
    path,
    call,
    read: ({ response, body }) =>
      new StoredItem(readIndex(body), response.headers.get("x-eas-queueservice-request-id") ?? requestId),
  };
}

function readIndex(body: Bytes): bigint {
  const text = new TextDecoder().decode(body).trim();
  if (/^\d{1,20}$/.test(text)) return BigInt(text);
  throw new EasDecodeError(`the queue accepted the item, but its response of ${body.length} bytes is not an index`, {
    format: "queue",
  });
}

/** Returns the operation for a get. `owner` handles commits of the returned frames. */
export function getOperation(options: GetOptions, owner: FrameOwner): QueueOperation<DataFrame[]> {
  checkOperationOptions("get", "requestId", options, GET_OPTIONS);
  refuseUndefined("get", ["requestId", "index", "tags"], options);
  const {
    requestId,
    index = 0n,
    length = 1,
    timeout = "5s",
    autoDelete = true,
    tags,
    attemptTimeout,
    ...call
  } = options;
  const { text, milliseconds } = checkDuration("timeout", timeout);
  const query: [string, string][] = [
    ["_index_", isLast(index) ? "-1" : String(checkIndex("index", index))],
    ["_length_", String(checkCount("length", length, 1))],
    ["_timeout_", text],
    ["_raw_", "false"],
    ["_auto_delete_", String(checkBoolean("autoDelete", autoDelete))],
    ...checkTags(tags),
  ];
  if (requestId !== undefined) query.push([REQUEST_ID, checkRequestId(requestId)]);
  return {
    kind: autoDelete ? "take" : "other",
    method: "GET",
    query,
    headers: [FRAMES],
    longPoll: milliseconds,
    call: attemptTimeout === undefined ? call : { ...call, timeout: attemptTimeout },
    read(result, transport) {
      const frames = readFrames(result.body, result.response.headers.get("content-type"), owner);
      return autoDelete ? checkComplete(frames, length, result, transport) : frames;
    },
  };
}

/**
 * Returns the frames in the response to a `get` of up to `length` items. Throws `EasDecodeError` if a response that
 * ends with its connection contains fewer than `length` items, because it may be truncated, and the queue may already
 * have deleted the missing items.
 */
function checkComplete(
  frames: DataFrame[],
  length: number,
  { response: { status, headers } }: CallResult,
  { showsFraming }: Transport,
): DataFrame[] {
  if (!showsFraming || status !== 200 || frames.length >= length) return frames;
  if (headers.has("content-length") || headers.has("transfer-encoding")) return frames;
  const indexes = frames.map(({ index }) => index).join(", ") || "none";
  throw new EasDecodeError(
    `the response to get has no Content-Length and may be truncated: it contains ${indexes} of up to ${length} items. The queue may have deleted more`,
    { format: "queue" },
  );
}

/** Returns the operation that reads the attributes. */
export function attributesOperation(call: QueueCallOptions | undefined): QueueOperation<QueueAttributes> {
  return {
    kind: "other",
    method: "GET",
    query: [["_attrs_", "true"]],
    headers: [["accept", "application/json"]],
    call,
    read: ({ body }) => readAttributes(body),
  };
}

/** Returns the operation for a search. Throws a `RangeError` for the index 0. */
export function searchOperation(index: FrameIndex, call: QueueCallOptions | undefined): QueueOperation<SearchResult> {
  const checked = checkIndex("index", index);
  if (checked === 0n)
    throw argumentRangeError("ERR_EAS_ARG_INDEX", "index is 0: it must be at least 1, the index of the first item");
  return {
    kind: "other",
    method: "GET",
    query: [
      ["_search_", "true"],
      ["_index_", String(checked)],
    ],
    call,
    read: readSearch,
  };
}

/**
 * Whether a search failed because the item is no longer in the queue. Any other 404 response means that the service
 * itself was not found.
 */
export function isGone(error: unknown): boolean {
  if (!(error instanceof EasHttpError) || error.status !== 404) return false;
  return new TextDecoder().decode(error.body).includes("no data in stream");
}

function readSearch({ body }: CallResult): SearchResult {
  try {
    const { ConsumerId, IsPending, WaitCount } = JSON.parse(new TextDecoder().decode(body)) as Record<string, unknown>;
    if (typeof IsPending === "boolean" && Number.isSafeInteger(WaitCount)) {
      return { consumerId: String(ConsumerId ?? ""), isPending: IsPending, waitCount: WaitCount as number };
    }
  } catch {
    // The error below also covers invalid JSON.
  }
  throw new EasDecodeError(`the response of ${body.length} bytes is not a search result`, {
    format: "queue",
  });
}

/** Options for `QueueClient.count`. Without options, all items are counted. */
export interface CountOptions extends Pick<PutOptions, "tags" | "priority">, QueueCallOptions {}

/** Returns the operation for a count. */
export function countOperation(options: CountOptions): QueueOperation<number> {
  checkOperationOptions("count", "priority: 1", options, { ...QUEUE_CALL_OPTIONS, tags: 1, priority: 1 });
  const { tags, priority, ...call } = options;
  const query: [string, string][] = [["_count_", "true"], ...checkTags(tags)];
  if (priority !== undefined) query.push(["_priority_", String(checkCount("priority", priority, 0))]);
  return {
    kind: "other",
    method: "GET",
    query,
    call,
    read({ body }) {
      const text = new TextDecoder().decode(body).trim();
      if (/^\d{1,15}$/.test(text)) return Number(text);
      throw new EasDecodeError(`the response of ${body.length} bytes is not a count`, { format: "queue" });
    },
  };
}

/** Options for `QueueClient.end`. */
export interface EndOptions extends QueueCallOptions {
  /** Whether the queue ends immediately. If so, undelivered items are lost. Default false. */
  readonly force?: boolean | undefined;
}

/** Returns the operation that ends a queue. */
export function endOperation(options: EndOptions): QueueOperation<void> {
  checkOperationOptions("end", "force: true", options, { ...QUEUE_CALL_OPTIONS, force: 1 });
  const { force = false, ...call } = options;
  const forced: QueryPairs = checkBoolean("force", force) ? [["_force_", "true"]] : [];
  return plainOperation("POST", [["_eos_", "true"], ...forced], call);
}

/** Returns the operation that deletes all items before an index. */
export function truncateOperation(index: FrameIndex, call: QueueCallOptions | undefined): QueueOperation<void> {
  const query: QueryPairs = [
    ["_index_", String(checkIndex("index", index))],
    ["_trunc_", "true"],
  ];
  return plainOperation("DELETE", query, call);
}

/** Returns an operation that has no result. */
function plainOperation(
  method: "POST" | "PUT" | "DELETE",
  query: QueryPairs,
  call: QueueCallOptions | undefined,
): QueueOperation<void> {
  return { kind: "other", method, query, call, read: () => {} };
}

/** Returns the operation that commits (`PUT`) or deletes items. */
export function indexesOperation(
  method: "PUT" | "DELETE",
  indexes: readonly bigint[],
  call: QueueCallOptions | undefined,
): QueueOperation<void> {
  return plainOperation(method, [["_indexes_", indexes.join(",")]], call);
}

/** Matches digits, or capitalized words with at most one period, as in the Go SDK (types.go). */
const NEGATIVE_CODE = /^(?:(?:[A-Z][a-z]*)+(?:\.[A-Z][a-z]*)?|\d+)$/;
const MAX_CODE_CHARACTERS = 20;

/** Options for `QueueClient.negative`. The service records the code and the reason. */
export interface NegativeOptions extends QueueCallOptions {
  /** A name such as `"Shutdown"` or `"Model.Error"`, or digits, with at most 20 characters. */
  readonly code?: string | undefined;
  /** Any text that explains the failure. */
  readonly reason?: string | undefined;
}

/** Returns the operation for returning items to the queue. Throws a `TypeError` for an invalid code or reason. */
export function negativeOperation(indexes: readonly bigint[], options: NegativeOptions): QueueOperation<void> {
  checkOperationOptions("negative", 'code: "Shutdown"', options, { ...QUEUE_CALL_OPTIONS, code: 1, reason: 1 });
  const { code, reason, ...call } = options;
  if (
    code !== undefined &&
    !(typeof code === "string" && code.length <= MAX_CODE_CHARACTERS && NEGATIVE_CODE.test(code))
  ) {
    throw argumentTypeError(
      "ERR_EAS_ARG_TAG",
      `code is ${show(code)}: it must be a name such as "Shutdown" or "Model.Error", or digits, at most ${MAX_CODE_CHARACTERS} characters`,
    );
  }
  if (reason !== undefined && typeof reason !== "string") {
    throw argumentTypeError("ERR_EAS_ARG_TAG", `reason is ${show(reason)}: it must be a string`);
  }
  // Send both fields even if they are empty, as the Go SDK does, because Cloudflare Workers resend a PUT with an empty
  // body.
  const form = new URLSearchParams({ _code_: code ?? "", _reason_: reason ?? "" });
  return {
    ...indexesOperation("PUT", indexes, call),
    // Do not retry a request that the service may have executed, because the service counts each one as a failed
    // delivery.
    kind: "take",
    query: [
      ["_indexes_", indexes.join(",")],
      ["_negative_", "true"],
    ],
    headers: [["content-type", "application/x-www-form-urlencoded"]],
    body: new TextEncoder().encode(form.toString()),
  };
}
