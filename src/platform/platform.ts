import type { Bytes } from "../request.js";

/** The one seam to the runtime: everything outside this folder is written on Web APIs that all runtimes have. */
export interface Platform {
  /** The runtime family, for messages. */
  readonly name: "node" | "browser" | "workerd" | "web";
  /** Whether a request may carry a `Date` header; browsers drop it silently, so nothing can be signed there. */
  readonly canSetDate: boolean;
  /** Default for the requests in flight to one host. */
  readonly connectionCount: number;
  /** Makes the runtime's own transport. */
  createTransport(options: TransportOptions): Transport;
  /** MD5 of `bytes` as 32 lower-case hexadecimal digits. */
  md5(bytes: Uint8Array): string | Promise<string>;
  /** HMAC-SHA1 of `text` under `key`, both as UTF-8, in base64. */
  hmacSha1(key: string, text: string): string | Promise<string>;
  /** Compresses as gzip (RFC 1952) or zlib (RFC 1950). */
  deflate(format: "gzip" | "zlib", bytes: Uint8Array): Promise<Bytes>;
  /** Undoes gzip or zlib; rejects with a `RangeError` as soon as the output passes `maxBytes`. */
  inflate(format: "gzip" | "zlib", bytes: Uint8Array, maxBytes: number): Promise<Bytes>;
  /** The environment variable `name`, or undefined where there is none; never throws. */
  env(name: string): string | undefined;
}

/** What the client tells a platform's own transport. */
export interface TransportOptions {
  /** Connections to keep to one host at the most. */
  readonly connections: number;
}

/**
 * The function between this package and a network: one HTTP exchange, buffered both ways. Implement it to bring
 * connections of your own; see `fetchTransport` and `nodeTransport`.
 */
export interface Transport {
  /**
   * Sends one request and resolves when the last byte of the answer is there, whatever its status. Rejects with a
   * `TransportError`, or with the reason of the request's cancellation. Follows no redirects.
   */
  send(request: TransportRequest): Promise<TransportResponse>;
  /** Loads what the first `send` would load. */
  ready?(): Promise<void>;
  /** Lets requests in flight end and frees the connections. */
  close(): Promise<void>;
}

/** One attempt of a call, as a transport sees it. */
export interface TransportRequest {
  readonly method: string;
  /** Scheme, host and port: `http://127.0.0.1:8080`. */
  readonly origin: string;
  /** Path and query, percent-encoded: `/api/predict/service?x=1`. */
  readonly path: string;
  /** Names in lower case. `Host` and `Content-Length` are the transport's own. */
  readonly headers: readonly HeaderPair[];
  /** The caller's memory until the promise settles: it must not be changed. */
  readonly body: Uint8Array | null;
  /** The most bytes that an answer may have. */
  readonly maxResponseBytes: number;
  /** Fires when the exchange is to end at once. Made on first reading: who sets `exchange` need not pay for it. */
  readonly signal: AbortSignal;
  /** A transport may set this in place of listening to `signal`, which costs an eighth of all requests a second. */
  exchange: Exchange | undefined;
  /** To be called when the exchange really starts, if the transport had to prepare itself first. */
  onDispatch(): void;
  /** What the exchange waits for. At first `"headers"`; the transport keeps it true, as far as it can tell. */
  phase: "connect" | "headers" | "body";
}

/** An exchange under way that can be ended. */
export interface Exchange {
  /** Rejects the promise of `send` with `reason` at once and gives the connection up. */
  cancel(reason: unknown): void;
}

/** A header's name and value. */
export type HeaderPair = readonly [name: string, value: string];

/** A complete answer. */
export interface TransportResponse {
  readonly status: number;
  readonly headers: Headers;
  /** The receiver's own memory. */
  readonly body: Bytes;
  /** The `Content-Encoding` that `body` still has; undefined where the runtime has undone it, or there was none. */
  readonly contentEncoding: string | undefined;
}

/** Why a transport has no answer. */
export class TransportError extends Error {
  /** `"no"` when certainly no byte of the request left; `"maybe"` where the runtime cannot tell. */
  readonly sent: "no" | "maybe";
  /** The system's own code, for example `ECONNRESET`, where the runtime tells it. */
  readonly systemCode: string | undefined;
  /** Whether the runtime hides the reason from us, as browsers do. */
  readonly opaque: boolean;
  /** Whether trying again is useless, as with a body over the limit. */
  readonly final: boolean;

  constructor(
    message: string,
    options: {
      sent: "no" | "maybe";
      cause?: unknown;
      systemCode?: string | undefined;
      opaque?: boolean;
      final?: boolean;
    },
  ) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = "TransportError";
    this.sent = options.sent;
    this.systemCode = options.systemCode ?? systemCodeOf(options.cause);
    this.opaque = options.opaque ?? false;
    this.final = options.final ?? false;
  }
}

/**
 * The first system code in a chain of causes. Runtimes put it in different places: Node in `cause.code`, Bun in the
 * error's own `code`, an `AggregateError` in its members.
 */
export function systemCodeOf(error: unknown): string | undefined {
  let current = error;
  for (let depth = 0; depth < 8 && typeof current === "object" && current !== null; depth++) {
    const { code, errors, cause } = current as { code?: unknown; errors?: unknown; cause?: unknown };
    if (typeof code === "string") return code;
    current = Array.isArray(errors) && errors.length > 0 ? errors[0] : cause;
  }
  return undefined;
}

/** The `systemCode` of the error for an answer that is larger than the caller allows. */
export const RESPONSE_TOO_LARGE = "ERR_RESPONSE_TOO_LARGE";

/** The error for an answer that is larger than the caller allows. */
export function responseTooLarge(maxBytes: number): TransportError {
  return new TransportError(`the response has more than ${maxBytes} bytes (maxResponseBytes)`, {
    sent: "maybe",
    final: true,
    systemCode: RESPONSE_TOO_LARGE,
  });
}
