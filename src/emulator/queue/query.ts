import { parseDuration } from "./duration.js";
import type { QueueSettings } from "./options.js";

/** A request that cannot be understood, or not be done; its message is the answer's body. */
export class QueueRefusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** A put's, get's or watch's own pairs: all whose names are not reserved. The first of a name counts. */
export function tagsOf(query: URLSearchParams): Record<string, string> {
  const pairs = [...query].filter(([name]) => !name.startsWith("_"));
  return Object.fromEntries(pairs.reverse());
}

/** Whether an item has all of `tags`. */
export function hasTags(item: { readonly tags: Readonly<Record<string, string>> }, tags: [string, string][]): boolean {
  return tags.every(([name, value]) => Object.hasOwn(item.tags, name) && item.tags[name] === value);
}

/** Reads a request's parameters; what cannot be read is refused. */
export class Parameters {
  readonly #query: URLSearchParams;
  readonly #settings: QueueSettings;

  constructor(query: URLSearchParams, settings: QueueSettings) {
    this.#query = query;
    this.#settings = settings;
  }

  refuse(name: string, wanted: string): QueueRefusal {
    const value = JSON.stringify(this.#query.get(name) ?? "");
    return new QueueRefusal(this.#settings.badParameterStatus, `${name} is ${value}: it must be ${wanted}`);
  }

  has(name: string): boolean {
    return this.#query.has(name);
  }

  /** Takes what Go's ParseBool takes, and Python's `True`. */
  boolean(name: string, fallback: boolean): boolean {
    const value = this.#query.get(name);
    if (value === null || value === "") return fallback;
    if (/^(1|t|true)$/i.test(value)) return true;
    if (/^(0|f|false)$/i.test(value)) return false;
    throw this.refuse(name, "true or false");
  }

  /** A whole number from `least` on. */
  integer(name: string, fallback: number, least: number): number {
    const value = this.#query.get(name);
    if (value === null || value === "") return fallback;
    const number = Number(value);
    if (!/^-?\d+$/.test(value) || !Number.isSafeInteger(number) || number < least) {
      throw this.refuse(name, `an integer of at least ${least}`);
    }
    return number;
  }

  /** An index from `least` on. Python sends a float 5.0 as it is. */
  index(name: string, fallback: bigint | undefined, least: bigint): bigint {
    const value = this.#query.get(name) ?? "";
    if (value === "" && fallback !== undefined) return fallback;
    const digits = /^(-?\d{1,20})(\.0*)?$/.exec(value)?.[1];
    if (digits === undefined || BigInt(digits) < least) throw this.refuse(name, `an index of at least ${least}`);
    return BigInt(digits);
  }

  /** A list of indexes; it may be empty, but must be there. */
  indexes(name: string): bigint[] {
    const value = this.#query.get(name);
    if (value === null) throw this.refuse(name, "a list of indexes");
    const parts = value.split(",").map((part) => part.trim());
    return parts
      .filter((part) => part !== "")
      .map((part) => {
        if (!/^\d{1,20}$/.test(part)) throw this.refuse(name, "a list of indexes");
        return BigInt(part);
      });
  }

  /** Milliseconds of a Go duration; a bare number is taken as the settings say. */
  duration(name: string, fallback: number): number {
    const value = this.#query.get(name)?.trim() ?? "";
    if (value === "") return fallback;
    const duration = parseDuration(value);
    if (duration !== undefined) return duration;
    if (/^\d+(\.\d+)?$/.test(value) && this.#settings.bareTimeout !== "reject") {
      return this.#settings.bareTimeout === "seconds" ? Number(value) * 1000 : fallback;
    }
    throw this.refuse(name, "a duration with units, such as 1m30s or 500ms");
  }
}
