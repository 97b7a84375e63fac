import type { CallPlan } from "../../call/call-plan.js";
import { type ChunkReader, decodedReader } from "../../call/decoding/decode-stream.js";
import { decodeFailure, type FailedCall, nameOf } from "../../call/failures/failure.js";
import type { StreamAnswer } from "../../call/stream-call.js";
import { limitLife } from "../../call/stream-life.js";
import type { StreamingResponse } from "../../call/streaming-response.js";
import { EasDecodeError, EasTimeoutError, isEasError } from "../../errors.js";
import type { Bytes } from "../../formats/request.js";
import { joinChunks, pushChunk } from "../../platform/chunks.js";
import type { Platform } from "../../platform/contract.js";
import { argumentTypeError } from "../../util/argument-errors.js";
import { showAsText } from "../../util/inspect.js";
import { listFacts } from "../../util/list-facts.js";
import { WaitTimer } from "../../util/timing/wait-timer.js";
import { ChatAccumulator } from "./chat-completion.js";
import { ChatStream, chatEvents } from "./chat-stream.js";
import { eventStep, type ServerSentEvent } from "./server-sent-events.js";
import { jsonStep, lineStep, textDecoder } from "./stream-decoders.js";
import { endOfEvents, GATEWAY_LINE, isChatChunk, isDone, type StreamEnd, ValuesEnd } from "./stream-end.js";
import { errorOfEnd, errorOfEvent, errorOfValue } from "./stream-error.js";
import { type ChunkStep, StreamValues } from "./stream-values.js";
import { Received } from "./tail-buffer.js";

/** Reads values out of a text that comes in pieces; undefined is its end. Values that were added before it throws count. */
type TextReader<T> = (text: string | undefined, values: T[]) => void;

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
  readonly #response: StreamingResponse;
  readonly #call: FailedCall;
  readonly #idle: WaitTimer;
  readonly #platform: Platform;
  readonly #received: Received;
  #reader: ChunkReader | undefined;
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
    this.#idle = new WaitTimer(idleTimeout, () => response.cancel(this.#idleError(idleTimeout)));
    response.atEnd(() => {
      this.#hasEnded = true;
      this.#idle.end();
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
    return this.#values<Bytes>((piece, pieces) => {
      if (piece !== undefined) pieces.push(piece);
      return false;
    });
  }

  /** The whole body. Rejects with `EasDecodeError` when it has more than `maxResponseBytes`. */
  async bytes(): Promise<Bytes> {
    const pieces: Uint8Array[] = [];
    let length = 0;
    await this.#toEnd((piece) => {
      if (piece === undefined) return;
      pushChunk(pieces, piece);
      length += piece.length;
    });
    return joinChunks(pieces, length);
  }

  /**
   * The whole body as text. Rejects with `EasDecodeError` when it is no UTF-8 or has more than `maxResponseBytes`.
   */
  async text(): Promise<string> {
    let whole = "";
    const decode = this.#decoder();
    await this.#toEnd((piece) => {
      whole += decode(piece);
      if (piece === undefined) this.#judgeEnd();
    });
    return whole;
  }

  /** The body's lines, ended by LF or CRLF, without that. */
  lines(): AsyncGenerator<string, void, undefined> {
    const step = lineStep();
    return this.#textValues<string>((text, lines) => {
      step(text, (line) => lines.push(line));
      if (text === undefined) this.#judgeEnd();
    });
  }

  /**
   * The body's server-sent events, up to `[DONE]`, which is not among them. Rejects with `EasStreamError` at an event by which
   * the service reports that it failed: one that is named `error`, or whose data is JSON with an `error` in it. Rejects with it
   * as well when the stream was cut off: at an end without `[DONE]` after chunks of OpenAI's API without a `finish_reason`,
   * after events of Anthropic's or OpenAI's Responses API without the last one, within an event, or after a line that is not
   * part of an event stream, such as the `Bad Request` of the LLM gateway.
   */
  events(): AsyncGenerator<ServerSentEvent, void, undefined> {
    return this.#textValues(this.#eventReader((event) => event));
  }

  /**
   * The body's JSON values: each ended by a line break or by a NUL character, as older LLM services of EAS send them, or the
   * data of the events if the `Content-Type` is `text/event-stream`. Rejects with `EasDecodeError` for text that is not JSON,
   * and with `EasStreamError` at an object that has an `error` and nothing else, and when the stream was cut off. The type is
   * not checked.
   */
  json<T = unknown>(): AsyncGenerator<T, void, undefined> {
    const reader = this.#isOfEvents ? this.#dataReader() : this.#jsonReader();
    return this.#textValues(reader) as AsyncGenerator<T, void, undefined>;
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
    const values = this.#textValues(this.#chatReader());
    const fail = (error: EasDecodeError) => {
      this.#isComplete = false;
      return this.#explain(error);
    };
    return new ChatStream(chatEvents(values, chat, fail), chat, () => void values.return());
  }

  /** Ends the request; pending reads reject with `reason`. Without effect after the end. */
  cancel(reason: unknown = new DOMException("the stream was cancelled", "AbortError")): void {
    // After the last event the answer is whole, although its connection may not have ended.
    if (!this.#hasEnded && !this.#isDone) this.#isComplete = false;
    this.#isTaken = true;
    this.#response.cancel(reason);
  }

  /** Returns the status, the content type and the state, for logs. */
  toString(): string {
    const state = this.#hasEnded ? "ended" : this.#isTaken ? "being read" : "not read";
    const type = this.headers.get("content-type") ?? undefined;
    return listFacts("PredictStream", { status: this.status, type, endpoint: this.endpoint, state });
  }

  /** Reads what `read` makes of the events; it returns undefined for those that are left out. */
  #eventReader<T>(read: (event: ServerSentEvent) => T | undefined): TextReader<T> {
    const step = eventStep();
    let count = 0;
    return (text, values) => {
      step(text, (event) => {
        if (this.#isDone) return;
        if (isDone(event)) {
          this.#isDone = true;
          this.#isComplete = true;
          return;
        }
        const error = errorOfEvent(event, count++, this.#call);
        if (error !== undefined) throw error;
        const value = read(event);
        if (value !== undefined) values.push(value);
      });
      if (text !== undefined || this.#isDone) return;
      const end = this.#endOfEvents();
      if (end.isComplete === false) throw errorOfEnd(end, count, this.#call);
    };
  }

  #dataReader(): TextReader<unknown> {
    return this.#eventReader((event) => (event.data.trim() === "" ? undefined : event.json()));
  }

  #jsonReader(isChat = false): TextReader<unknown> {
    const step = jsonStep();
    const chunks = new ValuesEnd();
    let count = 0;
    return (text, values) => {
      try {
        step(text, (value) => {
          const error = errorOfValue(value, count++, this.#call, isChat);
          if (error !== undefined) throw error;
          if (isChatChunk(value)) chunks.add(value);
          values.push(value);
        });
      } catch (thrown) {
        const isGateways = thrown instanceof EasDecodeError && this.#received.raw.trimEnd().endsWith(GATEWAY_LINE);
        throw isGateways
          ? errorOfEnd({ why: "with a line that is not JSON", line: GATEWAY_LINE }, count, this.#call)
          : thrown;
      }
      // A document of this type is one value, which has its own end.
      if (text !== undefined) return;
      if (count === 1 && /\/json\b/i.test(this.headers.get("content-type") ?? "")) this.#isComplete = true;
      const end = chunks.end();
      if (end.isComplete === false) throw errorOfEnd(end, count, this.#call);
      if (end.isComplete) this.#isComplete = true;
    };
  }

  /** Reads chunks or a whole answer. The body shows which: an event stream cannot begin with a bracket. */
  #chatReader(): TextReader<unknown> {
    let reader: TextReader<unknown> | undefined;
    return (text, values) => {
      if (reader === undefined && text?.trim() === "") return;
      reader ??= /^\s*[[{]/.test(text ?? "") ? this.#jsonReader(true) : this.#dataReader();
      reader(text, values);
    };
  }

  #endOfEvents(): StreamEnd {
    const { raw, isWhole } = this.#received;
    const end = endOfEvents(raw, isWhole);
    this.#isComplete = end.isComplete ?? this.#isComplete;
    return end;
  }

  /** For callers that read an event stream themselves: its end is judged, and not an error. */
  #judgeEnd(): void {
    if (this.#isOfEvents) this.#endOfEvents();
  }

  get #isOfEvents(): boolean {
    return /^text\/event-stream\b/i.test(this.headers.get("content-type") ?? "");
  }

  /** Iterates over the values that `reader` reads out of the text. */
  #textValues<T>(reader: TextReader<T>): AsyncGenerator<T, void, undefined> {
    const decode = this.#decoder();
    return this.#values<T>((piece, values) => {
      try {
        const text = decode(piece);
        if (text !== "") reader(text, values);
        if (piece === undefined) reader(undefined, values);
      } catch (thrown) {
        if (!this.#isDone) throw thrown;
      }
      return this.#isDone;
    });
  }

  /** Decodes pieces, and keeps their text for errors. */
  #decoder(): (piece: Bytes | undefined) => string {
    const decode = textDecoder();
    return (piece) => {
      const text = decode(piece);
      if (text !== "") this.#received.add(text);
      return text;
    };
  }

  /** Reads to the end, at most `maxResponseBytes`. */
  async #toEnd(onPiece: (piece: Bytes | undefined) => void): Promise<void> {
    const { maxResponseBytes } = this.#call.plan;
    let length = 0;
    const reading = this.#values<never>((piece) => {
      length += piece?.length ?? 0;
      if (length > maxResponseBytes) {
        throw new EasDecodeError(`the stream has more than ${maxResponseBytes} bytes (maxResponseBytes)`, {
          format: "body",
          offset: maxResponseBytes,
        });
      }
      onPiece(piece);
      return false;
    });
    await reading.next();
  }

  /** Iterates, once for a stream, over the values that `step` reads out of the body. */
  #values<T>(step: ChunkStep<T>): AsyncGenerator<T, void, undefined> {
    if (this.#isTaken) {
      throw argumentTypeError(
        "ERR_EAS_ARG_REQUEST",
        "this stream is already being read or was cancelled: read it once",
      );
    }
    this.#isTaken = true;
    const source = {
      read: () => this.#read(),
      end: (isWhole: boolean) => this.#end(isWhole),
      explain: (thrown: unknown) => this.#explain(thrown),
    };
    return new StreamValues<T>(source, (piece, values) => {
      this.#idle.stop();
      if (piece === undefined && this.headers.has("content-length")) this.#isComplete = true;
      return step(piece, values);
    });
  }

  #read(): Promise<Bytes | undefined> {
    this.#reader ??= decodedReader(this.#response, this.#platform);
    this.#idle.start();
    return this.#reader.read();
  }

  #end(isWhole: boolean): void {
    this.#idle.end();
    if (!isWhole) this.#isComplete = false;
    if (this.#isDone) void this.#drain();
    else this.#response.cancel(undefined);
  }

  /** Waits for the end that follows at once, as a rule: the connection can then serve the next call. */
  async #drain(): Promise<void> {
    const reader = this.#reader as ChunkReader;
    const timer = setTimeout(() => this.#response.cancel(undefined), DRAIN_MS);
    try {
      while ((await reader.read()) !== undefined);
    } catch {
      // All that was wanted has come.
    } finally {
      clearTimeout(timer);
    }
  }

  /** The call's own error for what ended the reading; undefined when the reader has left. */
  #explain(thrown: unknown): unknown {
    const error = thrown instanceof EasDecodeError ? decodeFailure(this.#call, thrown) : thrown;
    if (isEasError(error)) Object.assign(error, { received: this.#received.text });
    return error;
  }

  #idleError(timeout: number): EasTimeoutError {
    return new EasTimeoutError(`${nameOf(this.#call.plan)} sent nothing for ${timeout} ms (idleTimeout)`, {
      attempts: this.attempts,
      retryable: true,
      phase: "idle",
      timeout,
    });
  }
}
