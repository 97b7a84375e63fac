import { argumentTypeError, show } from "../../util/argument-errors.js";
import type { BatchCheckpoint } from "./options.js";
import type { Measured } from "./request.js";

/** Number of requests at the start of the input that the fingerprint covers. */
const MAX_FIRST = 16;
/**
 * Number of bytes at each end of a body that the fingerprint covers, because hashing large tensors takes a long time.
 */
const HASHED_BYTES = 1024;

/** Hash of the first requests of an input, which identifies a checkpoint of another input. */
export class Fingerprint {
  count = 0;
  // Two 32-bit FNV-1a hashes with different starts.
  #low = 0x811c9dc5;
  #high = 0x01000193;

  /** Whether the fingerprint still needs requests. */
  get isOpen(): boolean {
    return this.count < MAX_FIRST;
  }

  /** Adds the next request of the input. */
  add({ body, size }: Measured): void {
    this.count++;
    for (let rest = size, i = 0; i < 6; i++, rest = Math.floor(rest / 256)) this.#addByte(rest % 256);
    if (body === undefined) return;
    for (const byte of body.subarray(0, HASHED_BYTES)) this.#addByte(byte);
    for (const byte of body.subarray(Math.max(HASHED_BYTES, body.length - HASHED_BYTES))) this.#addByte(byte);
  }

  #addByte(byte: number): void {
    this.#low = Math.imul(this.#low ^ byte, 0x01000193);
    this.#high = Math.imul(this.#high ^ byte, 0x85ebca6b);
  }

  /** The hash as 16 hexadecimal digits. */
  get hash(): string {
    return [this.#high, this.#low].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("");
  }
}

/** The indexes of finished requests, as ranges. */
export class FinishedIndexes {
  /** Ranges in ascending order. They neither overlap nor touch. */
  readonly #ranges: [start: number, end: number][];

  constructor(ranges: readonly (readonly [number, number])[] = []) {
    this.#ranges = ranges.map(([start, end]) => [start, end]);
  }

  /** Number of indexes. */
  get size(): number {
    return this.#ranges.reduce((sum, [start, end]) => sum + end - start, 0);
  }

  /** The index after the largest index, or 0. */
  get end(): number {
    return this.#ranges.at(-1)?.[1] ?? 0;
  }

  /** Whether `index` was added. */
  has(index: number): boolean {
    const at = this.#after(index);
    return at > 0 && index < (this.#ranges[at - 1] as [number, number])[1];
  }

  /** Adds an index. Does nothing if it was added before. */
  add(index: number): void {
    if (this.has(index)) return;
    const at = this.#after(index);
    const before = this.#ranges[at - 1];
    const after = this.#ranges[at];
    if (before?.[1] === index) {
      before[1]++;
      if (after?.[0] === before[1]) {
        before[1] = after[1];
        this.#ranges.splice(at, 1);
      }
    } else if (after?.[0] === index + 1) {
      after[0]--;
    } else {
      this.#ranges.splice(at, 0, [index, index + 1]);
    }
  }

  /** Returns a copy of the ranges. */
  ranges(): [start: number, end: number][] {
    return this.#ranges.map(([start, end]) => [start, end]);
  }

  /** Returns the position of the first range that starts after `index`. */
  #after(index: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ranges[middle] as [number, number])[0] > index) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** Checks the form of a checkpoint and returns it. Throws a `TypeError` if the checkpoint is damaged. */
export function checkCheckpoint(value: BatchCheckpoint): BatchCheckpoint {
  const { version, done, first, total, inputId } = (value ?? {}) as Partial<Record<keyof BatchCheckpoint, unknown>>;
  const { count, hash } = (first ?? {}) as { count?: unknown; hash?: unknown };
  const end = isRanges(done) ? (done.at(-1)?.[1] ?? 0) : 0;
  const minCount = Math.min(MAX_FIRST, end);
  const fault =
    typeof value !== "object" || value === null
      ? `is ${show(value)}`
      : version !== 1
        ? `has the version ${show(version)}`
        : !isRanges(done)
          ? "is damaged: done is not a list of ascending ranges [start, end]"
          : !isCount(count) || count > MAX_FIRST || typeof hash !== "string" || !/^[\da-f]{16}$/.test(hash)
            ? "is damaged: first is not { count, hash }"
            : count < minCount
              ? `is damaged: first covers ${count} requests, and ${minCount} are needed`
              : total !== undefined && (!isCount(total) || end > total)
                ? "is damaged: total is not a number of requests that includes the finished requests"
                : inputId !== undefined && typeof inputId !== "string"
                  ? "is damaged: inputId is not text"
                  : undefined;
  if (fault === undefined) return value;
  throw argumentTypeError(
    "ERR_EAS_ARG_OPTION",
    `checkpoint ${fault}. Pass the object that onCheckpoint received, parsed if it was stored as JSON`,
  );
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isRanges(value: unknown): value is BatchCheckpoint["done"] {
  if (!Array.isArray(value)) return false;
  let last = -1;
  for (const range of value as unknown[]) {
    if (!Array.isArray(range) || range.length !== 2 || !range.every(isCount)) return false;
    const [start, end] = range as [number, number];
    if (start <= last || end <= start) return false;
    last = end;
  }
  return true;
}

/** Creates the error for a checkpoint of another input. `difference` says how the inputs differ. */
export function otherInput(difference: string): TypeError {
  return argumentTypeError(
    "ERR_EAS_ARG_OPTION",
    `checkpoint belongs to another input: ${difference}. Pass the input of the first run, or omit checkpoint to send all requests`,
  );
}
