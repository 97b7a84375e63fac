import { extname } from "node:path";
import { usageError } from "../exit-codes.js";
import { readInput } from "./input.js";

const JSON_TYPE = "application/json";

const TYPES: Readonly<Record<string, string>> = {
  ".csv": "text/csv",
  ".gif": "image/gif",
  ".html": "text/html",
  ".jpeg": "image/jpeg",
  ".jpg": "image/jpeg",
  ".json": JSON_TYPE,
  ".mp3": "audio/mpeg",
  ".mp4": "video/mp4",
  ".pdf": "application/pdf",
  ".png": "image/png",
  ".txt": "text/plain",
  ".wav": "audio/wav",
  ".webp": "image/webp",
  ".xml": "application/xml",
};

/** The body of a request. */
export interface Body {
  readonly bytes: Uint8Array;
  /** Undefined leaves the choice to the client. */
  readonly contentType: string | undefined;
}

/** Options for `readBody`. */
export interface BodyFlags {
  readonly jsonBody?: boolean;
  readonly contentType?: string;
}

/**
 * Reads the body of a request from an input argument. The content type is that of the options, of the file's extension, or
 * JSON if the body is a JSON object or array. Throws a usage error if the input cannot be read, or is not JSON with
 * `--json-body`.
 */
export async function readBody(
  argument: string,
  stdin: NodeJS.ReadStream,
  { jsonBody = false, contentType }: BodyFlags,
): Promise<Body> {
  const bytes = await readInput(argument, stdin);
  const isJson = isJsonText(bytes, jsonBody);
  if (jsonBody && !isJson) {
    const of = /^@[^@]/.test(argument) ? argument.slice(1) : argument === "-" ? "standard input" : "the input";
    throw usageError(`--json-body: ${of} is not valid JSON`);
  }
  const isFile = argument.startsWith("@") && !argument.startsWith("@@");
  const ofFile = isFile ? TYPES[extname(argument).toLowerCase()] : undefined;
  return { bytes, contentType: contentType ?? (jsonBody ? JSON_TYPE : (ofFile ?? (isJson ? JSON_TYPE : undefined))) };
}

/** Whether the bytes are JSON: any value, or otherwise only an object or an array. */
function isJsonText(bytes: Uint8Array, anyValue: boolean): boolean {
  const text = textOf(bytes)?.trimStart();
  if (text === undefined || !(anyValue || text.startsWith("{") || text.startsWith("["))) return false;
  return isJson(text);
}

/** Whether a text is JSON. */
export function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Returns bytes as text, or undefined if they are not UTF-8. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
