import type { Bytes } from "../../formats/request.js";
import type { AcceptedSocket, EmulatorServiceSocket } from "../server/socket.js";

/** A request to a service, as passed to its handler. */
export interface EmulatorCall {
  /** Name of the service. */
  readonly service: string;
  /** HTTP method. */
  readonly method: string;
  /** Path after the service name: `""`, or text that starts with `/`. It is not percent-decoded. */
  readonly path: string;
  /** Query parameters. */
  readonly query: URLSearchParams;
  /** Request headers. */
  readonly headers: Headers;
  /**
   * The body, decompressed by its `Content-Encoding` or the service's `decompressor`. The emulator's log contains the
   * original bytes.
   */
  readonly body: Bytes;
  /** Fires when the caller disconnects. */
  readonly signal: AbortSignal;
}

/** The result of a handler. Text and bytes are sent with status 200. */
export type EmulatorResult = string | Uint8Array | Response;

/**
 * Computes a service's response. If the handler throws, the emulator responds with 400, like EAS for a custom
 * processor.
 */
export type EmulatorHandler = (call: EmulatorCall) => EmulatorResult | Promise<EmulatorResult>;

/**
 * Compression format of request bodies, as named by EAS. `"lz4"` accepts both frames and raw blocks that do not contain
 * their length, because a raw block cannot be mistaken for a frame.
 */
export type EmulatorDecompressor = "gzip" | "zlib" | "snappy" | "lz4" | "zstd";

/** The `Content-Encoding` values that the emulator decompresses. Other values are refused with status 415. */
export type EmulatorContentEncoding = "gzip" | "deflate" | "snappy" | "lz4" | "zstd";

/**
 * Compression format of responses. `"zlib"` and `"deflate"` produce the same bytes under different names. `"lz4"` is a raw
 * block, whose length is sent in `X-LZ4-Original-Length`. `Content-Encoding` is `lz4` for both blocks and frames.
 */
export type EmulatorCompressor = "gzip" | "zlib" | "deflate" | "snappy" | "lz4" | "lz4-frame" | "zstd";

/** The result of a WebSocket upgrade: a response that refuses it, or the function that attaches the socket. */
export type UpgradeResult = Response | AcceptedSocket["attach"];

/** An emulated service. */
export interface EmulatorService {
  /** Computes the response to each request. */
  readonly handle: EmulatorHandler;
  /** The service's token; `""` accepts every caller. Default: the emulator's token. */
  readonly token?: string | undefined;
  /**
   * Handles a WebSocket that a caller has opened. The call has no body. If the handler throws or rejects, the
   * connection is closed with 1011. Default: WebSocket upgrades are refused with status 400.
   */
  readonly socket?: ((call: EmulatorCall, socket: EmulatorServiceSocket) => void | Promise<void>) | undefined;
  /**
   * Accepts or refuses WebSocket upgrades instead of `socket`. A `Response` refuses the upgrade. A function is called like
   * `AcceptedSocket.attach`, so the service sees pings and can break the connection. Default: `socket` handles them.
   */
  readonly accept?: ((call: EmulatorCall) => UpgradeResult | Promise<UpgradeResult>) | undefined;
  /**
   * Subprotocols that `socket` supports. The first of these that the caller offers is chosen. Default: the first that
   * the caller offers.
   */
  readonly protocols?: readonly string[] | undefined;
  /** Accepted methods. Other methods are refused with status 405. Default: POST. */
  readonly methods?: readonly string[] | undefined;
  /**
   * Compression format of request bodies, as set with `metadata.rpc.decompressor` on EAS. The handler receives the
   * decompressed body. A body that cannot be decompressed is refused with status 400. Signatures cover the compressed
   * body. Default: bodies without a `Content-Encoding` are not decompressed.
   */
  readonly decompressor?: EmulatorDecompressor | undefined;
  /**
   * The `Content-Encoding` that requests must have. PMML services, for example, require `"gzip"`. Requests without it
   * are refused with status 415. Default: any known encoding, or none.
   */
  readonly contentEncoding?: EmulatorContentEncoding | undefined;
  /** Compresses successful responses and sets `Content-Encoding`. Default: responses are not compressed. */
  readonly compressor?: EmulatorCompressor | undefined;
}
