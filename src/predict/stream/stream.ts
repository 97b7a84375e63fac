import type { CallBody, CallPlan } from "../../call/call-plan.js";
import type { ConnectionPool } from "../../call/connections/connection-pool.js";
import { type ChunkReader, decodedReader } from "../../call/decoding/decode-stream.js";
import { decodeFailure, describeCall, type FailedCall } from "../../call/failures/failure.js";
import { limitStreamLifetime, openStream, type StreamResult } from "../../call/stream-call.js";
import type { StreamingResponse } from "../../call/streaming-response.js";
import { EasDecodeError, EasTimeoutError, isEasError } from "../../errors.js";
import type { Bytes } from "../../formats/request.js";
import { joinChunks, pushChunk } from "../../platform/chunks.js";
import type { Platform } from "../../platform/contract.js";
import { argumentTypeError } from "../../util/argument-errors.js";
import { listFacts, showAsText } from "../../util/inspect.js";
import { WaitTimer } from "../../util/timing/wait-timer.js";
import { ChatAccumulator } from "./chat-completion.js";
import { ChatStream, chatEvents } from "./chat-stream.js";
import { eventStep, type ServerSentEvent } from "./server-sent-events.js";
import { jsonStep, lineStep, textDecoder } from "./stream-decoders.js";
import { endOfEvents, GATEWAY_LINE, isChatChunk, isDone, type StreamEnd, ValuesEnd } from "./stream-end.js";
import { errorOfEnd, errorOfEvent, errorOfValue } from "./stream-error.js";
import { type ChunkStep, StreamValues } from "./stream-values.js";
import { TailBuffer } from "./tail-buffer.js";

/** Sends a call and returns its response as a stream. Loaded on first use. */
export function openPredictStream(
  pool: ConnectionPool,
  plan: CallPlan,
  body: CallBody,
  idleTimeout: number,
): Promise<PredictStream> {
  return openStream(pool, plan, body, {}, (result) => new PredictStream(result, plan, idleTimeout));
}

/**
 * Decodes values from text that arrives in parts. Undefined marks the end of the text. Values added before an error are
 * still delivered.
 */
type TextReader<T> = (text: string | undefined, values: T[]) => void;

/** Maximum time from the last event to the end of the body, in milliseconds. After that, the connection is closed. */
const DRAIN_MS = 1_000;

/**
 * A response whose body is read while it arrives. The body can be read only once: by `for await`, which yields bytes,
 * or by one of the methods `text`, `bytes`, `lines`, `events`, `json` and `chat`. Leaving the loop early ends the
 * request. Unread data causes backpressure: the service cannot send more data until the caller reads.
 *
 * All reads reject with the signal's reason if the caller aborts, with `EasTimeoutError` (phase `"idle"`) if no data
 * arrives within `idleTimeout`, and with `EasNetworkError` if the connection breaks. The error's `received` property
 * contains the text received before the error.
 *
 * @example
 * const stream = await client.stream(body, { path: "/v1/chat/completions" });
 * for await (const event of stream.events()) console.log(event.json());
 */
export class PredictStream implements AsyncIterable<Bytes> {
  /** The HTTP status. */
  readonly status: number;
  /** The response headers. */
  readonly headers: Headers;
  /** Scheme, host and port of the server that responded. */
  readonly endpoint: string;
  /** Number of attempts, including the successful attempt. */
  readonly attempts: number;
  readonly #response: StreamingResponse;
  readonly #call: FailedCall;
  readonly #idle: WaitTimer;
  readonly #platform: Platform;
  readonly #received: TailBuffer;
  #reader: ChunkReader | undefined;
  #isTaken = false;
  #isDone = false;
  #hasEnded = false;
  #isComplete: boolean | undefined;

  /** @internal Must be called in the same tick in which the response headers arrive, so that no abort is missed. */
  constructor(answer: StreamResult, plan: CallPlan, idleTimeout: number) {
    const { response, endpoint, attempts } = answer;
    this.status = response.status;
    this.headers = response.headers;
    this.endpoint = endpoint;
    this.attempts = attempts;
    this.#response = response;
    this.#call = limitStreamLifetime(answer, plan);
    this.#received = new TailBuffer(answer.token);
    this.#idle = new WaitTimer(idleTimeout, () => response.cancel(this.#idleError(idleTimeout)));
    response.atEnd(() => {
      this.#hasEnded = true;
      this.#idle.end();
    });
    showAsText(this);
    this.#platform = answer.platform;
  }

  /**
   * Whether the whole response was received. True if the response ended in a way that its format defines: `[DONE]`,
   * a `finish_reason` for each choice, `message_stop`, `response.completed`, or the number of bytes in
   * `Content-Length`. False after an error or an early end.
   *
   * Undefined while the body is being read. Also undefined after a body whose format does not mark its end, because
   * a gateway may end such a body normally although the service failed.
   */
  get isComplete(): boolean | undefined {
    return this.#isComplete;
  }

  /** Iterates over the chunks of the body. Each chunk belongs to the caller. */
  [Symbol.asyncIterator](): AsyncGenerator<Bytes, void, undefined> {
    return this.#values<Bytes>((chunk, chunks) => {
      if (chunk !== undefined) chunks.push(chunk);
      return false;
    }, false);
  }

  /** Reads the whole body. Rejects with `EasDecodeError` if the body exceeds `maxResponseBytes`. */
  async bytes(): Promise<Bytes> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    await this.#toEnd((chunk) => {
      if (chunk === undefined) return;
      pushChunk(chunks, chunk);
      length += chunk.length;
    }, false);
    return joinChunks(chunks, length);
  }

  /**
   * Reads the whole body as text. Rejects with `EasDecodeError` if the body is not UTF-8 or exceeds `maxResponseBytes`.
   */
  async text(): Promise<string> {
    let whole = "";
    const decode = this.#decoder();
    await this.#toEnd((chunk) => {
      whole += decode(chunk);
      if (chunk === undefined) this.#checkEnd();
    });
    return whole;
  }

  /** Iterates over the lines of the body, without LF or CRLF. Rejects with `EasDecodeError` if the body is not UTF-8. */
  lines(): AsyncGenerator<string, void, undefined> {
    const step = lineStep();
    return this.#textValues<string>((text, lines) => {
      step(text, (line) => lines.push(line));
      if (text === undefined) this.#checkEnd();
    });
  }

  /**
   * Iterates over the server-sent events in the body. Ends at `[DONE]`, which is not yielded.
   *
   * Rejects with `EasStreamError` in the following cases:
   * - The service reported an error: an event named `error`, or an event whose data is a JSON object with an `error`.
   * - The stream was cut off within an event, or before the last event that OpenAI's or Anthropic's API requires.
   * - The stream ended with a line that is not part of an event, such as `Bad Request` from the LLM gateway.
   */
  events(): AsyncGenerator<ServerSentEvent, void, undefined> {
    return this.#textValues(this.#eventReader((event) => event));
  }

  /**
   * Iterates over the JSON values in the body. If the `Content-Type` is `text/event-stream`, each event's data is a
   * value. Otherwise, the values are separated by line breaks, or by NUL characters, which older EAS LLM services send.
   * The type `T` is not checked.
   *
   * Rejects with `EasDecodeError` for text that is not JSON. Rejects with `EasStreamError` for an object whose only
   * field is `error`, and for a stream that was cut off.
   */
  json<T = unknown>(): AsyncGenerator<T, void, undefined> {
    const reader = this.#isOfEvents ? this.#dataReader() : this.#jsonReader();
    return this.#textValues(reader) as AsyncGenerator<T, void, undefined>;
  }

  /**
   * Reads the body as a language model's response, in OpenAI's chat completions or completions format. Returns an
   * iterable of text, reasoning and function calls, which also provides the final message. Also accepts complete JSON
   * responses, which some services send for `stream: true`.
   *
   * Reads reject with the same errors as `events`, and with `EasDecodeError` if the stream has no choices.
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

  /** Ends the request. Pending reads reject with `reason`, by default an `AbortError`. Has no effect after the end. */
  cancel(reason: unknown = new DOMException("the stream was canceled", "AbortError")): void {
    // The response is complete after the last event, even if the body has not ended yet.
    if (!this.#hasEnded && !this.#isDone) this.#isComplete = false;
    this.#isTaken = true;
    this.#response.cancel(reason);
  }

  /** Returns the status, the content type and the state for logs. */
  toString(): string {
    const state = this.#hasEnded ? "ended" : this.#isTaken ? "being read" : "not read";
    const type = this.headers.get("content-type") ?? undefined;
    return listFacts("PredictStream", { status: this.status, type, endpoint: this.endpoint, state });
  }

  /** Decodes events and converts them with `read`. Skips an event if `read` returns undefined for it. */
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
      // A JSON document is a single value whose syntax shows whether it is complete.
      if (text !== undefined) return;
      if (count === 1 && /\/json\b/i.test(this.headers.get("content-type") ?? "")) this.#isComplete = true;
      const end = chunks.end();
      if (end.isComplete === false) throw errorOfEnd(end, count, this.#call);
      if (end.isComplete) this.#isComplete = true;
    };
  }

  /**
   * Decodes the chunks of a chat, or a complete response. The first character distinguishes the two, because an event
   * stream cannot begin with a bracket.
   */
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

  /** Sets `isComplete` for callers that parse an event stream themselves. Does not reject incomplete streams. */
  #checkEnd(): void {
    if (this.#isOfEvents) this.#endOfEvents();
  }

  get #isOfEvents(): boolean {
    return /^text\/event-stream\b/i.test(this.headers.get("content-type") ?? "");
  }

  /** Iterates over the values that `reader` decodes from the body's text. */
  #textValues<T>(reader: TextReader<T>): AsyncGenerator<T, void, undefined> {
    const decode = this.#decoder();
    return this.#values<T>((chunk, values) => {
      try {
        const text = decode(chunk);
        if (text !== "") reader(text, values);
        if (chunk === undefined) reader(undefined, values);
      } catch (thrown) {
        if (!this.#isDone) throw thrown;
      }
      return this.#isDone;
    });
  }

  /** Returns a function that decodes chunks and keeps their text for errors. */
  #decoder(): (chunk: Bytes | undefined) => string {
    const decode = textDecoder();
    return (chunk) => {
      const text = decode(chunk);
      if (text !== "") this.#received.add(text);
      return text;
    };
  }

  /** Reads to the end of the body. Rejects with `EasDecodeError` if the body exceeds `maxResponseBytes`. */
  async #toEnd(onChunk: (chunk: Bytes | undefined) => void, isBorrowed = true): Promise<void> {
    const { maxResponseBytes } = this.#call.plan;
    let length = 0;
    const reading = this.#values<never>((chunk) => {
      length += chunk?.length ?? 0;
      if (length > maxResponseBytes) {
        throw new EasDecodeError(`the stream has more than ${maxResponseBytes} bytes (maxResponseBytes)`, {
          format: "body",
          offset: maxResponseBytes,
        });
      }
      onChunk(chunk);
      return false;
    }, isBorrowed);
    await reading.next();
  }

  /**
   * Iterates over the values that `step` decodes from the body. Throws a `TypeError` if the stream was already read.
   * `isBorrowed` must be false if `step` keeps chunks.
   */
  #values<T>(step: ChunkStep<T>, isBorrowed = true): AsyncGenerator<T, void, undefined> {
    if (this.#isTaken) {
      throw argumentTypeError("ERR_EAS_ARG_REQUEST", "this stream is already being read or was canceled: read it once");
    }
    this.#isTaken = true;
    const source = {
      read: () => this.#read(isBorrowed),
      end: (isWhole: boolean) => this.#end(isWhole),
      explain: (thrown: unknown) => this.#explain(thrown),
    };
    return new StreamValues<T>(source, (chunk, values) => {
      this.#idle.stop();
      if (chunk === undefined && this.headers.has("content-length")) this.#isComplete = true;
      return step(chunk, values);
    });
  }

  #read(isBorrowed: boolean): Promise<Bytes | undefined> {
    this.#reader ??= decodedReader(this.#response, this.#platform);
    this.#idle.start();
    return this.#reader.read(isBorrowed);
  }

  #end(isWhole: boolean): void {
    this.#idle.end();
    if (!isWhole) this.#isComplete = false;
    if (this.#isDone) void this.#drain();
    else this.#response.cancel(undefined);
  }

  /** Waits for the end of the body, so that the connection can be reused. Usually, the end has already arrived. */
  async #drain(): Promise<void> {
    const reader = this.#reader as ChunkReader;
    const timer = setTimeout(() => this.#response.cancel(undefined), DRAIN_MS);
    try {
      while ((await reader.read()) !== undefined);
    } catch {
      // The response is complete. An error after its last event does not matter.
    } finally {
      clearTimeout(timer);
    }
  }

  /** Converts a thrown value to the call's error; undefined if the caller has stopped reading. */
  #explain(thrown: unknown): unknown {
    const error = thrown instanceof EasDecodeError ? decodeFailure(this.#call, thrown) : thrown;
    if (isEasError(error)) Object.assign(error, { received: this.#received.text });
    return error;
  }

  #idleError(timeout: number): EasTimeoutError {
    return new EasTimeoutError(`${describeCall(this.#call.plan)} sent nothing for ${timeout} ms (idleTimeout)`, {
      attempts: this.attempts,
      retryable: true,
      phase: "idle",
      timeout,
    });
  }
}
