import { EasUnsupportedError } from "../../errors.js";
import type { Bytes } from "../../formats/request.js";
import { checkOptionNames, type OptionNames } from "../../util/option-names.js";
import { isError, messageOf } from "../../util/realms.js";
import { joinChunks, readAll, totalLength } from "../chunks.js";
import {
  type ByteStream,
  isSuccess,
  MAX_ERROR_BYTES,
  responseTooLarge,
  type StreamedResponse,
  type StreamRequest,
  type Transport,
  TransportError,
  type TransportRequest,
} from "../contract.js";
import { systemCodeOf } from "../transport-error.js";
import { NewConnections } from "./new-connections.js";

/** How `fetchTransport` sends. */
export interface FetchTransportOptions {
  /** The function to send with. Default: the global `fetch`, looked up at each call. */
  readonly fetch?: FetchFunction | undefined;
  /** Content codings that this `fetch` undoes by itself, one at a time. Default: what the runtime's own undoes. */
  readonly decodes?: readonly string[] | undefined;
  /** Whether this `fetch` hides why a connection failed and sends no streams, as in browsers. Default false. */
  readonly opaque?: boolean | undefined;
  /**
   * Whether this `fetch` may send a request twice by itself. Default: true in browsers, in Cloudflare Workers and in unknown
   * runtimes, and for a `fetch` of your own on Deno.
   */
  readonly mayResend?: boolean | undefined;
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
    cache?: "no-store";
    /** Set on Bun, where it asks for a new connection. */
    keepalive?: false;
    /** Set on Deno, where it asks for a new connection. */
    client?: unknown;
    /** Set where `body` is a `ReadableStream`, which only `client.fetch` sends. */
    duplex?: "half";
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
  const codings = "Bun" in globalThis ? [coding] : coding.split(",");
  return codings.every((coding) => ["gzip", "x-gzip", "br", "deflate"].includes(coding.trim()));
}

/**
 * No answer may come from a cache (Next.js has one behind its `fetch`), and browsers send requests of one URL one after
 * another unless they are told so: six long polls would take turns. workerd before its compatibility date of 2024-11-11
 * throws at the option.
 */
const UNCACHED: { cache?: "no-store" } = "WebSocketPair" in globalThis ? {} : { cache: "no-store" };

type Head = Pick<StreamedResponse, "status" | "headers" | "contentEncoding">;

/** Transports that send by the runtime's own `fetch`. */
const overOwnFetch = /* @__PURE__ */ new WeakSet<Transport>();

/** Whether a transport sends by the runtime's own `fetch`, so that the runtime's own WebSockets do not bypass it. */
export function usesOwnFetch(transport: Transport): boolean {
  return overOwnFetch.has(transport);
}

/** A transport over `fetch`, for every runtime that has one. Redirects come back as they are and are never followed. */
export function fetchTransport(options: FetchTransportOptions = {}): Transport {
  checkOptionNames("fetchTransport", options, {
    fetch: 1,
    decodes: 1,
    opaque: 1,
    mayResend: 1,
  } satisfies OptionNames<FetchTransportOptions>);
  const { decodes } = options;
  const isUndone = decodes === undefined ? isUndoneByRuntime : (coding: string) => decodes.includes(coding);
  const connections = new NewConnections(options);

  async function exchange(request: TransportRequest | StreamRequest, signal: AbortSignal): Promise<Response> {
    const send = options.fetch ?? (globalThis.fetch as unknown as FetchFunction);
    // As in jest-environment-jsdom.
    if (!send) throw new EasUnsupportedError("this runtime has no fetch: set globalThis.fetch or the option transport");
    const url = request.origin + request.path;
    let init: Parameters<FetchFunction>[1] | undefined;
    let response: Response;
    try {
      init = {
        method: request.method,
        headers: request.headers as [string, string][],
        ...(isStream(request.body)
          ? await streamBody(request.body, options.opaque ?? false)
          : { body: request.body as Bytes | null }),
        signal,
        redirect: "manual",
        ...UNCACHED,
        ...(request.repeatable === false && connections.next()),
      };
      response = await send(url, init);
    } catch (error) {
      const thrown = failure(error, request, options.opaque ?? false);
      throw init && isRefused(error, url, init)
        ? new TransportError(String(error), { ...REFUSED, cause: error })
        : thrown;
    }
    request.phase = "body";
    return response;
  }

  function headOf(response: Response): Head {
    // A browser shows nothing of a redirect but that it was one.
    if (response.type === "opaqueredirect") return { status: 302, headers: new Headers(), contentEncoding: undefined };
    const { status, headers } = response;
    const coding = headers.get("content-encoding")?.trim().toLowerCase();
    return { status, headers, contentEncoding: !coding || isUndone(coding) ? undefined : coding };
  }

  const transport: Transport = {
    mayResend: options.mayResend ?? connections.mayResend,
    async send(request) {
      const response = await exchange(request, request.signal);
      const head = headOf(response);
      if (response.type === "opaqueredirect") return { ...head, body: new Uint8Array(0) };
      try {
        const chunks: Uint8Array[] = [];
        if (!isSuccess(head.status)) {
          request.partial = () => ({ ...head, body: joinChunks(chunks, totalLength(chunks)), isTruncated: true });
        }
        return { ...head, body: await readBody(response, request.maxResponseBytes, chunks) };
      } catch (error) {
        throw error instanceof TransportError ? error : failure(error, request, false);
      }
    },
    async stream(request) {
      const { signal } = request;
      if (signal.aborted) throw signal.reason;
      // A signal of its own, since some runtimes leave their listeners on the one that they get.
      const own = new AbortController();
      const pass = () => own.abort(signal.reason);
      signal.addEventListener("abort", pass, { once: true });
      try {
        const response = await exchange(request, own.signal);
        if (signal.aborted) {
          void response.body?.cancel().catch(() => {});
          throw signal.reason;
        }
        return streamOf(request, response, headOf(response), own);
      } finally {
        signal.removeEventListener("abort", pass);
      }
    },
    close: async () => connections.close(),
  };
  if (options.fetch === undefined) overOwnFetch.add(transport);
  return transport;
}

function isStream(body: StreamRequest["body"]): body is ByteStream {
  return body !== null && "getReader" in body;
}

/** A streamed body as `fetch` takes it. Pages send streams over HTTP/2 only, and not in all browsers. */
async function streamBody(stream: ByteStream, isPage: boolean): Promise<{ body: Bytes; duplex?: "half" }> {
  if (isPage) return { body: await readAll(stream, Number.POSITIVE_INFINITY, undefined) };
  return { body: stream as never, duplex: "half" };
}

/** An answer whose body is read piece by piece. */
function streamOf(
  request: StreamRequest,
  response: Response,
  head: Head,
  controller: AbortController,
): StreamedResponse {
  const { signal } = request;
  if (response.body === undefined) {
    const error = new EasUnsupportedError(
      "the fetch of this runtime has no body streams, so a response cannot be streamed",
    );
    controller.abort(error);
    throw error;
  }
  // Not `for await`: WebKit's streams are no async iterables.
  const reader = response.body?.getReader();
  /** What all reads to come are answered with. */
  let outcome: Promise<undefined> | undefined;
  let rejectRead: ((reason: unknown) => void) | undefined;
  const onAbort = () => cancel(signal.reason);

  function end(result: Promise<undefined>): Promise<undefined> {
    signal.removeEventListener("abort", onAbort);
    // Nobody need read it.
    result.catch(() => {});
    outcome = result;
    return result;
  }

  function read(): Promise<Bytes | undefined> {
    if (outcome !== undefined) return outcome;
    if (rejectRead !== undefined) return Promise.reject(new Error("a read is already pending: read one at a time"));
    return new Promise((resolve, reject) => {
      rejectRead = reject;
      next().then(resolve, reject);
    });
  }

  function cancel(reason: unknown): void {
    if (outcome !== undefined) return;
    end(Promise.reject(reason));
    // Runtimes differ in which of the two makes them let go of the connection, and in what it does to a waiting read.
    void reader?.cancel(reason).catch(() => {});
    controller.abort(reason);
    rejectRead?.(reason);
  }

  async function next(): Promise<Bytes | undefined> {
    try {
      for (;;) {
        const { done, value } = await (reader as ReadableStreamDefaultReader<Uint8Array>).read();
        // A cancelled reader is done, too.
        if (outcome !== undefined) return await outcome;
        if (done) return await end(Promise.resolve(undefined));
        // A copy, since a `fetch` from elsewhere may keep what it gives, or give a view of more.
        if (value.length > 0) return new Uint8Array(value);
      }
    } catch (error) {
      return await (outcome ?? end(Promise.reject(failure(error, request, false))));
    } finally {
      rejectRead = undefined;
    }
  }

  if (reader) signal.addEventListener("abort", onAbort, { once: true });
  else end(Promise.resolve(undefined));
  return { ...head, read, cancel };
}

function failure(error: unknown, request: Pick<TransportRequest, "signal" | "phase">, opaque: boolean): unknown {
  // Runtimes disagree on the error of an abort, so our own signal is asked, not the error's name.
  if (request.signal.aborted) return request.signal.reason;
  return new TransportError(messageOf(error), {
    // A connection that was there can break with some of these codes, too.
    sent: request.phase !== "body" && neverSent(error) ? "no" : "maybe",
    cause: error,
    opaque,
  });
}

/** Facts of a request that `fetch` refused to send. */
const REFUSED = { sent: "no", final: true } as const;

/** Whether `fetch` refused the request's own parts. It then throws what the `Request` constructor throws. */
function isRefused(error: unknown, url: string, { body, signal: _, ...init }: Parameters<FetchFunction>[1]): boolean {
  if (!isError(error) || error.name !== "TypeError" || systemCodeOf(error) !== undefined) return false;
  // React Native and jsdom may have a `fetch` without it.
  if (typeof Request !== "function") return false;
  try {
    // A stream is in use already.
    new Request(url, { ...init, body: body && "getReader" in body ? null : body } as RequestInit);
    return false;
  } catch {
    return true;
  }
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
  const code = systemCodeOf(error);
  return code !== undefined && NEVER_SENT.has(code);
}

/**
 * Reads a whole body, at most `maxResponseBytes` of it, so that an endless one cannot fill the memory; of one that is no
 * success the beginning.
 */
async function readBody(response: Response, maxResponseBytes: number, chunks: Uint8Array[]): Promise<Bytes> {
  const success = isSuccess(response.status);
  const maxBytes = success ? maxResponseBytes : Math.min(maxResponseBytes, MAX_ERROR_BYTES);
  const declared = Number(response.headers.get("content-length") ?? Number.NaN);
  if (declared > maxBytes && success) {
    void response.body?.cancel().catch(() => {});
    throw responseTooLarge(maxBytes);
  }
  // Some runtimes (React Native) have no body stream; there the length can only be checked afterwards.
  if (!response.body) {
    const whole = new Uint8Array(await response.arrayBuffer());
    if (whole.length <= maxBytes) return whole;
    if (!success) return whole.slice(0, maxBytes);
    throw responseTooLarge(maxBytes);
  }
  return readAll(response.body, maxBytes, success ? responseTooLarge : undefined, chunks);
}
