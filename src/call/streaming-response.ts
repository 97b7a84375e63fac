import type { Bytes } from "../formats/request.js";
import type { StreamedResponse } from "../platform/contract.js";

/**
 * An answer of a call whose body is still to come. Its errors are the call's own, and it tells once when there is no more to
 * come.
 */
export class StreamingResponse implements StreamedResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly contentEncoding: string | undefined;
  /** Bytes that have come. */
  length = 0;
  readonly #response: StreamedResponse;
  readonly #explain: (error: unknown) => unknown;
  #ends: ((error: unknown) => void)[] = [];
  #end: { readonly error: unknown } | undefined;

  /** `explain` makes the call's error of what a transport threw. */
  constructor(response: StreamedResponse, explain: (error: unknown) => unknown) {
    this.status = response.status;
    this.headers = response.headers;
    this.contentEncoding = response.contentEncoding;
    this.#response = response;
    this.#explain = explain;
  }

  /** Calls `done` once when the body has ended: with undefined, or with why it broke off or was given up. */
  atEnd(done: (error: unknown) => void): void {
    if (this.#end) done(this.#end.error);
    else this.#ends.push(done);
  }

  read(isBorrowed?: boolean): Promise<Bytes | undefined> {
    return this.#response.read(isBorrowed).then(this.#onPiece, this.#onError);
  }

  readonly #onPiece = (piece: Bytes | undefined): Bytes | undefined => {
    if (piece === undefined) this.#finish(undefined);
    else this.length += piece.length;
    return piece;
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
