import { argumentRangeError, show } from "../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../util/option-names.js";
import { pause, raceAbort } from "../util/timing/abort.js";

/** Something that is to go wrong with the next requests. */
export interface Fault {
  /** Only requests to this service. Default: any. */
  readonly service?: string | undefined;
  /** Only requests to discovery, which no other fault meets. Default false. */
  readonly discovery?: boolean | undefined;
  /** How many requests. Default 1. */
  readonly times?: number | undefined;
  /** Milliseconds to wait before anything else. */
  readonly delay?: number | undefined;
  /** Answer with this status in place of the service. */
  readonly status?: number | undefined;
  /** Body of that answer. Default empty. */
  readonly body?: string | Uint8Array | undefined;
  /** Headers of that answer. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Close the connection after the answer. Default true with the status 408 or 450, as EAS does, and false with others. */
  readonly close?: boolean | undefined;
  /** Break the connection, before the answer or in the middle of its body. */
  readonly reset?: "before-headers" | "in-body" | undefined;
  /**
   * Close the connection in good order (FIN), before the answer or in the middle of its body, as a server does that shuts down.
   * Without a network it looks like `reset`.
   */
  readonly end?: "before-headers" | "in-body" | undefined;
  /** Stop for ever, before the answer or in the middle of its body. */
  readonly stall?: "before-headers" | "in-body" | undefined;
  /**
   * End the body in its middle with this text, as a server does that fails when it has long said 200: for the service `llm`
   * `'data: {"error": {"message": "out of memory", "code": 500}}\n\n'`.
   */
  readonly failure?: string | undefined;
  /**
   * Where the middle is of a body that comes in chunks, and of a service's WebSocket: so many chunks or messages come through
   * first, of which a reset may overtake the last on a real socket. A body that has no more breaks at its end. Default 2. A
   * body with a `Content-Length` is cut in two.
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

/** What comes through of a body in chunks before its middle. */
export const DEFAULT_CHUNKS = 2;

/** Faults that are not used up yet. */
export class FaultQueue {
  #faults: { readonly fault: Fault; left: number }[] = [];

  add(fault: Fault): void {
    checkOptionNames("fault", fault, FAULT_OPTIONS);
    const { chunks = DEFAULT_CHUNKS } = fault;
    if (!Number.isInteger(chunks) || chunks < 0) {
      throw argumentRangeError("ERR_EAS_ARG_OPTION", `chunks is ${show(chunks)}: it must be a whole number, 0 or more`);
    }
    this.#faults.push({ fault, left: fault.times ?? 1 });
  }

  clear(): void {
    this.#faults = [];
  }

  /** The first fault for a service, or for discovery, used up by one. */
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

/** Whether an error was made by `resetConnection`, `endConnection` or `refuseConnection`. */
export function isBrokenByFault(error: unknown): boolean {
  return typeof error === "object" && error !== null && brokenByFault.has(error);
}

/** The error by which the gateway function says that the connection is to be broken. */
export function resetConnection(): Error {
  return intended("connection reset by an injected fault", "ECONNRESET");
}

/** The error that asks for the connection to be closed in good order. */
export function endConnection(): Error {
  const error = intended("connection closed by an injected fault", "UND_ERR_SOCKET");
  endedByFault.add(error);
  return error;
}

/** Whether an error was made by `endConnection`. */
export function isEndedByFault(error: unknown): boolean {
  return typeof error === "object" && error !== null && endedByFault.has(error);
}

/** The error by which the gateway function says that nothing listens. */
export function refuseConnection(): Error {
  return intended("connect ECONNREFUSED", "ECONNREFUSED");
}

function intended(message: string, code: string): Error {
  const error = Object.assign(new Error(message), { code });
  brokenByFault.add(error);
  return error;
}

/** Waits, indefinitely without `milliseconds`; rejects when the caller disconnects. */
export function delay(milliseconds: number | undefined, signal: AbortSignal): Promise<void> {
  return milliseconds === undefined ? raceAbort(new Promise<void>(() => {}), signal) : pause(milliseconds, signal);
}

/** EAS closes the connection after these: a keepalive that timed out, and a full queue of requests. */
const CLOSING_STATUSES: readonly (number | undefined)[] = [408, 450];

/** Whether the connection is closed after the answer. */
export function closesAfter(fault: Fault | undefined): boolean {
  return fault?.close ?? CLOSING_STATUSES.includes(fault?.status);
}

/** Whether a fault breaks an answer in its middle. */
export function breaksBody(fault: Fault | undefined): fault is Fault {
  const isBroken = [fault?.reset, fault?.end, fault?.stall].includes("in-body");
  return isBroken || fault?.failure !== undefined;
}

/** Breaks or stalls an answer before its head; rejects with the error that breaks the connection. */
export async function breakBeforeHead(fault: Fault | undefined, signal: AbortSignal): Promise<void> {
  if (fault?.delay !== undefined) await delay(fault.delay, signal);
  if (fault?.reset === "before-headers") throw resetConnection();
  if (fault?.end === "before-headers") throw endConnection();
  if (fault?.stall === "before-headers") await delay(undefined, signal);
}

/** The same answer to the middle of its body, where the connection breaks, or nothing more comes, or the fault's text ends it. */
export async function breakBody(response: Response, fault: Fault): Promise<Response> {
  const { status, statusText } = response;
  const headers = new Headers(response.headers);
  const isWhole = headers.has("content-length");
  const reader = isWhole ? undefined : response.body?.getReader();
  const half = isWhole ? await firstHalf(response) : undefined;
  // A text at the end would be more, or less, than the length that was said.
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
          // A pull that never ends is a body that stalls.
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
