import { joinChunks } from "../platform/chunks.js";

/** Larger bodies are answered with 413. */
const MAX_BODY_BYTES = 256 * 1024 * 1024;

export class BodyTooLarge extends Error {}

/** The request target cannot be understood. */
export class BadTarget extends Error {}

/** What is used of Node's `IncomingMessage`. */
interface IncomingRequest extends AsyncIterable<unknown> {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: { readonly host?: string | undefined };
  readonly rawHeaders: readonly string[];
}

/** Reads a request of Node's server to its end. Throws `BodyTooLarge` or `BadTarget` for requests that must be refused. */
export async function toRequest(incoming: IncomingRequest, signal: AbortSignal): Promise<Request> {
  const url = urlOf(incoming);
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of incoming) {
    length += (chunk as Uint8Array).length;
    if (length > MAX_BODY_BYTES) throw new BodyTooLarge();
    chunks.push(chunk as Uint8Array);
  }
  const headers = new Headers();
  const { rawHeaders, method = "GET" } = incoming;
  for (let i = 0; i < rawHeaders.length; i += 2) headers.append(rawHeaders[i] as string, rawHeaders[i + 1] as string);
  // Not a Blob: in a test environment such as jsdom, `Blob` is not the class that `Request` knows.
  const body = method === "GET" || method === "HEAD" ? null : joinChunks(chunks, length);
  return requestOf(url, { method, headers, body, signal });
}

/** Makes a request whose signal may be of another realm, as in jsdom: Node's `Request` refuses such a signal. */
export function requestOf(url: string | URL, { signal, ...init }: RequestInit): Request {
  try {
    return new Request(url, { ...init, signal: signal ?? null });
  } catch (error) {
    if (!signal) throw error;
    return Object.defineProperty(new Request(url, init), "signal", { value: signal });
  }
}

/**
 * The URL that a request is for. HTTP clients with a proxy send the absolute form, whose host counts and not that of the header
 * (RFC 9112, 3.2.2).
 */
function urlOf({ url = "/", headers }: IncomingRequest): string {
  const target = /^[a-z][a-z\d+.-]*:\/\//i.test(url) ? url : `http://${headers.host ?? "localhost"}${url}`;
  if (url !== "*" && URL.canParse(target)) return target;
  throw new BadTarget(`the request target is ${JSON.stringify(url)}: it must be a path or an absolute URL`);
}
