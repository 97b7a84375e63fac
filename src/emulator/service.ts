import type { Bytes } from "../request.js";

/** One call as a service's handler sees it. */
export interface EmulatorCall {
  /** The service's name. */
  readonly service: string;
  readonly method: string;
  /** Path behind the service: `""`, or text that begins with `/`; as it came, percent-encoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  readonly body: Bytes;
  /** Fires when the caller has gone. */
  readonly signal: AbortSignal;
}

/** What a handler may answer with: text and bytes are answered with 200. */
export type EmulatorAnswer = string | Uint8Array | Response;

/** Computes a service's answer. What it throws is answered with 400, as EAS does for a custom processor. */
export type EmulatorHandler = (call: EmulatorCall) => EmulatorAnswer | Promise<EmulatorAnswer>;

/** A service behind the emulated gateway. */
export interface EmulatorService {
  readonly handle: EmulatorHandler;
  /** The service's token. Default the emulator's; `""` takes every caller. */
  readonly token?: string | undefined;
  /** Methods that it takes; others are answered with 405. Default POST. */
  readonly methods?: readonly string[] | undefined;
}
