import {
  type Attributes,
  type Context,
  context,
  type MeterProvider,
  metrics,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TracerProvider,
  trace,
} from "@opentelemetry/api";
import type { CallEvent, CallHooks, CallInfo, CallRequestEvent } from "../config/hooks.js";
import { EasHttpError, isEasError } from "../errors.js";
import { argumentTypeError, show } from "../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../util/option-names.js";
import { isError } from "../util/realms.js";
import { type Instruments, instrumentsOf } from "./instruments.js";

/** Options for `openTelemetryHooks`. */
export interface OpenTelemetryOptions {
  /** The tracer provider. Default: the global tracer provider. */
  readonly tracerProvider?: TracerProvider | undefined;
  /** The meter provider. Default: the global meter provider when the first call is made. */
  readonly meterProvider?: MeterProvider | undefined;
}

const TELEMETRY_OPTIONS: OptionNames<OpenTelemetryOptions> = { tracerProvider: 1, meterProvider: 1 };

/** Name of the tracer and the meter. */
const SCOPE = "eas-prediction";
/** `error.type` for a thrown value without a name. */
const OTHER = "_OTHER";
/** `error.type` for an attempt that was canceled because another attempt of the same call completed. */
const CANCELED = "cancelled";

interface OpenAttempt {
  readonly span: Span;
  readonly startedAt: number;
  readonly attributes: Attributes;
}

interface OpenCall {
  readonly span: Span;
  readonly context: Context;
  readonly startedAt: number;
  readonly attributes: Attributes;
  /** Attempts in flight, by attempt number. Only a hedged call has more than one attempt in flight. */
  readonly attempts: Map<number, OpenAttempt>;
  /** Number of attempts so far. */
  attemptCount: number;
}

/** The outcome of an attempt. */
interface End {
  readonly status?: number | undefined;
  readonly responseBytes?: number | undefined;
  readonly errorType?: string | undefined;
  readonly message?: string | undefined;
}

/**
 * Returns hooks that record OpenTelemetry spans and metrics for a client's calls. Each call has an internal span, which
 * is a child of the active span. Each attempt has a client span. The global propagator sends the attempt's context, for
 * example as `traceparent`. docs/telemetry.md lists all spans, attributes and metrics.
 *
 * Throws a `TypeError` for an option that is not a provider.
 *
 * @example
 * const client = new PredictClient({ endpoint, serviceName, token, hooks: openTelemetryHooks() });
 */
export function openTelemetryHooks(options: OpenTelemetryOptions = {}): CallHooks {
  checkOptionNames("openTelemetryHooks", options, TELEMETRY_OPTIONS);
  checkProvider("tracerProvider", options.tracerProvider, "getTracer");
  checkProvider("meterProvider", options.meterProvider, "getMeter");
  const tracer = (options.tracerProvider ?? trace.getTracerProvider()).getTracer(SCOPE);
  // Create the meter on first use, because an application may create clients before it registers a global meter
  // provider.
  let created: Instruments | undefined;
  const instruments = () => {
    created ??= instrumentsOf((options.meterProvider ?? metrics.getMeterProvider()).getMeter(SCOPE));
    return created;
  };
  const calls = new WeakMap<CallInfo, OpenCall>();

  function endAttempt(call: OpenCall, number: number, { status, responseBytes, errorType, message }: End): void {
    const attempt = call.attempts.get(number);
    if (attempt === undefined) return;
    call.attempts.delete(number);
    const { span, startedAt, attributes } = attempt;
    const outcome = {
      ...(status !== undefined && { "http.response.status_code": status }),
      ...(errorType !== undefined && { "error.type": errorType }),
    };
    span.setAttributes(outcome);
    if (responseBytes !== undefined) span.setAttribute("http.response.body.size", responseBytes);
    if (errorType !== undefined && errorType !== CANCELED) span.setStatus(failed(message));
    span.end();
    instruments().activeRequests.add(-1, attributes);
    instruments().requestDuration.record(secondsSince(startedAt), { ...attributes, ...outcome });
  }

  function endCall({ call: info, attempt }: CallEvent, end: End, failure?: { readonly error: unknown }): void {
    const call = calls.get(info);
    if (call === undefined) return;
    calls.delete(info);
    endAttempt(call, attempt, end);
    for (const number of [...call.attempts.keys()]) endAttempt(call, number, { errorType: CANCELED });
    const { span, startedAt, attributes, attemptCount } = call;
    // If the caller accepts any status, an error status means that the attempt failed but not the call.
    const outcome: Attributes = failure === undefined ? {} : { "error.type": end.errorType };
    span.setAttributes({ ...outcome, "eas.call.attempts": attemptCount });
    if (failure !== undefined) {
      if (isError(failure.error)) span.recordException(failure.error);
      span.setStatus(failed(end.message));
    }
    span.end();
    instruments().callDuration.record(secondsSince(startedAt), { ...attributes, ...outcome });
  }

  return {
    start(info) {
      const service = serviceOf(info);
      const attributes = { "eas.call.kind": info.kind, ...(service !== undefined && { "eas.service.name": service }) };
      const parent = context.active();
      const name = service === undefined ? info.kind : `${info.kind} ${service}`;
      const span = tracer.startSpan(name, { kind: SpanKind.INTERNAL, attributes }, parent);
      const own = { span, context: trace.setSpan(parent, span), attributes };
      calls.set(info, { ...own, startedAt: performance.now(), attempts: new Map(), attemptCount: 0 });
    },

    request(event) {
      const call = calls.get(event.call);
      if (call === undefined) return;
      const attributes = targetOf(event);
      const span = tracer.startSpan(event.method, { kind: SpanKind.CLIENT, attributes }, call.context);
      span.setAttribute("url.full", event.url);
      if (event.attempt > 1) span.setAttribute("http.request.resend_count", event.attempt - 1);
      if (event.requestBytes !== undefined) span.setAttribute("http.request.body.size", event.requestBytes);
      call.attemptCount++;
      call.attempts.set(event.attempt, { span, attributes, startedAt: performance.now() });
      instruments().activeRequests.add(1, attributes);
      propagation.inject(trace.setSpan(call.context, span), event, SETTER);
    },

    retry(event) {
      const call = calls.get(event.call);
      if (call === undefined) return;
      const { error, status } = event;
      const errorType = errorTypeOf(error);
      call.attempts.get(event.attempt)?.span.recordException(error);
      endAttempt(call, event.attempt, { status, errorType, message: error.message });
      instruments().retries.add(1, { ...call.attributes, "error.type": errorType });
    },

    response(event) {
      const { status, responseBytes } = event;
      endCall(event, { status, responseBytes, errorType: status >= 400 ? String(status) : undefined });
    },

    error(event) {
      const { error, status } = event;
      const message = isError(error) ? error.message : undefined;
      endCall(event, { status, errorType: errorTypeOf(error), message }, { error });
    },
  };
}

const SETTER = {
  set: (event: CallRequestEvent, name: string, value: string): void => event.setHeader(name, value),
};

const DEFAULT_PORTS: Readonly<Record<string, number>> = { "https:": 443, "http:": 80 };

/** Returns the attributes that describe an attempt's target in its span and metrics. */
function targetOf({ method, endpoint }: CallEvent): Attributes {
  const { hostname, port, protocol } = new URL(endpoint);
  return {
    "http.request.method": method,
    "server.address": hostname.replace(/^\[|\]$/g, ""),
    "server.port": port === "" ? DEFAULT_PORTS[protocol] : Number(port),
  };
}

/** Returns the name of the service or queue in the path; undefined if the path does not contain a name. */
function serviceOf({ path }: CallInfo): string | undefined {
  return /\/api\/predict\/([^/]+)/.exec(path)?.[1];
}

function errorTypeOf(error: unknown): string {
  if (error instanceof EasHttpError) return String(error.status);
  if (isEasError(error)) return error.code;
  return isError(error) ? error.name : OTHER;
}

function failed(message: string | undefined) {
  return { code: SpanStatusCode.ERROR, ...(message !== undefined && { message }) };
}

function secondsSince(startedAt: number): number {
  return (performance.now() - startedAt) / 1000;
}

function checkProvider(name: string, value: unknown, method: string): void {
  if (value === undefined) return;
  if (typeof (value as Record<string, unknown> | null)?.[method] === "function") return;
  throw argumentTypeError("ERR_EAS_ARG_OPTION", `${name} is ${show(value)}: it must have ${method}()`);
}
