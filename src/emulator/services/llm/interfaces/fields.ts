import { show } from "../../../../util/argument-errors.js";
import { isRecord } from "../../../../util/realms.js";

/** A JSON object as it was received. */
export type Fields = Readonly<Record<string, unknown>>;

/** The reason why a request is refused. The path and the options of the service decide the form of the answer. */
export class LlmRefusal extends Error {
  readonly status: number;
  readonly type: string;
  readonly param: string | null;

  constructor(message: string, param: string | null = null, status = 400, type = "BadRequestError") {
    super(message);
    this.status = status;
    this.type = type;
    this.param = param;
  }
}

/** Parses the JSON object of a body or a message. */
export function parseFields(text: string): Fields {
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch (error) {
    throw new LlmRefusal(`the request is not JSON: ${(error as Error).message}`);
  }
  if (isRecord(fields)) return fields;
  throw new LlmRefusal(`the request is ${show(fields)}: it must be a JSON object`);
}

/** Returns the refusal of a field's value. */
export function wrong(name: string, value: unknown, right: string): LlmRefusal {
  return new LlmRefusal(`${name} is ${show(value)}: it must be ${right}`, name);
}

/** Reads a boolean that is false by default. "true" and "false" are accepted as text, as vLLM accepts them. */
export function readBoolean(fields: Fields, name: string, standard = false): boolean {
  const value = fields[name] ?? standard;
  if (typeof value === "boolean") return value;
  if (value === "true" || value === "false") return value === "true";
  throw wrong(name, value, "true or false");
}

/** Reads a number with a default. `right` describes the numbers that `isRight` accepts. */
export function readNumber(
  fields: Fields,
  name: string,
  right: string,
  standard: number,
  isRight: (value: number) => boolean,
): number {
  const value = fields[name] ?? standard;
  if (typeof value === "number" && isRight(value)) return value;
  throw wrong(name, value, right);
}

/** Reads a text that may be left out. */
export function readText(fields: Fields, name: string): string | undefined {
  const value = fields[name] ?? undefined;
  if (value === undefined || typeof value === "string") return value;
  throw wrong(name, value, "a text");
}
