// Live calls: the results of the unchanged Python client from the emulator in each format. They must be correct, and
// equal to those of this package's client.
import assert from "node:assert/strict";
import {
  BladeRequest,
  BladeTFRequest,
  EasyRecRequest,
  OnnxRequest,
  StringRequest,
  TFRequest,
  TorchRecRequest,
  TorchRequest,
} from "eas-prediction";
import { DIGITS_HELD_OUT_ACCURACY, heldOutDigits, scorecardSamples } from "eas-prediction/emulator";
import { PythonError } from "./peer.mjs";
import { base64, decode, tagged } from "./values.mjs";

const { images, labels } = heldOutDigits;
const SHAPE = [images.length, images[0].length];
const PIXELS = Float32Array.from(images.flat());
const TAGGED_PIXELS = { floats: base64(PIXELS) };
const FLOAT = { dtype: "DT_FLOAT" };

const SCORECARD_BODY = JSON.stringify(scorecardSamples.map(({ features }) => features));
/** Offset in seconds of Python's time zone in peer.mjs. The SDK labels local time as GMT. */
const AHEAD_MS = 8 * 3_600_000;

/** Values that the Python client reads from a response, by paths of attributes, keys and calls. */
function predict({ peer, emulator }, service, format, question) {
  const { endpoint, token } = emulator;
  return peer.ask("predict", { endpoint, service, token, customUrl: "", format, new: [], steps: [], ...question });
}

async function echo(context, body) {
  const reads = [["response_data"]];
  const [{ bytes }] = await predict(context, "echo", "string", { new: [body], reads });
  const sent = decode(body);
  const wanted = typeof sent === "string" ? Buffer.from(sent) : Buffer.from(sent);
  assert.deepEqual(Buffer.from(bytes, "base64"), wanted);
}

/** Returns the status in the message of Python's exception. */
async function statusOf(call) {
  const error = await call.then(
    () => assert.fail("no exception"),
    (error) => error,
  );
  assert.ok(error instanceof PythonError && error.type === "PredictException", error.message);
  return error.code;
}

const string = {
  "text is echoed": (context) => echo(context, "na\u00efve \u4e2d\u6587 \u{1f600}"),
  "bytes are echoed": (context) => echo(context, { bytes: base64(Uint8Array.from({ length: 256 }, (_, i) => i)) }),
  "an empty body is echoed": (context) => echo(context, ""),
  "a megabyte is echoed": (context) => echo(context, "0123456789abcdef".repeat(65_536)),
  "the scorecard's responses are correct and equal for both clients": async (context) => {
    const reads = [["response_data"]];
    const [{ bytes }] = await predict(context, "scorecard", "string", { new: [SCORECARD_BODY], reads });
    const results = JSON.parse(Buffer.from(bytes, "base64").toString());
    assert.equal(results.length, scorecardSamples.length);
    for (const [i, { expected }] of scorecardSamples.entries()) {
      assert.equal(results[i].score, expected.score);
      assert.equal(results[i].label, expected.label);
    }
    const ours = await context.client.service("scorecard").predict(new StringRequest(SCORECARD_BODY));
    assert.deepEqual(results, ours.json());
  },
  "the signature contains the local time that the SDK labels GMT": async (context) => {
    await echo(context, "signed");
    const { auth, headers } = context.emulator.requests.at(-1);
    assert.equal(auth, "signature");
    const ahead = Date.parse(headers.get("date")) - Date.now();
    assert.ok(Math.abs(ahead - AHEAD_MS) < 60_000, `Date: ${headers.get("date")}`);
  },
  "a custom URL receives the unchanged token": async (context) => {
    const customUrl = `${context.emulator.endpoint}/api/predict/echo`;
    const question = { endpoint: "", customUrl, new: ["custom"], reads: [["response_data"]] };
    const [answer] = await predict(context, "", "string", question);
    assert.deepEqual(answer, { bytes: base64(Buffer.from("custom")) });
    assert.equal(context.emulator.requests.at(-1).auth, "token");
  },
  "a wrong token causes 401": async (context) => {
    const question = { new: ["x"], reads: [], token: "wrong" };
    assert.equal(await statusOf(predict(context, "echo", "string", question)), 401);
  },
  "a missing token causes 401": async (context) => {
    const question = { new: ["x"], reads: [], token: "" };
    assert.equal(await statusOf(predict(context, "echo", "string", question)), 401);
  },
  "an unknown service causes 404": async (context) => {
    assert.equal(await statusOf(predict(context, "nobody", "string", { new: ["x"], reads: [] })), 404);
  },
  "a body that the model cannot read causes 400": async (context) => {
    assert.equal(await statusOf(predict(context, "scorecard", "string", { new: ["{"], reads: [] })), 400);
  },
  "500 is tried again": async (context) => {
    const before = context.emulator.requests.length;
    context.emulator.fault({ status: 500 });
    await echo(context, "again");
    const sent = context.emulator.requests.slice(before).map(({ status }) => status);
    assert.deepEqual(sent, [500, 200]);
  },
};

/**
 * Checks that the accuracy of the labels equals that of the training, and that labels and scores equal those of this
 * package's client.
 */
function checkDigits([pythonLabels, labelsShape, scores, scoresShape], ours) {
  const right = pythonLabels.filter((label, i) => decode(label) === labels[i]).length;
  assert.equal(right / labels.length, DIGITS_HELD_OUT_ACCURACY);
  assert.deepEqual(pythonLabels.map(decode), ours.getNumbers(...labelsOf(ours)));
  assert.deepEqual(decode(labelsShape), ours.getTensorShape(...labelsOf(ours)));
  const floats = { floats: base64(Float32Array.from(scores, decode)) };
  assert.deepEqual(floats, tagged("DT_FLOAT", ours.getValues(...scoresOf(ours))));
  assert.deepEqual(decode(scoresShape), ours.getTensorShape(...scoresOf(ours)));
}

const byPosition = (response) => "outputCount" in response;
const scoresOf = (response) => [byPosition(response) ? 0 : "scores"];
const labelsOf = (response) => [byPosition(response) ? 1 : "labels"];

/** Paths to labels and scores by the accessors of the SDK's response classes. */
const reads = (labels, scores, labelsType = [], scoresType = []) => [
  ["get_values", [labels, ...labelsType]],
  ["get_tensor_shape", [labels]],
  ["get_values", [scores, ...scoresType]],
  ["get_tensor_shape", [scores]],
];

const tf = {
  "digits are classified": async (context) => {
    const steps = [["add_feed", "images", SHAPE, FLOAT, TAGGED_PIXELS]];
    const question = { new: ["predict_images"], steps, reads: reads("labels", "scores") };
    const request = new TFRequest("predict_images").addFeed("images", SHAPE, "DT_FLOAT", PIXELS);
    checkDigits(
      await predict(context, "digits", "tf", question),
      await context.client.service("digits").predict(request),
    );
  },
  "only the requested outputs are returned": async (context) => {
    const steps = [
      ["add_feed", "images", SHAPE, FLOAT, TAGGED_PIXELS],
      ["add_fetch", "labels"],
    ];
    const question = {
      new: ["predict_images"],
      steps,
      reads: [
        ["get_values", ["labels"]],
        ["response", "outputs"],
      ],
    };
    const [values, names] = await predict(context, "digits", "tf", question);
    assert.equal(values.length, labels.length);
    assert.deepEqual(names, ["labels"]);
  },
  "an input of another shape causes 400": async (context) => {
    const steps = [["add_feed", "images", [1, 2], FLOAT, { floats: base64(Float32Array.of(1, 2)) }]];
    assert.equal(await statusOf(predict(context, "digits", "tf", { new: [""], steps, reads: [] })), 400);
  },
};

async function torchDigits(context, service, flag) {
  const steps = [["add_feed", 0, SHAPE, FLOAT, TAGGED_PIXELS]];
  const request = new TorchRequest().addFeed(0, SHAPE, "DT_FLOAT", PIXELS);
  checkDigits(
    await predict(context, service, "torch", { new: [flag], steps, reads: reads(1, 0) }),
    await context.client.service("digits").predict(request),
  );
}

const torch = {
  "digits are classified": (context) => torchDigits(context, "digits", false),
};

const torchSnappy = {
  "digits are classified by a service that decompresses Snappy": async (context) => {
    const { emulator } = context;
    emulator.addService("digits-snappy", {
      decompressor: "snappy",
      handle: ({ body }) => emulator.fetch(digitsCall(emulator, body)),
    });
    await torchDigits(context, "digits-snappy", true);
    const sent = emulator.requests.findLast(({ service }) => service === "digits-snappy");
    assert.ok(sent.body.length < PIXELS.byteLength / 2, `a body of ${sent.body.length} bytes is not compressed`);
  },
  "a service that does not decompress Snappy returns 400": async (context) => {
    const steps = [["add_feed", 0, SHAPE, FLOAT, TAGGED_PIXELS]];
    assert.equal(await statusOf(predict(context, "digits", "torch", { new: [true], steps, reads: [] })), 400);
  },
};

const digitsCall = ({ endpoint, token }, body) =>
  new Request(`${endpoint}/api/predict/digits`, { method: "POST", headers: { authorization: token }, body });

const blade = {
  "digits are classified": async (context) => {
    const [float, int64] = ["DT_FLOAT", "DT_INT64"].map((dtype) => ({ dtype }));
    const steps = [
      ["add_feed", "images", images.length, SHAPE, float, TAGGED_PIXELS],
      ["add_fetch", "labels", int64],
      ["add_fetch", "scores", float],
    ];
    const request = new BladeRequest("predict_images")
      .addFeed("images", images.length, SHAPE, "DT_FLOAT", PIXELS)
      .addFetch("labels", "DT_INT64")
      .addFetch("scores", "DT_FLOAT");
    const question = { new: ["predict_images"], steps, reads: reads("labels", "scores", [int64], [float]) };
    checkDigits(
      await predict(context, "digits", "blade", question),
      await context.client.service("digits").predict(request),
    );
  },
};

const bladeTf = {
  "digits are classified": async (context) => {
    const steps = [
      ["add_feed", "images", SHAPE, FLOAT, TAGGED_PIXELS],
      ["add_fetch", "labels"],
      ["add_fetch", "scores"],
    ];
    const request = new BladeTFRequest("predict_images")
      .addFeed("images", SHAPE, "DT_FLOAT", PIXELS)
      .addFetch("labels")
      .addFetch("scores");
    checkDigits(
      await predict(context, "digits", "bladeTf", { new: ["predict_images"], steps, reads: reads("labels", "scores") }),
      await context.client.service("digits").predict(request),
    );
  },
};

const onnx = {
  "digits are classified": async (context) => {
    const steps = [["onnx_array", "images", SHAPE, "float32", { bytes: base64(PIXELS) }]];
    const request = new OnnxRequest().addTensor("images", SHAPE, "DT_FLOAT", PIXELS);
    const ours = await context.client.service("digits").predict(request);
    const [size, ...tensors] = await predict(context, "digits", "onnx", {
      steps,
      reads: [
        ["get_size", []],
        ...ours.outputNames.flatMap((_, i) => [
          ["get_name", [i]],
          ["get_tensor", [i]],
        ]),
      ],
    });
    assert.equal(decode(size), ours.getSize());
    const named = Object.fromEntries(ours.outputNames.map((_, i) => [tensors[2 * i], tensors[2 * i + 1]]));
    const { labels, scores } = named;
    checkDigits([labels.values, labels.shape, scores.values, scores.shape], ours);
  },
};

const ITEMS = Array.from({ length: 10 }, (_, digit) => String(digit));

/** Ranks all images one by one, and checks that the accuracy of the first rank equals that of the training. */
async function checkRanking(pythonProbabilities, ourProbabilities) {
  let right = 0;
  for (const [i, image] of images.entries()) {
    const probabilities = await pythonProbabilities(image);
    assert.deepEqual(probabilities, await ourProbabilities(image));
    if (probabilities.indexOf(Math.max(...probabilities)) === labels[i]) right++;
  }
  assert.equal(right / labels.length, DIGITS_HELD_OUT_ACCURACY);
}

const easyrec = {
  "digits are ranked for images": (context) =>
    checkRanking(
      async (image) => {
        const steps = [
          ["add_user_fea_str", "pixels", image.join(",")],
          ...ITEMS.map((item) => ["easyrec_item_id", item]),
        ];
        const paths = ITEMS.map((item) => ["results", { at: item }, "scores"]);
        const question = { steps, reads: [["item_ids"], ...paths] };
        const [itemIds, ...scores] = await predict(context, "ranker", "easyrec", question);
        assert.deepEqual(itemIds, ITEMS);
        return scores.flatMap(decode);
      },
      async (image) => {
        const request = new EasyRecRequest().addUserFeature("pixels", image.join(","), "STRING");
        for (const item of ITEMS) request.addItemId(item);
        const response = await context.client.service("ranker").predict(request);
        return ITEMS.flatMap((item) => [...response.getScores(item)]);
      },
    ),
};

const torchrec = {
  "digits are ranked for images": (context) =>
    checkRanking(
      async (image) => {
        const pixels = { floats: base64(Float32Array.from(image)) };
        const steps = [
          ["add_user_fea", "pixels", pixels, "LIST<FLOAT>"],
          ...ITEMS.map((item) => ["add_item_id", item]),
        ];
        const reads = [["item_ids"], ["map_outputs", { at: "probs" }, "float_val"]];
        const [itemIds, probabilities] = await predict(context, "ranker", "torchrec", { steps, reads });
        assert.deepEqual(itemIds, ITEMS);
        return decode(probabilities);
      },
      async (image) => {
        const request = new TorchRecRequest().addUserFeature("pixels", image, "LIST<FLOAT>");
        for (const item of ITEMS) request.addItemId(item);
        const response = await context.client.service("ranker").predict(request);
        return response.getNumbers("probs");
      },
    ),
};

/** By format: the service, and a function that rejects if the response is wrong. */
export const LIVE = { string, tf, torch, torchSnappy, blade, bladeTf, onnx, easyrec, torchrec };
