import { type Counter, type Histogram, type Meter, type UpDownCounter, ValueType } from "@opentelemetry/api";

/** Instruments that record the metrics of calls. */
export interface Instruments {
  readonly requestDuration: Histogram;
  readonly activeRequests: UpDownCounter;
  readonly callDuration: Histogram;
  readonly retries: Counter;
}

/** Bucket boundaries from OpenTelemetry's semantic conventions for HTTP, in seconds. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
/** Bucket boundaries for calls, which may have several attempts or stream for minutes. */
const CALL_SECONDS = [...SECONDS, 30, 60, 120, 300];

/**
 * Creates the instruments. The HTTP metrics follow OpenTelemetry's semantic conventions. The `eas.*` metrics are
 * specific to this package.
 */
export function instrumentsOf(meter: Meter): Instruments {
  return {
    requestDuration: meter.createHistogram("http.client.request.duration", {
      description: "Duration of HTTP client requests.",
      unit: "s",
      advice: { explicitBucketBoundaries: SECONDS },
    }),
    activeRequests: meter.createUpDownCounter("http.client.active_requests", {
      description: "Number of active HTTP requests.",
      unit: "{request}",
      valueType: ValueType.INT,
    }),
    callDuration: meter.createHistogram("eas.client.call.duration", {
      description: "Duration of calls, including all attempts and waits.",
      unit: "s",
      advice: { explicitBucketBoundaries: CALL_SECONDS },
    }),
    retries: meter.createCounter("eas.client.call.retries", {
      description: "Failed attempts that were retried.",
      unit: "{retry}",
      valueType: ValueType.INT,
    }),
  };
}
