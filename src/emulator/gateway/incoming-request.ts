import { joinChunks } from "../../platform/chunks.js";
import type { HostCheck } from "./host-names.js";

/** Larger bodies are answered with 413. */
const MAX_BODY_BYTES = 256 * 1024 * 1024;

/** A request that is answered with `status` and the message, and never reaches the emulator. */
export class RefusedRequest extends Error {
  readonly status: 400 | 403 | 413;

  constructor(status: 400 | 403 | 413, message: string) {
    super(message);
    this.status = status;
  }
}

/** What is used of Node's `IncomingMessage`. */
interface IncomingRequest extends AsyncIterable<unknown> {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: { readonly host?: string | undefined };
  readonly rawHeaders: readonly string[];
}

/** Reads a request of Node's server to its end. Throws a `RefusedRequest` for requests that must be refused. */
export async function toRequest(
  incoming: IncomingRequest,
  isAllowed: HostCheck,
  signal: AbortSignal,
): Promise<Request> {
  const url = urlOf(incoming, isAllowed);
  const chunks: Uint8Array[] = [];
  let length = 0;
  // Also read for a request that is refused: the client might not read the answer before it has sent its body.
  for await (const chunk of incoming) {
    length += (chunk as Uint8Array).length;
    if (length > MAX_BODY_BYTES) throw new RefusedRequest(413, "The body is larger than 256 MiB");
    if (!(url instanceof RefusedRequest)) chunks.push(chunk as Uint8Array);
  }
  if (url instanceof RefusedRequest) throw url;
  const headers = new Headers();
  const { rawHeaders, method = "GET" } = incoming;
  for (let i = 0; i < rawHeaders.length; i += 2) headers.append(rawHeaders[i] as string, rawHeaders[i + 1] as string);
  // Not a Blob: in a test environment such as jsdom, `Blob` is not the class that `Request` knows.
  const body = method === "GET" || method === "HEAD" ? null : joinChunks(chunks, length);
  return requestOf(url, { method, headers, body, signal });
}

/** Makes a request with all of its headers, whatever the `Request` of the environment accepts. */
export function requestOf(url: string | URL, init: RequestInit): Request {
  const request = withSignal(url, init);
  const headers = new Headers(init.headers);
  // The Request of browsers and happy-dom drops Cookie, Date and others. A signature covers the date.
  const isWhole = [...headers].every(([name]) => request.headers.has(name));
  return isWhole ? request : Object.defineProperty(request, "headers", { value: headers });
}

/** The signal may be of another realm, as in jsdom: Node's `Request` refuses such a signal. */
function withSignal(url: string | URL, { signal, ...init }: RequestInit): Request {
  try {
    return new Request(url, { ...init, signal: signal ?? null });
  } catch (error) {
    if (!signal) throw error;
    return Object.defineProperty(new Request(url, init), "signal", { value: signal });
  }
}

/**
 * Returns the URL of a request, or why it is refused. HTTP clients with a proxy send the absolute form, whose host counts and not that of the header
 * (RFC 9112, 3.2.2). Its host is not checked: browsers send this form only to a proxy that their user has set, so no page can
 * reach the emulator by it.
 */
function urlOf({ url = "/", headers: { host } }: IncomingRequest, isAllowed: HostCheck): string | RefusedRequest {
  const isAbsolute = /^[a-z][a-z\d+.-]*:\/\//i.test(url);
  if (!isAbsolute && !isAllowed(host)) {
    return new RefusedRequest(
      403,
      `The emulator does not answer for the host ${JSON.stringify(host)}. It answers loopback names; the option "hosts" of startEmulator allows others.`,
    );
  }
  const target = isAbsolute ? url : `http://${host || "localhost"}${url}`;
  if (url !== "*" && URL.canParse(target)) return target;
  return new RefusedRequest(400, `The request target is ${JSON.stringify(url)}: it must be a path or an absolute URL`);
}
