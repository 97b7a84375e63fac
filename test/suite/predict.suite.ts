import { create } from "@bufbuild/protobuf";
import {
  BladeRequest,
  BladeTFRequest,
  batch,
  CaffeRequest,
  EasyRecRequest,
  JsonRequest,
  OnnxRequest,
  TFRequest,
  TorchRecRequest,
  TorchRequest,
  tensor,
} from "eas-prediction";
import { heldOutDigits, scorecardSamples } from "eas-prediction/emulator/memory";
import { ProtoRequest } from "eas-prediction/proto";
import { PredictRequestSchema, PredictResponseSchema } from "eas-prediction/proto/tf";
import { demoClient, openService } from "./clients.js";
import { expect, expectError, rejection } from "./expect.js";
import { test } from "./harness.js";

const IMAGE = heldOutDigits.images[0] as readonly number[];
const DIGIT = heldOutDigits.labels[0] as number;
const CHINESE = "你好，世界 🌏";

test("predict", "returns text for text", async (test) => {
  const answer = await demoClient(test, "echo").predict(`[{"fea1": 1, "名": "${CHINESE}"}]`);
  expect(answer.json()).to.deep.equal([{ fea1: 1, 名: CHINESE }]);
});

test("predict", "returns bytes that the caller owns", async (test) => {
  const sent = Uint8Array.from({ length: 256 }, (_, i) => i);
  const answer = await demoClient(test, "echo").predict(sent);
  expect(answer).to.deep.equal(sent);
  expect(answer.byteOffset).to.equal(0);
  expect(answer.buffer.byteLength).to.equal(256);
});

test("predict", "sends an empty body", async (test) => {
  expect(await demoClient(test, "echo").predict(new Uint8Array(0))).to.have.length(0);
});

test("predict", "sends rows of features as JSON", async (test) => {
  const request = new JsonRequest();
  for (const { features } of scorecardSamples) request.addRow(features);
  const { outputs } = await demoClient(test, "scorecard").predict(request);
  expect(outputs.map(({ outputLabel }) => outputLabel)).to.deep.equal(
    scorecardSamples.map(({ expected }) => expected.label),
  );
});

test("predict", "sends path, query and headers in Chinese unchanged", async (test) => {
  const { client } = await openService(test, "headers");
  const answer = await client.predict("x", {
    path: "/模型/v1",
    query: { 问: CHINESE, n: 9007199254740993n },
    headers: { "x-ask": encodeURIComponent(CHINESE) },
  });
  const { url, headers } = answer.json<{ url: string; headers: Record<string, string> }>();
  const { pathname, searchParams } = new URL(url, "http://emulator");
  expect(decodeURIComponent(pathname)).to.match(/\/模型\/v1$/);
  expect(searchParams.get("问")).to.equal(CHINESE);
  expect(searchParams.get("n")).to.equal("9007199254740993");
  expect(headers["x-ask"]).to.equal(encodeURIComponent(CHINESE));
});

test("predict", "returns status, headers, instance and duration from predictDetailed", async (test) => {
  const { response, status, headers, endpoint, attempts, elapsed } = await demoClient(test, "echo").predictDetailed(
    "x",
  );
  expect([String(response), status, endpoint, attempts]).to.deep.equal(["x", 200, test.endpoint, 1]);
  expect(headers.get("content-type")).to.equal("application/octet-stream");
  expect(elapsed).to.be.greaterThan(0);
});

test("tensors", "TF", async (test) => {
  const request = new TFRequest("predict_images");
  request.addFeed("images", [1, 64], TFRequest.DT_FLOAT, IMAGE).addFetch("scores").addFetch("labels");
  const response = await demoClient(test, "digits").predict(request);
  expect(response.getTensorShape("scores")).to.deep.equal([1, 10]);
  expect(response.getValues("labels", "DT_INT64")).to.deep.equal(BigInt64Array.of(BigInt(DIGIT)));
  expect(response.getValues("scores", "DT_FLOAT")).to.be.instanceOf(Float32Array);
});

test("tensors", "Torch", async (test) => {
  const request = new TorchRequest().addFeed(0, tensor([1, 64], Float32Array.from(IMAGE)));
  const response = await demoClient(test, "digits").predict(request);
  expect(response.getTensorShape(0)).to.deep.equal([1, 10]);
  expect(response.getNumbers(1)).to.deep.equal([DIGIT]);
});

test("tensors", "Blade", async (test) => {
  const request = new BladeRequest("predict_images");
  request.addFeed("images", 1, [1, 64], BladeRequest.DT_FLOAT, IMAGE).addFetch("labels", BladeRequest.DT_INT64);
  const response = await demoClient(test, "digits").predict(request);
  expect(response.getValues("labels", "DT_INT64")).to.deep.equal(BigInt64Array.of(BigInt(DIGIT)));
});

test("tensors", "Blade with the methods of TF", async (test) => {
  const request = new BladeTFRequest("predict_images");
  request.addFeed("images", [1, 64], BladeTFRequest.DT_FLOAT, IMAGE).addFetch("labels");
  expect((await demoClient(test, "digits").predict(request)).getNumbers("labels")).to.deep.equal([DIGIT]);
});

test("tensors", "Caffe", async (test) => {
  const request = new CaffeRequest().addFeed("images", [1, 64], IMAGE).addFetch("labels");
  expect((await demoClient(test, "digits").predict(request)).getValues("labels")).to.deep.equal(Float32Array.of(DIGIT));
});

test("tensors", "ONNX", async (test) => {
  const request = new OnnxRequest().addTensor("images", [1, 64], OnnxRequest.DT_FLOAT, Float32Array.from(IMAGE));
  expect((await demoClient(test, "digits").predict(request)).getNumbers("labels")).to.deep.equal([DIGIT]);
});

/** Messages of generated code that the service parses and returns. */
const ROUND_TRIPS = [
  [
    "DT_FLOAT",
    Float32Array.of(0.1, -0, Number.POSITIVE_INFINITY, 1.5e-45),
    Float32Array.of(0.1, -0, Number.POSITIVE_INFINITY, 1.5e-45),
  ],
  ["DT_DOUBLE", [0.1, -1e300, 5e-324, 2], Float64Array.of(0.1, -1e300, 5e-324, 2)],
  ["DT_INT32", Int32Array.of(-2147483648, -1, 0, 2147483647), Int32Array.of(-2147483648, -1, 0, 2147483647)],
  ["DT_UINT8", [0, 1, 128, 255], Uint8Array.of(0, 1, 128, 255)],
  [
    "DT_INT64",
    [9007199254740993n, -9223372036854775808n, 9223372036854775807n, -1n],
    BigInt64Array.of(9007199254740993n, -9223372036854775808n, 9223372036854775807n, -1n),
  ],
  ["DT_BOOL", [true, false, false, true], [true, false, false, true]],
] as const;

for (const [dtype, content, expected] of ROUND_TRIPS) {
  test("tensors", `sends and receives ${dtype} exactly`, async (test) => {
    const { client } = await openService(test, "tensors");
    const request = new TFRequest().addFeed("x", [2, 2], dtype, content as never);
    const response = await client.predict(request);
    expect(response.getTensorShape("x")).to.deep.equal([2, 2]);
    expect(response.getValues("x", dtype)).to.deep.equal(expected);
  });
}

test("tensors", "sends and receives strings in Chinese", async (test) => {
  const { client } = await openService(test, "tensors");
  const request = new TFRequest("签名").addFeed("输入", [2], TFRequest.DT_STRING, [CHINESE, ""]);
  expect((await client.predict(request)).getStrings("输入")).to.deep.equal([CHINESE, ""]);
});

test("tensors", "refuses an inexact int64 before anything is sent", async (test) => {
  const { client, requests } = await openService(test, "tensors");
  const request = new TFRequest();
  expect(() => request.addFeed("x", [1], "DT_INT64", [2 ** 53])).to.throw(/x/);
  const big = await client.predict(new TFRequest().addFeed("x", [1], "DT_INT64", [2n ** 53n + 1n]));
  expect(() => big.getNumbers("x")).to.throw(/9007199254740993/);
  expect(await requests()).to.have.length(1);
});

test("recommend", "EasyRec", async (test) => {
  const request = new EasyRecRequest();
  request.addUserFeature("pixels", IMAGE.join(","), "STRING");
  request.addContextFeature("小时", [9, 9], "INT");
  for (const item of [String(DIGIT), String((DIGIT + 1) % 10)]) request.addItemId(item);
  const { results } = await demoClient(test, "ranker").predict(request);
  expect([...results].map(([item, scores]) => [item, (scores[0] as number) > 0.5])).to.deep.equal([
    [String(DIGIT), true],
    [String((DIGIT + 1) % 10), false],
  ]);
});

test("recommend", "TorchEasyRec", async (test) => {
  const request = new TorchRecRequest();
  request.addUserFeature("pixels", IMAGE, "LIST<FLOAT>");
  request.addUserFeature("兴趣", { 数学: 0.9 }, "MAP<STRING,DOUBLE>");
  for (let item = 0; item < 10; item++) request.addItemId(String(item));
  const response = await demoClient(test, "ranker").predict(request);
  const probabilities = response.getValues("probs", "DT_FLOAT");
  expect(response.itemIds[probabilities.indexOf(Math.max(...probabilities))]).to.equal(String(DIGIT));
});

test("proto", "sends and receives a message of generated code", async (test) => {
  const { client } = await openService(test, "tensors");
  const message = create(PredictRequestSchema, {
    inputs: { x: { dtype: 9, arrayShape: { dim: [1n] }, int64Val: [9007199254740993n] } },
  });
  const answer = await client.predict(new ProtoRequest(PredictRequestSchema, message, PredictResponseSchema));
  expect(answer.outputs.x?.int64Val).to.deep.equal([9007199254740993n]);
});

test("predict", "keeps the order of a batch, limits its concurrency, and stops at the first error", async (test) => {
  const { client, service, counterpart, requests } = await openService(test, "echo", { retryCount: 0 });
  const rows = Array.from({ length: 20 }, (_, i) => `${i}`);
  const { signal } = test.signal();
  expect((await batch(client, rows, { concurrency: 4, signal })).map(String)).to.deep.equal(rows);
  await counterpart.fault({ service, status: 400 });
  expectError(await rejection(batch(client, rows, { concurrency: 1, signal })), { name: "EasHttpError", status: 400 });
  expect(await requests()).to.have.length(21);
});

test("predict", "resumes a batch from its checkpoint and adapts its concurrency", async (test) => {
  const { client } = await openService(test, "echo", { retryCount: 0 });
  const rows = Array.from({ length: 60 }, (_, i) => `${i}`);
  const first = batch.stream(client, rows, { concurrency: 3, ordered: true });
  for await (const { index, answer } of first) {
    expect(String(answer)).to.equal(`${index}`);
    if (index === 20) break;
  }
  const checkpoint = JSON.parse(JSON.stringify(first.checkpoint));
  expect(checkpoint.done).to.deep.equal([[0, 20]]);
  const indexes: number[] = [];
  for await (const { index, answer } of batch.stream(client, rows, { concurrency: "auto", checkpoint })) {
    expect(String(answer)).to.equal(`${index}`);
    indexes.push(index);
  }
  expect(indexes.sort((a, b) => a - b)).to.deep.equal(Array.from({ length: 40 }, (_, i) => i + 20));
});
