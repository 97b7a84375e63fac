// A program for bundlers that keep imports unchanged: `require` next to `import`.
import eas = require("eas-prediction");
import node = require("eas-prediction/node");

const options: eas.PredictClientOptions = { endpoint: "x", serviceName: "s", transport: node.nodeTransport() };
export const scores: Promise<ReturnType<Float32Array["slice"]>> = new eas.PredictClient(options)
  .predict(new eas.TFRequest().addFetch("scores"))
  .then((response) => response.getValues("scores", eas.TFRequest.DT_FLOAT));
