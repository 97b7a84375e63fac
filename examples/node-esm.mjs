// A prediction from Node, as an ES module: a handwritten digit, sent as a TensorFlow tensor.
//
//   npm install eas-prediction   # not yet on npm: see README.md
//   EAS_ENDPOINT=… EAS_SERVICE_NAME=digits EAS_TOKEN=… node node-esm.mjs
//
// The EAS console shows these values on the page of the service. Without a service of your own, run
// `npm run example:browser` in this repository. It starts a local gateway and prints its endpoint and token.
import { PredictClient, TFRequest } from "eas-prediction";

/** 8×8 pixels, with ink from 0 to 16. */
const image = `
   0  0  3 10 15  8  0  0
   0  0 12 14  8  1  0  0
   0  1 16  3  0  0  0  0
   0  2 16  9 11 16  3  0
   0  4 16 14  9 15  7  0
   0  1  4  0  0 15  3  0
   0  0  0  3 12  8  0  0
   0  0  2 10  8  0  0  0
`
  .match(/\d+/g)
  .map(Number);

const client = new PredictClient({
  endpoint: process.env.EAS_ENDPOINT,
  serviceName: process.env.EAS_SERVICE_NAME,
  token: process.env.EAS_TOKEN,
});

// The names of signature, inputs and outputs belong to the model. `saved_model_cli show --all` lists those of a SavedModel.
const request = new TFRequest("predict_images")
  .addFeed("images", [1, 64], TFRequest.DT_FLOAT, image)
  .addFetch("scores");

try {
  const response = await client.predict(request);
  const scores = response.getValues("scores", "DT_FLOAT"); // a Float32Array
  const digit = scores.indexOf(Math.max(...scores));
  console.log(`It is a ${digit}, with a probability of ${scores[digit].toFixed(3)}.`);
} finally {
  await client.close(); // lets the process exit at once
}
