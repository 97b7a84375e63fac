import { argumentTypeError } from "../argument-errors.js";
import { EasDecodeError, EasTimeoutError, isEasError } from "../errors.js";
import type { CallPlan } from "../http/call-plan.js";
import { decodeFailure, type FailedCall, nameOf } from "../http/failure.js";
import type { OpenedResponse } from "../http/opened-response.js";
import type { StreamAnswer } from "../http/stream-call.js";
import { limitLife } from "../http/stream-life.js";
import { type PieceReader, undoneReader } from "../http/undo-stream.js";
import { joinChunks, pushChunk } from "../platform/chunks.js";
import type { Platform } from "../platform/platform.js";
import type { Bytes } from "../request.js";
import { showAsText } from "../util/inspect.js";
import { listFacts } from "../util/list-facts.js";
import { ChatAccumulator } from "./chat-completion.js";
import { ChatStream, chatEvents } from "./chat-stream.js";
import { Received } from "./received.js";
import { eventsOf, type ServerSentEvent } from "./server-sent-events.js";
import { DONE, endOfEvents, GATEWAY_LINE, type StreamEnd } from "./stream-end.js";
import { errorOfEnd, errorOfEvent, errorOfValue } from "./stream-error.js";
import { decodeText, jsonOf, linesOf } from "./stream-text.js";

/** How long a body may take to end behind its last event, before its connection is given up. */
const DRAIN_MS = 1_000;

/**
 * An answer that is read while it comes. It is read once: by `for await`, which gives bytes, or by one of `text`, `bytes`,
 * `lines`, `events` and `json`. Whoever leaves the loop early ends the request. While nobody reads, the service is held back.
 *
 * All reads reject with the reason of the caller's signal, with an `EasTimeoutError` of phase `"idle"` when nothing comes for
 * `idleTimeout`, and with an `EasNetworkError` when the connection breaks; what came of the text is in the error's `received`.
 */
export class PredictStream implements AsyncIterable<Bytes> {
  readonly status: number;
  readonly headers: Headers;
  /** Scheme, host and port that answered. */
  readonly endpoint: string;
  readonly attempts: number;
  readonly #response: OpenedResponse;
  readonly #call: FailedCall;
  readonly #idleTimeout: number;
  readonly #platform: Platform;
  readonly #received: Received;
  #isTaken = false;
  #isDone = false;
  #hasEnded = false;
  #isComplete: boolean | undefined;

  /** @internal Begins in the turn in which the head came, so that no abort is missed. */
  constructor(answer: StreamAnswer, plan: CallPlan, idleTimeout: number) {
    const { response, endpoint, attempts } = answer;
    this.status = response.status;
    this.headers = response.headers;
    this.endpoint = endpoint;
    this.attempts = attempts;
    this.#response = response;
    this.#call = limitLife(answer, plan);
    this.#received = new Received(answer.token);
    this.#idleTimeout = idleTimeout;
    response.atEnd(() => {
      this.#hasEnded = true;
    });
    showAsText(this);
    this.#platform = answer.platform;
  }

  /**
   * Whether the whole answer is known to have been received. True after the end that the format marks: `[DONE]`, a
   * `finish_reason` of each choice, `message_stop`, `response.completed`, or the bytes of a `Content-Length`. False after an
   * error or an early end. Undefined while the body is read, and after it if its format does not mark the end: a gateway may
   * have ended such a body in good order although the service broke off.
   */
  get isComplete(): boolean | undefined {
    return this.#isComplete;
  }

  /** The body as bytes, piece by piece as they come; each piece is the receiver's own memory. */
  [Symbol.asyncIterator](): AsyncGenerator<Bytes, void, undefined> {
    return this.#explained(this.#pieces());
  }

  /** The whole body. Rejects with `EasDecodeError` when it has more than `maxResponseBytes`. */
  async bytes(): Promise<Bytes> {
    const pieces: Uint8Array[] = [];
    let length = 0;
    for await (const piece of this.#explained(this.#bounded())) {
      pushChunk(pieces, piece);
      length += piece.length;
    }
    return joinChunks(pieces, length);
  }

  /**
   * The whole body as text. Rejects with `EasDecodeError` when it is no UTF-8 or has more than `maxResponseBytes`.
   */
  async text(): Promise<string> {
    let whole = "";
    for await (const text of this.#explained(this.#plainTexts(this.#bounded()))) whole += text;
    return whole;
  }

  /** The body's lines, ended by LF or CRLF, without that. */
  lines(): AsyncGenerator<string, void, undefined> {
    return this.#explained(linesOf(this.#plainTexts(this.#pieces())));
  }

  /**
   * The body's server-sent events, up to `[DONE]`, which is not among them. Rejects with `EasStreamError` at an event by which
   * the service reports that it failed: one that is named `error`, or whose data is JSON with an `error` in it. Rejects with it
   * as well when the stream was cut off: at an end without `[DONE]` after chunks of OpenAI's API without a `finish_reason`,
   * after events of Anthropic's or OpenAI's Responses API without the last one, within an event, or after a line that is not
   * part of an event stream, such as the `Bad Request` of the LLM gateway.
   */
  events(): AsyncGenerator<ServerSentEvent, void, undefined> {
    return this.#explained(this.#events(this.#texts(this.#pieces())));
  }

  /**
   * The body's JSON values: each ended by a line break or by a NUL character, as older LLM services of EAS send them, or the
   * data of the events if the `Content-Type` is `text/event-stream`. Rejects with `EasDecodeError` for text that is not JSON,
   * and with `EasStreamError` at an object that has an `error` and nothing else, and when the stream was cut off. The type is
   * not checked.
   */
  json<T = unknown>(): AsyncGenerator<T, void, undefined> {
    const texts = this.#texts(this.#pieces());
    const values = this.#isOfEvents ? this.#dataOfEvents(texts) : this.#json(texts);
    return this.#explained(values) as AsyncGenerator<T, void, undefined>;
  }

  /**
   * The answer of a language model in the form of OpenAI's chat completions or completions: its text, reasoning and function
   * calls while they arrive, and the final message. Also reads a whole JSON answer, which some services send for
   * `stream: true`. Rejects as `events` does, and with `EasDecodeError` when the stream has no choices.
   *
   * @example
   * const stream = await client.stream(body, { path: "/v1/chat/completions" });
   * for await (const part of stream.chat()) if (part.type === "text") process.stdout.write(part.text);
   *
   * @example
   * messages.push(await stream.chat().finalMessage());
   */
  chat(): ChatStream {
    const chat = new ChatAccumulator();
    return new ChatStream(this.#explained(chatEvents(this.#chatValues(), chat)), chat);
  }

  /** Ends the request; who still reads is rejected with `reason`. Without effect after the end. */
  cancel(reason: unknown = new DOMException("the stream was cancelled", "AbortError")): void {
    if (!this.#hasEnded) this.#isComplete = false;
    this.#isTaken = true;
    this.#response.cancel(reason);
  }

  /** Returns the status, the content type and the state, for logs. */
  toString(): string {
    const state = this.#hasEnded ? "ended" : this.#isTaken ? "being read" : "not read";
    const type = this.headers.get("content-type") ?? undefined;
    return listFacts("PredictStream", { status: this.status, type, endpoint: this.endpoint, state });
  }

  async *#events(texts: AsyncIterable<string>): AsyncGenerator<ServerSentEvent, void, undefined> {
    let count = 0;
    for await (const event of eventsOf(texts)) {
      if (event.data.trim() === DONE) {
        this.#isDone = true;
        this.#isComplete = true;
        return;
      }
      const error = errorOfEvent(event, count++, this.#call);
      if (error !== undefined) throw error;
      yield event;
    }
    const end = this.#endOfEvents();
    if (end.isComplete === false) throw errorOfEnd(end, count, this.#call);
  }

  #endOfEvents(): StreamEnd {
    const { raw, isWhole } = this.#received;
    const end = endOfEvents(raw, isWhole);
    this.#isComplete = end.isComplete ?? this.#isComplete;
    return end;
  }

  async *#dataOfEvents(texts: AsyncIterable<string>): AsyncGenerator<unknown, void, undefined> {
    for await (const event of this.#events(texts)) if (event.data.trim() !== "") yield event.json();
  }

  /** Chunks or a whole answer. The body shows which: an event stream cannot begin with a bracket. */
  async *#chatValues(): AsyncGenerator<unknown, void, undefined> {
    const texts = this.#texts(this.#pieces());
    let head = await texts.next();
    while (!head.done && head.value.trim() === "") head = await texts.next();
    const isJson = !head.done && /^\s*[[{]/.test(head.value);
    const all = withHead(head, texts);
    yield* isJson ? this.#json(all, true) : this.#dataOfEvents(all);
  }

  async *#json(texts: AsyncIterable<string>, isChat = false): AsyncGenerator<unknown, void, undefined> {
    let count = 0;
    try {
      for await (const value of jsonOf(texts)) {
        const error = errorOfValue(value, count++, this.#call, isChat);
        if (error !== undefined) throw error;
        yield value;
      }
    } catch (thrown) {
      const isGateways = thrown instanceof EasDecodeError && this.#received.raw.trimEnd().endsWith(GATEWAY_LINE);
      throw isGateways
        ? errorOfEnd({ why: "with a line that is not JSON", line: GATEWAY_LINE }, count, this.#call)
        : thrown;
    }
    // A document of this type is one value, which has its own end.
    if (count === 1 && /\/json\b/i.test(this.headers.get("content-type") ?? "")) this.#isComplete = true;
  }

  /** The text for callers that read an event stream themselves: its end is judged, and not an error. */
  async *#plainTexts(pieces: AsyncIterable<Bytes>): AsyncGenerator<string, void, undefined> {
    yield* this.#texts(pieces);
    if (this.#isOfEvents) this.#endOfEvents();
  }

  get #isOfEvents(): boolean {
    return /^text\/event-stream\b/i.test(this.headers.get("content-type") ?? "");
  }

  async *#texts(pieces: AsyncIterable<Bytes>): AsyncGenerator<string, void, undefined> {
    for await (const text of decodeText(pieces)) {
      this.#received.add(text);
      yield text;
    }
  }

  async *#bounded(): AsyncGenerator<Bytes, void, undefined> {
    const { maxResponseBytes } = this.#call.plan;
    let length = 0;
    for await (const piece of this.#pieces()) {
      length += piece.length;
      if (length > maxResponseBytes) {
        throw new EasDecodeError(`the stream has more than ${maxResponseBytes} bytes (maxResponseBytes)`, {
          format: "body",
          offset: maxResponseBytes,
        });
      }
      yield piece;
    }
  }

  async *#pieces(): AsyncGenerator<Bytes, void, undefined> {
    let reader: PieceReader = this.#response;
    try {
      reader = undoneReader(reader as OpenedResponse, this.#platform);
      for (;;) {
        const piece = await this.#read(reader);
        if (piece === undefined) {
          if (this.headers.has("content-length")) this.#isComplete = true;
          return;
        }
        yield piece;
      }
    } finally {
      if (this.#isDone) void this.#drain(reader);
      else this.#response.cancel(undefined);
    }
  }

  async #read(reader: PieceReader): Promise<Bytes | undefined> {
    const timer = setTimeout(() => this.#response.cancel(this.#idleError()), this.#idleTimeout);
    try {
      return await reader.read();
    } finally {
      clearTimeout(timer);
    }
  }

  /** Waits for the end that follows at once, as a rule: the connection can then serve the next call. */
  async #drain(reader: PieceReader): Promise<void> {
    const timer = setTimeout(() => this.#response.cancel(undefined), DRAIN_MS);
    try {
      while ((await reader.read()) !== undefined);
    } catch {
      // All that was wanted has come.
    } finally {
      clearTimeout(timer);
    }
  }

  /** Hands on, once for a stream, and makes the call's own errors of what goes wrong. */
  #explained<T>(values: AsyncGenerator<T, void, undefined>): AsyncGenerator<T, void, undefined> {
    if (this.#isTaken) {
      throw argumentTypeError(
        "ERR_EAS_ARG_REQUEST",
        "this stream is already being read or was cancelled: read it once",
      );
    }
    this.#isTaken = true;
    const handed = this.#handOn(values);
    // A generator that has not begun would end nothing, and one that reads would wait for its read first.
    const end = handed.return;
    handed.return = (value) => {
      if (!this.#isDone) this.#response.cancel(undefined);
      return end.call(handed, value);
    };
    return handed;
  }

  async *#handOn<T>(values: AsyncGenerator<T, void, undefined>): AsyncGenerator<T, void, undefined> {
    let isWhole = false;
    try {
      yield* values;
      isWhole = true;
    } catch (thrown) {
      // Who waited has left.
      if (thrown === undefined) return;
      const error = thrown instanceof EasDecodeError ? decodeFailure(this.#call, thrown) : thrown;
      if (isEasError(error)) Object.assign(error, { received: this.#received.text });
      throw error;
    } finally {
      if (!isWhole) this.#isComplete = false;
    }
  }

  #idleError(): EasTimeoutError {
    const timeout = this.#idleTimeout;
    return new EasTimeoutError(`${nameOf(this.#call.plan)} sent nothing for ${timeout} ms (idleTimeout)`, {
      attempts: this.attempts,
      retryable: true,
      phase: "idle",
      timeout,
    });
  }
}

/** The texts, of which the first one was taken. */
async function* withHead(
  head: IteratorResult<string, void>,
  texts: AsyncGenerator<string, void, undefined>,
): AsyncGenerator<string, void, undefined> {
  try {
    if (!head.done) yield head.value;
    yield* texts;
  } finally {
    await texts.return();
  }
}
