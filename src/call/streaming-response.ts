import type { Bytes } from "../formats/request.js";
import type { StreamedResponse } from "../platform/contract.js";

/**
 * A response whose body is still streaming. Converts transport errors to call errors, and runs each `atEnd` callback
 * once.
 */
export class StreamingResponse implements StreamedResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly contentEncoding: string | undefined;
  /** Number of bytes received so far. */
  length = 0;
  readonly #response: StreamedResponse;
  readonly #explain: (error: unknown) => unknown;
  #ends: ((error: unknown) => void)[] = [];
  #end: { readonly error: unknown } | undefined;

  /** `explain` converts a transport error to a call error. */
  constructor(response: StreamedResponse, explain: (error: unknown) => unknown) {
    this.status = response.status;
    this.headers = response.headers;
    this.contentEncoding = response.contentEncoding;
    this.#response = response;
    this.#explain = explain;
  }

  /**
   * Calls `done` once when the body ends: with undefined on success, otherwise with the error or the reason of the
   * cancellation.
   */
  atEnd(done: (error: unknown) => void): void {
    if (this.#end) done(this.#end.error);
    else this.#ends.push(done);
  }

  read(isBorrowed?: boolean): Promise<Bytes | undefined> {
    return this.#response.read(isBorrowed).then(this.#onChunk, this.#onError);
  }

  readonly #onChunk = (chunk: Bytes | undefined): Bytes | undefined => {
    if (chunk === undefined) this.#finish(undefined);
    else this.length += chunk.length;
    return chunk;
  };

  readonly #onError = (thrown: unknown): never => {
    this.#finish(this.#end ? this.#end.error : this.#explain(thrown));
    throw this.#end?.error;
  };

  cancel(reason: unknown): void {
    this.#finish(reason === undefined ? undefined : this.#explain(reason));
    this.#response.cancel(reason);
  }

  #finish(error: unknown): void {
    if (this.#end) return;
    this.#end = { error };
    for (const done of this.#ends) done(error);
    this.#ends = [];
  }
}
