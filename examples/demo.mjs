// The main job, end to end over real HTTP: starts a local EAS gateway in this process and lets the SDK score samples by
// text and classify 200 handwritten digits by tensors. Exits 0 only when the results are those of the trained models.
import { PredictClient, StringRequest, TFRequest, TorchRequest } from "eas-prediction";
import { DIGITS_HELD_OUT_ACCURACY, heldOutDigits, scorecardSamples, startEmulator } from "eas-prediction/emulator";

const PIXELS = 64;
const LATENCY_CALLS = 500;

const emulator = await startEmulator();
const client = new PredictClient({ endpoint: emulator.endpoint, serviceName: "digits", token: emulator.token });
try {
  console.log(`Local EAS gateway at ${emulator.endpoint}, services: echo, scorecard, digits\n`);
  await scorecard(client.service("scorecard"));
  const byTf = await classifyByTf();
  const byTorch = await classifyByTorch();
  // Three that are right, and one that is not: no model is.
  const wrong = byTf.findIndex((label, i) => label !== heldOutDigits.labels[i]);
  show([0, 23, 142, wrong], byTf);
  check("TF", byTf);
  check("Torch", byTorch);
  await latency();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await client.close();
  await emulator.close();
}

async function scorecard(client) {
  const request = new StringRequest(JSON.stringify(scorecardSamples.map(({ features }) => features)));
  const results = (await client.predict(request)).json();
  console.log("scorecard, by StringRequest: a logistic regression on 8 features of a cell image");
  results.forEach(({ score, probability, label }, i) => {
    const { expected } = scorecardSamples[i];
    if (label !== expected.label || score !== expected.score) throw new Error(`sample ${i}: not what was trained`);
    console.log(`  sample ${i}: ${label.padEnd(9)}  score ${score}  probability of benign ${probability.toFixed(3)}`);
  });
  console.log();
}

async function classifyByTf() {
  const { images } = heldOutDigits;
  const request = new TFRequest("predict_images");
  request.addFeed("images", [images.length, PIXELS], TFRequest.DT_FLOAT, Float32Array.from(images.flat()));
  request.addFetch("labels");
  const response = await client.predict(request);
  return response.getNumbers("labels");
}

async function classifyByTorch() {
  const { images } = heldOutDigits;
  const request = new TorchRequest();
  request.addFeed(0, [images.length, PIXELS], TorchRequest.DT_FLOAT, images.flat());
  const response = await client.predict(request);
  const scores = response.getValues(0, "DT_FLOAT");
  const [, classes] = response.getTensorShape(0);
  return images.map((_, image) => {
    const row = scores.subarray(image * classes, (image + 1) * classes);
    return row.indexOf(Math.max(...row));
  });
}

function show(indexes, predicted) {
  const ink = " .:-=+*#%@";
  const pictures = indexes.map((index) =>
    Array.from({ length: 8 }, (_, row) =>
      heldOutDigits.images[index]
        .slice(row * 8, row * 8 + 8)
        .map((pixel) => ink[Math.round((pixel / 16) * 9)].repeat(2))
        .join(""),
    ),
  );
  for (let row = 0; row < 8; row++) console.log(`  ${pictures.map((picture) => picture[row]).join("    ")}`);
  const captions = indexes.map((index) => `is ${heldOutDigits.labels[index]}, predicted ${predicted[index]}`);
  console.log(`  ${captions.map((caption) => caption.padEnd(16)).join("    ")}\n`);
}

function check(format, predicted) {
  const { labels } = heldOutDigits;
  const right = predicted.filter((label, i) => label === labels[i]).length;
  const accuracy = right / labels.length;
  console.log(
    `digits, by ${format}Request: ${right} of ${labels.length} held-out images right, ${(accuracy * 100).toFixed(1)} %`,
  );
  if (accuracy !== DIGITS_HELD_OUT_ACCURACY) {
    throw new Error(`the training script measured ${DIGITS_HELD_OUT_ACCURACY * 100} %`);
  }
}

async function latency() {
  const request = new TFRequest("predict_images");
  request.addFeed("images", [1, PIXELS], TFRequest.DT_FLOAT, heldOutDigits.images[0]);
  const times = [];
  for (let i = 0; i < LATENCY_CALLS; i++) {
    const { elapsed } = await client.predictDetailed(request);
    times.push(elapsed);
  }
  times.sort((a, b) => a - b);
  const percentile = (p) => `${times[Math.floor((times.length - 1) * p)].toFixed(2)} ms`;
  console.log(
    `\nlatency of ${LATENCY_CALLS} calls with one image, client and gateway in one process: p50 ${percentile(0.5)}, p90 ${percentile(0.9)}, p99 ${percentile(0.99)}`,
  );
}
