import { Histogram } from "./histogram.js";

/** Measurements taken from a response. */
export interface Sample {
  /** Milliseconds until the first token in a chat. */
  readonly firstToken?: number;
  /** Number of tokens in a chat. */
  readonly tokens?: number;
}

/** A clock that can also wait. Tests replace it. */
export interface LoadClock {
  /** Returns the current time in milliseconds. */
  now(): number;
  /** Resolves at the given time, or when the signal fires. */
  until(time: number, signal: AbortSignal): Promise<void>;
}

/** Options for a load test. */
export interface LoadOptions {
  /** Sends one request. */
  readonly send: (signal: AbortSignal) => Promise<Sample>;
  /** Start times of the requests, in milliseconds from the start of the test. Absent for a closed loop. */
  readonly arrivals?: Iterator<number> | undefined;
  /** Number of requests in flight in a closed loop, or the maximum number in an open loop. */
  readonly concurrency: number;
  /** Maximum number of measured requests. */
  readonly requests: number;
  /** Maximum duration of the measurement in milliseconds, in addition to the warm-up. */
  readonly duration: number;
  /** Duration of the warm-up in milliseconds. Requests during the warm-up are not measured. */
  readonly warmUp: number;
  readonly clock: LoadClock;
  readonly signal: AbortSignal;
  /** Called after each request. */
  readonly onProgress?: ((result: LoadResult) => void) | undefined;
}

/** Number of results in one second of the measurement. */
export interface SecondCount {
  completed: number;
  failed: number;
}

/** The result of a load test. All times are in milliseconds. */
export interface LoadResult {
  /** Time from the intended start of each request to its end. */
  readonly latency: Histogram;
  /** Time from the real start of each request to its end. */
  readonly service: Histogram;
  readonly firstToken: Histogram;
  /** Tokens per second after the first token, for each chat. */
  readonly tokenRate: Histogram;
  /** Failed requests by kind. */
  readonly errors: Map<string, number>;
  /** Number of requests that were not sent because the maximum number was in flight. */
  skipped: number;
  tokens: number;
  /** Duration of the measurement. */
  elapsed: number;
  /** Results by the second in which the request was scheduled to start. */
  readonly seconds: SecondCount[];
}

/** Runs a load test until it ends or the signal fires. In both cases, resolves with the results so far. */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  return await new LoadRun(options).run();
}

class LoadRun {
  readonly #options: LoadOptions;
  readonly #result: LoadResult = {
    latency: new Histogram(),
    service: new Histogram(),
    firstToken: new Histogram(),
    tokenRate: new Histogram(),
    errors: new Map(),
    skipped: 0,
    tokens: 0,
    elapsed: 0,
    seconds: [],
  };
  readonly #inFlight = new Set<Promise<void>>();
  readonly #start: number;
  #measured = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#start = options.clock.now();
  }

  async run(): Promise<LoadResult> {
    const { arrivals, clock, warmUp } = this.#options;
    if (arrivals === undefined) await this.#closedLoop();
    else await this.#openLoop(arrivals);
    await Promise.all(this.#inFlight);
    this.#result.elapsed = Math.max(0, clock.now() - this.#start - warmUp);
    return this.#result;
  }

  /** Starts each request at its scheduled time, even if earlier requests have not ended. */
  async #openLoop(arrivals: Iterator<number>): Promise<void> {
    const { clock, concurrency, duration, requests, signal, warmUp } = this.#options;
    while (this.#measured < requests) {
      const offset = arrivals.next().value as number;
      if (offset >= warmUp + duration) return;
      const intended = this.#start + offset;
      await clock.until(intended, signal);
      if (signal.aborted) return;
      const isMeasured = offset >= warmUp;
      if (isMeasured) this.#measured++;
      if (this.#inFlight.size >= concurrency) {
        if (isMeasured) this.#result.skipped++;
      } else this.#launch(intended, isMeasured);
    }
  }

  /** Starts a request whenever another one ends. */
  async #closedLoop(): Promise<void> {
    const { clock, concurrency, duration, requests, signal, warmUp } = this.#options;
    while (this.#measured < requests && !signal.aborted) {
      const now = clock.now();
      if (now - this.#start >= warmUp + duration) return;
      if (this.#inFlight.size >= concurrency) {
        await Promise.race(this.#inFlight);
        continue;
      }
      const isMeasured = now - this.#start >= warmUp;
      if (isMeasured) this.#measured++;
      this.#launch(now, isMeasured);
    }
  }

  #launch(intended: number, isMeasured: boolean): void {
    const request = this.#request(intended, isMeasured).finally(() => this.#inFlight.delete(request));
    this.#inFlight.add(request);
  }

  async #request(intended: number, isMeasured: boolean): Promise<void> {
    const { clock, send, signal, warmUp } = this.#options;
    const started = clock.now();
    let sample: Sample | undefined;
    let error: unknown;
    try {
      sample = await send(signal);
    } catch (reason) {
      // A request that was canceled by the end of the test does not count as failed.
      if (signal.aborted) return;
      error = reason ?? new Error("unknown error");
    }
    if (!isMeasured) return;
    const ended = clock.now();
    const second = this.#second(Math.floor((intended - this.#start - warmUp) / 1_000));
    if (sample === undefined) {
      const kind = errorKind(error);
      this.#result.errors.set(kind, (this.#result.errors.get(kind) ?? 0) + 1);
      second.failed++;
    } else {
      second.completed++;
      this.#add(sample, ended - intended, ended - started);
    }
    this.#options.onProgress?.(this.#result);
  }

  #add({ firstToken, tokens = 0 }: Sample, latency: number, service: number): void {
    const result = this.#result;
    result.latency.add(Math.max(0, latency));
    result.service.add(service);
    result.tokens += tokens;
    if (firstToken === undefined) return;
    result.firstToken.add(firstToken);
    const rest = service - firstToken;
    if (tokens > 1 && rest > 0) result.tokenRate.add(((tokens - 1) / rest) * 1_000);
  }

  #second(index: number): SecondCount {
    const { seconds } = this.#result;
    while (seconds.length <= index) seconds.push({ completed: 0, failed: 0 });
    return seconds[index] as SecondCount;
  }
}

/** Returns the kind of an error: its code, and the status if there was a response. */
export function errorKind(error: unknown): string {
  const { code, status, phase, systemCode, name } = (error ?? {}) as Record<string, unknown>;
  if (typeof code !== "string") return typeof name === "string" ? name : "Error";
  const detail = status ?? phase ?? systemCode;
  return detail === undefined ? code : `${code} ${detail}`;
}
