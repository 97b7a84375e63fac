import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";
import { isBytes } from "../../../util/realms.js";
import type { EmulatorQueueLog } from "../options.js";
import type { QueueChange } from "./entry-storage.js";

/** The stores of a queue by the names that they have in a log. */
export type StoreName = "input" | "sink" | "input-rear" | "sink-rear";

/** Keeps changes as lines of JSON, and tells them again. */
export class AppendOnlyLog {
  readonly #log: EmulatorQueueLog | undefined;
  #kept: Promise<void> = Promise.resolve();

  constructor(log: EmulatorQueueLog | undefined) {
    this.#log = log;
  }

  /** All changes of before. */
  async load(): Promise<{ readonly store: StoreName; readonly change: QueueChange }[]> {
    const lines = ((await this.#log?.load()) ?? []).filter((line) => line.trim() !== "");
    return lines.flatMap((line, i) => {
      try {
        return [readLine(line)];
      } catch (cause) {
        // A process that was ended in the middle of a line has not answered for it.
        if (i === lines.length - 1) return [];
        throw new Error(`line ${i + 1} of the queue's log cannot be read`, { cause });
      }
    });
  }

  add(store: StoreName, change: QueueChange): void {
    const log = this.#log;
    if (log === undefined) return;
    const line = writeLine(store, change);
    this.#kept = this.#kept.then(() => log.append(line));
    // Whoever waits for `kept` hears of a failure; nobody else has to.
    this.#kept.catch(() => {});
  }

  /** Resolves when all that was added is kept; rejects for good when something could not be. */
  kept(): Promise<void> {
    return this.#kept;
  }
}

/** Indexes are text: they pass what a JSON number keeps. */
function writeLine(store: StoreName, change: QueueChange): string {
  return JSON.stringify({ store, ...change }, (name, value) => {
    if (typeof value === "bigint") return String(value);
    if (isBytes(value)) return base64Encode(value);
    return name === "gone" || name === "awaitedBy" ? (Array.isArray(value) ? value : undefined) : value;
  });
}

function readLine(line: string): { store: StoreName; change: QueueChange } {
  const { store, ...kept } = JSON.parse(line);
  switch (kept.change) {
    case "put": {
      const { index, tags, data, priority, path, contentType } = kept.item;
      const item = { tags, priority, path, contentType, gone: false, awaitedBy: undefined };
      return { store, change: { change: "put", item: { ...item, index: BigInt(index), data: base64Decode(data) } } };
    }
    case "remove":
      return { store, change: { change: "remove", indexes: kept.indexes.map(BigInt) } };
    case "end":
      return { store, change: { change: "end" } };
    default:
      return { store, change: { ...kept, index: BigInt(kept.index) } };
  }
}
