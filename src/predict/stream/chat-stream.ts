import { EasDecodeError } from "../../errors.js";
import { argumentTypeError } from "../../util/argument-errors.js";
import type { ChatAccumulator, ChatCompletion, ChatEvent, ChatMessage } from "./chat-completion.js";

/**
 * Yields the events for a chat's chunks or for one complete response. `fail` converts a decoding error to the call's
 * error.
 */
export async function* chatEvents(
  values: AsyncIterable<unknown>,
  chat: ChatAccumulator,
  fail: (error: EasDecodeError) => unknown,
): AsyncGenerator<ChatEvent, void, undefined> {
  for await (const value of values) {
    try {
      yield* chat.add(value);
    } catch (error) {
      throw error instanceof EasDecodeError ? fail(error) : error;
    }
  }
  if (chat.completion.choices.length === 0) {
    throw fail(
      new EasDecodeError(
        "chat(): the stream has no choices. It reads the chunks and responses of OpenAI's chat completions and completions; read other streams with events() or json()",
        { format: "json" },
      ),
    );
  }
  yield* chat.end();
}

/**
 * A chat response that is read while it arrives. Iterate over its parts, call `finalText`, `finalMessage` or
 * `finalCompletion`, or do both. Without a loop, these methods read the stream themselves. They resolve when the
 * response is complete. The loop and these methods reject with the same errors as `PredictStream.events`.
 *
 * @example
 * const chat = stream.chat();
 * for await (const part of chat) if (part.type === "text") process.stdout.write(part.text);
 * messages.push(await chat.finalMessage());
 */
export class ChatStream implements AsyncIterable<ChatEvent> {
  readonly #events: AsyncGenerator<ChatEvent, void, undefined>;
  readonly #chat: ChatAccumulator;
  readonly #leave: () => void;
  readonly #whole: Promise<ChatCompletion>;
  #resolve: (completion: ChatCompletion) => void = () => {};
  #reject: (error: unknown) => void = () => {};
  #isTaken = false;
  #isLeft = false;

  /** @internal `leave` ends the request, so that pending reads settle. */
  constructor(events: AsyncGenerator<ChatEvent, void, undefined>, chat: ChatAccumulator, leave: () => void) {
    this.#events = events;
    this.#chat = chat;
    this.#leave = leave;
    this.#whole = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // The empty handler prevents an unhandled rejection. A loop over this chat rejects with the same error.
    this.#whole.catch(() => {});
  }

  /** The received part of the response. Also available after an error. */
  get completion(): ChatCompletion {
    return this.#chat.completion;
  }

  /** Iterates over the parts of the response. Leaving the loop early ends the request. Throws a `TypeError` if called twice. */
  [Symbol.asyncIterator](): AsyncIterator<ChatEvent, void, undefined> {
    if (this.#isTaken) {
      throw argumentTypeError(
        "ERR_EAS_ARG_REQUEST",
        "this chat is already being read: read it once. finalMessage() can be called besides a loop",
      );
    }
    this.#isTaken = true;
    return {
      next: () => this.#next(),
      return: async () => {
        this.#reject(
          argumentTypeError(
            "ERR_EAS_ARG_REQUEST",
            "the final message is incomplete, because the loop over this chat stopped before the end. The completion property contains the part that was received",
          ),
        );
        this.#isLeft = true;
        this.#leave();
        await this.#events.return();
        return { done: true, value: undefined };
      },
    };
  }

  /** Resolves with the text of the first choice; `""` if the model wrote no text. */
  async finalText(): Promise<string> {
    return (await this.finalMessage()).content ?? "";
  }

  /** Resolves with the message of the first choice. Append it to the next request's `messages`. */
  async finalMessage(): Promise<ChatMessage> {
    const { choices } = await this.finalCompletion();
    // There is a first choice, because a stream without choices fails.
    return (choices[0] as ChatCompletion["choices"][number]).message;
  }

  /** Resolves with the complete response: all choices with their `finish_reason`, and the usage. */
  finalCompletion(): Promise<ChatCompletion> {
    if (!this.#isTaken) {
      this.#isTaken = true;
      void this.#readAll();
    }
    return this.#whole;
  }

  async #next(): Promise<IteratorResult<ChatEvent, void>> {
    try {
      const step = await this.#events.next();
      if (step.done) this.#resolve(this.#chat.completion);
      return step;
    } catch (error) {
      // After an early return, missing choices are not an error.
      if (this.#isLeft) return { done: true, value: undefined };
      this.#reject(error);
      throw error;
    }
  }

  async #readAll(): Promise<void> {
    try {
      while (!(await this.#next()).done);
    } catch {
      // `#whole` has the error.
    }
  }
}
