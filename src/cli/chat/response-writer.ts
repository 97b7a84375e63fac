import type { ChatEvent } from "eas-prediction";
import { printable } from "../printable.js";
import type { Terminal } from "../terminal.js";

/** Writes the parts of a response to standard output. Reasoning is dim in a terminal, and left out otherwise. */
export class ResponseWriter {
  readonly #terminal: Terminal;
  readonly #isTerminal: boolean;
  #isReasoning = false;
  /** Whether the last written text has ended its line. */
  #isAtLineStart = true;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.#isTerminal = terminal.stdout.isTTY === true;
  }

  /** Writes a part of the response. */
  readonly show = async (part: ChatEvent): Promise<void> => {
    if (part.type === "reasoning") await this.#reason(part.text);
    else if (part.type === "text" || part.type === "refusal") await this.#write(part.text);
    else if (part.type === "toolCall") {
      const { name, arguments: values } = part.toolCall.function;
      await this.#write(`[calls ${name}(${values})]\n`);
    }
  };

  /** Ends the last line. */
  async end(): Promise<void> {
    this.#isReasoning = false;
    if (this.#isAtLineStart) return;
    await this.#terminal.print();
    this.#isAtLineStart = true;
  }

  async #reason(text: string): Promise<void> {
    if (!this.#isTerminal) return;
    const { colors } = this.#terminal;
    // Without colors, a label separates the reasoning from the response.
    if (!this.#isReasoning && !colors.isColorSupported) await this.#terminal.write("Reasoning: ");
    this.#isReasoning = true;
    await this.#put(text, colors.dim);
  }

  async #write(text: string): Promise<void> {
    if (this.#isReasoning) {
      await this.end();
      await this.#terminal.print();
    }
    await this.#put(text, String);
  }

  async #put(text: string, style: (text: string) => string): Promise<void> {
    const shown = this.#isTerminal ? printable(text) : text;
    if (shown === "") return;
    this.#isAtLineStart = shown.endsWith("\n");
    await this.#terminal.write(style(shown));
  }
}
