import { EasDecodeError, EasHttpError } from "../errors.js";
import { plainText } from "../http/exact-json.js";
import { isSettableHeader } from "../http/headers.js";
import type { Bytes } from "../request.js";
import { GREATEST_INDEX } from "./frame-index.js";

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
    throw notAttributes("it is no JSON");
  }
  if (typeof answer !== "object" || answer === null || Array.isArray(answer)) throw notAttributes("it is no object");
  const attributes = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(answer)) {
    const text = plainText(value);
    if (text === undefined) throw notAttributes("one of them is no text");
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

/** The limits of the queue that was asked last, read once for all calls. */
export class LimitsCache {
  readonly #read: () => Promise<QueueAttributes>;
  #queue = "";
  #limits: Promise<QueueLimits> | undefined;

  constructor(read: () => Promise<QueueAttributes>) {
    this.#read = read;
  }

  /** Those of `queue`, its URL. None when they cannot be read: what is wrong shows in the call itself. Never rejects. */
  get(queue: string): Promise<QueueLimits> {
    if (this.#limits === undefined || this.#queue !== queue) {
      this.#queue = queue;
      const limits = this.#read().then(limitsOf, (error: unknown) => {
        if (this.#limits === limits && !isUntold(error)) this.#limits = undefined;
        return limitsOf({});
      });
      this.#limits = limits;
    }
    return this.#limits;
  }
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
  if (/^\d{1,20}$/.test(last) && BigInt(last) < GREATEST_INDEX) return BigInt(last);
  throw notAttributes("stream.lastEntry is no index");
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
  return new EasDecodeError(`the response holds no attributes of a queue: ${why}`, { format: "queue" });
}
