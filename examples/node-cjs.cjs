// A prediction from Node with `require`: numbers that describe two cell images, as JSON.
//
//   npm install eas-prediction   # not yet on npm: see README.md
//   EAS_ENDPOINT=… EAS_SERVICE_NAME=scorecard EAS_TOKEN=… node node-cjs.cjs
//
// The EAS console shows these values on the page of the service. Without a service of your own, run
// `npm run example:browser` in this repository. It starts a local gateway and prints its endpoint and token.
const { PredictClient, StringRequest, isEasError } = require("eas-prediction");

// The model was trained with these names.
const samples = [
  {
    mean_radius: 14.6,
    mean_texture: 23.29,
    mean_smoothness: 0.08682,
    mean_compactness: 0.06636,
    mean_concavity: 0.0839,
    mean_concave_points: 0.05271,
    mean_symmetry: 0.1627,
    mean_fractal_dimension: 0.05416,
  },
  {
    mean_radius: 12.04,
    mean_texture: 28.14,
    mean_smoothness: 0.08752,
    mean_compactness: 0.06,
    mean_concavity: 0.02367,
    mean_concave_points: 0.02377,
    mean_symmetry: 0.1854,
    mean_fractal_dimension: 0.05698,
  },
];

async function main() {
  const client = new PredictClient({
    endpoint: process.env.EAS_ENDPOINT,
    serviceName: process.env.EAS_SERVICE_NAME,
    token: process.env.EAS_TOKEN,
  });
  try {
    const response = await client.predict(new StringRequest(JSON.stringify(samples)));
    for (const { label, probability } of response.json()) {
      console.log(`${label}: benign with a probability of ${probability.toFixed(3)}`);
    }
  } finally {
    await client.close(); // lets the process exit at once
  }
}

main().catch((error) => {
  // The message explains what the response means on EAS and what to do. The code is for programs.
  console.error(isEasError(error) ? `${error.code}: ${error.message}` : error);
  process.exitCode = 1;
});
