import { type CheckResult, ok, problem, skipped, warning } from "./result.js";
import { chunksOf } from "./steps.js";
import type { Subject } from "./subject.js";

/** Bytes in a megabyte, as in the limits of gateways. */
const MEGABYTE = 1_048_576;
/** Content types that are tried if the service refuses the first one. */
const OTHER_TYPES = ["application/json", "application/octet-stream", "text/plain"];
/** Maximum number of characters of a response that a result shows. */
const MAX_SHOWN = 300;

/** A body to send, and where. */
export interface Sample {
  readonly data: Uint8Array;
  /** Default: `application/json` for a JSON text, otherwise `application/octet-stream`. */
  readonly contentType: string | undefined;
  /** Path within the service. */
  readonly path: string;
}

/** Sends a body, and checks whether the service accepts it and its content type. */
export async function checkContentType(subject: Subject, sample: Sample | undefined): Promise<CheckResult> {
  if (sample === undefined) return skipped("content", "only with --data, because the request runs the model");
  const { data, path } = sample;
  const type = sample.contentType ?? (isJson(data) ? "application/json" : "application/octet-stream");
  const { status, text } = await post(subject, path, data, type);
  if (status === undefined) return problem("content-failed", text, "Check the log of the service.");
  if (status === 415) {
    for (const other of OTHER_TYPES.filter((other) => other !== type)) {
      const { status } = await post(subject, path, data, other);
      if (status !== undefined && status < 300) {
        return problem(
          "content-type",
          `the service refuses ${type} (415) and accepts ${other}`,
          `Set contentType: "${other}".`,
        );
      }
    }
    return problem(
      "content-type",
      `the service refuses ${type} (415)`,
      "Set contentType to the type that the service expects.",
    );
  }
  if (status === 422) {
    return problem(
      "content-invalid",
      `the body does not match the schema of the service (422): ${text}`,
      "Compare the body with the schema: eas-prediction types prints it.",
    );
  }
  if (status === 413) {
    return problem("content-too-large", `the service refuses ${data.length} bytes (413)`, BODY_FIX);
  }
  if (status === 401 || status === 403)
    return skipped("content", `the service refuses the request (${status}): see auth`);
  if (status >= 400) {
    return problem(
      "content-refused",
      `the service responds ${status} to the body: ${text}`,
      status < 500
        ? "The service cannot read the body, or its processor failed. Check the input names, the types and the content type."
        : "Read the log of the service in the console.",
    );
  }
  return ok("content", `the service accepts ${type} (${status})`);
}

const BODY_FIX =
  "Send a URL of the data instead, compress the body, or use a dedicated gateway. The shared gateway accepts 1 MB.";

/** Sends bodies of increasing size up to `megabytes`, and checks whether the service accepts them. */
export async function checkBodyLimit(
  subject: Subject,
  megabytes: number | undefined,
  path: string,
  onSize: (megabytes: number) => void,
): Promise<CheckResult> {
  if (megabytes === undefined) return skipped("body", "only with --body-limit");
  let accepted = 0;
  for (const size of sizesUpTo(megabytes)) {
    onSize(size);
    const { status, text } = await post(subject, path, new Uint8Array(size * MEGABYTE), "application/octet-stream");
    if (status === 413 || status === undefined) {
      const how = status === undefined ? text : "413";
      const least = accepted === 0 ? "" : ` and accepts ${accepted} MB`;
      return problem("body-limit", `the service refuses a body of ${size} MB (${how})${least}`, BODY_FIX);
    }
    if (status === 401 || status === 403 || status === 404) {
      return warning(
        "body-unknown",
        `the service responds ${status}, so the limit is unknown`,
        "Correct the token and the path first.",
      );
    }
    accepted = size;
  }
  return ok("body", `the service reads bodies of ${accepted} MB`);
}

/** Returns 1, 2, 4 and so on, up to and including `max`. */
function sizesUpTo(max: number): number[] {
  const sizes: number[] = [];
  for (let size = 1; size < max; size *= 2) sizes.push(size);
  return [...sizes, max];
}

/** Sends a POST request. Returns the status and the start of the response, or the message of the error. */
async function post(
  { client, url, signal, timeout }: Subject,
  path: string,
  data: Uint8Array,
  contentType: string,
): Promise<{ status: number | undefined; text: string }> {
  try {
    const init = { method: "POST", body: data as BodyInit, headers: { "content-type": contentType }, signal };
    const response = await client.fetch(url.href.replace(/\/$/, "") + path, init, { retryCount: 0, timeout });
    return { status: response.status, text: await startOf(response) };
  } catch (error) {
    signal.throwIfAborted();
    return { status: undefined, text: (error as Error).message };
  }
}

async function startOf(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of chunksOf(response)) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length >= MAX_SHOWN) return `${text.slice(0, MAX_SHOWN)}…`;
  }
  return text;
}

function isJson(data: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(data));
    return true;
  } catch {
    return false;
  }
}
