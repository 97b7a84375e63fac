/// <reference lib="esnext.disposable" />
import type {} from "./predict/predict-client.js";

// Types of `await using client = new PredictClient(…)`, apart from the rest since older compilers have no such symbol.
declare module "./predict/predict-client.js" {
  interface PredictClient extends AsyncDisposable {}
}
