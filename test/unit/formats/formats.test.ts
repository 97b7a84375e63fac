import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { heldOutDigits, type RunningEmulator, scorecardSamples, startEmulator } from "../../../src/emulator/index.js";
import {
  BladeRequest,
  BladeTFRequest,
  CaffeRequest,
  EasHttpError,
  EasyRecRequest,
  JsonRequest,
  OnnxRequest,
  PredictClient,
  type PredictRequest,
  TFRequest,
  TorchRecRequest,
  TorchRequest,
} from "../../../src/index.js";

// Sends each format over a real socket to the models of the emulator, which uses the generated code.

let emulator: RunningEmulator;
let client: PredictClient;
beforeAll(async () => {
  emulator = await startEmulator();
  client = new PredictClient({ endpoint: emulator.endpoint, serviceName: "digits", token: emulator.token });
});
afterAll(async () => {
  await client.close();
  await emulator.close();
});

const { images, labels } = heldOutDigits;
const COUNT = images.length;
const SHAPE = [COUNT, 64];
const PIXELS = Float32Array.from(images.flat());

interface Outputs {
  readonly scores: Float32Array;
  readonly shape: number[];
  readonly labels: number[];
}

/** The same request in each format, and how its response is read. */
const CLASSIFIERS: Readonly<Record<string, () => Promise<Outputs>>> = {
  TF: () => classify(new TFRequest().addFeed("images", SHAPE, "DT_FLOAT", PIXELS)),
  Torch: async () => {
    const response = await client.predict(new TorchRequest().addFeed(0, SHAPE, "DT_FLOAT", PIXELS));
    return {
      scores: response.getValues(0, "DT_FLOAT"),
      shape: response.getTensorShape(0),
      labels: response.getNumbers(1),
    };
  },
  Blade: () =>
    classify(
      new BladeRequest()
        .addFeed("images", COUNT, SHAPE, "DT_FLOAT", PIXELS)
        .addFetch("scores", "DT_FLOAT")
        .addFetch("labels", "DT_INT64"),
    ),
  "Blade with the TF interface": () =>
    classify(new BladeTFRequest("predict_images").addFeed("images", SHAPE, "DT_FLOAT", PIXELS)),
  Caffe: () => classify(new CaffeRequest().addFeed("images", SHAPE, PIXELS).addFetch("labels").addFetch("scores")),
  ONNX: () => classify(new OnnxRequest().addTensor("images", SHAPE, "DT_FLOAT", PIXELS)),
};

interface NamedOutputs {
  getValues(name: string, dtype: "DT_FLOAT"): Float32Array;
  getTensorShape(name: string): number[];
  getNumbers(name: string): number[];
}

async function classify(request: PredictRequest<NamedOutputs>): Promise<Outputs> {
  const response = await client.predict(request);
  return {
    scores: response.getValues("scores", "DT_FLOAT"),
    shape: response.getTensorShape("scores"),
    labels: response.getNumbers("labels"),
  };
}

describe("digits", () => {
  test.each(Object.entries(CLASSIFIERS))(
    "returns the same scores and labels for %s as for TF",
    async (_, classifier) => {
      const expected = await (CLASSIFIERS.TF as () => Promise<Outputs>)();
      const outputs = await classifier();
      expect(outputs).toEqual(expected);
      expect(outputs.shape).toEqual([COUNT, 10]);
      const right = outputs.labels.filter((label, image) => label === labels[image]).length;
      expect(right / COUNT).toBe(0.99);
    },
  );

  test.each<[string, PredictRequest<unknown>, RegExp]>([
    ["Blade, other type", blade().addFetch("labels", "DT_FLOAT"), /output "labels" has the type 3, not 1/],
    ["Blade, no such output", blade().addFetch("labelz"), /unknown output "labelz": the outputs are scores and labels/],
    [
      "Blade, batch size",
      new BladeRequest().addFeed("images", 2, [1, 64], "DT_FLOAT", PIXELS.slice(0, 64)),
      /batch size 2: it must be the first dimension of \[1,64\]/,
    ],
    ["Blade, signature", blade("other"), /unknown signature "other"/],
    ["Caffe, shape", new CaffeRequest().addFeed("images", [64], PIXELS.slice(0, 64)), /the images must be \[n, 64\]/],
    ["ONNX, type", new OnnxRequest().addTensor("images", [1, 64], "DT_INT32", images[0] ?? []), /must be DT_FLOAT/],
  ])("reports what is wrong: %s", async (_, request, message) => {
    const error = await client.predict(request).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(EasHttpError);
    expect(error).toMatchObject({ status: 400, message: expect.stringMatching(message) });
  });

  function blade(signatureName?: string): BladeRequest {
    return new BladeRequest(signatureName).addFeed("images", 1, [1, 64], "DT_FLOAT", PIXELS.slice(0, 64));
  }
});

describe("ranker", () => {
  const ITEMS = ["7", "3", "0", "9"];

  test("returns the scores of digits for EasyRec and TorchRec", async () => {
    const ranker = client.service("ranker");
    const { scores } = await (CLASSIFIERS.TF as () => Promise<Outputs>)();
    for (let image = 0; image < 5; image++) {
      const expected = ITEMS.map((item) => scores[image * 10 + Number(item)] as number);
      const easy = new EasyRecRequest().addUserFeature("pixels", String(images[image]), "STRING");
      const torch = new TorchRecRequest()
        .addUserFeature("pixels", images[image] ?? [], "LIST<FLOAT>")
        .addMetaData("trace", "42");
      for (const item of ITEMS) {
        easy.addItemId(item);
        torch.addItemId(item);
      }
      const easyResponse = await ranker.predict(easy);
      expect(ITEMS.map((item) => easyResponse.getScores(item)[0])).toEqual(expected);
      expect(easyResponse.itemIds).toEqual(ITEMS);
      expect(easyResponse.getNumbers("probs")).toEqual(expected);
      const torchResponse = await ranker.predict(torch);
      expect(torchResponse.getNumbers("probs")).toEqual(expected);
      expect(torchResponse.itemIds).toEqual(ITEMS);
      expect(torchResponse.passThroughData).toEqual(new Map([["trace", "42"]]));
    }
  });

  test("ranks all digits if there are no item ids, with the right one first", async () => {
    const request = new TorchRecRequest().addUserFeature("pixels", images[0] ?? [], "LIST<FLOAT>");
    const response = await client.service("ranker").predict(request);
    const probabilities = response.getNumbers("probs");
    expect(response.itemIds).toEqual(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    expect(probabilities.indexOf(Math.max(...probabilities))).toBe(labels[0]);
  });

  test.each<[string, PredictRequest<unknown>, RegExp]>([
    ["no pixels", new EasyRecRequest().addItemId("1"), /the user feature "pixels" is missing or has another type/],
    ["no such item", new TorchRecRequest().addItemId("ten"), /unknown item "ten"/],
    ["too few", new EasyRecRequest().addUserFeature("pixels", "1,2", "STRING"), /pixels has 2 numbers/],
  ])("reports what is wrong: %s", async (_, request, message) => {
    const error = await client
      .service("ranker")
      .predict(request)
      .catch((error: unknown) => error);
    expect(error).toMatchObject({ status: 400, message: expect.stringMatching(message) });
  });
});

describe("scorecard by JsonRequest", () => {
  test("returns the result of the scorecard", async () => {
    const request = new JsonRequest();
    for (const { features } of scorecardSamples) request.addRow(features);
    const { outputs } = await client.service("scorecard").predict(request);
    expect(outputs.map(({ outputLabel }) => outputLabel)).toEqual(
      scorecardSamples.map(({ expected }) => expected.label),
    );
    for (const [index, { expected }] of scorecardSamples.entries()) {
      expect(outputs[index]?.outputValue.get("score")).toBe(expected.score);
      expect(outputs[index]?.outputMulti.get("benign")).toBeCloseTo(expected.probability, 12);
    }
  });

  test("reports what is wrong", async () => {
    const request = new JsonRequest().addRow({ mean_radius: "large" });
    const error = await client
      .service("scorecard")
      .predict(request)
      .catch((error: unknown) => error);
    expect(error).toMatchObject({ status: 400, message: expect.stringMatching(/"mean_radius" has the dataType 50/) });
  });
});
