// Exports the counters of the worker with OpenTelemetry, if OTEL_EXPORTER_OTLP_ENDPOINT or
// OTEL_EXPORTER_OTLP_METRICS_ENDPOINT is set.
import { metrics } from "@opentelemetry/api";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";

const isOn = process.env.OTEL_EXPORTER_OTLP_ENDPOINT || process.env.OTEL_EXPORTER_OTLP_METRICS_ENDPOINT;
const provider = isOn
  ? new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter() })] })
  : undefined;
// The global provider also receives the metrics of the client's calls, through openTelemetryHooks().
if (provider) metrics.setGlobalMeterProvider(provider);

/** Reports the counters of a worker. */
export function observe(worker, attributes) {
  const meter = metrics.getMeter("worker-fleet");
  const instruments = {
    inWork: meter.createObservableUpDownCounter("worker.items.in_work", { unit: "{item}" }),
    handled: meter.createObservableCounter("worker.items.handled", { unit: "{item}" }),
    failed: meter.createObservableCounter("worker.attempts.failed", { unit: "{attempt}" }),
    deadLettered: meter.createObservableCounter("worker.items.dead_lettered", { unit: "{item}" }),
    connected: meter.createObservableGauge("worker.connected"),
  };
  meter.addBatchObservableCallback((result) => {
    const { stats } = worker;
    for (const [name, instrument] of Object.entries(instruments)) {
      result.observe(instrument, Number(stats[name]), attributes);
    }
  }, Object.values(instruments));
}

/** Exports the last values. A collector that does not respond must not keep the process from exiting. */
export async function shutdownTelemetry() {
  await provider?.shutdown({ timeoutMillis: 5_000 }).catch((error) => console.error("metrics:", error.message));
}
