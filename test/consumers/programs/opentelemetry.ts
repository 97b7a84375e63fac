// Checks the types of the entry with an optional peer. Compiled with the peer installed.
import { type MeterProvider, metrics, type TracerProvider, trace } from "@opentelemetry/api";
import { type CallHooks, PredictClient } from "eas-prediction";
import { type OpenTelemetryOptions, openTelemetryHooks } from "eas-prediction/opentelemetry";

const tracerProvider: TracerProvider = trace.getTracerProvider();
const meterProvider: MeterProvider = metrics.getMeterProvider();
const options: OpenTelemetryOptions = { tracerProvider, meterProvider };
const own: CallHooks = {
  request: (event) => event.setHeader("x-own", `${event.attempt}`),
  response: ({ status, timings }) => `${status} ${timings.total}`,
};
export const client: PredictClient = new PredictClient({
  endpoint: "http://127.0.0.1:1",
  serviceName: "s",
  hooks: [openTelemetryHooks(options), openTelemetryHooks(), own],
});
// @ts-expect-error No provider.
openTelemetryHooks({ tracerProvider: "global" });
