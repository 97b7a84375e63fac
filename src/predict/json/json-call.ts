import type { CallBody, CallPlan, CallResult } from "../../call/call-plan.js";
import type { ConnectionPool } from "../../call/connections/connection-pool.js";
import { describeCall } from "../../call/failures/failure.js";
import { redactText, type Secrets } from "../../call/failures/redact.js";
import { redactTruncated } from "../../call/failures/redact-truncated.js";
import { runCall } from "../../call/run-call.js";
import { checkBoolean } from "../../config/validate.js";
import { EasDecodeError, EasSchemaError, type EasSchemaIssue } from "../../errors.js";
import { argumentTypeError, optionError, show } from "../../util/argument-errors.js";
import { parseExactly } from "../../util/exact-json.js";
import { jsonExcerpt } from "../../util/json-form.js";
import { keyPath } from "../../util/key-path.js";
import { raceAbort } from "../../util/timing/abort.js";
import type { JsonOptions } from "./json-options.js";
import type { StandardIssue, StandardSchema } from "./standard-schema.js";

/** Maximum number of characters of a body or a value in an error message. */
const EXCERPT = 200;
/** Maximum number of characters of a value in `EasSchemaError.text`. */
const MAX_TEXT = 1000;
/** Maximum number of issues in `EasSchemaError.issues`. */
const MAX_ISSUES = 100;

/** Runs a call, parses its response as JSON and validates the result with the schema. Loaded on first use. */
export async function callJson(
  pool: ConnectionPool,
  plan: CallPlan,
  body: CallBody,
  { schema, bigint = false }: Pick<JsonOptions, "schema" | "bigint">,
): Promise<unknown> {
  if (schema !== undefined) checkSchema(schema);
  checkBoolean("bigint", bigint);
  const parse = bigint ? parseExactly : JSON.parse;
  const { value, result } = await runCall(pool, plan, body, (result) => {
    const text = new TextDecoder().decode(result.body);
    try {
      return { value: parse(text) as unknown, result };
    } catch {
      throw notJson(plan, result, text);
    }
  });
  if (schema === undefined) return value;
  const validation = Promise.resolve(schema["~standard"].validate(value));
  const checked = await (plan.signal === undefined ? validation : raceAbort(validation, plan.signal));
  if (typeof checked !== "object" || checked === null) {
    throw argumentTypeError(
      "ERR_EAS_ARG_OPTION",
      `schema: its validate() must return { value } or { issues }, and not ${show(checked)}`,
    );
  }
  if (checked.issues === undefined) return checked.value;
  throw schemaError(plan, result, value, checked.issues);
}

function checkSchema(schema: StandardSchema): void {
  // ArkType's schemas are functions.
  const { "~standard": standard } = Object(schema) as Partial<StandardSchema>;
  if (standard?.version === 1 && typeof standard.validate === "function") return;
  throw optionError(
    "schema",
    schema,
    'be a schema of Standard Schema v1, with "~standard": of zod 3.24, valibot 1 or ArkType 2, or later',
  );
}

function notJson(plan: CallPlan, { response, body, token }: CallResult, text: string): EasDecodeError {
  const { status, headers } = response;
  const type = headers.get("content-type");
  const advice = /^text\/event-stream\b/i.test(type ?? "") ? " To read events, call stream() instead of json()." : "";
  const what =
    text.trim() === ""
      ? "an empty body, which is not JSON; predict() accepts it"
      : `${type ?? "no content type"}, and its body of ${body.length} bytes is not JSON: ${excerptOf(text.trim(), token)}`;
  return new EasDecodeError(`${describeCall(plan)} returned ${status} with ${what}.${advice}`, { format: "json" });
}

function excerptOf(text: string, token: Secrets): string {
  return text.length > EXCERPT ? `${redactTruncated(text.slice(0, EXCERPT), token)}…` : redactText(text, token);
}

function schemaError(
  plan: CallPlan,
  { attempts, response, token }: CallResult,
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
    `${describeCall(plan)}: ${keyPath("response", path)} does not match the schema: ${message}. The value is ${excerpt}.${more}`,
    { attempts, requestId: response.headers.get("x-request-id") ?? undefined, path, value, text, issues: clean },
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
