import type { CallEvent, CallHooks, CallLogger } from "../../config/hooks.js";
import type { EasError, EasHttpError } from "../../errors.js";
import type { HeaderPair } from "../../platform/contract.js";
import type { EnvironmentLogger } from "../../platform/environment-contract.js";
import type { CallPlan } from "../call-plan.js";
import type { Secrets } from "../failures/redact.js";
import type { ObservedCallStart } from "./notify.js";
import type { ObserverTools } from "./observer-tools.js";

/** The call properties included in its events. */
interface ObservedCall {
  readonly plan: CallPlan;
  readonly token: Secrets;
}

/** State shared by the two parallel calls of a hedged call. */
interface Shared extends ObservedCallStart {
  readonly hooks: readonly CallHooks[];
  attempts: number;
  /** Whether hooks have been notified of the final event. */
  isOver: boolean;
  /**
   * Maps each error to the observer of the parallel call that failed with it. A hedged call that fails rejects with one
   * of these errors.
   */
  readonly failed: Map<unknown, CallObserver>;
}

/** Notifies hooks of the events of one call. Instances are created only if there are hooks. */
export class CallObserver {
  /** Status of a streamed response or of a response that could not be decoded. */
  status: number | undefined;
  readonly #plan: CallPlan;
  readonly #tools: ObserverTools;
  readonly #shared: Shared;
  readonly #isSide: boolean;
  #endpoint: string;
  /**
   * Time when the wait before the current attempt began. Between two attempts, the time when the wait before the next
   * attempt began.
   */
  #waitsSince: number;
  #queued: number | undefined;
  #sentAt = 0;
  #headAt: number | undefined;
  #attempt = 0;
  #requestBytes: number | undefined = 0;
  #token: Secrets = "";

  /** `shared` is set only for the two parallel calls of a hedged call. */
  constructor(plan: CallPlan, start: ObservedCallStart, tools: ObserverTools, shared?: Shared) {
    const { logger, hooks = [] } = plan;
    this.#plan = plan;
    this.#tools = tools;
    this.#shared = shared ?? {
      ...start,
      hooks: logger !== undefined && "debug" in logger ? [loggingHooks(logger, tools), ...hooks] : hooks,
      attempts: 0,
      isOver: false,
      failed: new Map(),
    };
    this.#isSide = shared !== undefined;
    this.#endpoint = plan.target.origin;
    this.#waitsSince = shared === undefined ? start.startedAt : this.#tools.clockNow();
  }

  /** Returns an observer for one of the two parallel calls of a hedged call. */
  side(): CallObserver {
    return new CallObserver(this.#plan, this.#shared, this.#tools, this.#shared);
  }

  /**
   * Notifies the hooks of an attempt that is about to be sent. Returns the attempt's headers, including those set by
   * hooks.
   */
  sending(
    { plan, token }: ObservedCall,
    headers: readonly HeaderPair[],
    requestBytes: number | undefined,
  ): readonly HeaderPair[] {
    if (this.#shared.isOver) return headers;
    this.#attempt = ++this.#shared.attempts;
    this.#endpoint = plan.target.origin;
    this.#requestBytes = requestBytes;
    this.#token = token;
    this.#queued = Math.max(0, this.#tools.clockNow() - this.#waitsSince);
    this.#headAt = undefined;
    this.status = undefined;
    let added: readonly HeaderPair[] = headers;
    let isSent = false;
    const { argumentTypeError, checkHeaders, mergeHeaders } = this.#tools;
    const refusal = (name: string, why: string) =>
      argumentTypeError("ERR_EAS_ARG_HEADER", `header ${name} cannot be set by a hook: ${why}`);
    const setHeader = (name: string, value: string) => {
      const [pair] = checkHeaders([[name, value]]) as [HeaderPair];
      if (isSent) throw refusal(pair[0], "the request was already sent. Set headers before the hook's first await");
      if (OWNED.test(pair[0])) throw refusal(pair[0], "the client sets it");
      if (plan.droppedHeaders?.test(pair[0])) throw refusal(pair[0], "browsers remove it without an error");
      added = mergeHeaders(added, [pair]);
    };
    this.#notify("request", { ...this.#event(), setHeader });
    isSent = true;
    this.#sentAt = this.#tools.clockNow();
    return added;
  }

  /** Records the time when the attempt's response headers arrive. */
  readonly onHead = (): void => {
    this.#headAt ??= this.#tools.clockNow();
  };

  /** Notifies the hooks of the response that ended the call. */
  answered({ status, headers }: { readonly status: number; readonly headers: Headers }, responseBytes: number): void {
    // Hooks receive a copy of the headers because the caller receives the original object.
    const copy = new Headers(this.#tools.redactHeaders(headers, this.#token));
    this.#end("response", { ...this.#event(), status, headers: copy, responseBytes });
  }

  /** Notifies the hooks of a failed attempt that will be retried after `delay` milliseconds. */
  retrying(error: EasError, delay: number): void {
    if (!this.#shared.isOver) this.#notify("retry", { ...this.#event(), error, delay, status: this.#statusOf(error) });
    this.#waitsSince = this.#tools.clockNow() + delay;
  }

  /** Notifies the hooks of the error that ended the call. For one of two parallel calls, only records the error. */
  failed(error: unknown): void {
    const { failed } = this.#shared;
    if (this.#isSide) failed.set(error, this);
    else (failed.get(error) ?? this).#fail(error);
  }

  #fail(error: unknown): void {
    this.#end("error", { ...this.#event(), error, status: this.#statusOf(error) });
  }

  #end<K extends "response" | "error">(name: K, event: Parameters<NonNullable<CallHooks[K]>>[0]): void {
    if (this.#shared.isOver) return;
    this.#shared.isOver = true;
    this.#notify(name, event);
  }

  #event(): CallEvent {
    const now = this.#tools.clockNow();
    const { info, startedAt } = this.#shared;
    return {
      call: info,
      method: info.method,
      url: this.#endpoint + info.path,
      endpoint: this.#endpoint,
      attempt: this.#attempt,
      requestBytes: this.#requestBytes,
      timings: {
        queued: this.#queued ?? now - this.#waitsSince,
        firstByte: this.#headAt === undefined ? undefined : this.#headAt - this.#sentAt,
        total: now - startedAt,
      },
    };
  }

  #statusOf(error: unknown): number | undefined {
    // The code is checked instead of the class, because importing the class would move it to a shared chunk.
    const { code, status } = (error ?? {}) as Partial<EasHttpError>;
    return code === "ERR_EAS_HTTP" ? status : this.status;
  }

  #notify<K extends keyof CallHooks>(name: K, event: Parameters<NonNullable<CallHooks[K]>>[0]): void {
    this.#tools.notify(this.#plan, this.#shared.hooks, name, event);
  }
}

/** Matches the authorization and body headers, which hooks cannot set. */
const OWNED = /^(authorization|date|content-(md5|type|encoding))$/;

/** Returns hooks that log each event as one line. Attempts are logged for the logger of `EAS_LOG` only. */
function loggingHooks(logger: CallLogger & Partial<EnvironmentLogger>, { oneLineMessage }: ObserverTools): CallHooks {
  const describe = ({ method, url, attempt }: CallEvent) => `${method} ${url} (attempt ${attempt})`;
  // The message of an error can quote the response body, which the log of `EAS_LOG` must not contain.
  const reasonOf = (error: unknown) => {
    const { code, status } = (error ?? {}) as Partial<EasHttpError>;
    return logger.attempt && code
      ? `${code}${status === undefined ? "" : ` (status ${status})`}`
      : oneLineMessage(error);
  };
  return {
    request: (event) => logger.attempt?.(`${describe(event)}: sending ${event.requestBytes ?? "a stream of"} bytes`),
    response(event) {
      const { status, responseBytes, timings } = event;
      logger.debug(`${describe(event)}: ${status}, ${responseBytes} bytes after ${Math.round(timings.total)} ms`);
    },
    retry: (event) =>
      logger.warn(`${describe(event)} failed, retrying in ${Math.round(event.delay)} ms: ${reasonOf(event.error)}`),
    error: (event) => logger.error(`${describe(event)} failed: ${reasonOf(event.error)}`),
  };
}
