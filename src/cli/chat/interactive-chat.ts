import type { CommandContext } from "../command.js";
import { CommandError, EXIT_CODES } from "../exit-codes.js";
import { printable } from "../printable.js";
import type { Terminal } from "../terminal.js";
import type { Conversation } from "./conversation.js";
import { LineEditor } from "./line-editor.js";
import { ResponseWriter } from "./response-writer.js";

const HELP = `/reset  starts a new conversation
/exit   ends the chat; Ctrl-D does too
/help   prints this list
Ctrl-C  stops a response; press it twice to end the chat
A line that ends with \\ continues on the next line.`;

/** A chat in a terminal. */
export class InteractiveChat {
  readonly #conversation: Conversation;
  readonly #terminal: Terminal;
  readonly #signal: AbortSignal;
  readonly #editor: LineEditor;
  /** Aborts the current response. Undefined while a message is read. */
  #response: AbortController | undefined;
  /** Whether Ctrl-C was pressed since the last message. */
  #isInterrupted = false;
  /** Whether Ctrl-C was pressed twice. */
  #isEnded = false;

  constructor(conversation: Conversation, { terminal, signal }: CommandContext) {
    this.#conversation = conversation;
    this.#terminal = terminal;
    this.#signal = signal;
    this.#editor = new LineEditor(terminal, () => this.#interrupt());
  }

  /** Reads and answers messages until the user ends the chat. Rejects if the user pressed Ctrl-C twice. */
  async run(model: string): Promise<void> {
    const stop = () => {
      this.#response?.abort(this.#signal.reason);
      this.#editor.close();
    };
    this.#signal.addEventListener("abort", stop);
    try {
      this.#signal.throwIfAborted();
      await this.#terminal.print(`Model ${printable(model)}. Type /help for help.`);
      while (await this.#next());
      this.#signal.throwIfAborted();
      if (this.#isEnded) throw new CommandError("interrupted", EXIT_CODES.interrupted);
    } finally {
      this.#signal.removeEventListener("abort", stop);
      this.#editor.close();
    }
  }

  /** Reads and answers one message. Returns whether the chat continues. */
  async #next(): Promise<boolean> {
    const line = await this.#editor.read();
    if (line === undefined || this.#isEnded || this.#signal.aborted) {
      // The cursor is behind the prompt.
      await this.#terminal.print();
      return false;
    }
    this.#isInterrupted = false;
    const message = line.trim();
    if (message === "") return true;
    if (/^\/[a-z]+$/.test(message)) return this.#command(message);
    await this.#respond(message);
    return !this.#isEnded && !this.#signal.aborted;
  }

  async #command(name: string): Promise<boolean> {
    if (name === "/exit") return false;
    if (name === "/reset") {
      this.#conversation.reset();
      await this.#terminal.print("The conversation is empty.");
    } else if (name === "/help") await this.#terminal.print(HELP);
    else this.#terminal.note(`${name} is not a command: type /help for the list`);
    return true;
  }

  async #respond(message: string): Promise<void> {
    const response = new AbortController();
    this.#response = response;
    const writer = new ResponseWriter(this.#terminal);
    const { errorColors } = this.#terminal;
    const progress = this.#terminal.progress("waiting for the model");
    try {
      await this.#conversation.send(
        message,
        (part) => {
          progress.stop();
          return writer.show(part);
        },
        response.signal,
      );
    } catch (error) {
      // A closed terminal ends the chat.
      if ((error as NodeJS.ErrnoException).code === "EPIPE") throw error;
      progress.stop();
      await writer.end();
      if (response.signal.aborted) this.#terminal.note(errorColors.dim("(stopped)"));
      else this.#terminal.note(`${errorColors.red("error:")} ${printable((error as Error).message)}`);
    } finally {
      progress.stop();
      this.#response = undefined;
      await writer.end();
    }
  }

  #interrupt(): void {
    if (this.#response === undefined && this.#editor.clear()) {
      this.#isInterrupted = false;
      return;
    }
    const isSecond = this.#isInterrupted;
    this.#isInterrupted = true;
    if (isSecond) {
      this.#isEnded = true;
      this.#response?.abort();
      this.#editor.close();
    } else if (this.#response !== undefined) {
      this.#response.abort();
    } else {
      this.#terminal.note("\n(press Ctrl-C again to end the chat)");
      this.#editor.showPrompt();
    }
  }
}
