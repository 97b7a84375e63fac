/// <reference lib="esnext.disposable" preserve="true" />
import type {} from "./predict/predict-client.js";
import type {} from "./queue/async-inference-client.js";
import type {} from "./queue/queue-client.js";

// Types of `await using client = new PredictClient(…)`, apart from the rest since older compilers have no such symbol.
declare module "./predict/predict-client.js" {
  interface PredictClient extends AsyncDisposable {}
}
declare module "./queue/queue-client.js" {
  interface QueueClient extends AsyncDisposable {}
}
declare module "./queue/async-inference-client.js" {
  interface AsyncInferenceClient extends AsyncDisposable {}
}
