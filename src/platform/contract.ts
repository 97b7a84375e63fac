import type { Bytes } from "../formats/request.js";
import { TransportError, type TransportResponse } from "./transport-error.js";

export { systemCodeOf, TransportError, type TransportResponse } from "./transport-error.js";

/** The one seam to the runtime: everything outside this folder is written on Web APIs that all runtimes have. */
export interface Platform {
  /** The runtime family, for messages. */
  readonly name: "node" | "browser" | "workerd" | "web";
  /**
   * Signs the attempts of a call with this body, which is in pieces, with the MD5 given or its own; undefined where requests
   * cannot carry the `Date` header that a signature covers, as in browsers, which drop it silently.
   */
  readonly signer: ((body: readonly Uint8Array[]) => Signer) | undefined;
  /** Names of headers that the runtime drops, or sets itself, without a word; undefined where there are none. */
  readonly droppedHeaders: RegExp | undefined;
  /** Default for the requests in flight to one host. */
  readonly connectionCount: number;
  /** Makes the runtime's own transport. */
  createTransport(options: TransportOptions): Transport;
  /** Opens WebSockets; undefined where the runtime cannot send headers with the upgrade, as in browsers. */
  readonly dialWebSocket: WebSocketDialer | undefined;
  /** MD5 of all `pieces` together, as 32 lower-case hexadecimal digits. */
  md5(pieces: readonly Uint8Array[]): string | Promise<string>;
  /** HMAC-SHA1 of `text` under `key`, both as UTF-8, in base64. */
  hmacSha1(key: string, text: string): string | Promise<string>;
  /** Compresses as gzip (RFC 1952) or zlib (RFC 1950). */
  deflate(format: "gzip" | "zlib", bytes: Uint8Array): Promise<Bytes>;
  /** Decompresses; rejects with a `RangeError` as soon as the output passes `maxBytes`. */
  inflate(format: DecompressionFormat, bytes: Uint8Array, maxBytes: number): Promise<Bytes>;
  /** Creates a stream that decompresses. Throws `EasUnsupportedError` where the runtime has none. */
  decompressor(format: DecompressionFormat): Decompressor;
  /** The environment variable `name`, or undefined where there is none; never throws. */
  env(name: string): string | undefined;
}

/** Formats that a platform decompresses: RFC 1952, 1950, 1951 and, where the runtime has it, 7932. */
export type DecompressionFormat = "gzip" | "zlib" | "raw" | "br";

/** Gives the headers that prove who sends an attempt, with a date of its own; a promise only when the hash takes time. */
export type Signer = (request: SignedRequest, token: string) => HeaderPair[] | Promise<HeaderPair[]>;

/** What a signature covers, beside the body and the date. */
export interface SignedRequest {
  readonly method: string;
  readonly contentType: string;
  /** Path and query, not percent-encoded and without a gateway's prefix. */
  readonly resource: string;
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
  /**
   * Sends one request and resolves when the head of the answer is there, whatever its status; the body is then read piece
   * by piece. Fails as `send` does; the request's signal and its `exchange` end the body too. `maxResponseBytes` is of no
   * meaning here. Without it, streams cannot be had over this transport.
   */
  stream?(request: StreamRequest): Promise<StreamedResponse>;
  /** Opens WebSockets with the same proxy and certificates as `send`. Without it, no WebSockets are opened over this transport. */
  readonly dialWebSocket?: WebSocketDialer | undefined;
  /**
   * Whether the network stack below may send a request twice although its `repeatable` is false, as browsers do when a
   * reused connection dies. The client then makes requests that do no harm when they are repeated. Default false.
   */
  readonly mayResend?: boolean | undefined;
  /** Whether `send` takes a body in pieces. Default false. */
  readonly sendsChunks?: boolean | undefined;
  /**
   * Whether responses keep `Content-Length` and `Transfer-Encoding` as they were received: with neither, the end of the connection
   * ended the body, which may be cut. Default false.
   */
  readonly showsFraming?: boolean | undefined;
  /** Whether `send` calls a request's `onUploadProgress`; else a call that has one is refused. Default false. */
  readonly reportsUploads?: boolean | undefined;
  /** Loads what the first `send` would load. */
  ready?(): Promise<void>;
  /** Lets requests in flight end and frees the connections; streams that are open may be cut. */
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
  /** The body in pieces, in place of `body`: only where the transport `sendsChunks`. */
  readonly pieces?: readonly Uint8Array[] | undefined;
  /**
   * The most bytes that an answer may have. Of one that is no success no more than `MAX_ERROR_BYTES` are of use: what is
   * beyond may be left out, and the connection given up.
   */
  readonly maxResponseBytes: number;
  /** Fires when the exchange is to end at once. Made on first reading: who sets `exchange` need not pay for it. */
  readonly signal: AbortSignal;
  /** A transport may set this in place of listening to `signal`, which costs an eighth of all requests a second. */
  exchange: Exchange | undefined;
  /**
   * The request itself, if the client ends the exchange through `exchange` in every case. A transport that gets this very object
   * and sets `exchange` need not listen to `signal`. A copy of the request has another identity and still needs the signal.
   */
  readonly self?: unknown;
  /**
   * Set by the transport when the head of a response that is not a success has come: gives the response with the part of its body
   * that was received. If the rest of it fails or is late, the call fails with this response instead of the later error.
   */
  partial?: (() => TransportResponse) | undefined;
  /** To be called with how much of `body` has gone, from 0 on, by a transport that `reportsUploads`. */
  readonly onUploadProgress?: ((progress: UploadProgress) => void) | undefined;
  /**
   * False when the service must not receive the request twice, as with a put. Many runtimes resend a request by themselves
   * when a reused connection dies before the response: use a new connection where that cannot be switched off. Default true.
   */
  readonly repeatable?: boolean | undefined;
  /** To be called when the exchange really starts, if the transport had to prepare itself first. */
  onDispatch(): void;
  /** What the exchange waits for. At first `"headers"`; the transport keeps it true, as far as it can tell. */
  phase: "connect" | "headers" | "body";
}

/** How much of a request's body has been handed to the network. */
export interface UploadProgress {
  /** Bytes that have gone. */
  readonly loaded: number;
  /** All bytes of the body, as it is sent: compressed, where it is. */
  readonly total: number;
}

/** The parts of a `DecompressionStream` that are used. Not every consumer's compiler knows that type. */
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

/** What is used of a `ReadableStream` of bytes, a name that a consumer's compiler need not know. */
export interface ByteStream {
  getReader(): {
    read(): Promise<{ done: false; value: Uint8Array } | { done: true; value?: Uint8Array | undefined }>;
    cancel(reason?: unknown): Promise<void>;
  };
}

/** An attempt whose answer is read piece by piece. */
export interface StreamRequest extends Omit<TransportRequest, "body"> {
  /**
   * A stream is sent piece by piece as it comes, and cancelled when the exchange ends before it; where the runtime cannot
   * send streams, as in browsers, it is read whole first.
   */
  readonly body: Uint8Array | ByteStream | null;
}

/** An exchange under way that can be ended. */
export interface Exchange {
  /** Rejects the promise of `send` with `reason` at once and gives the connection up. */
  cancel(reason: unknown): void;
}

/** A header's name and value. */
export type HeaderPair = readonly [name: string, value: string];

/** An answer whose body is still to come. */
export interface StreamedResponse {
  readonly status: number;
  readonly headers: Headers;
  /** The `Content-Encoding` that the pieces still have; undefined where the runtime undoes it, or there is none. */
  readonly contentEncoding: string | undefined;
  /** As in `TransportResponse`. */
  readonly isUndelimited?: boolean | undefined;
  /**
   * Resolves with the next piece, or with undefined at the end. One read at a time. While no read is pending, the server is
   * held back. Rejects with a `TransportError` when the connection breaks, or with the reason of `cancel`. The piece is the
   * caller's own memory. With `isBorrowed`, the caller reads it once, in the turn in which it gets it, and the transport need
   * not copy it. Default: false.
   */
  read(isBorrowed?: boolean): Promise<Bytes | undefined>;
  /** Gives the connection up; a read that waits rejects with `reason`. Without effect after the end. */
  cancel(reason: unknown): void;
}

/**
 * Opens a WebSocket to a `ws:` or `wss:` URL, and resolves when it is open. Rejects with a `TransportError`, which has
 * the `response` to a refused upgrade where the runtime exposes it, otherwise its `status`, or immediately with the signal's
 * reason. Follows no redirects, offers no extensions and has no timeout of its own: the signal is the deadline.
 */
export type WebSocketDialer = (url: string, options: WebSocketDialOptions) => Promise<WebSocketConnection>;

/** What a dial needs beside the URL. */
export interface WebSocketDialOptions {
  /** Sent with the upgrade; each name once. */
  readonly headers: readonly HeaderPair[];
  /** Subprotocols to offer, best first. Default: none. */
  readonly protocols?: readonly string[] | undefined;
  /**
   * The most bytes of a message. A dialer that can ends the connection at the head of a larger one, whose `onClose` then
   * says `tooLarge`; others may hand it over. Default: no limit.
   */
  readonly maxMessageBytes?: number | undefined;
  /** Ends the dial. Has no say over the connection once it is open, and keeps no listener. */
  readonly signal: AbortSignal;
}

/**
 * An open WebSocket. Messages and the close come in their order, each to its callback; what has no callback yet waits
 * for it. Setting a callback hands over at once what has waited. Callbacks must not throw.
 */
export interface WebSocketConnection {
  /** The subprotocol that the server chose; undefined or empty when there is none. */
  readonly protocol?: string | undefined;
  /**
   * Takes a binary message as bytes, a text message as text. The bytes are a view that the socket will not write to
   * again, but that may keep the larger memory of a network read alive: copy what is to be kept for long.
   */
  onMessage: ((data: Bytes | string) => void) | undefined;
  /** Called once, after the last message, whoever ended the connection. */
  onClose: ((close: WebSocketClose) => void) | undefined;
  /** Called when a pong arrives; never where there is no `ping`. Pongs do not wait for a callback. */
  onPong: (() => void) | undefined;
  /** Sends bytes as a binary message or text as a text message; without effect when the connection is ending. */
  send(data: Uint8Array | string): void;
  /** Sends an empty ping; undefined where the runtime has no ping frames. */
  readonly ping: (() => void) | undefined;
  /** Reads no more, so that the server is held back; pongs and the close stay unread as well. Undefined where it cannot. */
  readonly pause: (() => void) | undefined;
  /** Ends a pause; messages that had been read already are handed over before it returns. */
  readonly resume: (() => void) | undefined;
  /**
   * Begins the closing handshake; messages may come until `onClose`, which waits for the server: who cannot wait calls
   * `terminate`. `code` is 1000 or 3000 to 4999, else the runtime throws; `reason` at most 123 bytes of UTF-8.
   */
  close(code: number, reason: string): void;
  /** Gives the connection up at once: no message comes after it, and `onClose` gets 1006 soon after. */
  terminate(): void;
}

/** How a connection ended. */
export interface WebSocketClose {
  /** The server's close code; 1005 when it gave none, 1006 when the connection ended without a close frame. */
  readonly code: number;
  /** The server's reason, or what the runtime says of a broken connection; may be empty. */
  readonly reason: string;
  /** Set when this side ended it because of a message of more than `maxMessageBytes`. */
  readonly tooLarge?: boolean | undefined;
}

/**
 * Bytes that are read of the body of an answer that is no success: the 64 KiB that errors keep, and as many more, so that a
 * token that crosses their end is seen whole.
 */
export const MAX_ERROR_BYTES = 131_072;

/** Whether a status is a success, whose body is wanted whole. */
export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
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
