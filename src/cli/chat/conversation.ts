import type { ChatCompletion, ChatEvent, PredictClient } from "eas-prediction";

/** Options for the responses of a conversation. */
export interface ConversationOptions {
  readonly model: string;
  /** Path of the chat API within the service. */
  readonly path: string;
  readonly system?: string;
  readonly temperature?: number;
  readonly maxTokens?: number;
}

/** The messages between a user and a language model. */
export class Conversation {
  readonly #client: PredictClient;
  readonly #options: ConversationOptions;
  #messages: object[] = [];

  constructor(client: PredictClient, options: ConversationOptions) {
    this.#client = client;
    this.#options = options;
    this.reset();
  }

  /** Removes all messages except the system prompt. */
  reset(): void {
    const { system } = this.#options;
    this.#messages = system === undefined ? [] : [{ role: "system", content: system }];
  }

  /**
   * Sends a message and passes the parts of the response to `show`. Resolves with the completion. If the response fails
   * or is aborted after its first part, the received part stays in the conversation. If there was none, the message is
   * removed, so that the user can send it again.
   */
  async send(content: string, show: (part: ChatEvent) => Promise<void>, signal: AbortSignal): Promise<ChatCompletion> {
    const { model, path, temperature, maxTokens } = this.#options;
    const message = { role: "user", content };
    const body = {
      model,
      messages: [...this.#messages, message],
      stream: true,
      ...(temperature !== undefined && { temperature }),
      ...(maxTokens !== undefined && { max_tokens: maxTokens }),
    };
    const stream = await this.#client.stream(body, { path, signal });
    const chat = stream.chat();
    try {
      for await (const part of chat) await show(part);
    } finally {
      const received = chat.completion.choices[0]?.message.content ?? "";
      if (received !== "") this.#messages.push(message, { role: "assistant", content: received });
    }
    return chat.completion;
  }
}
