import type { Bytes } from "../../formats/request.js";
import type { AcceptedSocket, EmulatorServiceSocket } from "../server/socket.js";

/** One call as a service's handler sees it. */
export interface EmulatorCall {
  /** The service's name. */
  readonly service: string;
  readonly method: string;
  /** Path behind the service: `""`, or text that begins with `/`; as it came, percent-encoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  /** Decompressed by its `Content-Encoding` or the service's `decompressor`. The emulator's log has the received bytes. */
  readonly body: Bytes;
  /** Fires when the caller has gone. */
  readonly signal: AbortSignal;
}

/** What a handler may answer with: text and bytes are answered with 200. */
export type EmulatorAnswer = string | Uint8Array | Response;

/** Computes a service's answer. What it throws is answered with 400, as EAS does for a custom processor. */
export type EmulatorHandler = (call: EmulatorCall) => EmulatorAnswer | Promise<EmulatorAnswer>;

/**
 * What a service undoes bodies with, by EAS's names. `"lz4"` takes frames, and raw blocks without their length, which no
 * frame can be taken for.
 */
export type EmulatorDecompressor = "gzip" | "zlib" | "snappy" | "lz4" | "zstd";

/** The values of `Content-Encoding` that the emulator decompresses; requests with another one are answered with 415. */
export type EmulatorContentEncoding = "gzip" | "deflate" | "snappy" | "lz4" | "zstd";

/**
 * What a service compresses its answers with. `"zlib"` and `"deflate"` are the same bytes under two names. `"lz4"` is a raw
 * block, with its length in `X-LZ4-Original-Length`; `Content-Encoding` is `lz4` for block and frame alike.
 */
export type EmulatorCompressor = "gzip" | "zlib" | "deflate" | "snappy" | "lz4" | "lz4-frame" | "zstd";

/** What a service may answer an upgrade with: the answer that refuses it, or what is attached to the socket. */
export type SocketAnswer = Response | AcceptedSocket["attach"];

/** A service behind the emulated gateway. */
export interface EmulatorService {
  readonly handle: EmulatorHandler;
  /** The service's token. Default the emulator's; `""` takes every caller. */
  readonly token?: string | undefined;
  /**
   * Speaks over a WebSocket that a caller has opened, whose call has no body. What it throws closes the connection with 1011.
   * Default: who asks for a WebSocket is answered with 400.
   */
  readonly socket?: ((call: EmulatorCall, socket: EmulatorServiceSocket) => void | Promise<void>) | undefined;
  /**
   * Decides on each WebSocket in place of `socket`: a `Response` refuses the upgrade, and a function is attached to the socket
   * as that of an `AcceptedSocket`, so that it sees pings and can break the connection. Default: `socket` decides.
   */
  readonly accept?: ((call: EmulatorCall) => SocketAnswer | Promise<SocketAnswer>) | undefined;
  /** Subprotocols that `socket` speaks; the first that the caller offers of them is chosen. Default: whichever it offers first. */
  readonly protocols?: readonly string[] | undefined;
  /** Methods that it takes; others are answered with 405. Default POST. */
  readonly methods?: readonly string[] | undefined;
  /**
   * What bodies are compressed with, as `metadata.rpc.decompressor` says it to EAS: the handler sees them undone, and a body
   * that cannot be undone is answered with 400. Authorization is over the body as it came. Default: bodies are left alone.
   */
  readonly decompressor?: EmulatorDecompressor | undefined;
  /**
   * The `Content-Encoding` that requests must have, as PMML services require `"gzip"`; requests without it are answered with 415.
   * Default: any coding that the emulator knows, or none.
   */
  readonly contentEncoding?: EmulatorContentEncoding | undefined;
  /** Compresses successful answers and says so in `Content-Encoding`. Default: answers are left alone. */
  readonly compressor?: EmulatorCompressor | undefined;
}
