// Loads the entry with an optional peer with `import`.
import { INVALID_SPAN_CONTEXT, trace } from "@opentelemetry/api";
import { PredictClient } from "eas-prediction";
import { startEmulator } from "eas-prediction/emulator";
import { openTelemetryHooks } from "eas-prediction/opentelemetry";

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
