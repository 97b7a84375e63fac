import { parseDuration } from "./duration.js";
import type { QueueSettings } from "./options.js";

/** Thrown to refuse a request. The message is the body of the response. */
export class QueueRefusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/**
 * Returns the tags of a request: all query parameters without a reserved name. If a name occurs more than once, the
 * first value is used.
 */
export function tagsOf(query: URLSearchParams): Record<string, string> {
  const pairs = [...query].filter(([name]) => !name.startsWith("_"));
  return Object.fromEntries(pairs.reverse());
}

/** Whether an item has all of `tags`. */
export function hasTags(item: { readonly tags: Readonly<Record<string, string>> }, tags: [string, string][]): boolean {
  return tags.every(([name, value]) => Object.hasOwn(item.tags, name) && item.tags[name] === value);
}

/** Reads the query parameters of a request. Throws a `QueueRefusal` for invalid values. */
export class Parameters {
  readonly #query: URLSearchParams;
  readonly #settings: QueueSettings;

  constructor(query: URLSearchParams, settings: QueueSettings) {
    this.#query = query;
    this.#settings = settings;
  }

  /** Creates the refusal for a parameter. `wanted` describes the allowed values. */
  refuse(name: string, wanted: string): QueueRefusal {
    const value = JSON.stringify(this.#query.get(name) ?? "");
    return new QueueRefusal(this.#settings.badParameterStatus, `${name} is ${value}: it must be ${wanted}`);
  }

  /** Whether the request has a parameter. */
  has(name: string): boolean {
    return this.#query.has(name);
  }

  /** Reads a boolean in any form that Go's `ParseBool` accepts, or Python's `True` and `False`. */
  boolean(name: string, fallback: boolean): boolean {
    const value = this.#query.get(name);
    if (value === null || value === "") return fallback;
    if (/^(1|t|true)$/i.test(value)) return true;
    if (/^(0|f|false)$/i.test(value)) return false;
    throw this.refuse(name, "true or false");
  }

  /** Reads an integer of at least `min`. */
  integer(name: string, fallback: number, min: number): number {
    const value = this.#query.get(name);
    if (value === null || value === "") return fallback;
    const number = Number(value);
    if (!/^-?\d+$/.test(value) || !Number.isSafeInteger(number) || number < min) {
      throw this.refuse(name, `an integer of at least ${min}`);
    }
    return number;
  }

  /** Reads an index of at least `min`. Python clients may send an integer as `5.0`. */
  index(name: string, fallback: bigint | undefined, min: bigint): bigint {
    const value = this.#query.get(name) ?? "";
    if (value === "" && fallback !== undefined) return fallback;
    const digits = /^(-?\d{1,20})(\.0*)?$/.exec(value)?.[1];
    if (digits === undefined || BigInt(digits) < min) throw this.refuse(name, `an index of at least ${min}`);
    return BigInt(digits);
  }

  /** Reads a required list of indexes, which may be empty. */
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

  /** Reads a Go duration in milliseconds. The settings decide how a number without a unit is read. */
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
