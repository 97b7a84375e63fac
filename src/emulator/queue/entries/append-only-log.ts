import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";
import { isBytes } from "../../../util/realms.js";
import type { EmulatorQueueLog } from "../options.js";
import type { QueueChange } from "./entry-storage.js";

/** Names of a queue's stores in the log. */
export type StoreName = "input" | "sink" | "input-dead-letters" | "sink-dead-letters";

/** Writes changes to a log as lines of JSON, and reads the changes of an existing log. */
export class AppendOnlyLog {
  readonly #log: EmulatorQueueLog | undefined;
  #written: Promise<void> = Promise.resolve();

  constructor(log: EmulatorQueueLog | undefined) {
    this.#log = log;
  }

  /** Reads all changes. Rejects if a line other than the last is invalid. */
  async load(): Promise<{ readonly store: StoreName; readonly change: QueueChange }[]> {
    const lines = ((await this.#log?.load()) ?? []).filter((line) => line.trim() !== "");
    return lines.flatMap((line, i) => {
      try {
        return [readLine(line)];
      } catch (cause) {
        // Ignore an incomplete last line. It was never acknowledged, because the process ended while writing it.
        if (i === lines.length - 1) return [];
        throw new Error(`line ${i + 1} of the queue's log cannot be read`, { cause });
      }
    });
  }

  /** Appends a change. Changes are written one after another. */
  add(store: StoreName, change: QueueChange): void {
    const log = this.#log;
    if (log === undefined) return;
    const line = writeLine(store, change);
    this.#written = this.#written.then(() => log.append(line));
    // Avoid an unhandled rejection if `written` is never called. If it is called, it reports the error.
    this.#written.catch(() => {});
  }

  /** Resolves when all changes so far have been written. After a write has failed, always rejects. */
  written(): Promise<void> {
    return this.#written;
  }
}

/** Formats a change as JSON. Indexes are strings because they exceed the precision of JSON numbers. */
function writeLine(store: StoreName, change: QueueChange): string {
  return JSON.stringify({ store, ...change }, (name, value) => {
    if (typeof value === "bigint") return String(value);
    if (isBytes(value)) return base64Encode(value);
    return name === "isDeleted" || name === "awaitedBy" ? (Array.isArray(value) ? value : undefined) : value;
  });
}

function readLine(line: string): { store: StoreName; change: QueueChange } {
  const { store, ...kept } = JSON.parse(line);
  switch (kept.change) {
    case "put": {
      const { index, tags, data, priority, path, contentType } = kept.item;
      const item = { tags, priority, path, contentType, isDeleted: false, awaitedBy: undefined };
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
