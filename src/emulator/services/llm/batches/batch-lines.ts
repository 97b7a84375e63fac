import { isRecord } from "../../../../util/realms.js";
import type { Fields } from "../interfaces/fields.js";

/** Maximum number of requests in a batch. */
const MAX_REQUESTS = 50_000;
/** Maximum number of errors reported for an input file. */
const MAX_ERRORS = 100;

/** A request in the input file of a batch. */
export interface BatchRequest {
  readonly customId: string;
  readonly body: Fields;
}

/** The reason why an input file is refused, in the form of OpenAI's interface. */
export interface BatchError {
  readonly code: string;
  readonly message: string;
  readonly param: string | null;
  readonly line: number | null;
}

/** Reads an input file, where each line is JSON `{"custom_id", "method", "url", "body"}`. Returns the requests or the errors. */
export function readBatchLines(
  content: Uint8Array,
  endpoint: string,
): { readonly requests: readonly BatchRequest[]; readonly errors: readonly BatchError[] } {
  const requests: BatchRequest[] = [];
  const errors: BatchError[] = [];
  const ids = new Set<unknown>();
  const lines = new TextDecoder().decode(content).split("\n");
  for (const [index, line] of lines.entries()) {
    if (line.trim() === "") continue;
    const read = readLine(line, endpoint, ids);
    if ("code" in read) errors.push({ ...read, line: index + 1 });
    else requests.push(read);
    if (errors.length === MAX_ERRORS) break;
    if (requests.length > MAX_REQUESTS) return { requests: [], errors: [TOO_MANY] };
  }
  if (requests.length + errors.length === 0) errors.push(EMPTY);
  return { requests, errors };
}

const EMPTY: BatchError = { code: "empty_file", message: "The input file has no requests.", param: null, line: null };

const TOO_MANY: BatchError = {
  code: "too_many_tasks",
  message: `The input file has more than ${MAX_REQUESTS} requests.`,
  param: null,
  line: null,
};

function readLine(line: string, endpoint: string, ids: Set<unknown>): BatchRequest | Omit<BatchError, "line"> {
  let fields: unknown;
  try {
    fields = JSON.parse(line);
  } catch {
    fields = undefined;
  }
  if (!isRecord(fields)) return refuse("invalid_json_line", "The line is not a JSON object.", null);
  const { custom_id: customId, method, url, body } = fields;
  if (typeof customId !== "string" || customId === "") {
    return refuse("missing_required_parameter", "custom_id must be a non-empty string.", "custom_id");
  }
  if (ids.has(customId))
    return refuse("duplicate_custom_id", `custom_id ${JSON.stringify(customId)} is not unique.`, "custom_id");
  ids.add(customId);
  if (method !== "POST") return refuse("invalid_method", 'method must be "POST".', "method");
  if (url !== endpoint)
    return refuse("invalid_url", `url must be ${JSON.stringify(endpoint)}, the endpoint of the batch.`, "url");
  if (!isRecord(body)) return refuse("missing_required_parameter", "body must be a JSON object.", "body");
  return { customId, body };
}

function refuse(code: string, message: string, param: string | null): Omit<BatchError, "line"> {
  return { code, message, param };
}
