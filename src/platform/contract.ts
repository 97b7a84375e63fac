import type { Bytes } from "../formats/request.js";
import { TransportError, type TransportResponse } from "./transport-error.js";

export { systemCodeOf, TransportError, type TransportResponse } from "./transport-error.js";

/**
 * The contract between this package and a runtime. Code outside this folder uses only web APIs that all runtimes have.
 */
export interface Platform {
  /** The runtime family, for error messages. */
  readonly name: "node" | "browser" | "workerd" | "web";
  /**
   * Creates the function that signs the attempts of a call with this body, which is a list of chunks. Undefined if
   * requests cannot have the `Date` header that a signature covers: browsers drop it silently.
   */
  readonly signer: ((body: readonly Uint8Array[]) => Signer) | undefined;
  /** Matches names of headers that the runtime silently drops or sets itself. Undefined if there are none. */
  readonly droppedHeaders: RegExp | undefined;
  /** Default maximum number of requests in flight to one host. */
  readonly connectionCount: number;
  /** Creates the runtime's own transport. */
  createTransport(options: TransportOptions): Transport;
  /** Opens WebSockets. Undefined if the runtime cannot send headers with the upgrade, as in browsers. */
  readonly dialWebSocket: WebSocketDialer | undefined;
  /** Returns the MD5 of the concatenated `chunks` as 32 lower-case hexadecimal digits. */
  md5(chunks: readonly Uint8Array[]): string | Promise<string>;
  /** Returns the HMAC-SHA1 of `text` under `key`, both as UTF-8, in base64. */
  hmacSha1(key: string, text: string): string | Promise<string>;
  /** Compresses as gzip (RFC 1952) or zlib (RFC 1950). */
  deflate(format: "gzip" | "zlib", bytes: Uint8Array): Promise<Bytes>;
  /** Decompresses. Rejects with a `RangeError` as soon as the output exceeds `maxBytes`. */
  inflate(format: DecompressionFormat, bytes: Uint8Array, maxBytes: number): Promise<Bytes>;
  /** Creates a stream that decompresses. Throws `EasUnsupportedError` if the runtime does not have one. */
  decompressor(format: DecompressionFormat): Decompressor;
  /** Returns the environment variable `name`, or undefined if there is none. Never throws. */
  env(name: string): string | undefined;
}

/** Formats that a platform decompresses: RFC 1952, 1950, 1951 and, if the runtime supports it, 7932. */
export type DecompressionFormat = "gzip" | "zlib" | "raw" | "br";

/**
 * Returns the headers that authenticate an attempt, with the current date. Returns a promise only if hashing is
 * asynchronous.
 */
export type Signer = (request: SignedRequest, token: string) => HeaderPair[] | Promise<HeaderPair[]>;

/** The parts of a request that a signature covers, besides the body and the date. */
export interface SignedRequest {
  readonly method: string;
  readonly contentType: string;
  /** Path and query, not percent-encoded and without the prefix of a gateway. */
  readonly resource: string;
}

/** Options that the client passes to a platform's own transport. */
export interface TransportOptions {
  /** Maximum number of connections to one host. */
  readonly connections: number;
}

/**
 * Sends the HTTP requests of a client. Implement it to use your own connections; see `fetchTransport` and
 * `nodeTransport`.
 *
 * @example
 * const transport: Transport = {
 *   send: (request) => sendOverMyConnection(request),
 *   close: async () => {},
 * };
 * const client = new PredictClient({ endpoint, serviceName, token, transport });
 */
export interface Transport {
  /**
   * Sends one request. Resolves when the response is complete, whatever its status. Rejects with a `TransportError`, or
   * with the reason of the cancellation. Does not follow redirects.
   */
  send(request: TransportRequest): Promise<TransportResponse>;
  /**
   * Sends one request. Resolves when the head of the response has arrived, whatever its status. The body is then read
   * in chunks. Fails as `send` does. The request's signal and its `exchange` also end the body. `maxResponseBytes` is
   * not used. Without this method, the transport does not support streams.
   */
  stream?(request: StreamRequest): Promise<StreamedResponse>;
  /**
   * Opens WebSockets with the same proxy and certificates as `send`. Without it, the transport does not support
   * WebSockets.
   */
  readonly dialWebSocket?: WebSocketDialer | undefined;
  /**
   * Whether the network stack below can send a request twice although its `repeatable` is false, as browsers do when a
   * reused connection fails. The client then changes requests so that a repetition has no effect. Default false.
   */
  readonly mayResend?: boolean | undefined;
  /** Whether `send` accepts a body in chunks. Default false. */
  readonly sendsChunks?: boolean | undefined;
  /**
   * Whether responses keep `Content-Length` and `Transfer-Encoding` as received. A body with neither ends with its
   * connection, and may be incomplete. Default false.
   */
  readonly showsFraming?: boolean | undefined;
  /** Whether `send` calls a request's `onUploadProgress`. Otherwise a call that has one is rejected. Default false. */
  readonly reportsUploads?: boolean | undefined;
  /** Loads the code that the first `send` would load. */
  ready?(): Promise<void>;
  /** Waits for the requests in flight and closes the connections. Open streams may be canceled. */
  close(): Promise<void>;
}

/** One attempt of a call, as passed to a transport. */
export interface TransportRequest {
  readonly method: string;
  /** Scheme, host and port, for example `http://127.0.0.1:8080`. */
  readonly origin: string;
  /** Path and query, percent-encoded, for example `/api/predict/service?x=1`. */
  readonly path: string;
  /** Names in lower case. The transport sets `Host` and `Content-Length`. */
  readonly headers: readonly HeaderPair[];
  /** The body. Belongs to the caller and must not be changed. */
  readonly body: Uint8Array | null;
  /** The body in chunks, instead of `body`. Only set for a transport with `sendsChunks`. */
  readonly chunks?: readonly Uint8Array[] | undefined;
  /**
   * Maximum size of the response body in bytes. The client uses only the first `MAX_ERROR_BYTES` bytes of a response
   * that is not a success: the transport may drop the rest and close the connection.
   */
  readonly maxResponseBytes: number;
  /**
   * Aborts when the exchange must end. Created when it is first read, so that transports that set `exchange` do not pay
   * for it.
   */
  readonly signal: AbortSignal;
  /** Set by a transport instead of listening to `signal`, which costs an eighth of the requests per second. */
  exchange: Exchange | undefined;
  /**
   * The request itself, if the client ends the exchange through `exchange` in every case. A transport that receives
   * this exact object and sets `exchange` need not listen to `signal`. A copy of the request is a different object,
   * so its transport still needs the signal.
   */
  readonly self?: unknown;
  /**
   * Set by the transport when the head of a response that is not a success has arrived. Returns the response with the
   * received part of its body. If the rest fails or times out, the call fails with this response instead of the later
   * error.
   */
  partial?: (() => TransportResponse) | undefined;
  /** Called with the number of bytes of `body` that were sent, from 0 on, by a transport with `reportsUploads`. */
  readonly onUploadProgress?: ((progress: UploadProgress) => void) | undefined;
  /**
   * Whether the service may receive the request twice. False, for example, for a put. Many runtimes resend a request
   * when a reused connection fails before the response. If that cannot be disabled, use a new connection. Default
   * true.
   */
  readonly repeatable?: boolean | undefined;
  /** Must be called when the exchange starts, if the transport had to prepare first. */
  onDispatch(): void;
  /** The event that the exchange waits for. Initially `"headers"`. The transport updates it as far as it can. */
  phase: "connect" | "headers" | "body";
}

/** The progress of sending a request's body. */
export interface UploadProgress {
  /** Number of bytes sent. */
  readonly loaded: number;
  /** Size of the body in bytes, after compression. */
  readonly total: number;
}

/** The part of `DecompressionStream` that is used. Some users' compilers do not know that type. */
export interface Decompressor {
  readonly readable: ByteStream;
  readonly writable: {
    getWriter(): {
      readonly ready: Promise<unknown>;
      write(chunk: Uint8Array): Promise<void>;
      close(): Promise<void>;
      abort(reason?: unknown): Promise<void>;
    };
  };
}

/** The part of a `ReadableStream` of bytes that is used. Some users' compilers do not know that type. */
export interface ByteStream {
  getReader(): {
    read(): Promise<{ done: false; value: Uint8Array } | { done: true; value?: Uint8Array | undefined }>;
    cancel(reason?: unknown): Promise<void>;
  };
}

/** An attempt whose response is read in chunks. */
export interface StreamRequest extends Omit<TransportRequest, "body"> {
  /**
   * The body. A stream is sent in chunks as they become available, and canceled if the exchange ends before it.
   * Runtimes that cannot send streams, such as browsers, read it completely first.
   */
  readonly body: Uint8Array | ByteStream | null;
}

/** An exchange in progress, which can be canceled. */
export interface Exchange {
  /** Rejects the promise of `send` with `reason` immediately, and closes the connection. */
  cancel(reason: unknown): void;
}

/** The name and value of a header. */
export type HeaderPair = readonly [name: string, value: string];

/** A response whose body is still arriving. */
export interface StreamedResponse {
  readonly status: number;
  readonly headers: Headers;
  /** The `Content-Encoding` of the chunks. Undefined if the runtime decodes it, or there is none. */
  readonly contentEncoding: string | undefined;
  /** See `TransportResponse.isUndelimited`. */
  readonly isUndelimited?: boolean | undefined;
  /**
   * Resolves with the next chunk, or with undefined at the end. Only one read can be pending. While no read is pending,
   * backpressure reaches the server. Rejects with a `TransportError` when the connection fails, or with the reason of
   * `cancel`. The chunk belongs to the caller. With `isBorrowed`, the caller uses it only in the turn in which it gets
   * it, and the transport need not copy it. Default: false.
   */
  read(isBorrowed?: boolean): Promise<Bytes | undefined>;
  /** Closes the connection. A pending read rejects with `reason`. Does nothing after the end. */
  cancel(reason: unknown): void;
}

/**
 * Opens a WebSocket to a `ws:` or `wss:` URL, and resolves when it is open. Rejects immediately with the signal's
 * reason when the signal aborts, otherwise with a `TransportError`. For a refused upgrade, that error has the
 * `response` where the runtime exposes it, otherwise its `status`. Does not follow redirects, offers no extensions
 * and has no timeout of its own: the signal is the deadline.
 */
export type WebSocketDialer = (url: string, options: WebSocketDialOptions) => Promise<WebSocketConnection>;

/** Options of a `WebSocketDialer`. */
export interface WebSocketDialOptions {
  /** Headers of the upgrade request. Each name occurs once. */
  readonly headers: readonly HeaderPair[];
  /** Subprotocols to offer, best first. Default: none. */
  readonly protocols?: readonly string[] | undefined;
  /**
   * Maximum size of a message in bytes. A dialer that supports it ends the connection at the head of a larger message,
   * and calls `onClose` with `tooLarge`. Others may deliver it. Default: no limit.
   */
  readonly maxMessageBytes?: number | undefined;
  /** Aborts the dial. Has no effect on the connection once it is open, and keeps no listener. */
  readonly signal: AbortSignal;
}

/**
 * An open WebSocket. Messages and the close are passed to their callbacks in order. They are queued until the callback
 * is set, and delivered when it is. Callbacks must not throw.
 */
export interface WebSocketConnection {
  /** The subprotocol that the server selected. Undefined or empty if there is none. */
  readonly protocol?: string | undefined;
  /**
   * Receives a binary message as bytes, and a text message as text. The bytes are a view that does not change, but it
   * may keep the memory of a larger network read alive. Copy bytes that you keep for long.
   */
  onMessage: ((data: Bytes | string) => void) | undefined;
  /** Called once, after the last message, regardless of which side closed the connection. */
  onClose: ((close: WebSocketClose) => void) | undefined;
  /** Called when a pong arrives. Pongs are not queued. Never called if `ping` is undefined. */
  onPong: (() => void) | undefined;
  /** Sends bytes as a binary message, or text as a text message. Does nothing while the connection is closing. */
  send(data: Uint8Array | string): void;
  /** Sends an empty ping. Undefined if the runtime has no ping frames. */
  readonly ping: (() => void) | undefined;
  /**
   * Stops reading, so that backpressure reaches the server. Pongs and the close are not read either. Undefined if the
   * runtime does not support it.
   */
  readonly pause: (() => void) | undefined;
  /** Resumes reading. Messages that were already read are delivered before it returns. */
  readonly resume: (() => void) | undefined;
  /**
   * Starts the closing handshake. Messages can arrive until `onClose`, which waits for the server. Call `terminate` to
   * close without waiting. `code` is 1000 or 3000 to 4999, otherwise the runtime throws. `reason` has at most 123 bytes
   * of UTF-8.
   */
  close(code: number, reason: string): void;
  /** Closes the connection immediately. No message arrives after it, and `onClose` is called with code 1006. */
  terminate(): void;
}

/** The end of a connection. */
export interface WebSocketClose {
  /** The close code of the server; 1005 if it sent none, 1006 if the connection ended without a close frame. */
  readonly code: number;
  /** The reason of the server, or the runtime's message for a broken connection. Can be empty. */
  readonly reason: string;
  /** Whether this side closed the connection because a message exceeded `maxMessageBytes`. */
  readonly tooLarge?: boolean | undefined;
}

/**
 * Number of bytes that are read of the body of an unsuccessful response. Errors keep 64 KiB; the other half is read so
 * that a token that crosses that limit is recognized and redacted.
 */
export const MAX_ERROR_BYTES = 131_072;

/** Whether a status is a success, whose body is read completely. */
export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

/** The `systemCode` of the error for a response that exceeds the limit. */
export const RESPONSE_TOO_LARGE = "ERR_RESPONSE_TOO_LARGE";

/** Returns the error for a response that exceeds the limit. */
export function responseTooLarge(maxBytes: number): TransportError {
  return new TransportError(`the response has more than ${maxBytes} bytes (maxResponseBytes)`, {
    sent: "maybe",
    final: true,
    systemCode: RESPONSE_TOO_LARGE,
  });
}
