import type { Bytes } from "../../formats/request.js";
import { createResponse } from "../response.js";
import { attributesOf } from "./attributes.js";
import type { EmulatorQueueItem } from "./consumers.js";
import { encodeAttributes, encodeFrames, framesToJson, PROTOBUF } from "./frames.js";
import { Parameters, QueueRefusal, tagsOf } from "./query.js";
import type { QueueSide } from "./queue-side.js";

/** A request to one side of a queue. */
export interface QueueRequest {
  readonly side: QueueSide;
  readonly method: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  readonly body: Bytes;
  /** Path after the queue's own path. */
  readonly path: string;
  readonly signal: AbortSignal;
  /** Creates the response of an HTTP watch: an endless stream of frames. */
  watch(): Response;
}

interface Operation {
  readonly method: string;
  /** The boolean query parameter that selects the operation. */
  readonly key?: string;
  readonly run: (request: QueueRequest, parameters: Parameters) => Response | Promise<Response>;
}

/** All operations. For each method, the first operation whose query parameter is true is used. */
const OPERATIONS: readonly Operation[] = [
  { method: "POST", key: "_eos_", run: end },
  { method: "POST", run: put },
  { method: "GET", key: "_attrs_", run: attributes },
  { method: "GET", key: "_count_", run: count },
  { method: "GET", key: "_search_", run: search },
  { method: "GET", key: "_watch_", run: ({ watch }) => watch() },
  { method: "GET", run: get },
  { method: "PUT", key: "_negative_", run: negative },
  { method: "PUT", run: commit },
  { method: "DELETE", key: "_trunc_", run: truncate },
  { method: "DELETE", run: remove },
];

/** Handles a request. Resolves with a response even if the request is refused. Rejects when the caller disconnects. */
export async function handleQueueRequest(request: QueueRequest): Promise<Response> {
  const parameters = new Parameters(request.query, request.side.context.settings);
  try {
    const operation = OPERATIONS.find(
      ({ method, key }) => method === request.method && (key === undefined || parameters.boolean(key, false)),
    );
    if (operation !== undefined) return await operation.run(request, parameters);
    return createResponse(405, `a queue does not support ${request.method}`, { allow: "POST, GET, PUT, DELETE" });
  } catch (error) {
    if (error instanceof QueueRefusal) return createResponse(error.status, error.message);
    throw error;
  }
}

/** Returns the user and the group of a caller. A caller without a user name gets a random name for this request. */
export function identityOf(headers: Headers, side: QueueSide): { readonly uid: string; readonly gid: string } {
  const { userHeader, groupHeader, defaultGroup } = side.context.settings;
  return {
    uid: headers.get(userHeader) || headers.get("x-eas-queueservice-redis-uid") || crypto.randomUUID(),
    gid: headers.get(groupHeader) || headers.get("x-eas-queueservice-redis-gid") || defaultGroup,
  };
}

function put({ side, query, headers, body, path }: QueueRequest, parameters: Parameters): Response {
  const header = headers.get(side.context.settings.priorityHeader)?.trim() ?? "";
  // The Java SDK sends both the header and the parameter. The Go SDK sends only the header, and the Python SDK may send
  // only the parameter.
  const priority = parameters.has("_priority_")
    ? parameters.integer("_priority_", 0, 0)
    : new Parameters(new URLSearchParams({ _priority_: header }), side.context.settings).integer("_priority_", 0, 0);
  const tags = tagsOf(query);
  // A worker that writes a result sets the id of the corresponding request.
  const requestId = tags.requestId || crypto.randomUUID();
  const { index } = side.put({
    data: body,
    tags: { ...tags, requestId },
    priority,
    path,
    contentType: headers.get("content-type") ?? undefined,
  });
  // Send only digits, because Go and Java do not trim the text, and web pages parse it as JSON.
  return createResponse(200, String(index), { "X-Eas-Queueservice-Request-Id": headerValue(requestId) });
}

/** Percent-encodes a request id if it contains characters that are not allowed in headers. */
function headerValue(value: string): string {
  return /^[\x21-\x7e]+( +[\x21-\x7e]+)*$/.test(value) ? value : encodeURIComponent(value);
}

function end({ side }: QueueRequest, parameters: Parameters): Response {
  side.end(parameters.boolean("_force_", false));
  return createResponse(200, "OK");
}

function attributes({ side, headers }: QueueRequest): Response {
  const found = attributesOf(side);
  return acceptsProtobuf(headers) ? protobuf(encodeAttributes(found)) : json(JSON.stringify(found));
}

function count({ side, query }: QueueRequest, parameters: Parameters): Response {
  const priority = parameters.has("_priority_") ? parameters.integer("_priority_", 0, 0) : undefined;
  return createResponse(200, String(side.store.count(Object.entries(tagsOf(query)), priority)));
}

function search({ side, headers }: QueueRequest, parameters: Parameters): Response {
  const index = parameters.index("_index_", undefined, 1n);
  const { uid, gid } = identityOf(headers, side);
  const place = side.store.search(gid, index);
  if (place === undefined) return createResponse(404, "no data in stream");
  const { holder, waitCount } = place;
  return json(
    JSON.stringify({ ConsumerId: `${gid}.${holder ?? uid}`, IsPending: holder !== undefined, WaitCount: waitCount }),
  );
}

async function get({ side, query, headers, signal }: QueueRequest, parameters: Parameters): Promise<Response> {
  const { settings } = side.context;
  const accept = headers.get("accept") ?? "";
  const isProtobuf = acceptsProtobuf(headers);
  const acceptsList = isProtobuf || accept.includes("application/json");
  const isRaw = parameters.boolean("_raw_", acceptsList ? false : settings.getRaw);
  const items = await side.get(
    { index: parameters.index("_index_", settings.getIndex, -1n), tags: Object.entries(tagsOf(query)) },
    {
      length: parameters.integer("_length_", settings.getLength, 1),
      timeout: parameters.duration("_timeout_", settings.getTimeout),
      autoDelete: parameters.boolean("_auto_delete_", settings.getAutoDelete),
      signal,
    },
  );
  const [first] = items;
  if (first === undefined) {
    // Never send an empty JSON list, because programs read the first element whenever the status is not 204.
    return isProtobuf && !isRaw && settings.emptyGet === 200 ? protobuf(encodeFrames([])) : noContent();
  }
  if (isRaw) return raw(first);
  return isProtobuf ? protobuf(encodeFrames(items)) : json(framesToJson(items));
}

/**
 * Creates a raw response. EAS's headers are not documented, so the emulator uses names that identify these headers as
 * its own.
 */
function raw({ index, tags, data }: EmulatorQueueItem): Response {
  const headers = { "X-Emulator-Index": String(index), "X-Emulator-Request-Id": headerValue(tags.requestId ?? "") };
  return createResponse(200, data, headers);
}

function commit({ side, headers }: QueueRequest, parameters: Parameters): Response {
  const { uid, gid } = identityOf(headers, side);
  // Ignore unknown indexes, because the official Go SDK commits index 0 after the server has closed its watch.
  side.commit(parameters.indexes("_indexes_"), uid, gid);
  return createResponse(200, "OK");
}

/** The Go SDK's rule for codes, including its unescaped dot. */
const NEGATIVE_CODE = /^(([A-Z][a-z]*)+(.[A-Z][a-z]*)?|\d+)$/;
const MAX_NEGATIVE_CODE = 20;

function negative({ side, headers, body }: QueueRequest, parameters: Parameters): Response {
  const form = new URLSearchParams(new TextDecoder().decode(body));
  const code = form.get("_code_") ?? "";
  const { strictNegative, badParameterStatus } = side.context.settings;
  const isValid = code === "" || (code.length <= MAX_NEGATIVE_CODE && NEGATIVE_CODE.test(code));
  if (strictNegative && !isValid)
    throw new QueueRefusal(
      badParameterStatus,
      `_code_ is ${JSON.stringify(code)}: it must be a number, or a name such as Shutdown, of at most ${MAX_NEGATIVE_CODE} characters`,
    );
  const indexes = parameters.indexes("_indexes_");
  side.negative(indexes, { ...identityOf(headers, side), code, reason: form.get("_reason_") ?? "" });
  return createResponse(200, "OK");
}

function truncate({ side }: QueueRequest, parameters: Parameters): Response {
  side.truncate(parameters.index("_index_", undefined, 0n));
  return createResponse(200, "OK");
}

function remove({ side }: QueueRequest, parameters: Parameters): Response {
  side.remove(parameters.indexes("_indexes_"));
  return createResponse(200, "OK");
}

function acceptsProtobuf(headers: Headers): boolean {
  return (headers.get("accept") ?? "").includes(PROTOBUF);
}

/** Creates a JSON response. Python's aiohttp accepts only this exact media type. */
function json(body: string): Response {
  return createResponse(200, body, { "content-type": "application/json" });
}

function protobuf(body: Bytes): Response {
  return createResponse(200, body, { "content-type": PROTOBUF });
}

function noContent(): Response {
  return new Response(null, { status: 204 });
}
