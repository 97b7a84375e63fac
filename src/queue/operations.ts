import type { CallResult } from "../call/call-plan.js";
import type { CallOptions } from "../config/options.js";
import { checkBoolean, checkCount } from "../config/validate.js";
import { EasDecodeError, EasHttpError } from "../errors.js";
import type { Bytes } from "../formats/request.js";
import type { HeaderPair } from "../platform/contract.js";
import { argumentRangeError, argumentTypeError, show } from "../util/argument-errors.js";
import { changeNames, type OptionNames } from "../util/option-names.js";
import { type QueueAttributes, readAttributes } from "./attributes.js";
import { QUEUE_CALL_OPTIONS, type QueryPairs, type QueueCallOptions, type QueueOperation } from "./calls.js";
import { checkWhole } from "./cut-answer.js";
import { checkDuration } from "./duration.js";
import { type DataFrame, type FrameOwner, readFrames } from "./frame.js";
import { checkOperationOptions, refuseUndefined } from "./options.js";
import { type PutResult, StoredItem } from "./put-result.js";
import { checkRequestId, checkTags, type QueueTags, REQUEST_ID } from "./tags.js";
import { checkIndex, type FrameIndex, isLast } from "./values.js";

// Method and query of each operation as the official SDKs have them: queue_client.py of the Python SDK, queue_client.go of
// the Go SDK, QueueClient.java of the Java SDK.

/** What may be set for a put. */
export interface PutOptions extends QueueCallOptions, Pick<CallOptions, "onUploadProgress"> {
  /**
   * Tags that the item carries; in an asynchronous inference service they come back with the result. They can be those of a
   * received item: `requestId`, which the service has set there, is left out.
   */
  readonly tags?: QueueTags | undefined;
  /**
   * The item's request id. Default: the service chooses one. A worker that puts a result gives it the id of the request. A
   * put that may have been accepted can be repeated under the same id: see `WatchOptions.skipRepeated`.
   */
  readonly requestId?: string;
  /** 1 goes before all items of 0, which is the default. */
  readonly priority?: number | undefined;
  /** Path behind the queue, for services that take requests on several: `"/v1/txt2img"`. */
  readonly path?: string | undefined;
}

/** What items a get is to find. */
export interface GetOptions extends Omit<QueueCallOptions, "timeout"> {
  /** Only items of this request id. Throws for `undefined`, which would get the head of the queue: leave the key out. */
  readonly requestId?: string;
  /**
   * Where to begin: the item of this index, or the next one; -1 for the newest. Default 0, the head of the queue. Throws for
   * `undefined`.
   */
  readonly index?: FrameIndex;
  /** The most items to get. Default 1. */
  readonly length?: number | undefined;
  /** How long to wait for them: milliseconds, or a duration such as `"5s"`, which is the default. 0 does not wait. */
  readonly timeout?: number | string | undefined;
  /**
   * Whether the items are deleted with it. Default true. In web pages and in Cloudflare Workers they are read first and then
   * deleted, so another client can receive them in between.
   */
  readonly autoDelete?: boolean | undefined;
  /** Only items with these tags. Throws for `undefined`. */
  readonly tags?: QueueTags;
  /** Milliseconds for one attempt beyond `timeout`. Default: the client's own `timeout`. */
  readonly attemptTimeout?: number | undefined;
}

/** Where an item stands; see `QueueClient.search`. */
export interface SearchResult {
  /** The consumer that has it, as `group.user`; empty when none has. */
  readonly consumerId: string;
  /** Whether a consumer has it. */
  readonly isPending: boolean;
  /** How many items are before it; 0 when a consumer has it. */
  readonly waitCount: number;
}

/** Asks for frames in protobuf. */
export const FRAMES: HeaderPair = ["accept", "application/vnd.google.protobuf"];

const PUT_OPTIONS: OptionNames<PutOptions> = /* @__PURE__ */ changeNames(QUEUE_CALL_OPTIONS, [], {
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

/** A put. `ownId` is the request id where the caller gives none, so that copies of the request can be told. */
export function putOperation(options: PutOptions, ownId?: string): QueueOperation<PutResult> {
  checkOperationOptions("put", 'tags: { task: "1" }', options, PUT_OPTIONS);
  refuseUndefined("put", ["requestId"], options);
  const { tags, requestId, priority, path, ...call } = options;
  const query = checkTags(tags, "without request id");
  const id = requestId === undefined ? ownId : checkRequestId(requestId);
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
    held: milliseconds,
    call: attemptTimeout === undefined ? call : { ...call, timeout: attemptTimeout },
    read(result, transport) {
      const frames = readFrames(result.body, result.response.headers.get("content-type"), owner);
      return autoDelete ? checkWhole(frames, length, result, transport) : frames;
    },
  };
}

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

/** Whether a search failed because the item is no longer there; any other 404 is one of the service itself. */
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
    // As for an answer that is JSON of another kind.
  }
  throw new EasDecodeError(`the response of ${body.length} bytes is not a search result`, {
    format: "queue",
  });
}

/** Which items `QueueClient.count` counts. Default: all. */
export interface CountOptions extends Pick<PutOptions, "tags" | "priority">, QueueCallOptions {}

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

/** How a queue is ended. */
export interface EndOptions extends QueueCallOptions {
  /** At once: what has not been delivered is lost. Default false. */
  readonly force?: boolean | undefined;
}

export function endOperation(options: EndOptions): QueueOperation<void> {
  checkOperationOptions("end", "force: true", options, { ...QUEUE_CALL_OPTIONS, force: 1 });
  const { force = false, ...call } = options;
  const forced: QueryPairs = checkBoolean("force", force) ? [["_force_", "true"]] : [];
  return plainOperation("POST", [["_eos_", "true"], ...forced], call);
}

export function truncateOperation(index: FrameIndex, call: QueueCallOptions | undefined): QueueOperation<void> {
  const query: QueryPairs = [
    ["_index_", String(checkIndex("index", index))],
    ["_trunc_", "true"],
  ];
  return plainOperation("DELETE", query, call);
}

/** An operation that only succeeds or fails. */
function plainOperation(
  method: "POST" | "PUT" | "DELETE",
  query: QueryPairs,
  call: QueueCallOptions | undefined,
): QueueOperation<void> {
  return { kind: "other", method, query, call, read: () => {} };
}

/** Commit, negative commit or deletion of some items. */
export function indexesOperation(
  method: "PUT" | "DELETE",
  indexes: readonly bigint[],
  call: QueueCallOptions | undefined,
): QueueOperation<void> {
  return plainOperation(method, [["_indexes_", indexes.join(",")]], call);
}

/** Words in capitals with at most one point, as the Go SDK wants them (types.go), or digits. */
const NEGATIVE_CODE = /^(?:(?:[A-Z][a-z]*)+(?:\.[A-Z][a-z]*)?|\d+)$/;
const MAX_CODE_CHARACTERS = 20;

/** Why items could not be handled, for the service's records. */
export interface NegativeOptions extends QueueCallOptions {
  /** A word such as `"Shutdown"`, which says that the consumer is about to leave, or digits; at most 20 characters. */
  readonly code?: string | undefined;
  readonly reason?: string | undefined;
}

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
  // Both, as the Go SDK has it: Cloudflare Workers resend a PUT with an empty body by themselves.
  const form = new URLSearchParams({ _code_: code ?? "", _reason_: reason ?? "" });
  return {
    ...indexesOperation("PUT", indexes, call),
    // It counts as a failed delivery each time.
    kind: "take",
    query: [
      ["_indexes_", indexes.join(",")],
      ["_negative_", "true"],
    ],
    headers: [["content-type", "application/x-www-form-urlencoded"]],
    body: new TextEncoder().encode(form.toString()),
  };
}
