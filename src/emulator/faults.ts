import { argumentRangeError, show } from "../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../util/option-names.js";
import { pause, raceAbort } from "../util/timing/abort.js";

/** A failure to inject into the next matching requests. */
export interface Fault {
  /** Applies only to requests to this service. Default: any service. */
  readonly service?: string | undefined;
  /** Applies only to discovery requests. Other faults do not apply to discovery. Default false. */
  readonly discovery?: boolean | undefined;
  /** Number of requests that the fault applies to. Default 1. */
  readonly times?: number | undefined;
  /** Time to wait before the fault takes effect, in milliseconds. Default: no delay. */
  readonly delay?: number | undefined;
  /** Status to respond with instead of calling the service. */
  readonly status?: number | undefined;
  /** Body of the response with `status`. Default: empty. */
  readonly body?: string | Uint8Array | undefined;
  /** Headers of the response with `status`. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Whether to close the connection after the response. Default true for status 408 and 450, as on EAS, and false otherwise. */
  readonly close?: boolean | undefined;
  /** Point at which to reset the connection: before the response headers or in the middle of the body. */
  readonly reset?: "before-headers" | "in-body" | undefined;
  /**
   * Point at which to close the connection gracefully (FIN), as a server that shuts down does: before the response headers or in
   * the middle of the body. Without a network, this option has the same effect as `reset`.
   */
  readonly end?: "before-headers" | "in-body" | undefined;
  /** Point at which to stop sending indefinitely: before the response headers or in the middle of the body. */
  readonly stall?: "before-headers" | "in-body" | undefined;
  /**
   * Text to append to the truncated body, like a server that fails after sending status 200. For the `llm` service, use
   * `'data: {"error": {"message": "out of memory", "code": 500}}\n\n'`.
   */
  readonly failure?: string | undefined;
  /**
   * Number of chunks or WebSocket messages to send before the body breaks. On a real socket, a reset may overtake the
   * last chunks. A body with fewer chunks breaks at its end. A body with a `Content-Length` is cut in half instead.
   * Default 2; must be an integer of at least 0.
   */
  readonly chunks?: number | undefined;
}

const FAULT_OPTIONS: OptionNames<Fault> = {
  service: 1,
  discovery: 1,
  times: 1,
  delay: 1,
  status: 1,
  body: 1,
  headers: 1,
  close: 1,
  reset: 1,
  end: 1,
  stall: 1,
  failure: 1,
  chunks: 1,
};

/** Default for `Fault.chunks`. */
export const DEFAULT_CHUNKS = 2;

/** The faults that have not been consumed yet. */
export class FaultQueue {
  #faults: { readonly fault: Fault; left: number }[] = [];

  /** Adds a fault. Throws a `TypeError` for unknown options, and a `RangeError` if `chunks` is invalid. */
  add(fault: Fault): void {
    checkOptionNames("fault", fault, FAULT_OPTIONS);
    const { chunks = DEFAULT_CHUNKS } = fault;
    if (!Number.isInteger(chunks) || chunks < 0) {
      throw argumentRangeError("ERR_EAS_ARG_OPTION", `chunks is ${show(chunks)}: it must be an integer of at least 0`);
    }
    this.#faults.push({ fault, left: fault.times ?? 1 });
  }

  clear(): void {
    this.#faults = [];
  }

  /** Removes a fault that has not been consumed yet. */
  remove(fault: Fault): void {
    this.#faults = this.#faults.filter((entry) => entry.fault !== fault);
  }

  /** The faults that have not been consumed yet, in the order in which they apply. */
  get pending(): readonly Fault[] {
    return this.#faults.map(({ fault }) => fault);
  }

  /** Returns the first fault that matches a service or a discovery request, and consumes one use of it. */
  take(service: string | undefined, isDiscovery = false): Fault | undefined {
    const found = this.#faults.find(
      ({ fault }) =>
        (fault.discovery ?? false) === isDiscovery && (fault.service === undefined || fault.service === service),
    );
    if (found === undefined) return undefined;
    found.left--;
    if (found.left <= 0) this.#faults = this.#faults.filter((entry) => entry !== found);
    return found.fault;
  }
}

const brokenByFault = new WeakSet<object>();
const endedByFault = new WeakSet<object>();

/** Whether an error was created by `resetConnection`, `endConnection` or `refuseConnection`. */
export function isBrokenByFault(error: unknown): boolean {
  return typeof error === "object" && error !== null && brokenByFault.has(error);
}

/** Creates the error that makes the server reset the connection. */
export function resetConnection(): Error {
  return intended("connection reset by an injected fault", "ECONNRESET");
}

/** Creates the error that makes the server close the connection gracefully. */
export function endConnection(): Error {
  const error = intended("connection closed by an injected fault", "UND_ERR_SOCKET");
  endedByFault.add(error);
  return error;
}

/** Whether an error was created by `endConnection`. */
export function isEndedByFault(error: unknown): boolean {
  return typeof error === "object" && error !== null && endedByFault.has(error);
}

/** Creates the error for a connection to an instance that is not listening. */
export function refuseConnection(): Error {
  return intended("connect ECONNREFUSED", "ECONNREFUSED");
}

function intended(message: string, code: string): Error {
  const error = Object.assign(new Error(message), { code });
  brokenByFault.add(error);
  return error;
}

/** Waits for `milliseconds`, or indefinitely if `milliseconds` is undefined. Rejects when the caller disconnects. */
export function delay(milliseconds: number | undefined, signal: AbortSignal): Promise<void> {
  return milliseconds === undefined ? raceAbort(new Promise<void>(() => {}), signal) : pause(milliseconds, signal);
}

/** EAS closes the connection after these statuses: 408 after a keep-alive timeout, 450 when the request queue is full. */
const CLOSING_STATUSES: readonly (number | undefined)[] = [408, 450];

/** Whether the connection is closed after the response. */
export function closesAfter(fault: Fault | undefined): boolean {
  return fault?.close ?? CLOSING_STATUSES.includes(fault?.status);
}

/** Whether a fault breaks the response in the middle of its body. */
export function breaksBody(fault: Fault | undefined): fault is Fault {
  const isBroken = [fault?.reset, fault?.end, fault?.stall].includes("in-body");
  return isBroken || fault?.failure !== undefined;
}

/**
 * Applies the part of a fault that takes effect before the response headers. Rejects with the error that breaks the
 * connection.
 */
export async function breakBeforeHead(fault: Fault | undefined, signal: AbortSignal): Promise<void> {
  if (fault?.delay !== undefined) await delay(fault.delay, signal);
  if (fault?.reset === "before-headers") throw resetConnection();
  if (fault?.end === "before-headers") throw endConnection();
  if (fault?.stall === "before-headers") await delay(undefined, signal);
}

/**
 * Returns the response with a truncated body. After that, the body breaks, stalls, or ends with the text in
 * `fault.failure`.
 */
export async function breakBody(response: Response, fault: Fault): Promise<Response> {
  const { status, statusText } = response;
  const headers = new Headers(response.headers);
  const isWhole = headers.has("content-length");
  const reader = isWhole ? undefined : response.body?.getReader();
  const half = isWhole ? await firstHalf(response) : undefined;
  // Drop the length, which is wrong once text is appended.
  if (fault.failure !== undefined) headers.delete("content-length");
  let left = half === undefined ? (fault.chunks ?? DEFAULT_CHUNKS) : Math.min(half.length, 1);
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = left-- > 0 ? (half ?? (await reader?.read())?.value) : undefined;
        if (next !== undefined) {
          controller.enqueue(next);
        } else if (fault.failure !== undefined) {
          controller.enqueue(new TextEncoder().encode(fault.failure));
          controller.close();
          await reader?.cancel();
        } else if (fault.reset === "in-body" || fault.end === "in-body") {
          controller.error(fault.reset === "in-body" ? resetConnection() : endConnection());
          await reader?.cancel();
        } else {
          // A `pull` that never resolves makes the body stall.
          await new Promise<void>(() => {});
        }
      },
      cancel: (reason) => reader?.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { status, statusText, headers });
}

async function firstHalf(response: Response): Promise<Uint8Array> {
  const whole = new Uint8Array(await response.arrayBuffer());
  return whole.subarray(0, Math.floor(whole.length / 2));
}
