// The demo, end to end over real HTTP: starts a local EAS gateway in this process. The SDK scores samples as text and
// classifies 200 handwritten digits as tensors. Exits with 0 only if the results are those of the trained models.
import {
  BladeRequest,
  BladeTFRequest,
  CaffeRequest,
  EasyRecRequest,
  OnnxRequest,
  PredictClient,
  TFRequest,
  TorchRecRequest,
  TorchRequest,
} from "eas-prediction";
import { DIGITS_HELD_OUT_ACCURACY, heldOutDigits, scorecardSamples, startEmulator } from "eas-prediction/emulator";

const PIXELS = 64;
const LATENCY_CALLS = 500;

const { images } = heldOutDigits;
const count = images.length;
const shape = [count, PIXELS];
const pixels = Float32Array.from(images.flat());

/** Requests the labels of all images, in each format. */
const FORMATS = {
  TF: () => labels(new TFRequest("predict_images").addFeed("images", shape, "DT_FLOAT", pixels).addFetch("labels")),
  Torch: () => labels(new TorchRequest().addFeed(0, shape, "DT_FLOAT", pixels).addFetch(1), 0),
  Blade: () => labels(new BladeRequest().addFeed("images", count, shape, "DT_FLOAT", pixels).addFetch("labels")),
  BladeTF: () => labels(new BladeTFRequest().addFeed("images", shape, "DT_FLOAT", pixels).addFetch("labels")),
  Caffe: () => labels(new CaffeRequest().addFeed("images", shape, pixels).addFetch("labels")),
  Onnx: () => labels(new OnnxRequest().addTensor("images", shape, "DT_FLOAT", pixels)),
  EasyRec: () => ranked((image) => new EasyRecRequest().addUserFeature("pixels", image.join(","), "STRING")),
  TorchRec: () => ranked((image) => new TorchRecRequest().addUserFeature("pixels", image, "LIST<FLOAT>")),
};

const emulator = await startEmulator();
const client = new PredictClient({ endpoint: emulator.endpoint, serviceName: "digits", token: emulator.token });
const ranker = client.service("ranker");
try {
  console.log(`Local EAS gateway at ${emulator.endpoint}, services: echo, scorecard, digits, ranker, llm\n`);
  await scorecard(client.service("scorecard"));
  let predicted = [];
  for (const [format, predict] of Object.entries(FORMATS)) {
    predicted = await predict();
    check(format, predicted);
  }
  console.log();
  // Three correct results and one wrong result: no model is perfect.
  const wrong = predicted.findIndex((label, i) => label !== heldOutDigits.labels[i]);
  show([0, 23, 142, wrong], predicted);
  await latency();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await client.close();
  await emulator.close();
}

/** Returns the labels of all images, in one call to the service `digits`. */
async function labels(request, output = "labels") {
  return (await client.predict(request)).getNumbers(output);
}

/** Returns the digits that are ranked first, with one call for each image. */
function ranked(requestOf) {
  return Promise.all(
    images.map(async (image) => {
      const probabilities = (await ranker.predict(requestOf(image))).getValues("probs", "DT_FLOAT");
      return probabilities.indexOf(Math.max(...probabilities));
    }),
  );
}

async function scorecard(client) {
  const results = await client.json(scorecardSamples.map(({ features }) => features));
  console.log("scorecard, as JSON: a logistic regression on 8 features of a cell image");
  results.forEach(({ score, probability, label }, i) => {
    const { expected } = scorecardSamples[i];
    if (label !== expected.label || score !== expected.score) throw new Error(`sample ${i}: not what was trained`);
    console.log(`  sample ${i}: ${label.padEnd(9)}  score ${score}  probability of benign ${probability.toFixed(3)}`);
  });
  console.log();
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
  console.log(`  ${captions.map((caption) => caption.padEnd(16)).join("    ")}`);
}

function check(format, predicted) {
  const { labels } = heldOutDigits;
  const right = predicted.filter((label, i) => label === labels[i]).length;
  const accuracy = right / labels.length;
  const percent = `${(accuracy * 100).toFixed(1)} %`;
  console.log(
    `digits, by ${`${format}Request:`.padEnd(16)} ${right} of ${labels.length} held-out images right, ${percent}`,
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
