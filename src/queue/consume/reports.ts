import { secretsOf } from "../../call/auth.js";
import { redactText } from "../../call/failures/redact.js";
import type { Token } from "../../config/options.js";
import { isError, messageOf } from "../../util/realms.js";
import type { DataFrame } from "../frame.js";
import type { MutableStats, WorkerHost } from "./worker-host.js";

/** Maximum number of characters of a reason. */
const MAX_REASON = 500;

/** Messages of `JSON.parse` that quote the invalid text, in V8 and in JavaScriptCore. */
const QUOTED_JSON = /is not valid JSON$|^JSON Parse error/;

/** Logs what happens to the items of a worker, and remembers the last error. */
export class WorkerReports {
  readonly #host: WorkerHost;
  readonly #token: () => Token | undefined;
  readonly #stats: MutableStats;

  constructor(host: WorkerHost, token: () => Token | undefined, stats: MutableStats) {
    this.#host = host;
    this.#token = token;
    this.#stats = stats;
  }

  /** Logs a warning with the index and the tags of an item and the reason of an error. */
  warn(frame: DataFrame, what: (item: string) => string, error: unknown): void {
    this.#stats.lastError = error;
    this.#host.warn(this.#redact(`eas-prediction: ${what(nameOf(frame))}: ${this.reasonOf(error)}`));
  }

  /** Returns the name and message of an error, without tokens. Converts any other thrown value to text. */
  reasonOf(error: unknown): string {
    return this.#redact(textOf(error)).slice(0, MAX_REASON);
  }

  #redact(text: string): string {
    return redactText(text, secretsOf(this.#token(), ""));
  }
}

function textOf(error: unknown): string {
  try {
    if (isError(error)) {
      const { name, message } = error;
      // Log lines and reasons must not contain the data of items.
      return `${name}: ${QUOTED_JSON.test(message) ? "the text is not valid JSON" : message}`;
    }
  } catch {
    // A handler can throw an object whose name or message has no text form, or cannot be read.
  }
  return messageOf(error);
}

/** Returns the index and tags of an item, for a log line. */
function nameOf(frame: DataFrame): string {
  try {
    return `item ${frame.index} ${JSON.stringify(frame.tags)}`;
  } catch {
    return `item ${frame.index}`;
  }
}
