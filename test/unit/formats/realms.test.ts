import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RunningEmulator, startEmulator } from "../../../src/emulator/index.js";
import { pixelsToTensor } from "../../../src/image/index.js";
import {
  BladeRequest,
  EasyRecRequest,
  fromFloat16,
  JsonRequest,
  OnnxRequest,
  PredictClient,
  QueueClient,
  TFRequest,
  TorchRecRequest,
  TorchRequest,
  tensor,
  toFloat16,
} from "../../../src/index.js";

// Values of another realm work like those of this one: in an iframe, in a `vm` context, with jest and jsdom.

/** Evaluates an expression in a new realm, which has none of this realm's classes. */
function foreign<T>(expression: string): T {
  return runInNewContext(`(${expression})`) as T;
}

let emulator: RunningEmulator;
let client: PredictClient;

beforeAll(async () => {
  emulator = await startEmulator({ queues: { jobs: {} } });
  client = new PredictClient({ endpoint: emulator.endpoint, serviceName: "echo", token: emulator.token });
});
afterAll(async () => {
  await client.close();
  await emulator.close();
});

test("the values are of another realm", () => {
  expect(foreign("new Uint8Array(1)")).not.toBeInstanceOf(Uint8Array);
  expect(foreign("new Map()")).not.toBeInstanceOf(Map);
});

test("predict sends foreign bytes unchanged", async () => {
  expect([...(await client.predict(foreign<Uint8Array>("Uint8Array.of(1, 2, 255)")))]).toEqual([1, 2, 255]);
});

test("the stream body can be foreign bytes", async () => {
  const stream = await client.stream(foreign<Uint8Array>('Uint8Array.from("hello", (c) => c.charCodeAt(0))'));
  expect(await stream.text()).toBe("hello");
});

test.each(["Uint8Array.of(104, 105)", "Uint8Array.of(104, 105).buffer"])("put stores %s", async (expression) => {
  const queue = new QueueClient({ endpoint: emulator.endpoint, queueName: "jobs", token: emulator.token });
  await queue.put(foreign<Uint8Array>(expression));
  expect((await queue.get())[0]?.text()).toBe("hi");
  await queue.close();
});

const ARRAYS: Readonly<Record<string, string>> = {
  Float32Array: "DT_FLOAT",
  Float64Array: "DT_DOUBLE",
  Int8Array: "DT_INT8",
  Int16Array: "DT_INT16",
  Int32Array: "DT_INT32",
  Uint8Array: "DT_UINT8",
  Uint8ClampedArray: "DT_UINT8",
  Uint16Array: "DT_UINT16",
  BigInt64Array: "DT_INT64",
};
const ELEMENTS: Readonly<Record<string, string>> = { BigInt64Array: "[1n, -(2n ** 63n)]" };

test.each(Object.entries(ARRAYS))("a foreign %s is encoded like one of this realm", (name, dtype) => {
  const elements = ELEMENTS[name] ?? "[1, 2]";
  const encode = (data: never) => {
    const given = tensor([2], data);
    expect(given.dtype).toBe(dtype);
    return [
      dtype === "DT_UINT16" ? undefined : new TFRequest("s").addFeed("x", given as never).toBinary(),
      new OnnxRequest().addTensor("x", given as never).toBinary(),
    ];
  };
  const here = new Function(`return ${name}.from(${elements})`)() as never;
  expect(encode(foreign<never>(`${name}.from(${elements})`))).toEqual(encode(here));
});

test("no module creates an object at import that a test environment may lack", () => {
  const src = fileURLToPath(new URL("../../../src/", import.meta.url));
  const found = readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts") && !/^(gen|cli|platform\/node|emulator\/console\/page)\//.test(path))
    .flatMap((path) =>
      readFileSync(join(src, path), "utf8")
        .split("\n")
        .filter((line) =>
          /^(export )?(const|let) .*(new (Text|Abort|URL|Blob|Headers|Re)|performance|fetch\()/.test(line),
        )
        .filter((line) => !/=>|function/.test(line))
        .map((line) => `${path}: ${line}`),
    );
  expect(found).toEqual([]);
});

test("foreign half-precision bits are rejected by formats that send floats, and accepted by ONNX", () => {
  const bits = foreign<never>("Uint16Array.of(0x3c00)");
  expect(() => new TFRequest("s").addFeed("x", [1], "DT_HALF", bits).toBinary()).toThrow(/fromFloat16/);
  expect(new OnnxRequest().addTensor("x", [1], "DT_HALF", bits).toBinary()).toEqual(
    new OnnxRequest().addTensor("x", [1], "DT_HALF", Uint16Array.of(0x3c00)).toBinary(),
  );
  expect([...fromFloat16(bits)]).toEqual([1]);
  expect([...toFloat16(foreign<Float32Array>("Float32Array.of(1)"))]).toEqual([0x3c00]);
});

test("foreign bytes are accepted as STRING elements", () => {
  const strings = foreign<never>("[Uint8Array.of(104, 105)]");
  const here = [Uint8Array.of(104, 105)] as never;
  for (const Request of [TFRequest, BladeRequest]) {
    const encode = (data: never) => {
      const request = new Request();
      if (request instanceof TFRequest) return request.addFeed("x", [1], "DT_STRING", data).toBinary();
      return request.addFeed("x", 1, [1], "DT_STRING", data).toBinary();
    };
    expect(encode(strings)).toEqual(encode(here));
  }
  expect(new TorchRequest().addFeed(0, [1], "DT_FLOAT", foreign<never>("[1]")).toBinary()).toEqual(
    new TorchRequest().addFeed(0, [1], "DT_FLOAT", [1]).toBinary(),
  );
});

test("a foreign Map is accepted as a row and as the value of a feature", () => {
  const row = (map: never) => new JsonRequest().addRow(map).toString();
  expect(row(foreign<never>('new Map([["age", 42]])'))).toBe(row(new Map([["age", 42]]) as never));
  expect(row(foreign<never>('new Map([["age", 42]])'))).toContain("42");
  const feature = (map: never) => new TorchRecRequest().addUserFeature("f", map, "MAP<STRING,INT>").toBinary();
  expect(feature(foreign<never>('new Map([["a", 1]])'))).toEqual(feature(new Map([["a", 1]]) as never));
  const list = (value: never) => new TorchRecRequest().addUserFeature("f", value, "LIST<INT>").toBinary();
  expect(list(foreign<never>("Int32Array.of(1, 2)"))).toEqual(list([1, 2] as never));
});

test("foreign pixels become a tensor", () => {
  const pixels = foreign<never>("({ data: new Uint8ClampedArray(4).fill(255), width: 1, height: 1 })");
  expect([...pixelsToTensor(pixels, {}).data]).toEqual([1, 1, 1]);
});

test("a serialized request of another realm is accepted", () => {
  const bytes = new EasyRecRequest().addUserFeature("f", "v", "STRING").toBinary();
  const copy = runInNewContext("Uint8Array.from(bytes)", { bytes: [...bytes] }) as Uint8Array;
  expect(new EasyRecRequest().addFeed(copy).toBinary()).toEqual(bytes);
});

/** Classes whose instances only this package creates, so that `instanceof` is exact. */
const OWN_CLASSES =
  /^(Eas[A-Za-z]*Error|[A-Z][A-Za-z]*Refusal|BodyTooLarge|BodyError|BodyTakenError|BadTarget|RefusedRequest|NoAnswer|EngineError|JsonError|DialError|UpstreamError|Attempt|ClientCore|ConnectionPool|QueuedError|SourceTimeout|TransportError|DataFrame|WireReader|Promise|Refusal|OutOfMemory|ApiError)$/;

test("src recognizes the arguments of callers without instanceof", () => {
  const src = fileURLToPath(new URL("../../../src/", import.meta.url));
  const found = readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts") && !/^(gen|cli|emulator\/console\/page)\//.test(path))
    .flatMap((path) =>
      readFileSync(join(src, path), "utf8")
        .split("\n")
        .filter((line) => !/^\s*(\/\/|\*|\/\*)/.test(line))
        .flatMap((line) => Array.from(line.matchAll(/\binstanceof ([A-Za-z]+)/g), ([, name]) => `${path}: ${name}`)),
    )
    .filter((use) => !OWN_CLASSES.test(use.split(": ")[1] as string));
  expect(found).toEqual([]);
});
