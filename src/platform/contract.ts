import type { Bytes } from "../formats/request.js";
import type { ClientEnvironment } from "./environment-contract.js";
import { TransportError, type TransportResponse } from "./transport-error.js";

export { systemCodeOf, TransportError, type TransportResponse } from "./transport-error.js";

/**
 * The contract between this package and a runtime. Code outside this folder uses only web APIs that exist in all
 * runtimes.
 */
export interface Platform {
  /** The runtime family, for use in error messages. */
  readonly name: "node" | "browser" | "workerd" | "web";
  /**
   * Creates the function that signs the attempts of a call. `body` is a list of chunks. Undefined in browsers, because
   * they silently drop the `Date` header that a signature covers.
   */
  readonly signer: ((body: readonly Uint8Array[]) => Signer) | undefined;
  /**
   * Matches the names of headers that the runtime silently drops or sets itself. Undefined if there are no such
   * headers.
   */
  readonly droppedHeaders: RegExp | undefined;
  /** Default maximum number of requests in flight to one host. */
  readonly connectionCount: number;
  /** Creates the runtime's own transport. */
  createTransport(options: TransportOptions): Transport;
  /** Opens WebSockets. Undefined if the runtime cannot send headers with the upgrade, as in browsers. */
  readonly dialWebSocket: WebSocketDialer | undefined;
  /** Returns the MD5 of the concatenated `chunks` as 32 lower-case hexadecimal digits. */
  md5(chunks: readonly Uint8Array[]): string | Promise<string>;
  /** Returns the base64-encoded HMAC-SHA1 of `text` with the key `key`. Both arguments are encoded as UTF-8. */
  hmacSha1(key: string, text: string): string | Promise<string>;
  /** Compresses bytes as gzip (RFC 1952) or zlib (RFC 1950). */
  deflate(format: "gzip" | "zlib", bytes: Uint8Array): Promise<Bytes>;
  /** Decompresses bytes. Rejects with a `RangeError` as soon as the output exceeds `maxBytes`. */
  inflate(format: DecompressionFormat, bytes: Uint8Array, maxBytes: number): Promise<Bytes>;
  /**
   * Creates a decompression stream. Throws `EasUnsupportedError` if the runtime cannot decompress this format in a
   * stream.
   */
  decompressor(format: DecompressionFormat): Decompressor;
  /** Returns the value of the `name` environment variable, or undefined if it is not set. Never throws. */
  env(name: string): string | undefined;
  /**
   * Reads options of clients from environment variables. Undefined for pages, which have no environment and should not
   * load this code.
   */
  readonly environment: ClientEnvironment | undefined;
}

/**
 * Formats that a platform can decompress: gzip (RFC 1952), zlib (RFC 1950), raw deflate (RFC 1951) and, if the
 * runtime supports it, Brotli (RFC 7932).
 */
export type DecompressionFormat = "gzip" | "zlib" | "raw" | "br";

/**
 * Returns the headers that authenticate an attempt, with the current date. Returns a promise only if hashing is
 * asynchronous.
 */
export type Signer = (request: SignedRequest, token: string) => HeaderPair[] | Promise<HeaderPair[]>;

/** The parts of a request that a signature covers, in addition to the body and the date. */
export interface SignedRequest {
  readonly method: string;
  readonly contentType: string;
  /** Path and query, not percent-encoded and without a gateway prefix. */
  readonly resource: string;
}

/** Options that the client passes to a platform's own transport. */
export interface TransportOptions {
  /** Maximum number of connections to one host. */
  readonly connections: number;
}

/**
 * Sends a client's HTTP requests. Implement it to use your own connections; see `fetchTransport` and `nodeTransport`.
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
   * Sends one request. Resolves when the response is complete, regardless of its status. Rejects with a
   * `TransportError`, or with the cancellation reason. Does not follow redirects.
   */
  send(request: TransportRequest): Promise<TransportResponse>;
  /**
   * Sends one request. Resolves as soon as the response headers have arrived, regardless of the status. After that, the
   * body is read in chunks. Rejects with the same errors as `send`. The request's signal and its `exchange` also cancel
   * the body. `maxResponseBytes` does not apply. A transport without this method does not support streams.
   */
  stream?(request: StreamRequest): Promise<StreamedResponse>;
  /**
   * Opens WebSockets with the same proxy and certificates as `send`. A transport without this method does not support
   * WebSockets.
   */
  readonly dialWebSocket?: WebSocketDialer | undefined;
  /**
   * Whether the underlying network stack can send a request twice even if `repeatable` is false, as browsers do when a
   * reused connection fails. If so, the client sends requests in a form in which a repetition has no effect. Default
   * false.
   */
  readonly mayResend?: boolean | undefined;
  /** Whether `send` accepts a body in chunks. Default false. */
  readonly sendsChunks?: boolean | undefined;
  /**
   * Whether responses keep `Content-Length` and `Transfer-Encoding` unchanged. A body without either header ends when
   * its connection ends and may be incomplete. Default false.
   */
  readonly showsFraming?: boolean | undefined;
  /**
   * Whether `send` calls a request's `onUploadProgress`. If false, calls that set `onUploadProgress` are rejected.
   * Default false.
   */
  readonly reportsUploads?: boolean | undefined;
  /** Loads code that would otherwise be loaded by the first `send`. */
  ready?(): Promise<void>;
  /** Waits for requests in flight and closes all connections. May cancel open streams. */
  close(): Promise<void>;
}

/** One attempt of a call, as passed to a transport. */
export interface TransportRequest {
  readonly method: string;
  /** Scheme, host and port, for example `http://127.0.0.1:8080`. */
  readonly origin: string;
  /** Path and query, percent-encoded, for example `/api/predict/service?x=1`. */
  readonly path: string;
  /** Headers with lowercase names. The transport sets `Host` and `Content-Length`. */
  readonly headers: readonly HeaderPair[];
  /** The body. The memory belongs to the caller and must not be changed. */
  readonly body: Uint8Array | null;
  /** The body in chunks, instead of `body`. Set only for a transport with `sendsChunks`. */
  readonly chunks?: readonly Uint8Array[] | undefined;
  /**
   * Maximum size of the response body in bytes. For an unsuccessful response, the client uses only the first
   * `MAX_ERROR_BYTES` bytes; the transport may drop the rest and close the connection.
   */
  readonly maxResponseBytes: number;
  /**
   * Aborts when the exchange must end. Created when this property is first read, so that transports that set `exchange`
   * avoid its cost.
   */
  readonly signal: AbortSignal;
  /**
   * The exchange for this request. A transport can set this property instead of listening to `signal`, because
   * listening reduces throughput by an eighth.
   */
  exchange: Exchange | undefined;
  /**
   * The request itself, if the client ends the exchange through `exchange` in every case. A transport that receives
   * this exact object and sets `exchange` does not need to listen to `signal`. A transport that receives a copy, for
   * which `self` is a different object, still needs the signal.
   */
  readonly self?: unknown;
  /**
   * Set by the transport when the headers of an unsuccessful response have arrived. Returns the response with the part
   * of its body received so far. If reading the rest fails or times out, the call reports this response instead of the
   * later error.
   */
  partial?: (() => TransportResponse) | undefined;
  /** Called by a transport with `reportsUploads`. `loaded` is the number of `body` bytes sent so far, starting at 0. */
  readonly onUploadProgress?: ((progress: UploadProgress) => void) | undefined;
  /**
   * Whether the service may receive the request twice. False, for example, for a put. Many runtimes resend a request
   * when a reused connection fails before the response arrives. If the runtime's resending cannot be disabled, use a
   * new connection. Default true.
   */
  readonly repeatable?: boolean | undefined;
  /**
   * Restarts the attempt's timeout. If the transport first had to load code or connect, it must call this method when
   * the exchange starts.
   */
  onDispatch(): void;
  /**
   * The event that the exchange waits for. Initially `"headers"`. The transport updates this property as far as the
   * runtime allows.
   */
  phase: "connect" | "headers" | "body";
}

/** The progress of a request body's upload. */
export interface UploadProgress {
  /** Number of bytes sent. */
  readonly loaded: number;
  /** Size of the body in bytes, after compression. */
  readonly total: number;
}

/**
 * The part of `DecompressionStream` that this package uses. Declared here because some users' compilers do not know
 * that type.
 */
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

/**
 * The part of a byte `ReadableStream` that this package uses. Declared here because some users' compilers do not know
 * that type.
 */
export interface ByteStream {
  getReader(): {
    read(): Promise<{ done: false; value: Uint8Array } | { done: true; value?: Uint8Array | undefined }>;
    cancel(reason?: unknown): Promise<void>;
  };
}

/** An attempt whose response is read in chunks. */
export interface StreamRequest extends Omit<TransportRequest, "body"> {
  /**
   * The body. A stream is sent in chunks as they become available. If the exchange ends before the stream, the stream
   * is canceled. Runtimes that cannot send streams, such as browsers, read the whole stream first.
   */
  readonly body: Uint8Array | ByteStream | null;
}

/** An exchange in progress, which can be canceled. */
export interface Exchange {
  /** Rejects the promise of `send` with `reason` immediately, and closes the connection. */
  cancel(reason: unknown): void;
}

/** A header's name and value. */
export type HeaderPair = readonly [name: string, value: string];

/** A response whose body is still arriving. */
export interface StreamedResponse {
  readonly status: number;
  readonly headers: Headers;
  /** The `Content-Encoding` of the chunks. Undefined if the runtime decodes the body, or if the header is missing. */
  readonly contentEncoding: string | undefined;
  /** See `TransportResponse.isUndelimited`. */
  readonly isUndelimited?: boolean | undefined;
  /**
   * Resolves with the next chunk, or with undefined at the end. Only one read can be pending. While no read is pending,
   * backpressure reaches the server. Rejects with a `TransportError` when the connection fails, or with the reason
   * passed to `cancel`. The chunk belongs to the caller. If `isBorrowed` is true, the caller promises to use the chunk
   * only in the event-loop turn in which it is received, so the transport does not have to copy it. Default false.
   */
  read(isBorrowed?: boolean): Promise<Bytes | undefined>;
  /** Closes the connection. A pending read rejects with `reason`. Does nothing once the body has ended. */
  cancel(reason: unknown): void;
}

/**
 * Opens a WebSocket to a `ws:` or `wss:` URL and resolves when it is open. Rejects immediately with the signal's reason
 * when the signal aborts. Otherwise, rejects with a `TransportError`. For a refused upgrade, the error contains the
 * `response` if the runtime exposes it, otherwise the `status`. Does not follow redirects or offer extensions. Has no
 * timeout of its own; the signal is the only deadline.
 */
export type WebSocketDialer = (url: string, options: WebSocketDialOptions) => Promise<WebSocketConnection>;

/** Options for a `WebSocketDialer`. */
export interface WebSocketDialOptions {
  /** Headers of the upgrade request. Each name occurs only once. */
  readonly headers: readonly HeaderPair[];
  /** Subprotocols to offer, in order of preference. Default: none. */
  readonly protocols?: readonly string[] | undefined;
  /**
   * Maximum size of a message in bytes. A dialer that supports this option ends the connection when the header of a
   * larger message arrives, and calls `onClose` with `tooLarge`. Other dialers may deliver the message. Default: no
   * limit.
   */
  readonly maxMessageBytes?: number | undefined;
  /**
   * Cancels opening the connection. Has no effect on an open connection. The dialer must not leave a listener on the
   * signal.
   */
  readonly signal: AbortSignal;
}

/**
 * An open WebSocket. Messages and the close event are passed to their callbacks in order, and are queued until the
 * callback is set. Callbacks must not throw.
 */
export interface WebSocketConnection {
  /** The subprotocol that the server selected. Undefined or empty if there is none. */
  readonly protocol?: string | undefined;
  /**
   * Receives a binary message as bytes and a text message as a string. The bytes do not change, but they may be a view
   * that keeps the memory of a larger network read alive. Copy any bytes
   * that you keep for a long time.
   */
  onMessage: ((data: Bytes | string) => void) | undefined;
  /** Called once, after the last message, regardless of which side closed the connection. */
  onClose: ((close: WebSocketClose) => void) | undefined;
  /** Called when a pong arrives. Pongs are not queued. Never called if `ping` is undefined. */
  onPong: (() => void) | undefined;
  /** Sends bytes as a binary message or a string as a text message. Does nothing while the connection is closing. */
  send(data: Uint8Array | string): void;
  /** Sends an empty ping. Undefined if the runtime has no ping frames. */
  readonly ping: (() => void) | undefined;
  /**
   * Stops reading, so that backpressure reaches the server. Pongs and close frames are not read either. Undefined if
   * the runtime does not support pausing.
   */
  readonly pause: (() => void) | undefined;
  /** Resumes reading. Messages that were already read are delivered before this method returns. */
  readonly resume: (() => void) | undefined;
  /**
   * Starts the closing handshake. Messages can arrive until `onClose` is called, after the server has closed its side.
   * Call `terminate` to close without waiting. `code` must be 1000 or from 3000 to 4999; the runtime throws for other
   * codes. `reason` can be up to 123 bytes of UTF-8.
   */
  close(code: number, reason: string): void;
  /**
   * Closes the connection immediately. After that, no messages are delivered, and `onClose` is called with code 1006.
   */
  terminate(): void;
}

/** The end of a connection. */
export interface WebSocketClose {
  /**
   * The close code that the server sent. 1005 if the close frame had no code; 1006 if the connection ended without a
   * close frame.
   */
  readonly code: number;
  /** The close reason that the server sent, or the runtime's message for a broken connection. Can be empty. */
  readonly reason: string;
  /** Whether this side closed the connection because a message exceeded `maxMessageBytes`. */
  readonly tooLarge?: boolean | undefined;
}

/**
 * Maximum number of bytes to read from the body of an unsuccessful response. Errors keep 64 KiB. Twice as much is read
 * so that a token that crosses the 64 KiB limit is recognized and redacted.
 */
export const MAX_ERROR_BYTES = 131_072;

/** Whether a status is a success. If so, the response body is read completely. */
export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

/** The `systemCode` in the error for a response that exceeds the limit. */
export const RESPONSE_TOO_LARGE = "ERR_RESPONSE_TOO_LARGE";

/** Returns the error for a response that exceeds the limit. */
export function responseTooLarge(maxBytes: number): TransportError {
  return new TransportError(`the response is larger than ${maxBytes} bytes (maxResponseBytes)`, {
    sent: "maybe",
    final: true,
    systemCode: RESPONSE_TOO_LARGE,
  });
}
