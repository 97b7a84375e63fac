/// <reference lib="esnext.disposable" preserve="true" />
import type {} from "./predict/client.js";
import type {} from "./queue/client.js";
import type {} from "./queue/jobs/async-inference-client.js";

// Types of `await using client = new PredictClient(…)`, apart from the rest since older compilers have no such symbol.
declare module "./predict/client.js" {
  interface PredictClient extends AsyncDisposable {}
}
declare module "./queue/client.js" {
  interface QueueClient extends AsyncDisposable {}
}
declare module "./queue/jobs/async-inference-client.js" {
  interface AsyncInferenceClient extends AsyncDisposable {}
}
