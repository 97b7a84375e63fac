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
  /** Close the connection after the answer, as EAS does with a 408. */
  readonly close?: boolean | undefined;
  /** Break the connection, before the answer or in the middle of its body. */
  readonly reset?: "before-headers" | "in-body" | undefined;
  /** Stop for ever, before the answer or in the middle of its body. */
  readonly stall?: "before-headers" | "in-body" | undefined;
}

/** Faults that are not used up yet. */
export class FaultQueue {
  #faults: { readonly fault: Fault; left: number }[] = [];

  add(fault: Fault): void {
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

/** The error by which the gateway function says that the connection is to be broken. */
export function resetConnection(): Error {
  return Object.assign(new Error("connection reset by a fault"), { code: "ECONNRESET" });
}

/** The error by which the gateway function says that nobody listens. */
export function refuseConnection(): Error {
  return Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
}

/** Waits, for ever without `milliseconds`; rejects when the caller goes. */
export function pause(milliseconds: number | undefined, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer =
      milliseconds === undefined
        ? undefined
        : setTimeout(() => {
            signal.removeEventListener("abort", onAbort);
            resolve();
          }, milliseconds);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

/** The same answer with half of its body, after which the connection breaks or nothing more comes. */
export async function breakBody(response: Response, fault: Fault): Promise<Response> {
  const whole = new Uint8Array(await response.arrayBuffer());
  const half = whole.subarray(0, Math.floor(whole.length / 2));
  let sent = false;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (!sent && half.length > 0) {
        sent = true;
        controller.enqueue(half);
        return undefined;
      }
      if (fault.reset === "in-body") controller.error(resetConnection());
      // A pull that never ends is a body that stalls.
      return fault.stall === "in-body" ? new Promise<void>(() => {}) : undefined;
    },
  });
  return new Response(body, { status: response.status, headers: response.headers });
}
