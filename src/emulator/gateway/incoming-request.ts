import { joinChunks } from "../../platform/chunks.js";
import type { HostCheck } from "./host-check.js";

/** Maximum size of a request body; larger bodies are refused with status 413. */
const MAX_BODY_BYTES = 256 * 1024 * 1024;

/** Thrown to refuse a request with `status` and the message before it reaches the emulator. */
export class RefusedRequest extends Error {
  readonly status: 400 | 403 | 413;

  constructor(status: 400 | 403 | 413, message: string) {
    super(message);
    this.status = status;
  }
}

/** The members of Node's `IncomingMessage` used here. */
interface IncomingRequest extends AsyncIterable<unknown> {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: { readonly host?: string | undefined };
  readonly rawHeaders: readonly string[];
}

/** Reads a whole request of Node's server. Rejects with a `RefusedRequest` if the request must be refused. */
export async function readRequest(
  incoming: IncomingRequest,
  isAllowed: HostCheck,
  signal: AbortSignal,
): Promise<Request> {
  const url = urlOf(incoming, isAllowed);
  const chunks: Uint8Array[] = [];
  let length = 0;
  // Read the body of a refused request too, because the client might not read the response before it has sent its body.
  for await (const chunk of incoming) {
    length += (chunk as Uint8Array).length;
    if (length > MAX_BODY_BYTES) throw new RefusedRequest(413, "The body is larger than 256 MiB");
    if (!(url instanceof RefusedRequest)) chunks.push(chunk as Uint8Array);
  }
  if (url instanceof RefusedRequest) throw url;
  const headers = new Headers();
  const { rawHeaders, method = "GET" } = incoming;
  for (let i = 0; i < rawHeaders.length; i += 2) headers.append(rawHeaders[i] as string, rawHeaders[i + 1] as string);
  // Do not use a Blob as the body: in test environments such as jsdom, the global `Blob` is not the class that
  // `Request` accepts.
  const body = method === "GET" || method === "HEAD" ? null : joinChunks(chunks, length);
  return createRequest(url, { method, headers, body, signal });
}

/** Creates a request with all of its headers, including those that the environment's `Request` would drop. */
export function createRequest(url: string | URL, init: RequestInit): Request {
  const request = withSignal(url, init);
  const headers = new Headers(init.headers);
  // The `Request` class of browsers and happy-dom drops Cookie, Date and other headers. The date is needed to check a
  // signature.
  const isWhole = [...headers].every(([name]) => request.headers.has(name));
  return isWhole ? request : Object.defineProperty(request, "headers", { value: headers });
}

/** Creates a request whose signal may come from another realm, as in jsdom. Node's `Request` rejects such a signal. */
function withSignal(url: string | URL, { signal, ...init }: RequestInit): Request {
  try {
    return new Request(url, { ...init, signal: signal ?? null });
  } catch (error) {
    if (!signal) throw error;
    return Object.defineProperty(new Request(url, init), "signal", { value: signal });
  }
}

/**
 * Returns the URL of a request, or a refusal if the host is not allowed or the target is invalid. HTTP clients that use
 * a proxy send the target in absolute form. The host in the target overrides the `Host` header (RFC 9112, 3.2.2). That
 * host is not checked: browsers send this form only to a proxy that their user has configured, so a page cannot use it
 * to reach the emulator.
 */
function urlOf({ url = "/", headers: { host } }: IncomingRequest, isAllowed: HostCheck): string | RefusedRequest {
  const isAbsolute = /^[a-z][a-z\d+.-]*:\/\//i.test(url);
  if (!isAbsolute && !isAllowed(host)) {
    return new RefusedRequest(
      403,
      `The host ${JSON.stringify(host)} is not allowed: the emulator accepts loopback names. The option "hosts" of startEmulator allows others.`,
    );
  }
  const target = isAbsolute ? url : `http://${host || "localhost"}${url}`;
  if (url !== "*" && URL.canParse(target)) return target;
  return new RefusedRequest(400, `The request target is ${JSON.stringify(url)}: it must be a path or an absolute URL`);
}
