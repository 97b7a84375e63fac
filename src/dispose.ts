/// <reference lib="esnext.disposable" preserve="true" />
import type {} from "./predict/client.js";
import type {} from "./queue/client.js";
import type {} from "./queue/jobs/async-inference-client.js";

// Types for `await using client = new PredictClient(…)`. They are a separate entry point because compilers before
// TypeScript 5.2 do not recognize `AsyncDisposable`.
declare module "./predict/client.js" {
  interface PredictClient extends AsyncDisposable {}
}
declare module "./queue/client.js" {
  interface QueueClient extends AsyncDisposable {}
}
declare module "./queue/jobs/async-inference-client.js" {
  interface AsyncInferenceClient extends AsyncDisposable {}
}
