import { EasDecodeError } from "../../errors.js";
import { argumentTypeError } from "../../util/argument-errors.js";
import type { ChatAccumulator, ChatCompletion, ChatEvent, ChatMessage } from "./chat-completion.js";

/** Reads the values of a chat: chunks, or one whole answer. `fail` converts an error of this function to the call's error. */
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
        "chat(): the stream has no choices. It reads the chunks and answers of OpenAI's chat completions and completions; read other streams with events() or json()",
        { format: "json" },
      ),
    );
  }
  yield* chat.end();
}

/**
 * The answer to a chat, read while it arrives. Iterate it for the parts, or call one of `finalText`, `finalMessage` and
 * `finalCompletion`, or both: these resolve when the answer is complete, and read it themselves unless a loop does. All
 * reject as `PredictStream.events` does.
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

  /** @internal `leave` ends the request, so that a read that waits for it is over. */
  constructor(events: AsyncGenerator<ChatEvent, void, undefined>, chat: ChatAccumulator, leave: () => void) {
    this.#events = events;
    this.#chat = chat;
    this.#leave = leave;
    this.#whole = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // A loop reports the error too.
    this.#whole.catch(() => {});
  }

  /** The answer as far as it was received. Also useful after an error. */
  get completion(): ChatCompletion {
    return this.#chat.completion;
  }

  /** The parts of the answer. Leaving the loop early ends the request. */
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
            "the final message is incomplete, because the iteration of this chat stopped before its end. The property completion has the part that was received",
          ),
        );
        this.#isLeft = true;
        this.#leave();
        await this.#events.return();
        return { done: true, value: undefined };
      },
    };
  }

  /** Resolves with the text of the first choice; `""` when the model wrote none. */
  async finalText(): Promise<string> {
    return (await this.finalMessage()).content ?? "";
  }

  /** Resolves with the message of the first choice, which can be added to the `messages` of the next request. */
  async finalMessage(): Promise<ChatMessage> {
    const { choices } = await this.finalCompletion();
    // Without a choice the stream fails.
    return (choices[0] as ChatCompletion["choices"][number]).message;
  }

  /** Resolves with the whole answer: all choices with their `finish_reason`, and the usage. */
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
      // A chat that was left may have no choices yet.
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
