import type { CallPlan } from "../call/call-plan.js";
import { isSettableHeader } from "../config/headers.js";
import { EasDecodeError, EasHttpError } from "../errors.js";
import type { Bytes } from "../formats/request.js";
import type { HeaderPair } from "../platform/contract.js";
import { argumentRangeError } from "../util/argument-errors.js";
import { plainText } from "../util/exact-json.js";
import { clockNow } from "../util/timing/clock.js";
import { MAX_INDEX } from "./values.js";

/**
 * The attributes of a queue, all as text: `stream.length`, `stream.lastEntry` (missing if the queue is empty),
 * `meta.maxPayloadBytes`, `consumers.list.[0]` and others. The object has no prototype, so any name can be looked up
 * safely.
 */
export type QueueAttributes = Readonly<Record<string, string>>;

/**
 * Decodes a response that contains attributes. Throws `EasDecodeError` if the response is not a JSON object of
 * primitive values.
 */
export function readAttributes(body: Bytes): QueueAttributes {
  let answer: unknown;
  try {
    answer = JSON.parse(new TextDecoder().decode(body));
  } catch {
    throw notAttributes("it is not JSON");
  }
  if (typeof answer !== "object" || answer === null || Array.isArray(answer))
    throw notAttributes("it is not an object");
  const attributes = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(answer)) {
    const text = plainText(value);
    if (text === undefined) throw notAttributes("one of them is not a string");
    attributes[name] = text;
  }
  return attributes;
}

/** The queue limits that the client checks before a put. */
export interface QueueLimits {
  /** Maximum size of an item in bytes. Infinity if the queue does not report a limit. */
  readonly maxPayloadBytes: number;
  /** The name of the priority header. Undefined if the queue does not report a name. */
  readonly priorityHeader: string | undefined;
}

/** Returns the maximum size of an item in bytes, or infinity if the attributes do not contain a valid limit. */
export function maxPayloadBytesOf(attributes: QueueAttributes): number {
  const payload = attributes["meta.maxPayloadBytes"];
  return payload !== undefined && /^[1-9]\d{0,15}$/.test(payload) ? Number(payload) : Number.POSITIVE_INFINITY;
}

/** Returns the limits in the attributes. Ignores invalid values. */
function limitsOf(attributes: QueueAttributes): QueueLimits {
  const header = attributes["meta.header.priority"];
  return {
    maxPayloadBytes: maxPayloadBytesOf(attributes),
    priorityHeader:
      isSettableHeader(header) && header.toLowerCase() !== "authorization" ? header.toLowerCase() : undefined,
  };
}

/**
 * Statuses returned by a queue that does not support attributes. After such a status, the client does not request
 * attributes again.
 */
const UNSUPPORTED_STATUSES: readonly number[] = [400, 405, 501];

/** Time after a failed request for attributes before the next put requests them again, in milliseconds. */
const RETRY_AFTER_MS = 30_000;

/** Caches the limits of the most recently used queue. */
export class LimitsCache {
  readonly #read: (signal: AbortSignal | undefined) => Promise<QueueAttributes>;
  readonly #life = new AbortController();
  #queue = "";
  #limits: Promise<QueueLimits> | undefined;
  /** Time of the next request after a failure, from `clockNow()`. */
  #retryAt = Number.POSITIVE_INFINITY;

  constructor(read: (signal: AbortSignal | undefined) => Promise<QueueAttributes>) {
    this.#read = read;
  }

  /**
   * Returns the limits of the queue at the URL `queue`. Only the first call for a queue waits until the limits have
   * been read. If they cannot be read, the queue is treated as unlimited, and a later call reads them in the
   * background. Never rejects.
   */
  get(queue: string): Promise<QueueLimits> {
    if (this.#limits === undefined || this.#queue !== queue) {
      this.#queue = queue;
      this.#limits = this.#load(queue, undefined).then((limits) => limits ?? limitsOf({}));
    } else if (clockNow() >= this.#retryAt) {
      void this.#load(queue, this.#life.signal).then((limits) => {
        if (limits !== undefined && this.#queue === queue) this.#limits = Promise.resolve(limits);
      });
    }
    return this.#limits;
  }

  /** Aborts background requests. */
  close(): void {
    this.#life.abort(new Error("the client is closed"));
  }

  async #load(queue: string, signal: AbortSignal | undefined): Promise<QueueLimits | undefined> {
    this.#retryAt = Number.POSITIVE_INFINITY;
    try {
      return limitsOf(await this.#read(signal));
    } catch (error) {
      if (this.#queue === queue && !isUnsupported(error)) this.#retryAt = clockNow() + RETRY_AFTER_MS;
      return undefined;
    }
  }
}

/**
 * Checks an item against its queue's limits and returns its priority header. Throws a `RangeError` if the item violates
 * a limit.
 */
export function headersWithin(
  limits: QueueLimits,
  plan: CallPlan,
  size: number,
  priority: number | undefined,
): readonly HeaderPair[] | undefined {
  const { maxPayloadBytes, priorityHeader } = limits;
  if (size > maxPayloadBytes) {
    throw argumentRangeError(
      "ERR_EAS_ARG_BODY_SIZE",
      `the item is ${size} bytes, but the queue accepts at most ${maxPayloadBytes} (meta.maxPayloadBytes): put the data into object storage and send its URL`,
    );
  }
  if (priority === undefined || priorityHeader === undefined) return undefined;
  const isSet = plan.headers.some(([name]) => name === priorityHeader);
  return isSet ? undefined : [[priorityHeader, String(priority)]];
}

function isUnsupported(error: unknown): boolean {
  return error instanceof EasHttpError && UNSUPPORTED_STATUSES.includes(error.status);
}

/** Returns the index of the first item, or undefined if the attributes do not contain it. */
export function firstEntryOf(attributes: QueueAttributes): bigint | undefined {
  const first = attributes["stream.firstEntry"] ?? "";
  return /^\d{1,20}$/.test(first) ? BigInt(first) : undefined;
}

/** Returns the index of the last item, or undefined for an empty queue. Throws `EasDecodeError` for an invalid index. */
export function lastEntryOf(attributes: QueueAttributes): bigint | undefined {
  const last = attributes["stream.lastEntry"];
  if (last === undefined || last === "") return undefined;
  // Reject `MAX_INDEX` itself, because there is no index after it.
  if (/^\d{1,20}$/.test(last) && BigInt(last) < MAX_INDEX) return BigInt(last);
  throw notAttributes("stream.lastEntry is not an index");
}

/** Whether the queue has ended and no longer accepts items. */
export function hasEnded(attributes: QueueAttributes): boolean {
  return attributes["meta.state"] === "End";
}

/** Whether the queue has no items. */
export function isEmpty(attributes: QueueAttributes): boolean {
  return attributes["stream.length"] === "0";
}

function notAttributes(why: string): EasDecodeError {
  return new EasDecodeError(`the response is not a queue's attributes: ${why}`, { format: "queue" });
}
