import type { CallBody, CallPlan, CallResult } from "../../call/call-plan.js";
import type { ConnectionPool } from "../../call/connections/connection-pool.js";
import { describeCall } from "../../call/failures/failure.js";
import { redactText, type Secrets } from "../../call/failures/redact.js";
import { redactTruncated } from "../../call/failures/redact-truncated.js";
import { runCall } from "../../call/run-call.js";
import { checkBoolean } from "../../config/validate.js";
import { EasDecodeError } from "../../errors.js";
import { parseExactly } from "../../util/exact-json.js";
import type { JsonOptions } from "./json-options.js";
import { checkSchema, validateJson } from "./validate-json.js";

/** Maximum number of characters of a body in an error message. */
const EXCERPT = 200;

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
  const { attempts, response, token } = result;
  const requestId = response.headers.get("x-request-id") ?? undefined;
  return validateJson(value, schema, plan.signal, { subject: describeCall(plan), attempts, requestId, token });
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
