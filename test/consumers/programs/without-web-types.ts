// This program does not use web types, but the declarations of the package do: Headers, AbortSignal.
import { PredictClient, TFRequest } from "eas-prediction";

const client = new PredictClient({ endpoint: "x", serviceName: "s" });
export const scores: Promise<ReturnType<Float32Array["slice"]>> = client
  .predict(new TFRequest().addFetch("scores"))
  .then((response) => response.getValues("scores", "DT_FLOAT"));
