// A prediction from Deno: a handwritten digit, sent as a PyTorch tensor.
//
//   deno add npm:eas-prediction   # not yet on npm: see README.md
//   EAS_ENDPOINT=… EAS_SERVICE_NAME=digits EAS_TOKEN=… deno run --allow-env --allow-net deno.ts
//
// The EAS console shows these values on the page of the service. Without a service of your own, run
// `npm run example:browser` in this repository. It starts a local gateway and prints its endpoint and token.
import { PredictClient, TorchRequest, tensor } from "eas-prediction";

/** 8×8 pixels, with ink from 0 to 16. */
const image = `
   0  0  2 12 12 12  9  2
   0  0  9 15 12 13 16  5
   0  0 12  8  0  8 10  0
   0  1 16  3  3 15  2  0
   0  1  3  0 12  7  0  0
   0  0  0  4 13  0  0  0
   0  0  0 13  9  0  0  0
   0  0  3 15  3  0  0  0
`
  .trim()
  .split(/\s+/)
  .map(Number);

const client = new PredictClient({
  endpoint: Deno.env.get("EAS_ENDPOINT"),
  serviceName: Deno.env.get("EAS_SERVICE_NAME"),
  token: Deno.env.get("EAS_TOKEN"),
});

// The inputs and outputs of a PyTorch model have numbers instead of names. This model returns scores and labels.
const request = new TorchRequest().addFeed(0, tensor([1, 64], Float32Array.from(image)));

try {
  const response = await client.predict(request);
  const scores = response.getValues(0, "DT_FLOAT");
  const [digit] = response.getNumbers(1);
  console.log(`It is a ${digit}, with a probability of ${Math.max(...scores).toFixed(3)}.`);
} finally {
  await client.close();
}
