import { checkIdentity } from "../queue/options.js";
import { optionError } from "../util/argument-errors.js";

/** An operation that a rule can allow on a queue. */
export type RelayOperation =
  /** Adds an item. */
  | "put"
  /** Reads, and may delete, the items of one job: those with a given `requestId` or `easJob` tag. */
  | "result"
  /** Reads items and leaves them in the queue. */
  | "get"
  /** Reads items, and deletes them unless the caller asks to keep them. Includes `get`, `result` and `delete`. */
  | "take"
  /** Receives items as a consumer. With `_auto_commit_` it also needs `commit`. */
  | "watch"
  /** Deletes received items. */
  | "commit"
  /** Returns received items to the queue. */
  | "negative"
  /** Deletes items by index. */
  | "delete"
  /** Reads the position of an item. */
  | "search"
  /** Counts items. */
  | "count"
  /** Reads the attributes of the queue. */
  | "attributes"
  /** Deletes all items before an index. */
  | "truncate"
  /** Ends the queue. */
  | "end"
  /** Lets a `put` set a priority. */
  | "priority"
  /** Lets the other operations address the dead letters of the queue. */
  | "rear";

/** A rule's checked queue options. */
export interface QueueRule {
  readonly operations: ReadonlySet<RelayOperation>;
  /** The consumer group. `"*"` lets callers choose the group. If undefined, requests that name a group are refused. */
  readonly gid: string | undefined;
}

/** Whether to forward a request and, if so, the query (`search`) and `headers` to send to the service. */
export type Decision =
  | { readonly refused: string }
  | { readonly refused: undefined; readonly search: string; readonly headers: readonly [string, string][] };

/**
 * The form of an operation's request: its method and the parameter that distinguishes it from other operations with the
 * same method.
 */
interface Form {
  readonly operation: Exclude<RelayOperation, "result" | "take" | "priority" | "rear">;
  readonly method: string;
  readonly selector?: string;
  readonly parameters?: readonly string[];
  /** Whether all other parameters are tags. */
  readonly hasTags?: true;
  /** Whether the operation depends on the caller's uid and gid. */
  readonly usesGroup?: true;
}

// The method and query of each operation, as sent by the official SDKs (queue_client.py, queue_client.go,
// QueueClient.java).
const FORMS: readonly Form[] = [
  { operation: "end", method: "POST", selector: "_eos_", parameters: ["_force_"] },
  { operation: "put", method: "POST", parameters: ["_priority_"], hasTags: true },
  { operation: "attributes", method: "GET", selector: "_attrs_" },
  { operation: "count", method: "GET", selector: "_count_", parameters: ["_priority_"], hasTags: true },
  { operation: "search", method: "GET", selector: "_search_", parameters: ["_index_"], usesGroup: true },
  {
    operation: "watch",
    method: "GET",
    selector: "_watch_",
    parameters: ["_index_", "_window_", "_index_only_", "_auto_commit_"],
    hasTags: true,
    usesGroup: true,
  },
  {
    operation: "get",
    method: "GET",
    parameters: ["_index_", "_length_", "_timeout_", "_raw_", "_auto_delete_"],
    hasTags: true,
  },
  { operation: "negative", method: "PUT", selector: "_negative_", parameters: ["_indexes_"], usesGroup: true },
  { operation: "commit", method: "PUT", parameters: ["_indexes_"], usesGroup: true },
  { operation: "truncate", method: "DELETE", selector: "_trunc_", parameters: ["_index_"] },
  { operation: "delete", method: "DELETE", parameters: ["_indexes_"] },
];
const SELECTORS = FORMS.flatMap(({ selector }) => selector ?? []);
const OPERATIONS: readonly RelayOperation[] = [
  ...FORMS.map(({ operation }) => operation),
  "result",
  "take",
  "priority",
  "rear",
];

/** Prefix of headers that control a queue. */
export const QUEUE_HEADERS = "x-eas-queueservice-";
const UID = `${QUEUE_HEADERS}redis-uid`;
const GID = `${QUEUE_HEADERS}redis-gid`;
const PRIORITY = `${QUEUE_HEADERS}priority`;
const REAR = `${QUEUE_HEADERS}access-rear`;

/** Matches a random UUID (version 4). */
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;
/**
 * Parameters that select a job's items: the id that the service assigns and the tag that `AsyncInferenceClient` sets.
 */
const JOB_FILTERS: readonly string[] = ["requestId", "easJob"];
/** Matches values of control parameters: indexes, counts, durations and booleans. */
const CONTROL_VALUE = /^[\w.,+\-µμ]*$/;
/**
 * Matches tag names that all servers interpret in the same way: names without separators, escapes, brackets or
 * leading punctuation.
 */
const TAG_NAME = /^[\p{L}\p{N}][^\p{C}\p{Z}%&;=+?#[\]\ufffd]*$/u;
/** Values that all servers interpret as false. */
const FALSE = /^([Ff]alse|0)$/;

/** Checks the queue options of a rule. `name` refers to the rule in error messages. */
export function checkQueueRule(
  name: string,
  operations: readonly RelayOperation[],
  gid: string | undefined,
): QueueRule {
  const isList = Array.isArray(operations) && operations.length > 0;
  const wrong = isList ? operations.find((operation) => !OPERATIONS.includes(operation)) : operations;
  if (!isList || wrong !== undefined || !operations.some((operation) => !/^(priority|rear)$/.test(operation))) {
    throw optionError(
      `${name}.operations`,
      wrong ?? operations,
      `be a list of operations from ${OPERATIONS.join(", ")}`,
    );
  }
  return { operations: new Set(operations), gid: gid === undefined ? undefined : checkIdentity("gid", gid) };
}

/** Decides whether to forward a request to a queue. Builds the query to send from the checked parameters. */
export function decideOperation(rule: QueueRule, method: string, search: string, headers: Headers): Decision {
  // Refuse ";", which old servers interpret as "&".
  if (search.includes(";")) return notAllowed('";" in the query of a queue: write %3B');
  const query = new URLSearchParams(search);
  const pairs = [...query];
  const names = pairs.map(([name]) => name);
  const selectors = names.filter((name) => SELECTORS.includes(name));
  const form = FORMS.find(
    ({ method: own, selector }) =>
      own === method && (selector === undefined ? selectors.length === 0 : selector === selectors[0]),
  );
  if (form === undefined) return notAllowed(selectors.length > 0 ? `${method} with ${selectors[0]}` : method);
  const { selector, parameters = [], operation } = form;
  for (const [name, value] of pairs) {
    const isControl = name === selector || parameters.includes(name);
    // Refuse repeated parameters, because servers differ in which of several values they use.
    if ((isControl || JOB_FILTERS.includes(name)) && names.indexOf(name) !== names.lastIndexOf(name)) {
      return notAllowed(`${name} more than once`);
    }
    if (isControl ? !CONTROL_VALUE.test(value) : !form.hasTags || !TAG_NAME.test(name)) {
      return notAllowed(`the parameter ${show(name)} for ${operation}`);
    }
  }
  if (selector !== undefined && query.get(selector) !== "true") {
    return notAllowed(`${selector} with a value other than true`);
  }
  return (
    refusedOperation(rule, form, query, headers) ?? {
      refused: undefined,
      search: queryText(pairs),
      headers: queueHeaders(rule, headers),
    }
  );
}

function refusedOperation(
  { operations, gid }: QueueRule,
  { operation, method, usesGroup }: Form,
  query: URLSearchParams,
  headers: Headers,
): Decision | undefined {
  const deletes = !FALSE.test(query.get("_auto_delete_") ?? "");
  const commits = !FALSE.test(query.get("_auto_commit_") ?? "");
  if (operation === "get") {
    const isResult = operations.has("result") && JOB_FILTERS.some((name) => query.get(name));
    if (!operations.has("take") && !isResult && (deletes || !operations.has("get"))) {
      const kind = deletes ? "take (a get without _auto_delete_=false)" : "get";
      return notAllowed(operations.has("result") ? `${kind} without a requestId` : kind);
    }
    // The client in a page reads first and then deletes by index. A take can delete any item, so this allows nothing more.
  } else if (!operations.has(operation) && !(operation === "delete" && operations.has("take")))
    return notAllowed(operation);
  if (operation === "watch" && commits && !operations.has("commit")) {
    return notAllowed("watch without _auto_commit_=false");
  }
  if (operation === "put") {
    if ((query.has("_priority_") || headers.has(PRIORITY)) && !operations.has("priority"))
      return notAllowed("priority");
    // Refuse ids that others can guess, because the id gives access to the result. Pages choose a random id for each
    // put.
    if (query.has("requestId") && !UUID.test(query.get("requestId") ?? "")) {
      return notAllowed("put with a requestId that is not a random UUID");
    }
  }
  // The service reads a negative commit's parameters from such a body and may do so for other operations too.
  if (operation !== "negative" && /x-www-form-urlencoded/i.test(headers.get("content-type") ?? "")) {
    return notAllowed(`${operation} with a body of application/x-www-form-urlencoded`);
  }
  for (const [name] of headers) {
    if (!name.startsWith(QUEUE_HEADERS)) continue;
    if (name === UID || name === GID) {
      if (usesGroup && gid === undefined) return notAllowed(`${operation} with ${name}, because the rule has no gid`);
    } else if (!(name === REAR && operations.has("rear")) && !(name === PRIORITY && method === "POST")) {
      return notAllowed(name === REAR ? "rear" : `the header ${name}`);
    }
  }
  return undefined;
}

/**
 * Returns the queue headers to send. If the rule has no `gid`, omits the caller's uid and gid, which have no effect.
 */
function queueHeaders({ gid }: QueueRule, headers: Headers): [string, string][] {
  const own = gid === "*" ? headers.get(GID) : gid;
  return [...headers]
    .filter(([name]) => name === REAR || name === PRIORITY || (name === UID && gid !== undefined))
    .concat(own === undefined || own === null ? [] : [[GID, own]]);
}

/**
 * Returns the first queue control parameter or header in a request whose rule does not name operations; undefined if
 * there is none.
 */
export function queueControlIn(search: string, headers: Headers): string | undefined {
  for (const pair of search.slice(1).split(/[&;]/)) {
    const name = foldedName(pair.split("=", 1)[0] as string);
    const control = /^_[a-z]+(?:_[a-z]+)*_(?![a-z\d])/.exec(name)?.[0];
    if (control !== undefined) return control;
  }
  return [...headers.keys()].find((name) => name.startsWith(QUEUE_HEADERS));
}

/** Returns the name as the most lenient server might interpret it. */
function foldedName(text: string): string {
  let name = text;
  for (let i = 0; i < 3; i++) {
    try {
      name = decodeURIComponent(name);
    } catch {
      break;
    }
  }
  return name
    .normalize("NFKC")
    .toLowerCase()
    .replace(/^[^\p{L}\p{N}_]+/u, "");
}

function notAllowed(what: string): Decision {
  return { refused: `this relay does not allow ${what} on this path` };
}

function show(name: string): string {
  return JSON.stringify(name.length > 40 ? `${name.slice(0, 40)}…` : name);
}

function queryText(pairs: readonly (readonly [string, string])[]): string {
  const text = pairs.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join("&");
  return text === "" ? "" : `?${text}`;
}
