import { sleep } from "../../util/timing/abort.js";
import type { EmulatorCall, EmulatorService } from "../services/service.js";
import { type Engine, EngineClient, type EngineRequest } from "./engine.js";

/** A gateway's validated options, with defaults. */
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

/** The request handlers of one generation of the gateway. */
export interface Generation {
  handle(call: EmulatorCall): Promise<Response>;
  readonly accept: NonNullable<EmulatorService["accept"]>;
}

/** The reason why no engine is available for a call. */
export type NoEngine = "unknown" | "busy" | "overflow";

/** A request that waits for an engine. */
interface Waiter {
  take(engine: Engine): void;
}

/** Maximum number of logged calls to engines. */
const LOG_LENGTH = 1000;

/** The engines of a gateway, and the requests that wait for a free engine. */
export class Gateway {
  readonly settings: GatewaySettings;
  readonly engines: readonly Engine[];
  readonly calls: EmulatorCall[] = [];
  readonly client: EngineClient;
  readonly #waiting = new Set<Waiter>();

  constructor(settings: GatewaySettings, engines: readonly Engine[]) {
    this.settings = settings;
    this.engines = engines;
    this.client = new EngineClient(settings.engine, settings, (call) => this.log(call));
  }

  /** Logs a call that an engine has received. */
  log(call: EmulatorCall): void {
    this.calls.push(call);
    if (this.calls.length > LOG_LENGTH) this.calls.shift();
  }

  /**
   * Selects the next engine by smooth weighted round robin, among the listed engines with free capacity. Does not
   * reserve the engine.
   */
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

  /**
   * Reserves an engine, which must be released after use. If all engines are busy, the request waits. If `isLimited` is
   * true, `queueLength` and `holdTimeout` apply to waiting requests. Otherwise, requests wait indefinitely. Rejects
   * when `signal` fires.
   */
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
        const waiter: Waiter = { take: resolve };
        this.#waiting.add(waiter);
        // Remove the request immediately. Otherwise, an engine could be assigned to the aborted request and would never
        // be released.
        onAbort = () => {
          this.#waiting.delete(waiter);
          reject(signal.reason);
        };
        signal.addEventListener("abort", onAbort);
        if (signal.aborted) onAbort();
        limit?.done.then(
          () => {
            this.#waiting.delete(waiter);
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

  /** Releases an engine and assigns a free engine to the request that has waited longest. */
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

/** Creates the request that the gateway sends to an engine, with the given changes to the client's request. */
export function engineRequest(
  { service, method, path, query, headers, body }: EmulatorCall,
  changes: Partial<EngineRequest> = {},
): EngineRequest {
  const search = query.size === 0 ? "" : `?${query}`;
  return { service, method, path, search, headers, body, ...changes };
}

const MAX_HEADER_BYTES = 1_048_576 + 4096;

/** Whether the headers of a request exceed the gateway's limit. */
export function hasTooLargeHeaders({ headers }: EmulatorCall): boolean {
  let size = 0;
  for (const [name, value] of headers) size += name.length + value.length + 4;
  return size > MAX_HEADER_BYTES;
}
