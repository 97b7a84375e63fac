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
 * What a queue says of itself, all of it text: `stream.length`, `stream.lastEntry` (missing in an empty queue),
 * `meta.maxPayloadBytes`, `consumers.list.[0]`, … Without a prototype, so that any name can be looked up.
 */
export type QueueAttributes = Readonly<Record<string, string>>;

/** Reads the answer to a request for attributes. */
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

/** What the client itself has to know of a queue. */
export interface QueueLimits {
  /** The most bytes of an item; infinite when the queue names no limit. */
  readonly maxPayloadBytes: number;
  /** The header that carries the priority; undefined when the queue names none. */
  readonly priorityHeader: string | undefined;
}

/** The most bytes of an item; infinite where the attributes name no limit. */
export function maxPayloadBytesOf(attributes: QueueAttributes): number {
  const payload = attributes["meta.maxPayloadBytes"];
  return payload !== undefined && /^[1-9]\d{0,15}$/.test(payload) ? Number(payload) : Number.POSITIVE_INFINITY;
}

/** What the attributes say of limits. What cannot be meant is as if it were not there. */
function limitsOf(attributes: QueueAttributes): QueueLimits {
  const header = attributes["meta.header.priority"];
  return {
    maxPayloadBytes: maxPayloadBytesOf(attributes),
    priorityHeader:
      isSettableHeader(header) && header.toLowerCase() !== "authorization" ? header.toLowerCase() : undefined,
  };
}

/** Answers of a queue that does not tell its attributes, and will not later. */
const UNTOLD_STATUSES: readonly number[] = [400, 405, 501];

/** After a failure, the attributes are asked for again by the first put after so many milliseconds. */
const ASK_AGAIN_MS = 30_000;

/** The limits of the queue that was asked last, read once for all calls. */
export class LimitsCache {
  readonly #read: (signal: AbortSignal | undefined) => Promise<QueueAttributes>;
  readonly #life = new AbortController();
  #queue = "";
  #limits: Promise<QueueLimits> | undefined;
  /** When to ask again, by `performance.now()`. */
  #askAgainAt = Number.POSITIVE_INFINITY;

  constructor(read: (signal: AbortSignal | undefined) => Promise<QueueAttributes>) {
    this.#read = read;
  }

  /**
   * Returns the limits of `queue`, its URL. Only the first call for a queue waits for them. If they cannot be read, they
   * count as unlimited, and are asked for again in the background. Never rejects.
   */
  get(queue: string): Promise<QueueLimits> {
    if (this.#limits === undefined || this.#queue !== queue) {
      this.#queue = queue;
      this.#limits = this.#ask(queue, undefined).then((limits) => limits ?? limitsOf({}));
    } else if (clockNow() >= this.#askAgainAt) {
      void this.#ask(queue, this.#life.signal).then((limits) => {
        if (limits !== undefined && this.#queue === queue) this.#limits = Promise.resolve(limits);
      });
    }
    return this.#limits;
  }

  /** Ends what is asked in the background: nothing waits for it. */
  close(): void {
    this.#life.abort(new Error("the client is closed"));
  }

  async #ask(queue: string, signal: AbortSignal | undefined): Promise<QueueLimits | undefined> {
    this.#askAgainAt = Number.POSITIVE_INFINITY;
    try {
      return limitsOf(await this.#read(signal));
    } catch (error) {
      if (this.#queue === queue && !isUntold(error)) this.#askAgainAt = clockNow() + ASK_AGAIN_MS;
      return undefined;
    }
  }
}

/** Checks an item against the limits of its queue and returns the header for its priority. Throws a `RangeError`. */
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
      `the item has ${size} bytes, and the queue takes at most ${maxPayloadBytes} (meta.maxPayloadBytes): put the data into object storage and send its URL`,
    );
  }
  if (priority === undefined || priorityHeader === undefined) return undefined;
  const isSet = plan.headers.some(([name]) => name === priorityHeader);
  return isSet ? undefined : [[priorityHeader, String(priority)]];
}

function isUntold(error: unknown): boolean {
  return error instanceof EasHttpError && UNTOLD_STATUSES.includes(error.status);
}

/** The index of the first item; undefined where the attributes do not tell it. */
export function firstEntryOf(attributes: QueueAttributes): bigint | undefined {
  const first = attributes["stream.firstEntry"] ?? "";
  return /^\d{1,20}$/.test(first) ? BigInt(first) : undefined;
}

/** The index of the last item; undefined in an empty queue. */
export function lastEntryOf(attributes: QueueAttributes): bigint | undefined {
  const last = attributes["stream.lastEntry"];
  if (last === undefined || last === "") return undefined;
  // The greatest index of all has none behind it.
  if (/^\d{1,20}$/.test(last) && BigInt(last) < MAX_INDEX) return BigInt(last);
  throw notAttributes("stream.lastEntry is not an index");
}

/** Whether the attributes say that nothing can be put any more. */
export function hasEnded(attributes: QueueAttributes): boolean {
  return attributes["meta.state"] === "End";
}

/** Whether the attributes say that there is nothing left in the queue. */
export function isEmpty(attributes: QueueAttributes): boolean {
  return attributes["stream.length"] === "0";
}

function notAttributes(why: string): EasDecodeError {
  return new EasDecodeError(`the response is not a queue's attributes: ${why}`, { format: "queue" });
}
