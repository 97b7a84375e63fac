import { show } from "../../../../util/argument-errors.js";
import { isRecord } from "../../../../util/realms.js";

/** A received JSON object. */
export type Fields = Readonly<Record<string, unknown>>;

/** Thrown to refuse a request. The form of the error response depends on the path and the service's options. */
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

/** Parses a body or message. Throws an `LlmRefusal` unless it is a JSON object. */
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

/** Creates the refusal for a field's value. `expected` describes the allowed values. */
export function invalid(name: string, value: unknown, expected: string): LlmRefusal {
  return new LlmRefusal(`${name} is ${show(value)}: it must be ${expected}`, name);
}

/** Reads a boolean. Like vLLM, the service also accepts the strings "true" and "false". */
export function readBoolean(fields: Fields, name: string, fallback = false): boolean {
  const value = fields[name] ?? fallback;
  if (typeof value === "boolean") return value;
  if (value === "true" || value === "false") return value === "true";
  throw invalid(name, value, "true or false");
}

/** Reads a number. `expected` describes the numbers that `isValid` accepts. */
export function readNumber(
  fields: Fields,
  name: string,
  expected: string,
  fallback: number,
  isValid: (value: number) => boolean,
): number {
  const value = fields[name] ?? fallback;
  if (typeof value === "number" && isValid(value)) return value;
  throw invalid(name, value, expected);
}

/** Reads an optional string. */
export function readText(fields: Fields, name: string): string | undefined {
  const value = fields[name] ?? undefined;
  if (value === undefined || typeof value === "string") return value;
  throw invalid(name, value, "a string");
}
