import {
  type Attributes,
  context,
  type MeterProvider as MeterProviderApi,
  propagation,
  type TracerProvider,
  trace,
} from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import {
  AggregationTemporality,
  type HistogramMetricData,
  InMemoryMetricExporter,
  MeterProvider,
  type MetricData,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
  type SpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { expect, onTestFinished } from "vitest";

/** Checks that each span that started has ended exactly once. */
class Balance implements SpanProcessor {
  readonly #open = new Map<string, string>();
  /** Ids of all spans, in the order in which they started. */
  readonly begun: string[] = [];
  readonly ended: string[] = [];

  onStart(span: ReadableSpan): void {
    this.begun.push(span.spanContext().spanId);
    this.#open.set(span.spanContext().spanId, span.name);
  }

  onEnd(span: ReadableSpan): void {
    this.#open.delete(span.spanContext().spanId);
    this.ended.push(span.spanContext().spanId);
  }

  get open(): string[] {
    return [...this.#open.values()];
  }

  async forceFlush(): Promise<void> {}
  async shutdown(): Promise<void> {}
}

/** The real SDK with exporters in memory. Its context manager and propagator are global until the test ends. */
export class MemorySdk {
  readonly #spans = new InMemorySpanExporter();
  readonly #balance = new Balance();
  readonly #metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  readonly #reader = new PeriodicExportingMetricReader({ exporter: this.#metrics, exportIntervalMillis: 3_600_000 });
  readonly tracerProvider: TracerProvider = new BasicTracerProvider({
    spanProcessors: [new SimpleSpanProcessor(this.#spans), this.#balance],
  });
  readonly meterProvider: MeterProviderApi & { shutdown(): Promise<void> } = new MeterProvider({
    readers: [this.#reader],
  });

  constructor() {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    propagation.setGlobalPropagator(new W3CTraceContextPropagator());
    onTestFinished(async () => {
      context.disable();
      propagation.disable();
      trace.disable();
      await this.meterProvider.shutdown();
    });
  }

  /** Ended spans, in the order in which they started. */
  get spans(): ReadableSpan[] {
    // Their timestamps are too coarse.
    const at = (span: ReadableSpan) => this.#balance.begun.indexOf(span.spanContext().spanId);
    return this.#spans.getFinishedSpans().sort((a, b) => at(a) - at(b));
  }

  /** Ended spans of calls and attempts. */
  get calls(): ReadableSpan[] {
    return this.spans.filter(({ attributes }) => "eas.call.kind" in attributes);
  }

  get attempts(): ReadableSpan[] {
    return this.spans.filter(({ attributes }) => "http.request.method" in attributes);
  }

  /** Returns the ended children of a span. */
  childrenOf(parent: ReadableSpan): ReadableSpan[] {
    return this.spans.filter(({ parentSpanContext }) => parentSpanContext?.spanId === parent.spanContext().spanId);
  }

  /** Fails unless all spans have ended exactly once. */
  expectEnded(): void {
    expect(this.#balance.open).toEqual([]);
    expect(new Set(this.#balance.ended).size).toBe(this.#balance.ended.length);
    expect(this.spans).toHaveLength(this.#balance.ended.length);
  }

  async #metric(name: string): Promise<MetricData | undefined> {
    this.#metrics.reset();
    await this.#reader.forceFlush();
    const all = this.#metrics
      .getMetrics()
      .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics));
    return all.find(({ descriptor }) => descriptor.name === name);
  }

  /** Returns the points of a sum as attributes and value. */
  async sums(name: string): Promise<[Attributes, number][]> {
    const metric = await this.#metric(name);
    return (metric?.dataPoints ?? []).map(({ attributes, value }) => [attributes, value as number]);
  }

  async histogram(name: string): Promise<HistogramMetricData> {
    return (await this.#metric(name)) as HistogramMetricData;
  }
}
