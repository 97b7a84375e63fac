import type { Emulator, EmulatorLogEntry, RequestObserver } from "../emulator.js";
import { type Mask, PREVIEW_BYTES } from "./preview.js";
import { MAX_REQUESTS, type Outcome, type RequestDetails, type RequestSummary } from "./protocol.js";

/** Receives the progress of one request from the server. */
export interface Observation {
  /** Called with the response before its headers are sent; with the status 101 for an accepted WebSocket. */
  responded(response: Pick<Response, "status" | "headers">): void;
  /** Called for each chunk of the response body. The chunk is not kept. */
  sent(chunk: Uint8Array): void;
  /** Called at the end of the request. Only the first call has an effect. */
  ended(outcome: Outcome): void;
}

const NO_BYTES = new Uint8Array();

/** A request that the console keeps. Of its bodies, only the first `PREVIEW_BYTES` are kept. */
class ObservedRequest implements Observation {
  readonly id: number;
  readonly time: number = Date.now();
  readonly #startedAt: number = performance.now();
  readonly #onChange: (request: ObservedRequest) => void;
  #entry: EmulatorLogEntry | undefined;
  #requestStart = NO_BYTES;
  #requestBytes = 0;
  #status: number | undefined;
  #responseHeaders: [string, string][] = [];
  #responseStart = NO_BYTES;
  #responseBytes = 0;
  #headMs: number | undefined;
  #totalMs: number | undefined;
  #outcome: Outcome | undefined;

  constructor(id: number, onChange: (request: ObservedRequest) => void) {
    this.id = id;
    this.#onChange = onChange;
  }

  /** Called when the emulator has read the request. */
  arrived(entry: EmulatorLogEntry): void {
    this.#entry = entry;
    this.#requestStart = entry.body.slice(0, PREVIEW_BYTES);
    this.#requestBytes = entry.body.length;
    this.#onChange(this);
  }

  responded({ status, headers }: Pick<Response, "status" | "headers">): void {
    this.#status = status;
    this.#responseHeaders = [...headers];
    this.#headMs = performance.now() - this.#startedAt;
    this.#releaseBody();
    this.#onChange(this);
  }

  sent(chunk: Uint8Array): void {
    const room = PREVIEW_BYTES - this.#responseStart.length;
    if (room > 0) {
      const kept = new Uint8Array(this.#responseStart.length + Math.min(room, chunk.length));
      kept.set(this.#responseStart);
      kept.set(chunk.subarray(0, room), this.#responseStart.length);
      this.#responseStart = kept;
    }
    this.#responseBytes += chunk.length;
    this.#onChange(this);
  }

  ended(outcome: Outcome): void {
    if (this.#outcome !== undefined) return;
    this.#outcome = outcome;
    this.#totalMs = performance.now() - this.#startedAt;
    this.#releaseBody();
    this.#onChange(this);
  }

  /** Releases the body of the log entry. The entry's authentication is set by now. */
  #releaseBody(): void {
    if (this.#entry !== undefined) this.#entry = { ...this.#entry, body: NO_BYTES };
  }

  summary(mask: Mask): RequestSummary | undefined {
    if (this.#entry === undefined) return undefined;
    const { method, url, service, instance } = this.#entry;
    return {
      id: this.id,
      time: this.time,
      method,
      url: mask.url(url),
      service,
      instance,
      status: this.#status,
      requestBytes: this.#requestBytes,
      responseBytes: this.#responseBytes,
      headMs: this.#headMs,
      totalMs: this.#totalMs,
      outcome: this.#outcome,
    };
  }

  details(mask: Mask): RequestDetails | undefined {
    const summary = this.summary(mask);
    if (summary === undefined || this.#entry === undefined) return undefined;
    return {
      ...summary,
      auth: this.#entry.auth,
      requestHeaders: mask.headers(this.#entry.headers),
      responseHeaders: mask.headers(this.#responseHeaders),
      requestBody: mask.body(this.#requestStart, this.#requestBytes),
      responseBody: mask.body(this.#responseStart, this.#responseBytes),
    };
  }
}

/** Keeps the latest requests of an emulator's servers, in bounded memory. */
export class RequestMonitor {
  readonly #mask: Mask;
  readonly #requests = new Map<number, ObservedRequest>();
  readonly #observed = new WeakMap<Request, ObservedRequest>();
  readonly #onChange: (id: number) => void;
  readonly #stop: () => void;
  #lastId = 0;

  /** `onChange` is called with the id of each new or changed request. */
  constructor(emulator: Emulator, mask: Mask, onChange: (id: number) => void) {
    this.#mask = mask;
    this.#onChange = onChange;
    const { observers } = emulator.internals;
    const observer: RequestObserver = (request, entry) => {
      const observed = this.#observed.get(request);
      observed?.arrived(entry);
    };
    observers.add(observer);
    this.#stop = () => observers.delete(observer);
  }

  /** Observes a request that a server passes to the emulator. */
  observe(request: Request): Observation {
    const observed = new ObservedRequest(++this.#lastId, ({ id }) => {
      if (this.#requests.has(id)) this.#onChange(id);
    });
    this.#observed.set(request, observed);
    this.#requests.set(observed.id, observed);
    if (this.#requests.size > MAX_REQUESTS) this.#requests.delete(this.#requests.keys().next().value as number);
    return observed;
  }

  /** Returns the requests with these ids, by default all. Requests that are no longer kept are left out. */
  summaries(ids: Iterable<number> = this.#requests.keys()): RequestSummary[] {
    return [...ids].flatMap((id) => this.#requests.get(id)?.summary(this.#mask) ?? []);
  }

  /** Returns a request with its headers and bodies; undefined when it is no longer kept. */
  details(id: number): RequestDetails | undefined {
    return this.#requests.get(id)?.details(this.#mask);
  }

  /** Forgets all requests. */
  clear(): void {
    this.#requests.clear();
  }

  /** Stops observing. */
  close(): void {
    this.#stop();
  }
}
