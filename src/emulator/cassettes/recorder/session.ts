import type { IncomingMessage } from "node:http";
import { messageOf } from "../../../util/realms.js";
import { type CassetteInteraction, CONNECTION_HEADERS } from "../cassette.js";
import { isSecretName, type RedactedStream, type Redaction, type Secrets } from "../redaction.js";
import type { BodySink, CassetteStore } from "./store.js";

/** Maximum number of warnings that are kept. */
const MAX_WARNINGS = 1000;
/** Request headers that are recorded: those that describe the body. */
const RECORDED_REQUEST_HEADERS = /^(content-type|content-encoding|accept)$/i;

/** The state that the requests of one recorder share. */
export class Session {
  readonly target: URL;
  readonly store: CassetteStore;
  readonly secrets: Secrets;
  readonly warnings: string[] = [];
  /** A slot for each request in the order of arrival; undefined until the request is complete. */
  readonly #slots: (CassetteInteraction | undefined)[] = [];
  readonly #running: Set<Promise<void>> = new Set();

  constructor(target: URL, store: CassetteStore, secrets: Secrets) {
    this.target = target;
    this.store = store;
    this.secrets = secrets;
  }

  /** The complete interactions, in the order in which their requests arrived. */
  get interactions(): readonly CassetteInteraction[] {
    return this.#slots.filter((slot) => slot !== undefined);
  }

  /** Reserves a position for a request. Call the returned function when the request is complete. */
  begin(): (interaction: CassetteInteraction) => void {
    const index = this.#slots.push(undefined) - 1;
    return (interaction) => {
      this.#slots[index] = interaction;
      this.store.save(() => this.interactions);
    };
  }

  /** Registers work that `settled` waits for. An error becomes a warning. */
  track(name: string, work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => this.warn(`${name} was not recorded: ${String(error)}`))
      .finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
  }

  /** Resolves when no request is in progress. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  /** Keeps a message about something that the cassette does not contain. */
  warn(message: string): void {
    if (this.warnings.length < MAX_WARNINGS) this.warnings.push(message);
  }

  /** Keeps the message that a request of this name was not recorded, and returns the body of the response with 502. */
  refuseStatus(name: string, status: number): string {
    const message = `the target responded with status ${status}, which cannot be replayed`;
    this.warn(`${name} was not recorded: ${message}`);
    return `recorder: ${message}`;
  }

  /** Maps the path and query of a request to those at the target. */
  pathOf(url: string): string {
    return this.target.pathname.replace(/\/+$/, "") + url;
  }
}

/** Returns the headers of a message as pairs, without those that belong to the connection. */
export function forwardedHeaders({ rawHeaders, headers }: Pick<IncomingMessage, "rawHeaders" | "headers">): Pair[] {
  const listed = (headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase());
  const pairs: Pair[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const [name, value] = [rawHeaders[i] as string, rawHeaders[i + 1] as string];
    if (!CONNECTION_HEADERS.test(name) && !listed.includes(name.toLowerCase())) pairs.push([name, value]);
  }
  return pairs;
}

/** A header's name and value. */
export type Pair = [name: string, value: string];

/** Returns the request headers to record, without secrets. */
export function recordedRequestHeaders(headers: readonly Pair[], redaction: Redaction): Pair[] | undefined {
  const recorded = headers.filter(([name]) => RECORDED_REQUEST_HEADERS.test(name));
  return recorded.length === 0
    ? undefined
    : recorded.map(([name, value]) => [name.toLowerCase(), redaction.text(value)]);
}

/** Returns the response headers to record, without secrets. `Date` is omitted, so that recordings can be compared. */
export function recordedResponseHeaders(headers: readonly Pair[], redaction: Redaction): Pair[] {
  return headers
    .filter(([name]) => !isSecretName(name) && !/^date$/i.test(name))
    .map(([name, value]) => {
      const isUrl = /^(content-)?location$/i.test(name);
      return [name.toLowerCase(), isUrl ? redaction.url(value) : redaction.text(value)];
    });
}

/**
 * Writes a body without secrets to its file. After a limit has been exceeded or the storage has failed, further bytes are
 * dropped, so that the client still receives everything.
 */
export class RecordedBody {
  readonly #sink: BodySink;
  readonly #redaction: RedactedStream;
  /** The reason why bytes were dropped, as the predicate of a sentence. Undefined if all bytes so far were stored. */
  problem: string | undefined;

  constructor(sink: BodySink, redaction: RedactedStream) {
    this.#sink = sink;
    this.#redaction = redaction;
  }

  /** Stores a chunk. Returns false if it was dropped. */
  async write(bytes: Uint8Array): Promise<boolean> {
    if (this.#reserve(bytes.length)) await this.#store(this.#redaction.push(bytes));
    return this.problem === undefined;
  }

  /**
   * Stores bytes that are redacted on their own, such as a message. Returns the stored bytes; undefined if they were
   * dropped.
   */
  async writeWhole(bytes: Uint8Array): Promise<Uint8Array | undefined> {
    const redacted = this.#redaction.whole(bytes);
    if (this.#reserve(redacted.length)) await this.#store(redacted);
    return this.problem === undefined ? redacted : undefined;
  }

  #reserve(length: number): boolean {
    if (this.problem === undefined && !this.#sink.reserve(length)) this.problem = "exceeds a recorder limit";
    return this.problem === undefined;
  }

  async #store(bytes: Uint8Array): Promise<void> {
    try {
      await this.#sink.write(bytes);
    } catch (error) {
      this.problem = `could not be stored: ${messageOf(error)}`;
    }
  }

  /**
   * Completes the body, and returns the name of its file; undefined if the body is empty. If the end of an incomplete
   * body may be the start of a secret, that end is overwritten.
   */
  async finish(contentType?: string, isComplete = true): Promise<string | undefined> {
    const last = this.#redaction.end();
    await this.#sink.write(isComplete ? last : last.fill(0x2a));
    return this.#sink.finish(contentType);
  }

  discard(): Promise<void> {
    return this.#sink.discard();
  }
}
