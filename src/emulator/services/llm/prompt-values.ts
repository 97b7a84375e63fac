const QUOTED =
  /"([^"]+)"|“([^”]+)”|「([^」]+)」|『([^』]+)』|‘([^’]+)’|`([^`]+)`|(?<![\p{L}\p{N}])'([^']+)'(?!\p{L})/gu;
/** Matches capitalized words that do not start a sentence. */
const NAMES = /(?<=[\p{L}\p{N},;:] )\p{Lu}[\p{L}'’-]+(?: \p{Lu}[\p{L}'’-]+)*/gu;
const NUMBERS = /(?<![\p{Script=Latin}\p{N}_.])(?:(?<![\p{L})])-)?\d+(?:\.\d+)?/gu;

/** A pattern that finds a value in the prompt and a default value, by JSON Schema `format`. */
const FORMATS: Readonly<Record<string, readonly [find: RegExp, fallback: string]>> = {
  "date-time": [/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/, "2026-01-01T00:00:00Z"],
  date: [/\d{4}-\d\d-\d\d/, "2026-01-01"],
  time: [/\d\d:\d\d:\d\d/, "00:00:00Z"],
  duration: [/P(?:\d+[YMWD])*(?:T(?:\d+[HMS])+)?(?<!P)/, "P1D"],
  email: [/[\w.+-]+@[\w-]+(?:\.[\w-]+)+/, "user@example.com"],
  uri: [/https?:\/\/[^\s"'<>]+/, "https://example.com/"],
  uuid: [/[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/i, "00000000-0000-4000-8000-000000000000"],
  ipv4: [/\d{1,3}(?:\.\d{1,3}){3}/, "127.0.0.1"],
  ipv6: [/(?:[\da-f]{1,4}:){7}[\da-f]{1,4}/i, "::1"],
  hostname: [/[\w-]+(?:\.[\w-]+)+/, "example.com"],
};

/** The numbers, quoted words and names in a prompt. Each value is used once, in prompt order. */
export class PromptValues {
  readonly text: string;
  readonly #numbers: number[];
  readonly #quoted: string[];
  readonly #names: string[];

  constructor(text: string) {
    this.text = text;
    this.#quoted = [...text.matchAll(QUOTED)].map(
      (match) => match.slice(1).find((each) => each !== undefined) as string,
    );
    const rest = text.replace(QUOTED, " ");
    this.#numbers = (rest.replace(/\d{4}-\d\d-\d\d\S*/g, " ").match(NUMBERS) ?? []).map(Number);
    this.#names = rest.match(NAMES) ?? [];
  }

  get numberCount(): number {
    return this.#numbers.length;
  }

  get quotedCount(): number {
    return this.#quoted.length;
  }

  /** Removes and returns the first number that `isValid` accepts. */
  takeNumber(isValid: (value: number) => boolean): number | undefined {
    return take(this.#numbers, isValid);
  }

  /** Removes and returns the first quoted word that `isValid` accepts or, with `withNames`, the first name. */
  takeText(isValid: (value: string) => boolean, withNames: boolean): string | undefined {
    return take(this.#quoted, isValid) ?? (withNames ? take(this.#names, isValid) : undefined);
  }

  /** Returns the first text of a format in the prompt, or the format's default. Undefined for an unknown format. */
  ofFormat(format: string): string | undefined {
    const found = Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined;
    return found && (found[0].exec(this.text)?.[0] ?? found[1]);
  }
}

function take<T>(values: T[], isValid: (value: T) => boolean): T | undefined {
  const at = values.findIndex(isValid);
  return at === -1 ? undefined : values.splice(at, 1)[0];
}
