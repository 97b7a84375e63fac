/**
 * A byte array over memory that is not shared between threads: `Uint8Array` before TypeScript 5.7,
 * `Uint8Array<ArrayBuffer>` from then on.
 */
export type Bytes = ReturnType<Uint8Array["slice"]>;

/**
 * A compression of whole bodies that the service is configured to undo (`metadata.rpc.decompressor`).
 * No EAS SDK sends `Content-Encoding`: both sides simply agree. Those of `eas-prediction/compression/…` are such objects.
 */
export interface CompressionCodec {
  /** The name shown in errors, for example `"snappy"`. */
  readonly name: string;
  /** Returns the compressed form of `bytes`, which it must not change. */
  compress(bytes: Uint8Array): Bytes | Promise<Bytes>;
  /** The values of `Content-Encoding`, in lower case, that `decompress` undoes; none when absent. */
  readonly contentCodings?: readonly string[] | undefined;
  /**
   * Undoes `compress`; a codec without it serves requests only. Must throw a `RangeError` as soon as the output passes
   * `maxBytes`, and any error for what it cannot undo: what it returns is taken for the true body.
   */
  decompress?(bytes: Uint8Array, limits: DecompressionLimits): Bytes | Promise<Bytes>;
}

/** What a decompression has to know beside the bytes. */
export interface DecompressionLimits {
  /** The most bytes that may come out: the client's `maxResponseBytes`. */
  readonly maxBytes: number;
  /** The headers that came with the bytes. */
  readonly headers: Headers;
}

/** `"gzip"` (RFC 1952) and `"zlib"` (RFC 1950) are built in; any other compression is an object. */
export type Compression = "gzip" | "zlib" | CompressionCodec;

/**
 * How the bodies of answers are decompressed. `"auto"`: as their `Content-Encoding` says, by gzip, zlib and the codec of
 * the request. A list: the same, with its codecs too. One compression: every successful answer has it, whatever its headers
 * say.
 */
export type Decompression = "auto" | Compression | readonly CompressionCodec[];

/** How a request object of this package is sent. */
export interface RequestOptions {
  /** Compression of the body; the client's own when absent. The call compresses, not the request. */
  readonly compression?: Compression | undefined;
}

/**
 * What every request object is: something that serializes itself and knows how to read its answer.
 * Implement it to send a format of your own through `PredictClient.predict`.
 */
export interface PredictRequest<R> {
  /** Value of the `Content-Type` header; `application/octet-stream` when absent. */
  readonly contentType?: string | undefined;
  /** Compression of this request's body; the client's own when absent. */
  readonly compression?: Compression | undefined;
  /**
   * Serializes the request. Called once for a call, before `predict` returns its promise; the bytes belong to the
   * caller of this method.
   */
  toBinary(): Bytes;
  /**
   * As `toBinary`, in pieces that are sent one after another. Called in its place for a call with `zeroCopy`, over connections
   * that can send pieces: they may then be memory of whoever built the request.
   */
  toChunks?(): readonly Bytes[];
  /** Reads the body of a successful answer. The bytes are this response's own. Throws `EasDecodeError`. */
  parseResponse(body: Bytes): R;
}
