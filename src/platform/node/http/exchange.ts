import type { Dispatcher } from "undici";
import type { Bytes } from "../../../formats/request.js";
import { copyChunks, joinChunks, pushChunk } from "../../chunks.js";
import {
  type Exchange,
  isSuccess,
  MAX_ERROR_BYTES,
  responseTooLarge,
  type TransportRequest,
  type TransportResponse,
} from "../../contract.js";
import { failureOf, type Progress } from "../errors.js";
import { Connection } from "./connection.js";
import { bodyHeaders, hasBody, isBodiless, isDelimited, type RawHeaders, toHeaders } from "./raw-headers.js";
import type { Traffic } from "./traffic.js";

/**
 * Maximum body size, in bytes, for which memory is allocated as soon as a `Content-Length` is received. For a larger
 * body, memory is allocated only after an eighth of the body has arrived.
 */
const AT_ONCE_BYTES = 1_048_576;
const EIGHTH = 8;

/**
 * undici's handler for an exchange whose response is buffered. Implements undici's legacy handler interface, which
 * passes raw headers: with the newer interface, undici parses headers and trailers, which costs a tenth of the
 * throughput.
 */
export class BufferedExchange implements Dispatcher.DispatchHandler, Exchange {
  private readonly request: TransportRequest;
  private readonly resolve: (response: TransportResponse) => void;
  private readonly reject: (reason: unknown) => void;
  private readonly traffic: Traffic;
  private abort: ((reason: Error) => void) | undefined = undefined;
  private connection: Connection | undefined = undefined;
  private settled = false;
  private status = 0;
  private headers: RawHeaders = [];
  private contentEncoding: string | undefined = undefined;
  private isBodiless = false;
  private isUndelimited = false;
  /** Memory for the whole body, if its length is known. */
  private body: Bytes | undefined = undefined;
  private chunks: Uint8Array[] | undefined = undefined;
  /** Number of bytes received so far. */
  private length = 0;
  /** Value of `Content-Length`, or 0 if the header is missing. */
  private stated = 0;
  private maxBytes = 0;

  constructor(
    request: TransportRequest,
    resolve: (response: TransportResponse) => void,
    reject: (reason: unknown) => void,
    traffic: Traffic,
  ) {
    this.request = request;
    this.resolve = resolve;
    this.reject = reject;
    this.traffic = traffic;
    traffic.begin();
    request.exchange = this;
    request.phase = "connect";
  }

  cancel(reason: unknown): void {
    if (this.settle()) this.reject(reason);
    this.abort?.(new Error("cancelled"));
  }

  onConnect(abort: (reason?: Error) => void): void {
    // A request that is waiting for a connection cannot be withdrawn, so it is rejected here, before any byte is
    // written. Calling `abort` instead would also close the connection.
    if (this.settled) throw new Error("cancelled");
    this.abort = abort;
    this.request.phase = "headers";
  }

  onHeaders(status: number, headers: Buffer[]): boolean {
    if (status >= 200) this.start(status, headers);
    return true;
  }

  private start(status: number, headers: RawHeaders): void {
    const { request } = this;
    const found = bodyHeaders(headers);
    this.connection = Connection.parsing;
    this.status = status;
    this.headers = headers;
    this.contentEncoding = found.contentEncoding;
    request.phase = "body";
    if (isBodiless(request.method, status)) {
      this.isBodiless = true;
      // Close the connection if the server announces a body for a response that must not have one. If the server sent
      // that body, it would be parsed as the next response.
      if (hasBody(found)) this.connection?.drop();
      return;
    }
    this.isUndelimited = !isDelimited(found);
    const success = isSuccess(status);
    this.maxBytes = success ? request.maxResponseBytes : Math.min(request.maxResponseBytes, MAX_ERROR_BYTES);
    if (!success) request.partial = () => this.response(true);
    this.stated = found.length ?? 0;
    if (this.stated <= this.maxBytes) this.allocate();
    else if (success) this.tooLarge();
  }

  onData(chunk: Buffer): boolean {
    this.receive(chunk);
    return true;
  }

  private receive(chunk: Buffer): void {
    const offset = this.length;
    this.length += chunk.length;
    if (this.body !== undefined) {
      if (this.length <= this.body.length) {
        this.body.set(chunk, offset);
        return;
      }
      // The body is longer than its Content-Length.
      this.chunks = [this.body.subarray(0, offset)];
      this.body = undefined;
      this.stated = 0;
    }
    if (this.length > this.maxBytes && isSuccess(this.status)) {
      this.tooLarge();
      return;
    }
    this.chunks ??= [];
    pushChunk(this.chunks, chunk);
    if (this.length > this.maxBytes) this.cutOff();
    else if (this.stated <= this.maxBytes) this.allocate();
  }

  /** Allocates memory for a body of known length, unless too little of it has arrived to trust the stated length. */
  private allocate(): void {
    if (this.stated > Math.max(AT_ONCE_BYTES, this.length * EIGHTH) || this.stated === 0) return;
    this.body = new Uint8Array(this.stated);
    copyChunks(this.chunks ?? [], this.body);
    this.chunks = undefined;
  }

  onComplete(): void {
    const error = this.isUndelimited ? this.connection?.error : undefined;
    if (!this.settle()) return;
    if (error === undefined) this.resolve(this.response(false));
    else this.reject(failureOf(error, this.progress));
  }

  onError(error: Error): void {
    if (!this.settle()) return;
    // A response without a body is complete as soon as its headers have arrived.
    if (this.isBodiless) this.resolve(this.response(false));
    else this.reject(failureOf(error, this.progress));
  }

  private response(truncated: boolean): BufferedResponse {
    const { body, length, isUndelimited } = this;
    let whole = body ?? joinChunks(this.chunks ?? [], length);
    if (whole.length > length) whole = whole.slice(0, length);
    return new BufferedResponse(this.status, this.headers, whole, this.contentEncoding, isUndelimited, truncated);
  }

  /**
   * Stops reading the body of an error response. The beginning is sufficient for the error, and the body may be
   * endless.
   */
  private cutOff(): void {
    const body = joinChunks(this.chunks ?? [], this.length).slice(0, this.maxBytes);
    if (!this.settle()) return;
    this.resolve(new BufferedResponse(this.status, this.headers, body, this.contentEncoding, false, false));
    this.cancel(undefined);
  }

  private tooLarge(): void {
    this.cancel(responseTooLarge(this.request.maxResponseBytes));
  }

  private get progress(): Progress {
    return { isSent: this.abort !== undefined, hasHead: this.status !== 0 };
  }

  /** Ends the exchange. Returns false if it has already ended. */
  private settle(): boolean {
    if (this.settled) return false;
    this.settled = true;
    this.traffic.end();
    return true;
  }
}

class BufferedResponse implements TransportResponse {
  readonly status: number;
  readonly body: Bytes;
  readonly contentEncoding: string | undefined;
  readonly isUndelimited: boolean;
  readonly isTruncated: boolean;
  readonly #raw: RawHeaders;

  constructor(
    status: number,
    raw: RawHeaders,
    body: Bytes,
    contentEncoding: string | undefined,
    isUndelimited: boolean,
    isTruncated: boolean,
  ) {
    this.status = status;
    this.#raw = raw;
    this.body = body;
    this.contentEncoding = contentEncoding;
    this.isUndelimited = isUndelimited;
    this.isTruncated = isTruncated;
  }

  get headers(): Headers {
    return toHeaders(this.#raw);
  }
}
