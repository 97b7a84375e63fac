import { describe, expect, onTestFinished, test } from "vitest";
import { startEmulator } from "../../../src/emulator/index.js";
import {
  BladeResponse,
  type Bytes,
  EasyRecResponse,
  JsonResponse,
  OnnxResponse,
  PredictClient,
  QueueClient,
  StringResponse,
  TFRequest,
  TorchRecResponse,
  TorchResponse,
  tensor,
} from "../../../src/index.js";
import { jsonForm } from "../../../src/util/json-form.js";
import { TOKEN } from "../../support/calls.js";

const parsed = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
const bytesOf = (...bytes: number[]): Bytes => new Uint8Array(bytes);
const field = (number: number, bytes: readonly number[]) => [(number << 3) | 2, bytes.length, ...bytes];
const utf8 = (text: string) => [...new TextEncoder().encode(text)];
/** A TF or Torch tensor of the shape [2] with the values 1 and -1 as DT_INT64. */
const INT64_TENSOR = [0x08, 9, ...field(2, [0x0a, 1, 2]), ...field(7, [1, ...Array(9).fill(0xff), 1])];

async function open() {
  const emulator = await startEmulator({ token: TOKEN, queues: { q: {} } });
  onTestFinished(() => emulator.close());
  return emulator.endpoint;
}

test("the result of put has its index as text", async () => {
  const queue = new QueueClient({ endpoint: await open(), queueName: "q", token: TOKEN, logger: null });
  onTestFinished(() => queue.close());
  const put = await queue.put("data");
  expect(parsed(put)).toEqual({ index: String(put.index), requestId: put.requestId });
  const { index, requestId } = put;
  expect([typeof index, typeof requestId]).toEqual(["bigint", "string"]);
  const [frame] = await queue.get({ autoDelete: false });
  expect(parsed([frame])).toEqual([{ index: String(index), tags: { requestId }, data: btoa("data"), message: "" }]);
  expect(parsed(await queue.attributes())).toMatchObject({ "stream.length": "1" });
  expect(parsed({ ...put, index: String(put.index) })).toEqual(parsed(put));
});

test("a TFResponse has dtype, shape and data of each output", async () => {
  const client = new PredictClient({ endpoint: await open(), serviceName: "digits", token: TOKEN });
  onTestFinished(() => client.close());
  const answer = await client.predict(
    new TFRequest("predict_images").addFeed("images", tensor([1, 64], new Float32Array(64))),
  );
  const expected = Object.fromEntries(
    answer.outputNames.map((name) => {
      const { dtype, shape, data } = answer.getTensor(name);
      return [
        name,
        { dtype, shape, data: Array.from(data as ArrayLike<unknown>, (v) => (typeof v === "bigint" ? `${v}` : v)) },
      ];
    }),
  );
  expect(Object.keys(expected)).toContain("scores");
  expect(parsed(answer)).toEqual(expected);
  expect(parsed(answer.getTensor("scores"))).toEqual(expected.scores);
});

describe("tensors", () => {
  test.each([
    [
      tensor([2], new BigInt64Array([1n, -(2n ** 63n)])),
      { dtype: "DT_INT64", shape: [2], data: ["1", `${-(2n ** 63n)}`] },
    ],
    [tensor([2], new Float32Array([0.5, 1])), { dtype: "DT_FLOAT", shape: [2], data: [0.5, 1] }],
    [tensor([2], new Uint8Array([1, 2])), { dtype: "DT_UINT8", shape: [2], data: [1, 2] }],
    [tensor([2], [true, false]), { dtype: "DT_BOOL", shape: [2], data: [true, false] }],
    [tensor([2], ["a", new Uint8Array(utf8("é"))]), { dtype: "DT_STRING", shape: [2], data: ["a", "é"] }],
    [tensor([1], [1n], "DT_INT64"), { dtype: "DT_INT64", shape: [1], data: ["1"] }],
  ])("%s", (made, json) => {
    expect(parsed(made)).toEqual(json);
    // The tensor is still plain data, which can be cloned, spread and sent to a worker.
    expect({ ...structuredClone(made) }).toEqual({ dtype: made.dtype, shape: made.shape, data: made.data });
  });
});

describe("other responses", () => {
  const int64 = { dtype: "DT_INT64", shape: [2], data: ["1", "-1"] };

  test("TorchResponse: by position and by name", () => {
    const body = bytesOf(...field(1, INT64_TENSOR), ...field(2, [...field(1, utf8("y")), ...field(2, INT64_TENSOR)]));
    const answer = new TorchResponse(body);
    expect(parsed(answer)).toEqual({ 0: int64, y: int64 });
  });

  test("OnnxResponse: by name", () => {
    const body = bytesOf(
      ...field(1, [...field(1, utf8("y")), 0x10, 1, 0x18, 7, ...field(5, [1, 0, 0, 0, 0, 0, 0, 0])]),
    );
    const answer = new OnnxResponse(body);
    expect(parsed(answer)).toEqual({ y: { dtype: "DT_INT64", shape: [1], data: ["1"] } });
  });

  test("a Blade output without values has only a shape", () => {
    const answer = new BladeResponse(bytesOf(...field(1, field(1, utf8("y")))));
    expect(() => JSON.stringify(answer)).not.toThrow();
    expect(Object.values(parsed(answer) as object)).toEqual([{ shape: [], data: [] }]);
  });

  test("recommendation responses have their maps and tensors", () => {
    const scores = [0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
    const easyrec = new EasyRecResponse(bytesOf(...field(1, [...field(1, utf8("i1")), ...field(2, scores)])));
    expect(parsed(easyrec)).toMatchObject({ statusCode: "OK", results: { i1: [1] }, itemIds: [], outputs: {} });
    const torchrec = new TorchRecResponse(
      bytesOf(...field(1, [...field(1, utf8("y")), ...field(2, INT64_TENSOR)]), ...field(4, utf8("i1"))),
    );
    expect(parsed(torchrec)).toMatchObject({ itemIds: ["i1"], outputs: { y: int64 } });
  });

  test("text does not change, and maps of a JsonResponse become objects", () => {
    expect(parsed(new StringResponse(bytesOf(...utf8('{"a": 1}'))))).toBe('{"a": 1}');
    const body =
      '{"outputs":[{"outputLabel":"x","outputMulti":{"x":0.5},"outputValue":{"big":9007199254740993,"n":{"a":[1]}}}]}';
    expect(parsed(new JsonResponse(bytesOf(...utf8(body))))).toEqual({
      outputs: [{ outputLabel: "x", outputMulti: { x: 0.5 }, outputValue: { big: "9007199254740993", n: { a: [1] } } }],
    });
  });
});

test("a name such as __proto__ is an ordinary key", () => {
  const form = jsonForm(new Map([["__proto__", 1n]])) as object;
  expect(Object.keys(form)).toEqual(["__proto__"]);
  expect(JSON.stringify(form)).toBe('{"__proto__":"1"}');
});
