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

/** Options for `fetchTransport`. */
export interface FetchTransportOptions {
  /** The function that sends requests. Default: the global `fetch`, looked up for each call. */
  readonly fetch?: FetchFunction | undefined;
  /** Content codings that this `fetch` decodes itself. Default: those that the runtime's `fetch` decodes. */
  readonly decodes?: readonly string[] | undefined;
  /** Whether this `fetch` hides why a connection failed and cannot send streams, as in browsers. Default false. */
  readonly opaque?: boolean | undefined;
  /**
   * Whether this `fetch` can send a request twice. Default: true in browsers, in Cloudflare Workers and in unknown
   * runtimes, and for a custom `fetch` on Deno.
   */
  readonly mayResend?: boolean | undefined;
}

/**
 * The part of `fetch` that the transport uses. The function is called with a URL string, never with a `Request`,
 * because a `Request` may come from another realm.
 */
export type FetchFunction = (
  url: string,
  init: {
    method: string;
    headers: [string, string][];
    body: Bytes | null;
    signal: AbortSignal;
    redirect: "manual";
    cache?: "no-store";
    /** Requests a new connection on Bun. */
    keepalive?: false;
    /** Requests a new connection on Deno. */
    client?: unknown;
    /** Set if `body` is a `ReadableStream`, which only `client.fetch` sends. */
    duplex?: "half";
  },
) => Promise<Response>;

/**
 * Whether the runtime's `fetch` decodes a content coding or a list of them. Based on tests, because runtimes do not
 * report it. Wrongly assuming that a body is decoded would return compressed bytes.
 */
function isUndoneByRuntime(coding: string): boolean {
  const { userAgent } = (globalThis as { navigator?: { userAgent?: string } }).navigator ?? {};
  if ("Deno" in globalThis || userAgent === "Cloudflare-Workers") return coding === "gzip" || coding === "br";
  // Node and browsers also decode lists, as the Fetch standard requires.
  const codings = "Bun" in globalThis ? [coding] : coding.split(",");
  return codings.every((coding) => ["gzip", "x-gzip", "br", "deflate"].includes(coding.trim()));
}

/**
 * Prevents cached responses, for example from the cache in Next.js's `fetch`. Without this option, browsers also send
 * requests for the same URL one at a time, which would delay parallel long polls. Not set on workerd, which throws with
 * a compatibility date before 2024-11-11.
 */
const UNCACHED: { cache?: "no-store" } = "WebSocketPair" in globalThis ? {} : { cache: "no-store" };

type Head = Pick<StreamedResponse, "status" | "headers" | "contentEncoding">;

/** Transports that use the runtime's own `fetch`. */
const overOwnFetch = /* @__PURE__ */ new WeakSet<Transport>();

/**
 * Whether a transport uses the runtime's own `fetch`. If so, the runtime's own WebSockets do not bypass the
 * transport.
 */
export function usesOwnFetch(transport: Transport): boolean {
  return overOwnFetch.has(transport);
}

/**
 * Creates a transport that uses `fetch`. Works in every runtime that has `fetch`. Returns redirects instead of
 * following them.
 *
 * @example
 * const transport = fetchTransport({ fetch: myFetch });
 * const client = new PredictClient({ endpoint, serviceName, token, transport });
 */
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
    // jest-environment-jsdom has no fetch.
    if (!send) throw new EasUnsupportedError("this runtime has no fetch: set globalThis.fetch or the transport option");
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
    // Browsers reveal only that the response was a redirect; the actual status is unknown.
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
      // Use a separate signal for each request, because some runtimes leave their listeners on the signal.
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

/**
 * Returns a streamed body in a form that `fetch` accepts. In pages, streams are read first, because only some browsers
 * can send them, and only over HTTP/2.
 */
async function streamBody(stream: ByteStream, isPage: boolean): Promise<{ body: Bytes; duplex?: "half" }> {
  if (isPage) return { body: await readAll(stream, Number.POSITIVE_INFINITY, undefined) };
  return { body: stream as never, duplex: "half" };
}

/** Creates a response whose body is read in chunks. */
function streamOf(
  request: StreamRequest,
  response: Response,
  head: Head,
  controller: AbortController,
): StreamedResponse {
  const { signal } = request;
  if (response.body === undefined) {
    const error = new EasUnsupportedError("this runtime's fetch has no body streams, so a response cannot be streamed");
    controller.abort(error);
    throw error;
  }
  // WebKit's streams are not async iterables, so `for await` does not work.
  const reader = response.body?.getReader();
  /** The result of all later reads. */
  let outcome: Promise<undefined> | undefined;
  let rejectRead: ((reason: unknown) => void) | undefined;
  const onAbort = () => cancel(signal.reason);

  function end(result: Promise<undefined>): Promise<undefined> {
    signal.removeEventListener("abort", onAbort);
    // Ignore the rejection here, because `read` reports it if called.
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
    // Both calls are needed, because runtimes differ in which one closes the connection and in how each affects a
    // pending read.
    void reader?.cancel(reason).catch(() => {});
    controller.abort(reason);
    rejectRead?.(reason);
  }

  async function next(): Promise<Bytes | undefined> {
    try {
      for (;;) {
        const { done, value } = await (reader as ReadableStreamDefaultReader<Uint8Array>).read();
        // A canceled reader also reports `done`.
        if (outcome !== undefined) return await outcome;
        if (done) return await end(Promise.resolve(undefined));
        // Copy the bytes because a custom `fetch` may keep the memory, or may return a view of a larger buffer.
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
  // Check the signal instead of the error's name, because runtimes report different errors for an abort.
  if (request.signal.aborted) return request.signal.reason;
  return new TransportError(messageOf(error), {
    // Some of these codes also occur when an established connection fails.
    sent: request.phase !== "body" && neverSent(error) ? "no" : "maybe",
    cause: error,
    opaque,
  });
}

/** Error options for a request that `fetch` rejected before it was sent. */
const REFUSED = { sent: "no", final: true } as const;

/** Whether `fetch` rejected the request's arguments. If so, the `Request` constructor throws the same error. */
function isRefused(error: unknown, url: string, { body, signal: _, ...init }: Parameters<FetchFunction>[1]): boolean {
  if (!isError(error) || error.name !== "TypeError" || systemCodeOf(error) !== undefined) return false;
  // React Native and jsdom can have a `fetch` without `Request`.
  if (typeof Request !== "function") return false;
  try {
    // Omit a stream, because it cannot be used twice.
    new Request(url, { ...init, body: body && "getReader" in body ? null : body } as RequestInit);
    return false;
  } catch {
    return true;
  }
}

/** Error codes in server runtimes that mean that no connection was established and nothing was sent. */
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
 * Reads a body of at most `maxResponseBytes` bytes, so that an endless body cannot exhaust memory. For an unsuccessful
 * response, reads only the beginning.
 */
async function readBody(response: Response, maxResponseBytes: number, chunks: Uint8Array[]): Promise<Bytes> {
  const success = isSuccess(response.status);
  const maxBytes = success ? maxResponseBytes : Math.min(maxResponseBytes, MAX_ERROR_BYTES);
  const declared = Number(response.headers.get("content-length") ?? Number.NaN);
  if (declared > maxBytes && success) {
    void response.body?.cancel().catch(() => {});
    throw responseTooLarge(maxBytes);
  }
  // Some runtimes, such as React Native, have no body stream. There, the length can be checked only after the body has
  // been read.
  if (!response.body) {
    const whole = new Uint8Array(await response.arrayBuffer());
    if (whole.length <= maxBytes) return whole;
    if (!success) return whole.slice(0, maxBytes);
    throw responseTooLarge(maxBytes);
  }
  return readAll(response.body, maxBytes, success ? responseTooLarge : undefined, chunks);
}
