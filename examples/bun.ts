// A prediction from Bun: a handwritten digit, sent as an ONNX tensor.
//
//   bun add eas-prediction   # not yet on npm: see README.md
//   EAS_ENDPOINT=… EAS_SERVICE_NAME=digits EAS_TOKEN=… bun bun.ts
//
// The EAS console shows these values on the page of the service. Without a service of your own, run
// `npm run example:browser` in this repository. It starts a local gateway and prints its endpoint and token.
import { OnnxRequest, PredictClient } from "eas-prediction";

/** 8×8 pixels, with ink from 0 to 16. */
const image = `
   0  1 15 16 10  0  0  0
   0  7 15 10 16  0  0  0
   0  4 12  1 16  4  0  0
   0  0  2  3 16  1  0  0
   0  0  0  4 15  0  0  0
   0  0  0 11 12  0  0  0
   0  0 11 16 14 14 15  3
   0  1 15 16 16 16 16  5
`
  .trim()
  .split(/\s+/)
  .map(Number);

const client = new PredictClient({
  endpoint: process.env.EAS_ENDPOINT,
  serviceName: process.env.EAS_SERVICE_NAME,
  token: process.env.EAS_TOKEN,
});

try {
  const response = await client.predict(new OnnxRequest().addTensor("images", [1, 64], "DT_FLOAT", image));
  const scores = response.getValues("scores", "DT_FLOAT");
  const [digit] = response.getNumbers("labels");
  console.log(`It is a ${digit}, with a probability of ${Math.max(...scores).toFixed(3)}.`);
} finally {
  await client.close();
}
