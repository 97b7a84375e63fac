import { afterAll, beforeAll, expect, test } from "vitest";
import { type RunningEmulator, startEmulator } from "../../../src/emulator/index.js";
import {
  ENDPOINT_TYPE_DIRECT,
  PredictClient,
  StringRequest,
  StringResponse,
  TFRequest,
  TFResponse,
  TorchRequest,
  TorchResponse,
} from "../../../src/index.js";

// The predict examples on the page of the official Python SDK, with its names in camelCase. The services echo requests,
// which works for Torch, whose requests and responses have the same fields. For TF, the response is built by hand.
let emulator: RunningEmulator;
beforeAll(async () => {
  emulator = await startEmulator({
    instances: 3,
    services: {
      scorecard_pmml_example: ({ body }) => new TextDecoder().decode(body),
      mnist_saved_model_example: () => {
        const answer = new TFRequest()
          .addFeed("scores", [1, 10], "DT_FLOAT", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
          .toBinary();
        // The map of tensors is field 2 of the request and field 1 of the response.
        answer[0] = 0x0a;
        return answer;
      },
      pytorch_gpu_wl: ({ body }) => body,
    },
  });
});
afterAll(() => emulator.close());

test("string input and output", async () => {
  const client = new PredictClient(emulator.endpoint, "scorecard_pmml_example");
  client.setToken(emulator.token);
  client.init();
  const request = new StringRequest('[{"fea1": 1, "fea2": 2}]');
  for (let x = 0; x < 10; x++) {
    const response = await client.predict(request);
    expect(response).toBeInstanceOf(StringResponse);
    expect(`${response}`).toBe('[{"fea1": 1, "fea2": 2}]');
  }
  await client.close();
});

test("tensor input and output", async () => {
  const client = new PredictClient(emulator.endpoint, "mnist_saved_model_example");
  client.setToken(emulator.token);
  client.init();
  const request = new TFRequest("predict_images");
  request.addFeed("images", [1, 784], TFRequest.DT_FLOAT, Array(784).fill(1));
  for (let x = 0; x < 10; x++) {
    const response = await client.predict(request);
    expect(response).toBeInstanceOf(TFResponse);
    expect(response.getTensorShape("scores")).toEqual([1, 10]);
    expect(response.getValues("scores")).toEqual(Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  }
  await client.close();
});

test("VPC direct connection", async () => {
  const client = new PredictClient(emulator.endpoint, "mnist_saved_model_example");
  client.setToken(emulator.token);
  client.setEndpointType(ENDPOINT_TYPE_DIRECT);
  client.init();
  const request = new TFRequest("predict_images");
  request.addFeed("images", [1, 2], TFRequest.DT_FLOAT, [1, 2]);
  const { response, endpoint } = await client.predictDetailed(request);
  expect(response).toBeInstanceOf(TFResponse);
  expect(emulator.instances.map(({ origin }) => origin)).toContain(endpoint);
  await client.close();
});

test("PyTorch model", async () => {
  const client = new PredictClient(emulator.endpoint, "pytorch_gpu_wl");
  client.setToken(emulator.token);
  client.init();
  const request = new TorchRequest();
  request.addFeed(0, [1, 3, 224, 224], TorchRequest.DT_FLOAT, Array(150_528).fill(1));
  for (let x = 0; x < 3; x++) {
    const response = await client.predict(request);
    expect(response).toBeInstanceOf(TorchResponse);
    expect(response.getTensorShape(0)).toEqual([1, 3, 224, 224]);
  }
  const response = await client.predict(request);
  expect(response.getValues(0, "DT_FLOAT")).toEqual(new Float32Array(150_528).fill(1));
  await client.close();
});

test("custom URL, and every setter", async () => {
  const client = new PredictClient(undefined, undefined, `${emulator.endpoint}/api/predict/echo`);
  client
    .setToken(emulator.token)
    .setRetryCount(2)
    .setMaxConnectionCount(7)
    .setTimeout(1500)
    .setContentType("text/plain")
    .addExtraHeaders({ "X-Trace": "1" })
    .setRequestPath("/v1")
    .setCompression(null);
  await client.init();
  expect(`${await client.predict(new StringRequest("hello"))}`).toBe("hello");
  const last = emulator.requests.at(-1)!;
  expect(last.url).toBe("/api/predict/echo/v1");
  expect(last.auth).toBe("token");
  expect(last.headers.get("content-type")).toBe("text/plain");
  expect(last.headers.get("x-trace")).toBe("1");
  client.setCompression("gzip");
  const zipped = new Uint8Array((await client.predict(new TextEncoder().encode("hello hello hello"))).buffer);
  expect([zipped[0], zipped[1]]).toEqual([0x1f, 0x8b]);
  await client.close();
});

test("the dtypes that the page lists for TensorFlow and PyTorch", () => {
  const page = ["DT_FLOAT", "DT_DOUBLE", "DT_INT8", "DT_INT16", "DT_INT32", "DT_INT64"] as const;
  for (const dtype of page) {
    expect(TFRequest[dtype]).toBe(dtype);
    expect(TorchRequest[dtype]).toBe(dtype);
    new TFRequest().addFeed("x", [2], TFRequest[dtype], [1, 2]);
    new TorchRequest().addFeed(0, [2], TFRequest[dtype], [1, 2]);
  }
  new TFRequest().addFeed("x", [1], TFRequest.DT_STRING, ["text"]).addFeed("y", [1], TFRequest.TF_BOOL, [true]);
  expect(TFRequest.TF_BOOL).toBe("DT_BOOL");
  new TorchRequest().addFeed(0, [1], TFRequest.DT_STRING, ["text"]);
  // No official SDK has a field for booleans in the Torch schema.
  // @ts-expect-error
  expect(() => new TorchRequest().addFeed(0, [1], TFRequest.TF_BOOL, [true])).toThrow(/no field for DT_BOOL/);
});
