import type { Exchange, HeaderPair, Transport, TransportRequest, TransportResponse } from "../platform/platform.js";
import { Expiring, type Timeouts } from "./timeouts.js";

/** One attempt of a call: the request that a transport sees, its clock, and its one way to be ended early. */
export class Attempt extends Expiring implements TransportRequest {
  readonly method: string;
  readonly origin: string;
  readonly path: string;
  readonly headers: readonly HeaderPair[];
  readonly body: Uint8Array | null;
  readonly maxResponseBytes: number;
  exchange: Exchange | undefined;
  phase: "connect" | "headers" | "body" = "headers";
  /** True when it was ended by its own clock: asked before any runtime's word for what happened. */
  expired = false;

  readonly #timeouts: Timeouts;
  readonly #timeout: number;
  #controller: AbortController | undefined;
  #reject: ((reason: unknown) => void) | undefined;

  constructor(
    request: Pick<TransportRequest, "method" | "origin" | "path" | "headers" | "body" | "maxResponseBytes">,
    timeouts: Timeouts,
    timeout: number,
  ) {
    super();
    this.method = request.method;
    this.origin = request.origin;
    this.path = request.path;
    this.headers = request.headers;
    this.body = request.body;
    this.maxResponseBytes = request.maxResponseBytes;
    this.#timeouts = timeouts;
    this.#timeout = timeout;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  /** Sends through `transport`, with the clock running until `settle`. Rejects at once when cancelled or expired. */
  send(transport: Transport): Promise<TransportResponse> {
    this.#timeouts.start(this, this.#timeout);
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      transport.send(this).then(resolve, reject);
    });
  }

  /** Waits for work on the answer, such as decompression, under the same clock. */
  outlive<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      work.then(resolve, reject);
    });
  }

  /** Starts the clock anew: what the transport did before was its own preparation. */
  onDispatch(): void {
    if (this.#reject === undefined) return;
    this.#timeouts.stop(this);
    this.#timeouts.start(this, this.#timeout);
  }

  /** Stops the clock: the last byte is decoded, or the attempt has failed. */
  settle(): void {
    this.#timeouts.stop(this);
    this.#reject = undefined;
  }

  /** Ends the attempt with `reason`, whether or not the transport listens. */
  cancel(reason: unknown): void {
    const reject = this.#reject;
    if (reject === undefined) return;
    this.settle();
    reject(reason);
    this.exchange?.cancel(reason);
    this.#controller?.abort(reason);
  }

  override expire(): void {
    this.expired = true;
    this.cancel(undefined);
  }
}
