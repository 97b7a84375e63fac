/**
 * A byte array over memory that is not shared between threads. In TypeScript before 5.7 the type is `Uint8Array`, and
 * in later versions `Uint8Array<ArrayBuffer>`.
 */
export type Bytes = ReturnType<Uint8Array["slice"]>;

/**
 * Compresses request bodies for a service that is configured to decompress them (`metadata.rpc.decompressor`).
 * `eas-prediction/compression/…` exports such codecs. Like the official SDKs, the client sends no `Content-Encoding`
 * unless `announceCompression` is set.
 *
 * @example
 * const brotli: CompressionCodec = { name: "brotli", compress: (bytes) => brotliCompressSync(bytes) };
 */
export interface CompressionCodec {
  /** Name of the codec in error messages, for example `"snappy"`. */
  readonly name: string;
  /** Returns the compressed form of `bytes`. Must not modify `bytes`. */
  compress(bytes: Uint8Array): Bytes | Promise<Bytes>;
  /** Lowercase `Content-Encoding` values that `decompress` can decode. Default: none. */
  readonly contentCodings?: readonly string[] | undefined;
  /**
   * Returns the decompressed form of `bytes`. Must throw a `RangeError` as soon as the output exceeds
   * `limits.maxBytes`, and any error for invalid input. A codec without this method only compresses requests.
   */
  decompress?(bytes: Uint8Array, limits: DecompressionLimits): Bytes | Promise<Bytes>;
}

/** The second argument of `CompressionCodec.decompress`. */
export interface DecompressionLimits {
  /** Maximum size of the output in bytes: the client's `maxResponseBytes`. */
  readonly maxBytes: number;
  /** The response headers. */
  readonly headers: Headers;
}

/** The compression of request bodies: the built-in `"gzip"` (RFC 1952) or `"zlib"` (RFC 1950), or a codec. */
export type Compression = "gzip" | "zlib" | CompressionCodec;

/**
 * The decompression of response bodies. `"auto"` follows `Content-Encoding` and supports gzip, zlib and the request's
 * codec. A list works like `"auto"` with additional codecs. A single compression is applied to every successful
 * response, regardless of its headers.
 */
export type Decompression = "auto" | Compression | readonly CompressionCodec[];

/** Options for the request classes. */
export interface RequestOptions {
  /** Compression of the body, applied when the request is sent. Default: the client's `compression`. */
  readonly compression?: Compression | undefined;
}

/**
 * A request that serializes itself and parses its response. Implement this interface to send your own format with
 * `PredictClient.predict`.
 *
 * @example
 * const ping: PredictRequest<number> = {
 *   contentType: "text/plain",
 *   toBinary: () => new TextEncoder().encode("ping"),
 *   parseResponse: (body) => body.length,
 * };
 */
export interface PredictRequest<R> {
  /** Value of the `Content-Type` header. Default `"application/octet-stream"`. */
  readonly contentType?: string | undefined;
  /** Compression of this request's body. Default: the client's `compression`. */
  readonly compression?: Compression | undefined;
  /**
   * Serializes the request. Called once per call, before `predict` returns its promise. The bytes must not change until
   * that promise settles.
   */
  toBinary(): Bytes;
  /**
   * Serializes the request to chunks, which are sent one after another. Used instead of `toBinary` for calls with
   * `zeroCopy` if the transport accepts chunks. The chunks may share memory with the arrays that the request was built
   * from.
   */
  toChunks?(): readonly Bytes[];
  /**
   * Parses the body of a successful response. May keep `body`. Should throw `EasDecodeError` if the body is invalid.
   */
  parseResponse(body: Bytes): R;
}
