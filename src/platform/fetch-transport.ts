import type { Bytes } from "../request.js";
import {
  responseTooLarge,
  type Transport,
  TransportError,
  type TransportRequest,
  type TransportResponse,
} from "./platform.js";

/** How `fetchTransport` sends. */
export interface FetchTransportOptions {
  /** The function to send with. Default: the global `fetch`, looked up at each call. */
  readonly fetch?: FetchFunction | undefined;
  /** Content codings that this `fetch` undoes by itself, one at a time. Default: what the runtime's own undoes. */
  readonly decodes?: readonly string[] | undefined;
  /** Whether this `fetch` hides why a connection failed, as browsers do. Default false. */
  readonly opaque?: boolean | undefined;
}

/** The part of `fetch` that is used: it is called with a URL as text, never with a `Request` of another realm. */
export type FetchFunction = (
  url: string,
  init: {
    method: string;
    headers: [string, string][];
    body: Bytes | null;
    signal: AbortSignal;
    redirect: "manual";
  },
) => Promise<Response>;

/**
 * Whether the runtime's own `fetch` undoes a coding, or a list of them; as measured, since none says so. To take a coding
 * for undone that is not would give packed bytes as the result.
 */
function isUndoneByRuntime(coding: string): boolean {
  const { userAgent } = (globalThis as { navigator?: { userAgent?: string } }).navigator ?? {};
  if ("Deno" in globalThis || userAgent === "Cloudflare-Workers") return coding === "gzip" || coding === "br";
  // Node and browsers undo lists too, as the Fetch standard wants it.
  const codings = "Bun" in globalThis ? [coding] : coding.split(/\s*,\s*/);
  return codings.every((coding) => ["gzip", "x-gzip", "br", "deflate"].includes(coding));
}

/** A transport over `fetch`, for every runtime that has one. Redirects come back as they are and are never followed. */
export function fetchTransport(options: FetchTransportOptions = {}): Transport {
  const { decodes } = options;
  const isUndone = decodes === undefined ? isUndoneByRuntime : (coding: string) => decodes.includes(coding);

  async function send(request: TransportRequest): Promise<TransportResponse> {
    const send = options.fetch ?? (globalThis.fetch as unknown as FetchFunction);
    let response: Response;
    try {
      response = await send(request.origin + request.path, {
        method: request.method,
        headers: request.headers as [string, string][],
        body: request.body as Bytes | null,
        signal: request.signal,
        redirect: "manual",
      });
    } catch (error) {
      throw failure(error, request, options.opaque ?? false);
    }
    request.phase = "body";
    if (response.type === "opaqueredirect") {
      // A browser shows nothing of a redirect but that it was one.
      return { status: 302, headers: new Headers(), body: new Uint8Array(0), contentEncoding: undefined };
    }
    const coding = response.headers.get("content-encoding")?.trim().toLowerCase();
    let body: Bytes;
    try {
      body = await readBody(response, request.maxResponseBytes);
    } catch (error) {
      throw error instanceof TransportError ? error : failure(error, request, false);
    }
    return {
      status: response.status,
      headers: response.headers,
      body,
      contentEncoding: !coding || isUndone(coding) ? undefined : coding,
    };
  }

  return { send, close: async () => {} };
}

function failure(error: unknown, request: TransportRequest, opaque: boolean): unknown {
  // Runtimes disagree on the error of an abort, so our own signal is asked, not the error's name.
  if (request.signal.aborted) return request.signal.reason;
  return new TransportError(error instanceof Error ? error.message : String(error), {
    sent: neverSent(error) ? "no" : "maybe",
    cause: error,
    opaque,
  });
}

/** Codes by which a server runtime says that no connection was made, so that no byte can have left. */
const NEVER_SENT = new Set([
  "ECONNREFUSED",
  "ConnectionRefused",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
]);

function neverSent(error: unknown): boolean {
  const code = new TransportError("", { sent: "maybe", cause: error }).systemCode;
  return code !== undefined && NEVER_SENT.has(code);
}

/** Reads a whole body, at most `maxBytes` of it, so that an endless one cannot fill the memory. */
async function readBody(response: Response, maxBytes: number): Promise<Bytes> {
  const declared = Number(response.headers.get("content-length") ?? Number.NaN);
  if (declared > maxBytes) {
    void response.body?.cancel().catch(() => {});
    throw responseTooLarge(maxBytes);
  }
  // Some runtimes (React Native) have no body stream; there the length can only be checked afterwards.
  if (response.body === null || response.body === undefined) {
    const whole = new Uint8Array(await response.arrayBuffer());
    if (whole.length > maxBytes) throw responseTooLarge(maxBytes);
    return whole;
  }
  // Not `for await`: WebKit's streams are no async iterables.
  const reader = response.body.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > maxBytes) {
      void reader.cancel().catch(() => {});
      throw responseTooLarge(maxBytes);
    }
    chunks.push(value);
  }
  return joinChunks(chunks, length);
}

/** Copies chunks into one array of exactly `length` bytes. */
export function joinChunks(chunks: readonly Uint8Array[], length: number): Bytes {
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.length;
  }
  return whole;
}
