import type { Bytes } from "../../formats/request.js";
import { optionError } from "../../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../../util/option-names.js";
import { isRecord } from "../../util/realms.js";
import { clockNow } from "../../util/timing/clock.js";
import { breaksBody, type Fault, resetConnection } from "../faults.js";
import { createResponse } from "../response.js";
import type { AcceptedSocket } from "../server/socket.js";
import { breakSocket } from "../services/service-socket.js";
import { type Cassette, EMPTY_STATUSES } from "./cassette.js";
import { type ComparedRequest, Matcher, type ReplayMatch } from "./matching.js";
import { scaled, waitUntil } from "./pacing.js";
import { type RecordedResponse, type Recording, readRecordings, splitUrl } from "./recording.js";
import { type Redaction, Secrets } from "./redaction.js";
import { replaySocket } from "./replay-socket.js";

/** Options for replaying cassettes. */
export interface ReplayOptions {
  /**
   * Handling of requests that no cassette contains. `"strict"` responds with 501 and a message that describes the
   * nearest recorded request. `"lenient"` passes the request to the emulator's services and queues. Default `"strict"`.
   */
  readonly mode?: "strict" | "lenient" | undefined;
  /**
   * Speed relative to the recording: 1 keeps the recorded delays, 2 halves them, and 0 omits them. The delays use timers, so
   * fake timers control them. Default 0.
   */
  readonly speed?: number | undefined;
  /**
   * Whether the last recorded response is repeated when a request is sent more often than it was recorded. Set it for
   * programs that poll. Default false: further requests are handled as if they were not recorded.
   */
  readonly repeat?: boolean | undefined;
  /** The parts of a request that must match. Default: method, path, query and body. */
  readonly match?: ReplayMatch | undefined;
  /** The texts that were passed as `secrets` to the recorder, for cassettes whose requests contain them. Default: none. */
  readonly secrets?: readonly string[] | undefined;
}

const REPLAY_OPTIONS: OptionNames<ReplayOptions> = { mode: 1, speed: 1, repeat: 1, match: 1, secrets: 1 };

/** A request to the emulator. */
interface PlayedRequest {
  readonly request: Request;
  /** Path and query, unchanged. */
  readonly url: string;
  readonly body: Bytes;
  readonly isUpgrade: boolean;
}

/** The result recorded for a request. */
export interface Replay {
  /** Returns the recorded response after its delay. Rejects if the connection was broken, or when the caller disconnects. */
  respond(signal: AbortSignal): Promise<Response>;
  /** Accepts the upgrade as recorded, or returns the response that refuses it. */
  accept(signal: AbortSignal, fault: Fault | undefined): Promise<Response | AcceptedSocket>;
}

/** Responds to requests from cassettes. */
export class Player {
  readonly #recordings: readonly Recording[];
  readonly #matcher: Matcher;
  readonly #isStrict: boolean;
  readonly #repeats: boolean;
  readonly #speed: number;
  readonly #secrets: Secrets;
  /** The recordings that have been replayed since the last `rewind`. */
  readonly #used: Set<Recording> = new Set();

  /** Throws a `TypeError` or `RangeError` for a damaged cassette or invalid options. */
  constructor(cassettes: Cassette | readonly Cassette[], options: ReplayOptions = {}) {
    checkReplayOptions(options);
    const { mode = "strict", speed = 0, repeat = false, match, secrets = [] } = options;
    if (mode !== "strict" && mode !== "lenient") throw optionError("replay.mode", mode, 'be "strict" or "lenient"');
    if (typeof speed !== "number" || !(speed >= 0) || speed === Number.POSITIVE_INFINITY) {
      throw optionError("replay.speed", speed, "be a finite number of at least 0; 0 replays without delays");
    }
    if (typeof repeat !== "boolean") throw optionError("replay.repeat", repeat, "be true or false");
    this.#recordings = [cassettes].flat().flatMap(readRecordings);
    this.#matcher = new Matcher(match);
    this.#isStrict = mode === "strict";
    this.#repeats = repeat;
    this.#speed = speed;
    this.#secrets = new Secrets(checkSecrets("replay.secrets", secrets));
  }

  /**
   * Returns the result recorded for a request. Each recording is replayed once, in recorded order. Returns undefined if
   * no cassette contains the request and the player is lenient.
   */
  take({ request, url, body, isUpgrade }: PlayedRequest): Replay | undefined {
    const redaction = this.#secrets.learn(request.headers, url);
    const [path, query] = splitUrl(redaction.url(url));
    const compared = { method: request.method, path, query, isUpgrade, body: redaction.request().whole(body) };
    const matching = this.#recordings.filter((recorded) => this.#matcher.matches(compared, recorded));
    const next =
      matching.find((recorded) => !this.#used.has(recorded)) ?? (this.#repeats ? matching.at(-1) : undefined);
    if (next !== undefined) {
      this.#used.add(next);
      return this.#replay(next, redaction);
    }
    return this.#isStrict ? refuse(this.#missMessage(compared, matching)) : undefined;
  }

  /** Makes all recordings available again. */
  rewind(): void {
    this.#used.clear();
  }

  #replay({ result, index }: Recording, redaction: Redaction): Replay {
    const speed = this.#speed;
    const respond = async (signal: AbortSignal) => {
      if (result?.kind === "socket") return createResponse(501, `${describeIndex(index)} is a WebSocket`);
      if (result === undefined) throw resetConnection();
      await waitUntil(clockNow() + scaled(result.delay, speed), signal);
      return createReplayedResponse(result, speed, signal);
    };
    return {
      respond,
      async accept(signal, fault) {
        if (result?.kind !== "socket") return respond(signal);
        await waitUntil(clockNow() + scaled(result.delay, speed), signal);
        const attach = replaySocket(result, speed, redaction);
        return {
          protocol: result.protocol,
          attach: (socket) => attach(fault === undefined || !breaksBody(fault) ? socket : breakSocket(socket, fault)),
        };
      },
    };
  }

  #missMessage(compared: ComparedRequest, matching: readonly Recording[]): string {
    const { method, path, query, body } = compared;
    const target = `${method} ${query === "" ? path : `${path}?${query}`} (${body.length} bytes)`;
    if (matching.length > 0) {
      const times = matching.length === 1 ? "once" : `${matching.length} times`;
      return `cassette: ${target} was recorded ${times} and has been replayed. Set replay.repeat to repeat the last response.`;
    }
    const nearest = this.#matcher.nearest(compared, this.#recordings);
    if (nearest === undefined) return `cassette: ${target} is not recorded: the cassette is empty.`;
    const recorded = `${nearest.method} ${nearest.query === "" ? nearest.path : `${nearest.path}?${nearest.query}`}`;
    const differences = this.#matcher.differences(compared, nearest).join("; ");
    // The differences come first, because client errors show only the start of a response.
    return `cassette: not recorded: ${differences}. The request is ${target}. The nearest recorded request is ${describeIndex(nearest.index)}, ${recorded}.`;
  }
}

function checkReplayOptions(options: unknown): void {
  if (!isRecord(options)) throw optionError("replay", options, 'be an object such as { mode: "lenient" }');
  checkOptionNames("replay", options, REPLAY_OPTIONS);
}

/** Checks a list of secrets. Throws a `TypeError` that names the option. */
export function checkSecrets(name: string, secrets: unknown): readonly string[] {
  if (Array.isArray(secrets) && secrets.every((secret) => typeof secret === "string")) return secrets;
  throw optionError(name, secrets, "be a list of texts");
}

function describeIndex(index: number): string {
  return `interactions[${index}]`;
}

/** Returns a result that refuses a request with 501, which clients do not retry. */
function refuse(message: string): Replay {
  const response = async () => createResponse(501, message);
  return { respond: response, accept: response };
}

function createReplayedResponse(recorded: RecordedResponse, speed: number, signal: AbortSignal): Response {
  const { status, statusText, chunks, end } = recorded;
  const init = { status, statusText, headers: recorded.headers as [string, string][] };
  const isEmpty = EMPTY_STATUSES.includes(status) || (chunks.length === 0 && end === "complete");
  if (isEmpty) return new Response(null, init);
  const start = clockNow();
  let next = 0;
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const chunk = chunks[next++];
        if (chunk !== undefined) {
          await waitUntil(start + scaled(chunk.at, speed), signal);
          // The receiver owns the bytes, and may change them.
          controller.enqueue(chunk.bytes.slice());
          return;
        }
        if (end === "complete") controller.close();
        else if (end === "canceled") await new Promise<void>(() => {});
        else controller.error(resetConnection());
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, init);
}
