import type { CallOptions } from "../../config/options.js";

// The code of a batch is loaded by `predict/lazy.ts`, which the inputs and the client import. Therefore, it cannot
// import the types of these modules.

/** The part of a client that a batch uses. */
export interface Predictor {
  predict(request: Uint8Array, call: CallOptions): Promise<unknown>;
}

/** The iterator over the requests. */
export type Source = Iterator<unknown> | AsyncIterator<unknown>;

/** The requests of a batch. */
export interface BatchInput {
  readonly source: Source;
  /** Number of requests, if it is known. */
  readonly total: number | undefined;
  /** Serializes a request. Never throws. */
  measure(input: unknown): Measured;
}

/** A request of a batch, serialized. */
export interface Measured {
  /** The request to pass to `predict`. */
  readonly request: unknown;
  /** The size in bytes, before compression. */
  readonly size: number;
  /** The body. Undefined for a body that is read after the call has started, and for an invalid request. */
  readonly body: Uint8Array | undefined;
}
