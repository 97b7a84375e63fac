import { redactText, type Secrets } from "../../call/failures/redact.js";
import { EasSchemaError, type EasSchemaIssue } from "../../errors.js";
import { argumentTypeError, optionError, show } from "../../util/argument-errors.js";
import { jsonExcerpt } from "../../util/json-form.js";
import { keyPath } from "../../util/key-path.js";
import { raceAbort } from "../../util/timing/abort.js";
import type { StandardIssue, StandardSchema } from "./standard-schema.js";

/** Maximum number of characters of a value in an error message. */
const EXCERPT = 200;
/** Maximum number of characters of a value in `EasSchemaError.text`. */
const MAX_TEXT = 1000;
/** Maximum number of issues in `EasSchemaError.issues`. */
const MAX_ISSUES = 100;

/** The source of a JSON value, for error messages. */
export interface JsonOrigin {
  /** The call or job that returned the value. Error messages begin with this text. */
  readonly subject: string;
  readonly attempts: number;
  readonly requestId: string | undefined;
  /** Tokens to redact. */
  readonly token: Secrets;
}

/** Returns the output of a schema for a parsed JSON value. Throws `EasSchemaError` if the value does not match. */
export async function validateJson(
  value: unknown,
  schema: StandardSchema,
  signal: AbortSignal | undefined,
  origin: JsonOrigin,
): Promise<unknown> {
  const validation = Promise.resolve(schema["~standard"].validate(value));
  const checked = await (signal === undefined ? validation : raceAbort(validation, signal));
  if (typeof checked !== "object" || checked === null) {
    throw argumentTypeError(
      "ERR_EAS_ARG_OPTION",
      `schema: its validate() must return { value } or { issues }, and not ${show(checked)}`,
    );
  }
  if (checked.issues === undefined) return checked.value;
  throw schemaError(origin, value, checked.issues);
}

/** Throws a `TypeError` for a value that is not a schema of Standard Schema v1. */
export function checkSchema(schema: StandardSchema): void {
  // ArkType's schemas are functions.
  const { "~standard": standard } = Object(schema) as Partial<StandardSchema>;
  if (standard?.version === 1 && typeof standard.validate === "function") return;
  throw optionError(
    "schema",
    schema,
    'be a schema of Standard Schema v1, with "~standard": of zod 3.24, valibot 1 or ArkType 2, or later',
  );
}

function schemaError(
  { subject, attempts, requestId, token }: JsonOrigin,
  answer: unknown,
  issues: readonly StandardIssue[],
): EasSchemaError {
  const clean = issues.slice(0, MAX_ISSUES).map(
    ({ message, path = [] }): EasSchemaIssue => ({
      message: redactText(String(message), token),
      path: path.map((part) => {
        const key = typeof part === "object" ? part.key : part;
        return typeof key === "number" ? key : redactText(String(key), token);
      }),
    }),
  );
  const { message, path } = clean[0] ?? { message: "the schema gives no reason", path: [] };
  const value = redactValue(valueAt(answer, issues[0]?.path ?? []), token);
  const text = jsonExcerpt(value, MAX_TEXT);
  const excerpt = text.length > EXCERPT ? `${text.slice(0, EXCERPT)}…` : text;
  const more = issues.length > 1 ? ` There are ${issues.length - 1} more issues.` : "";
  return new EasSchemaError(
    `${subject}: ${keyPath("response", path)} does not match the schema: ${message}. The value is ${excerpt}.${more}`,
    { attempts, requestId, path, value, text, issues: clean },
  );
}

function valueAt(answer: unknown, path: NonNullable<StandardIssue["path"]>): unknown {
  let value = answer;
  for (const part of path) {
    const key = typeof part === "object" ? part.key : part;
    // Read only own properties, because an issue may name a missing key such as "constructor".
    value = Object.hasOwn(Object(value), key) ? (value as Record<PropertyKey, unknown>)[key] : undefined;
  }
  return value;
}

/**
 * Redacts tokens in all strings of a parsed JSON value, in place. Not recursive, because the value may be deeply
 * nested.
 */
function redactValue(root: unknown, token: Secrets): unknown {
  const whole: Record<string, unknown> = { root };
  // A set guarantees that the loop terminates even for cycles, which a schema may create. Members added during the loop
  // are visited too.
  const containers = new Set([whole]);
  for (const container of containers) {
    for (const [key, value] of Object.entries(container)) {
      const name = redactText(key, token);
      const clean = typeof value === "string" ? redactText(value, token) : value;
      if (name !== key) delete container[key];
      // Assign a member only if it contains a token, because a schema's output may contain frozen objects.
      if (name !== key || clean !== value) container[name] = clean;
      if (typeof value === "object" && value !== null) containers.add(value as Record<string, unknown>);
    }
  }
  return whole.root;
}
