import { describe, expect, onTestFinished, test } from "vitest";
import { createEmulator } from "../../../src/emulator/index.js";
import {
  OnnxRequest,
  PredictClient,
  QueueClient,
  StringRequest,
  TFRequest,
  TorchRequest,
  tensor,
} from "../../../src/index.js";
import { errorOf, TOKEN, thrownBy } from "../../support/calls.js";

/** Clients of an emulator in memory that records every request. */
function open() {
  const emulator = createEmulator({ token: TOKEN, queues: { q: {} } });
  const options = { endpoint: "h", token: TOKEN, transport: emulator.transport };
  const client = new PredictClient({ ...options, serviceName: "echo" });
  const queue = new QueueClient({ ...options, queueName: "q", logger: null });
  onTestFinished(async () => void (await Promise.all([client.close(), queue.close()])));
  return { emulator, client, queue };
}

const untyped = (value: unknown) => value as never;

describe("JSON values instead of text", () => {
  test.each([[undefined], [7], [true], [5n], [() => 1], [Symbol("s")]])("%o is not an input", async (value) => {
    const { emulator, client } = open();
    for (const call of [
      client.predict(untyped(value)),
      client.predictDetailed(untyped(value)),
      client.json(untyped(value)),
      client.stream(untyped(value)),
    ]) {
      const error = await errorOf(call);
      expect(error).toBeInstanceOf(TypeError);
      expect(error.code).toBe("ERR_EAS_ARG_REQUEST");
      expect(error.message).toMatch(/^predict accepts text, bytes, .*a plain object or array \(sent as JSON\).*, not /);
    }
    expect(emulator.requests).toHaveLength(0);
  });

  test("put and StringRequest", async () => {
    const { emulator, queue } = open();
    const error = await errorOf(queue.put(untyped({ a: 1 })));
    expect([error.code, error.message]).toEqual([
      "ERR_EAS_ARG_REQUEST",
      expect.stringMatching(/put JSON as JSON\.stringify/),
    ]);
    const thrown = thrownBy(() => new StringRequest(untyped({ a: 1 })));
    expect([thrown.code, thrown.message]).toEqual([
      "ERR_EAS_ARG_REQUEST",
      expect.stringMatching(/to send an object as JSON, pass it to predict itself$/),
    ]);
    expect(emulator.requests).toHaveLength(0);
  });
});

describe("tensors", () => {
  const SWAPPED = /Shape and content seem to be swapped: the shape comes first$/;

  test.each<[string, () => unknown, string, RegExp]>([
    [
      "tensor(typed array, shape)",
      () => tensor(untyped(new Float32Array(4)), untyped([2, 2])),
      "ERR_EAS_ARG_DTYPE",
      SWAPPED,
    ],
    ["tensor(numbers, shape, dtype)", () => tensor([1, 2, 3, 4], [2, 2], "DT_FLOAT"), "ERR_EAS_ARG_SHAPE", SWAPPED],
    ["tensor(fractions, shape, dtype)", () => tensor([0.5, 1], [1, 2], "DT_FLOAT"), "ERR_EAS_ARG_SHAPE", SWAPPED],
    [
      "addFeed(name, content, dtype, shape)",
      () => new TFRequest().addFeed("x", [0.5, 1], "DT_FLOAT", [2]),
      "ERR_EAS_ARG_SHAPE",
      SWAPPED,
    ],
    [
      "nested arrays",
      () =>
        tensor(
          [2, 2],
          untyped([
            [1, 2],
            [3, 4],
          ]),
          "DT_FLOAT",
        ),
      "ERR_EAS_ARG_CONTENT",
      /content\[0\] is an array: .*one-dimensional.*flat\(Infinity\)$/,
    ],
    [
      "nested arrays whose count fits",
      () => new TFRequest().addFeed("x", [2], "DT_FLOAT", untyped([[1], [2]])),
      "ERR_EAS_ARG_CONTENT",
      /content\[0\] is an (array|instance of \w+): .*one-dimensional/,
    ],
    [
      "rows as typed arrays",
      () => new TorchRequest().addFeed(0, [2, 1], "DT_FLOAT", untyped([new Float32Array(1), new Float32Array(1)])),
      "ERR_EAS_ARG_CONTENT",
      /content\[0\] is an (array|instance of \w+): .*one-dimensional/,
    ],
  ])("%s", (_, make, code, message) => {
    const error = thrownBy(make);
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
  });

  test("bytes are elements of a STRING tensor, and shapes that fit are not swapped", () => {
    expect(tensor([2], [new Uint8Array(1), "a"]).dtype).toBe("DT_STRING");
    expect(tensor([1], [1], "DT_FLOAT").data).toEqual([1]);
    expect(thrownBy(() => tensor([3], [2, 2], "DT_FLOAT")).message).not.toMatch(/swapped/);
  });

  test.each([
    ["float32", "DT_FLOAT"],
    ["float", "DT_FLOAT"],
    ["np.float64", "DT_DOUBLE"],
    ["torch.int64", "DT_INT64"],
    ["long", "DT_INT64"],
    ["INT64", "DT_INT64"],
    ["dt_int32", "DT_INT32"],
    ["uint8", "DT_UINT8"],
    ["bool", "DT_BOOL"],
    ["string", "DT_STRING"],
    ["str", "DT_STRING"],
    ["float16", "DT_HALF"],
    ["bfloat16", "DT_BFLOAT16"],
  ])("the dtype %s is %s", (dtype, right) => {
    for (const make of [
      () => tensor([1], untyped([1]), untyped(dtype)),
      () => new TFRequest().addFeed("x", [1], untyped(dtype), [1] as never),
    ]) {
      const error = thrownBy(make);
      expect(error.code).toBe("ERR_EAS_ARG_DTYPE");
      expect(error.message).toMatch(new RegExp(`dtype is "${dtype}": it must be one of .*; did you mean ${right}\\?$`));
    }
  });

  test("lists the dtypes of a format for an unsupported one", () => {
    expect(thrownBy(() => new OnnxRequest().addTensor("x", [1], untyped("bfloat16"), [1] as never)).message).toMatch(
      /it must be one of DT_[^?]*$/,
    );
    expect(thrownBy(() => tensor([1], untyped([1]), untyped("toString"))).message).toMatch(
      /it must be one of DT_[^?]*$/,
    );
    expect(thrownBy(() => tensor([1], untyped([1]), untyped(7))).message).toMatch(
      /dtype is 7: it must be one of DT_[^?]*$/,
    );
  });
});

describe("queues and headers", () => {
  test("setLogger() without an argument explains what a logger is", () => {
    const { queue, emulator } = open();
    for (const logger of [undefined, {}, "console"]) {
      const error = thrownBy(() => queue.setLogger(untyped(logger)));
      expect(error.code).toBe("ERR_EAS_ARG_OPTION");
      expect(error.message).toMatch(
        /^logger is .*: it must be an object with warn\(\), such as console, or null for no warnings$/,
      );
    }
    expect(emulator.requests).toHaveLength(0);
  });

  test("init(null, group) explains that a uid is a name or undefined", async () => {
    const { queue, emulator } = open();
    for (const uid of [null, "", " ", 7]) {
      const error = thrownBy(() => queue.init(untyped(uid), "g"));
      expect(error.code).toBe("ERR_EAS_ARG_OPTION");
      expect(error.message).toMatch(/^uid is .*: it must be a name, or be left out: undefined keeps the current/);
    }
    const { uid } = queue;
    await queue.init(undefined, "g");
    expect(queue.uid).toBe(uid);
    expect(emulator.requests).toHaveLength(0);
  });

  test.each([
    [undefined, "undefined"],
    [null, "null"],
    [7, "number"],
  ])("a header of the value %s", async (value, type) => {
    const { client, emulator } = open();
    const headers = untyped({ a: value });
    const errors = [
      await errorOf(client.predict("x", { headers })),
      thrownBy(() => client.addExtraHeaders(headers)),
      thrownBy(() => new PredictClient({ headers })),
    ];
    for (const error of errors) {
      expect(error.code).toBe("ERR_EAS_ARG_HEADER");
      expect(error.message).toBe(
        `header a has a value of type ${type}: it must be a string. Leave out headers without a value`,
      );
    }
    expect(emulator.requests).toHaveLength(0);
  });
});
