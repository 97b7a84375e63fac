import type { CallEvent, CallHooks } from "../../config/hooks.js";
import type { EasError, EasHttpError } from "../../errors.js";
import type { HeaderPair } from "../../platform/contract.js";
import type { CallPlan } from "../call-plan.js";
import type { Secrets } from "../failures/redact.js";
import { loggingHooks } from "./logging-hooks.js";
import type { ObserverTools } from "./observer-tools.js";
import type { ObservedCallStart } from "./tell.js";

/** The call as far as it is told. */
interface ObservedCall {
  readonly plan: CallPlan;
  readonly token: Secrets;
}

/** What both sides of a hedged call share. */
interface Shared extends ObservedCallStart {
  readonly hooks: readonly CallHooks[];
  attempts: number;
  isOver: boolean;
  /** Which side failed with what: the call as a whole fails only when hedging says so. */
  readonly failed: Map<unknown, CallObserver>;
}

/** Tells hooks of one call. It is made only where there are some. */
export class CallObserver {
  /** The status of an answer that is read piece by piece, or could not be read. */
  status: number | undefined;
  readonly #plan: CallPlan;
  readonly #tools: ObserverTools;
  readonly #told: Shared;
  readonly #isSide: boolean;
  #endpoint: string;
  /** When the attempt under way, or the next one, began to wait. */
  #waitsSince: number;
  #queued: number | undefined;
  #sentAt = 0;
  #headAt: number | undefined;
  #attempt = 0;
  #requestBytes: number | undefined = 0;
  #token: Secrets = "";

  /** With `shared`, tells of one side of a hedged call. */
  constructor(plan: CallPlan, told: ObservedCallStart, tools: ObserverTools, shared?: Shared) {
    const { logger, hooks = [] } = plan;
    this.#plan = plan;
    this.#tools = tools;
    this.#told = shared ?? {
      ...told,
      hooks: logger !== undefined && "debug" in logger ? [loggingHooks(logger, tools), ...hooks] : hooks,
      attempts: 0,
      isOver: false,
      failed: new Map(),
    };
    this.#isSide = shared !== undefined;
    this.#endpoint = plan.target.origin;
    this.#waitsSince = shared === undefined ? told.startedAt : this.#tools.clockNow();
  }

  /** Tells of one of the two calls that a hedged call may be made of. */
  side(): CallObserver {
    return new CallObserver(this.#plan, this.#told, this.#tools, this.#told);
  }

  /** An attempt is about to be made; returns its headers with those that hooks add. */
  sending(
    { plan, token }: ObservedCall,
    headers: readonly HeaderPair[],
    requestBytes: number | undefined,
  ): readonly HeaderPair[] {
    if (this.#told.isOver) return headers;
    this.#attempt = ++this.#told.attempts;
    this.#endpoint = plan.target.origin;
    this.#requestBytes = requestBytes;
    this.#token = token;
    this.#queued = Math.max(0, this.#tools.clockNow() - this.#waitsSince);
    this.#headAt = undefined;
    this.status = undefined;
    let added: readonly HeaderPair[] = headers;
    let isSent = false;
    const { argumentTypeError, checkHeaders, mergeHeaders } = this.#tools;
    const refused = (name: string, why: string) =>
      argumentTypeError("ERR_EAS_ARG_HEADER", `header ${name} cannot be set by a hook: ${why}`);
    const setHeader = (name: string, value: string) => {
      const [pair] = checkHeaders([[name, value]]) as [HeaderPair];
      if (isSent) throw refused(pair[0], "the request was already sent. Set headers before the hook's first await");
      if (OWNED.test(pair[0])) throw refused(pair[0], "the client sets it");
      if (plan.droppedHeaders?.test(pair[0])) throw refused(pair[0], "browsers remove it without an error");
      added = mergeHeaders(added, [pair]);
    };
    this.#notify("request", { ...this.#event(), setHeader });
    isSent = true;
    this.#sentAt = this.#tools.clockNow();
    return added;
  }

  /** Notes when the head of the attempt's answer comes, which the transport says by its phase. */
  watch(attempt: { phase: string }): void {
    let phase = attempt.phase;
    Object.defineProperty(attempt, "phase", {
      get: () => phase,
      set: (value: string) => {
        phase = value;
        if (value === "body") this.#headAt ??= this.#tools.clockNow();
      },
    });
  }

  answered({ status, headers }: { readonly status: number; readonly headers: Headers }, responseBytes: number): void {
    // A copy, since the caller has the headers, too.
    const copy = new Headers(this.#tools.redactHeaders(headers, this.#token));
    this.#end("response", { ...this.#event(), status, headers: copy, responseBytes });
  }

  retrying(error: EasError, delay: number): void {
    if (!this.#told.isOver) this.#notify("retry", { ...this.#event(), error, delay, status: this.#statusOf(error) });
    this.#waitsSince = this.#tools.clockNow() + delay;
  }

  failed(error: unknown): void {
    const { failed } = this.#told;
    if (this.#isSide) failed.set(error, this);
    else (failed.get(error) ?? this).#fail(error);
  }

  #fail(error: unknown): void {
    this.#end("error", { ...this.#event(), error, status: this.#statusOf(error) });
  }

  #end<K extends "response" | "error">(name: K, event: Parameters<NonNullable<CallHooks[K]>>[0]): void {
    if (this.#told.isOver) return;
    this.#told.isOver = true;
    this.#notify(name, event);
  }

  #event(): CallEvent {
    const now = this.#tools.clockNow();
    const { info, startedAt } = this.#told;
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
    // Not by its class, which would be an import.
    const { code, status } = (error ?? {}) as Partial<EasHttpError>;
    return code === "ERR_EAS_HTTP" ? status : this.status;
  }

  #notify<K extends keyof CallHooks>(name: K, event: Parameters<NonNullable<CallHooks[K]>>[0]): void {
    this.#tools.notify(this.#plan, this.#told.hooks, name, event);
  }
}

/** Headers by which a call proves who sends it, and says what its body is. */
const OWNED = /^(authorization|date|content-(md5|type|encoding))$/;
