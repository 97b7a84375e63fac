// Loads the entry with an optional peer with `require`.
const { INVALID_SPAN_CONTEXT, trace } = require("@opentelemetry/api");
const { PredictClient } = require("eas-prediction");
const { startEmulator } = require("eas-prediction/emulator");
const { openTelemetryHooks } = require("eas-prediction/opentelemetry");

async function main() {
  const emulator = await startEmulator();
  const names = [];
  const startSpan = (name) => {
    names.push(name);
    return trace.wrapSpanContext(INVALID_SPAN_CONTEXT);
  };
  const client = new PredictClient({
    endpoint: emulator.endpoint,
    serviceName: "echo",
    token: emulator.token,
    hooks: openTelemetryHooks({ tracerProvider: { getTracer: () => ({ startSpan }) } }),
  });
  await client.predict("hello");
  console.log(names.join(", "));
  await Promise.all([client.close(), emulator.close()]);
}

main();
