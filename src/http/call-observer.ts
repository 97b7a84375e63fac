import { type EasError, EasHttpError } from "../errors.js";
import type { HeaderPair } from "../platform/platform.js";
import type { CallPlan } from "./call-plan.js";
import { checkHeaders, mergeHeaders } from "./headers.js";
import type { CallEvent, CallHooks, CallInfo } from "./hooks.js";
import { redactHeaders } from "./redact.js";

/** The call as far as it is told. */
interface ObservedCall {
  readonly plan: CallPlan;
  readonly attempts: number;
  readonly token: string;
}

/** Tells hooks of one call. It is made only where there are some. */
export class CallObserver {
  readonly #hooks: readonly CallHooks[];
  readonly #startedAt = performance.now();
  readonly #info: CallInfo;
  #endpoint: string;
  /** When the attempt under way, or the last one, began to wait. */
  #waitsSince = this.#startedAt;
  #sentAt: number | undefined;
  #headAt: number | undefined;
  #attempt = 0;
  #requestBytes: number | undefined = 0;
  #token = "";
  #over = false;

  constructor(hooks: readonly CallHooks[], { kind, method, target, suffix }: CallPlan) {
    this.#hooks = hooks;
    this.#endpoint = target.origin;
    const path = target.path + suffix.wire.split("?", 1)[0];
    this.#info = { kind, method, path, startedAt: performance.timeOrigin + this.#startedAt };
    this.#tell("start", this.#info);
  }

  /** An attempt is about to be made; returns its headers with those that hooks add. */
  sending(
    { plan, attempts, token }: ObservedCall,
    headers: readonly HeaderPair[],
    requestBytes: number | undefined,
  ): readonly HeaderPair[] {
    this.#attempt = attempts + 1;
    this.#endpoint = plan.target.origin;
    this.#requestBytes = requestBytes;
    this.#token = token;
    this.#sentAt = performance.now();
    this.#headAt = undefined;
    let added: readonly HeaderPair[] = headers;
    const setHeader = (name: string, value: string) => {
      const [pair] = checkHeaders({ [name]: value }) as [HeaderPair];
      // Else a hook could take the caller's place.
      if (!OWNED.has(pair[0])) added = mergeHeaders(added, [pair]);
    };
    this.#tell("request", { ...this.#event(), setHeader });
    return added;
  }

  /** Notes when the head of the attempt's answer comes, which the transport says by its phase. */
  watch(attempt: { phase: string }): void {
    let phase = attempt.phase;
    Object.defineProperty(attempt, "phase", {
      get: () => phase,
      set: (value: string) => {
        phase = value;
        if (value === "body") this.#headAt ??= performance.now();
      },
    });
  }

  answered({ status, headers }: { readonly status: number; readonly headers: Headers }, responseBytes: number): void {
    if (this.#over) return;
    this.#over = true;
    this.#tell("response", { ...this.#event(), status, headers: redactHeaders(headers, this.#token), responseBytes });
  }

  retrying(error: EasError, delay: number): void {
    this.#tell("retry", { ...this.#event(), error, delay, status: statusOf(error) });
    this.#waitsSince = performance.now() + delay;
  }

  failed(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#tell("error", { ...this.#event(), error, status: statusOf(error) });
  }

  #event(): CallEvent {
    const now = performance.now();
    const sentAt = this.#sentAt;
    return {
      call: this.#info,
      method: this.#info.method,
      url: this.#endpoint + this.#info.path,
      endpoint: this.#endpoint,
      attempt: this.#attempt,
      requestBytes: this.#requestBytes,
      timings: {
        queued: Math.max(0, (sentAt ?? now) - this.#waitsSince),
        firstByte: sentAt === undefined || this.#headAt === undefined ? undefined : this.#headAt - sentAt,
        total: now - this.#startedAt,
      },
    };
  }

  #tell<K extends keyof CallHooks>(name: K, event: Parameters<NonNullable<CallHooks[K]>>[0]): void {
    for (const hooks of this.#hooks) {
      try {
        const told = hooks[name]?.(event as never);
        // It is nobody's to wait for.
        if (told instanceof Promise) told.catch(() => {});
      } catch {
        // What watches a call must not change it.
      }
    }
  }
}

/** Headers by which a call proves who sends it. */
const OWNED: ReadonlySet<string> = new Set(["authorization", "date", "content-md5", "content-type"]);

function statusOf(error: unknown): number | undefined {
  return error instanceof EasHttpError ? error.status : undefined;
}
