import { sleep } from "../../util/timing/abort.js";
import type { EmulatorCall, EmulatorService } from "../services/service.js";
import { type Engine, EngineClient, type EngineRequest } from "./engine.js";

/** How a gateway behaves; every option has its value. */
export interface GatewaySettings {
  readonly engine: EmulatorService;
  readonly concurrency: number;
  readonly queueLength: number;
  readonly holdTimeout: number;
  readonly headerTimeout: number;
  readonly readTimeout: number;
  readonly writeTimeout: number;
  readonly maxEventBytes: number;
  readonly now: () => number;
  readonly countTokens: (text: string) => number;
}

/** What answers for one generation. */
export interface Generation {
  handle(call: EmulatorCall): Promise<Response>;
  readonly accept: NonNullable<EmulatorService["accept"]>;
}

/** Why no engine is there for a call. */
export type NoEngine = "unknown" | "busy" | "overflow";

/** A request waiting for an engine. */
interface Waiting {
  take(engine: Engine): void;
}

/** As many calls of engines are kept for tests to look at. */
const LOG_LENGTH = 1000;

/** The engines of a gateway, and the requests that wait for one. */
export class Gateway {
  readonly settings: GatewaySettings;
  readonly engines: readonly Engine[];
  readonly calls: EmulatorCall[] = [];
  readonly client: EngineClient;
  readonly #waiting = new Set<Waiting>();

  constructor(settings: GatewaySettings, engines: readonly Engine[]) {
    this.settings = settings;
    this.engines = engines;
    this.client = new EngineClient(settings.engine, settings, (call) => this.log(call));
  }

  /** Keeps a call that an engine has received. */
  log(call: EmulatorCall): void {
    this.calls.push(call);
    if (this.calls.length > LOG_LENGTH) this.calls.shift();
  }

  /** The engine whose turn it is, of those that the gateway knows and that are not busy; it is not taken. */
  pick(concurrency: number = Number.POSITIVE_INFINITY): Engine | undefined {
    const free = this.engines.filter(({ isListed, active, weight }) => isListed && active < concurrency && weight > 0);
    let best: Engine | undefined;
    for (const engine of free) {
      engine.credit += engine.weight;
      if (best === undefined || engine.credit > best.credit) best = engine;
    }
    if (best !== undefined) best.credit -= free.reduce((sum, { weight }) => sum + weight, 0);
    return best;
  }

  /** Takes an engine, which must be released. Waits while all are busy: to the limits if `isLimited`. Rejects when `signal` fires. */
  async take(signal: AbortSignal, isLimited: boolean): Promise<Engine | NoEngine> {
    const { concurrency, queueLength, holdTimeout } = this.settings;
    if (!this.engines.some(({ isListed }) => isListed)) return "unknown";
    const free = this.pick(concurrency);
    if (free !== undefined) {
      free.active++;
      return free;
    }
    if (isLimited && this.#waiting.size >= queueLength) return "overflow";
    const limit = isLimited ? sleep(holdTimeout) : undefined;
    let onAbort: (() => void) | undefined;
    try {
      return await new Promise<Engine | NoEngine>((resolve, reject) => {
        const waiting: Waiting = { take: resolve };
        this.#waiting.add(waiting);
        // Removed at once, since an engine that is given to a request that has left is never released.
        onAbort = () => {
          this.#waiting.delete(waiting);
          reject(signal.reason);
        };
        signal.addEventListener("abort", onAbort);
        if (signal.aborted) onAbort();
        limit?.done.then(
          () => {
            this.#waiting.delete(waiting);
            resolve("busy");
          },
          () => {},
        );
      });
    } finally {
      limit?.cancel(undefined);
      if (onAbort !== undefined) signal.removeEventListener("abort", onAbort);
    }
  }

  /** Gives a taken engine to the request that has waited longest. */
  release(engine: Engine): void {
    engine.active--;
    const [next] = this.#waiting;
    if (next === undefined) return;
    const free = this.pick(this.settings.concurrency);
    if (free === undefined) return;
    this.#waiting.delete(next);
    free.active++;
    next.take(free);
  }
}

/** The request as the gateway passes it on; `path` and `body` may differ from the client's. */
export function engineRequest(
  { service, method, path, query, headers, body }: EmulatorCall,
  changes: Partial<EngineRequest> = {},
): EngineRequest {
  const search = query.size === 0 ? "" : `?${query}`;
  return { service, method, path, search, headers, body, ...changes };
}

const MAX_HEADER_BYTES = 1_048_576 + 4096;

/** Whether the headers of a request are larger than the gateway reads. */
export function hasTooLargeHeaders({ headers }: EmulatorCall): boolean {
  let size = 0;
  for (const [name, value] of headers) size += name.length + value.length + 4;
  return size > MAX_HEADER_BYTES;
}
