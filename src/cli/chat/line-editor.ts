import { createInterface, type Interface } from "node:readline";
import { Writable } from "node:stream";
import type { Terminal } from "../terminal.js";

/** A message continues on the next line if its line ends with this character. */
const CONTINUATION = "\\";

/** The editor's prompt rows, which Node does not declare. */
interface Rows {
  prevRows?: number;
}

/**
 * Reads messages from a terminal. The user can edit a line, and recall earlier lines. Lines that are pasted together form
 * one message. While no message is read, typed text is kept for the next message and is not shown.
 */
export class LineEditor {
  readonly #interface: Interface;
  readonly #output: MutableOutput;
  readonly #messages: string[] = [];
  #lines: string[] = [];
  #isClosed = false;
  #changed: () => void = () => {};

  /** `onInterrupt` is called for Ctrl-C. */
  constructor({ stdin, stdout, colors }: Terminal, onInterrupt: () => void) {
    this.#output = new MutableOutput(stdout);
    this.#interface = createInterface({
      input: stdin,
      output: this.#output,
      terminal: true,
      prompt: colors.bold("> "),
      historySize: 1_000,
    });
    // Node 20.20 appends characters that arrive in one chunk to the end of the line, unless completion is enabled. An input
    // method commits several characters at once, and the cursor may be within the line.
    Object.defineProperty(this.#interface, "isCompletionEnabled", { get: () => true, set() {} });
    this.#interface.on("line", (line) => this.#addLine(line));
    this.#interface.on("SIGINT", onInterrupt);
    this.#interface.on("close", () => {
      this.#isClosed = true;
      this.#changed();
    });
  }

  /** Resolves with the next message, or with undefined at the end of the input. */
  async read(): Promise<string | undefined> {
    this.#output.isMuted = false;
    let isPrompted = false;
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined) {
        // The message was typed while the output was muted.
        if (!isPrompted) this.#output.write(`${this.#interface.getPrompt()}${message}\n`);
        this.#output.isMuted = true;
        return message;
      }
      if (this.#isClosed) return undefined;
      if (!isPrompted) this.showPrompt();
      isPrompted = true;
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  /** Shows the prompt again, with the text that was typed so far. */
  showPrompt(): void {
    if (this.#lines.length > 0) {
      // The lines were entered while the output was muted. The last of them can complete the message, so no prompt follows.
      this.#output.write(`${this.#interface.getPrompt()}${this.#lines.join("\n")}\n`);
      if (this.#interface.line === "") return;
    }
    // The rows that were typed while the output was muted are not on the screen.
    (this.#interface as Rows).prevRows = 0;
    this.#interface.prompt(true);
  }

  /** Clears the typed text. Returns false if there was none. */
  clear(): boolean {
    if (this.#interface.line === "" && this.#lines.length === 0) return false;
    this.#lines = [];
    this.#interface.write(null, { ctrl: true, name: "e" });
    this.#interface.write(null, { ctrl: true, name: "u" });
    return true;
  }

  /** Restores the mode of the terminal. A pending `read` resolves with undefined. */
  close(): void {
    this.#interface.close();
  }

  #addLine(line: string): void {
    if (line.endsWith(CONTINUATION)) {
      this.#lines.push(line.slice(0, -1));
      return;
    }
    this.#lines.push(line);
    // The lines of a paste arrive in one chunk. Text after the last of them belongs to the message too.
    setImmediate(() => {
      if (this.#lines.length === 0 || this.#interface.line !== "") return;
      this.#messages.push(this.#lines.join("\n"));
      this.#lines = [];
      this.#changed();
    });
  }
}

/** The output of the editor. It discards what is written while it is muted. It does not buffer, so that nothing is reordered. */
class MutableOutput extends Writable {
  isMuted = false;
  readonly #stdout: NodeJS.WriteStream;

  constructor(stdout: NodeJS.WriteStream) {
    super();
    this.#stdout = stdout;
    stdout.on("resize", () => this.emit("resize"));
  }

  get columns(): number {
    return this.#stdout.columns;
  }

  override write(chunk: string, ...rest: unknown[]): boolean {
    const done = rest.find((value) => typeof value === "function") as ((error?: Error | null) => void) | undefined;
    if (!this.isMuted) return this.#stdout.write(chunk, done);
    if (done !== undefined) queueMicrotask(done);
    return true;
  }
}
