import Table from "cli-table3";
import pc from "picocolors";
import stringWidth from "string-width";
import spinner from "yocto-spinner";

/** Width in columns if the output is not a terminal. */
const DEFAULT_COLUMNS = 80;
/** Minimum width in columns that is used for a very narrow terminal. */
const MIN_COLUMNS = 20;
/** Number of spaces between two table columns. */
const GAP = 2;
/** Minimum width of the last column of a table. */
const MIN_LAST_COLUMN = 16;

/** The streams and the environment of a process. */
export interface TerminalStreams {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly env: NodeJS.ProcessEnv;
}

/** A progress message. Each update replaces the previous message. */
export interface Progress {
  /** Replaces the message. */
  update(message: string): void;
  /** Removes the message. */
  stop(): void;
}

const SILENT: Progress = { update() {}, stop() {} };

/**
 * Writes results to standard output, and everything else to standard error. Progress is shown only if standard error is a
 * terminal.
 */
export class Terminal {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly env: NodeJS.ProcessEnv;
  /** Colors of standard output. Each function returns its text unchanged if colors are disabled. */
  readonly colors: ReturnType<typeof pc.createColors>;
  /** Colors of standard error. */
  readonly errorColors: ReturnType<typeof pc.createColors>;
  /** Whether the results are printed as JSON. Set from the option `--json` before a command runs. */
  json = false;

  constructor({ stdin, stdout, stderr, env }: TerminalStreams) {
    this.stdin = stdin;
    this.stdout = stdout;
    this.stderr = stderr;
    this.env = env;
    this.colors = pc.createColors(wantsColors(stdout, env));
    this.errorColors = pc.createColors(wantsColors(stderr, env));
  }

  /** Whether a person can type at this terminal: both standard input and standard output are terminals. */
  get isInteractive(): boolean {
    return this.stdin.isTTY === true && this.stdout.isTTY === true;
  }

  /** Width of standard output in columns. */
  get columns(): number {
    return Math.max(MIN_COLUMNS, this.stdout.columns ?? DEFAULT_COLUMNS);
  }

  /** Writes text to standard output. Resolves when the stream can accept more data. */
  async write(data: string | Uint8Array): Promise<void> {
    await written(this.stdout, data);
  }

  /** Writes a line to standard output. */
  async print(line = ""): Promise<void> {
    await this.write(`${line}\n`);
  }

  /** Writes a value to standard output, as one line of JSON. BigInt values are written as decimal strings. */
  async printJson(value: unknown): Promise<void> {
    await this.print(JSON.stringify(value, (_key, item: unknown) => (typeof item === "bigint" ? String(item) : item)));
  }

  /** Writes a result: as JSON with `--json`, otherwise as the text that `render` returns. */
  async result(value: unknown, render: () => string): Promise<void> {
    if (this.json) await this.printJson(value);
    else await this.print(render());
  }

  /** Writes a note to standard error. Notes are not part of the result. */
  note(message: string): void {
    this.stderr.write(`${message}\n`);
  }

  /** Writes a warning to standard error. */
  warn(message: string): void {
    this.note(`${this.errorColors.yellow("warning:")} ${message}`);
  }

  /** Shows progress on standard error. Shows nothing if standard error is not a terminal, or with `--json`. */
  progress(message: string): Progress {
    if (this.json || this.stderr.isTTY !== true) return SILENT;
    const shown = spinner({ text: this.#fit(message), stream: this.stderr }).start();
    return {
      update: (message) => {
        shown.text = this.#fit(message);
      },
      stop: () => {
        shown.stop();
      },
    };
  }

  /**
   * Returns a table without borders. The last column wraps if the table is wider than the terminal. If the other columns do
   * not fit, each row becomes a list of `title: value` lines.
   */
  table(head: readonly string[], rows: readonly (readonly string[])[]): string {
    const widths = head.map((title, column) =>
      Math.max(...[title, ...rows.map((row) => row[column] ?? "")].map((cell) => stringWidth(cell) + GAP)),
    );
    const others = widths.slice(0, -1).reduce((sum, width) => sum + width, 0);
    const last = Math.min(widths.at(-1) as number, this.columns - others);
    if (last < Math.min(widths.at(-1) as number, MIN_LAST_COLUMN)) return this.#records(head, rows);
    const table = new Table({
      head: [...head],
      chars: NO_BORDERS,
      style: { head: [], border: [], "padding-left": 0, "padding-right": GAP },
      colWidths: [...widths.slice(0, -1), last],
      wordWrap: true,
      wrapOnWordBoundary: false,
    });
    table.push(...rows.map((row) => [...row]));
    const [titles = "", ...lines] = table
      .toString()
      .split("\n")
      .map((line) => line.trimEnd());
    return [this.colors.bold(titles), ...lines].join("\n");
  }

  #records(head: readonly string[], rows: readonly (readonly string[])[]): string {
    const records = rows.map((row) =>
      row.flatMap((cell, column) => (cell === "" ? [] : `${this.colors.bold(`${head[column]}:`)} ${cell}`)).join("\n"),
    );
    return records.join("\n\n");
  }

  /** Shortens a progress message to one row, because a wrapped message cannot be replaced. */
  #fit(message: string): string {
    const limit = Math.max(1, (this.stderr.columns ?? DEFAULT_COLUMNS) - 4);
    if (stringWidth(message) <= limit) return message;
    let shortened = "";
    for (const character of message) {
      if (stringWidth(shortened + character) >= limit) break;
      shortened += character;
    }
    return `${shortened}…`;
  }
}

const NO_BORDERS = Object.fromEntries(
  "top top-mid top-left top-right bottom bottom-mid bottom-left bottom-right left left-mid mid mid-mid right right-mid middle"
    .split(" ")
    .map((name) => [name, ""]),
);

/** `NO_COLOR` disables colors, and `FORCE_COLOR` enables them. Otherwise, only terminals have colors. */
function wantsColors(stream: NodeJS.WriteStream, { NO_COLOR, FORCE_COLOR, TERM }: NodeJS.ProcessEnv): boolean {
  if (NO_COLOR !== undefined && NO_COLOR !== "") return false;
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== "") return FORCE_COLOR !== "0";
  return stream.isTTY === true && TERM !== "dumb";
}

function written(stream: NodeJS.WriteStream, data: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(data, (error) => (error ? reject(error) : resolve()));
  });
}
