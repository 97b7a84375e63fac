import { EasDecodeError } from "../errors.js";
import type { Bytes } from "../request.js";

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
  for (const [name, value] of Object.entries(answer)) attributes[name] = String(value);
  return attributes;
}

/** What the client itself has to know of a queue. */
export interface QueueLimits {
  /** The most bytes of an item; infinite when the queue names no limit. */
  readonly maxPayloadBytes: number;
  /** The header that carries the priority; undefined when the queue names none. */
  readonly priorityHeader: string | undefined;
}

/** What the attributes say of limits. */
function limitsOf(attributes: QueueAttributes): QueueLimits {
  const payload = attributes["meta.maxPayloadBytes"];
  return {
    maxPayloadBytes:
      payload !== undefined && /^[1-9]\d{0,15}$/.test(payload) ? Number(payload) : Number.POSITIVE_INFINITY,
    priorityHeader: attributes["meta.header.priority"] || undefined,
  };
}

/** The limits of a queue, read once. */
export class LimitsCache {
  readonly #read: (signal: AbortSignal | undefined) => Promise<QueueAttributes>;
  #limits: Promise<QueueLimits> | undefined;

  constructor(read: (signal: AbortSignal | undefined) => Promise<QueueAttributes>) {
    this.#read = read;
  }

  /** No limit when they cannot be read: what is wrong shows in the call itself. */
  async get(signal: AbortSignal | undefined): Promise<QueueLimits> {
    this.#limits ??= this.#read(signal).then(limitsOf);
    try {
      return await this.#limits;
    } catch {
      this.#limits = undefined;
      return limitsOf({});
    }
  }
}

function notAttributes(why: string): EasDecodeError {
  return new EasDecodeError(`the response holds no attributes of a queue: ${why}`, { format: "queue" });
}
