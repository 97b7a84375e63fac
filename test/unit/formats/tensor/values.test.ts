import { describe, expect, expectTypeOf, test } from "vitest";
import {
  type DType,
  type Tensor,
  type TFDType,
  TFRequest,
  TFResponse,
  TorchRequest,
  TorchResponse,
  tensor,
} from "../../../../src/index.js";
import { thrownBy } from "../../../support/calls.js";

// Tests the encoding of each dtype by examples in hexadecimal, written by hand from the schema.

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** The bytes of the tensor in a request with the single input "x". */
function onWire(request: TFRequest): string {
  const text = hex(request.toBinary());
  expect(text.slice(0, 2)).toBe("12");
  expect(text.slice(4, 10)).toBe("0a0178");
  expect(text.slice(10, 12)).toBe("12");
  return text.slice(14);
}

const feed = (...[shape, dtype, content]: [number[], TFDType, unknown]): string =>
  onWire(new TFRequest().addFeed("x", shape, dtype, content as never));

/** A response whose output "y" is the tensor of a request. */
function back<D extends DType>(sent: Tensor<D>): TFResponse {
  const bytes = new TFRequest().addFeed("y", sent).toBinary();
  bytes[0] = 0x0a;
  return new TFResponse(bytes);
}

describe("dtypes on the wire", () => {
  test("HALF and BFLOAT16 are sent as 32-bit floats, in float_val", () => {
    expect(feed([2], "DT_HALF", [1.5, 0.1])).toBe("0813" + "12030a0102" + "1a08" + "0000c03f" + "cdcccc3d");
    expect(feed([1], "DT_BFLOAT16", Float32Array.of(0.1))).toBe("080e" + "12030a0101" + "1a04" + "cdcccc3d");
    expect(back(tensor([1], [0.1], "DT_HALF")).getValues("y", "DT_HALF")).toEqual(Float32Array.of(0.1));
  });

  test("COMPLEX64 and COMPLEX128 are sent as pairs of real and imaginary part", () => {
    // 1 + 2i, 3 - 4i
    expect(feed([2], "DT_COMPLEX64", [1, 2, 3, -4])).toBe(
      "0808" + "12030a0102" + "1a10" + "0000803f" + "00000040" + "00004040" + "000080c0",
    );
    expect(feed([1], "DT_COMPLEX128", Float64Array.of(1, -2))).toBe(
      "0812" + "12030a0101" + "2210" + "000000000000f03f" + "00000000000000c0",
    );
    const response = back(tensor([2], [1, 2, 3, -4], "DT_COMPLEX64"));
    expect(response.getTensorShape("y")).toEqual([2]);
    expect(response.getValues("y", "DT_COMPLEX64")).toEqual(Float32Array.of(1, 2, 3, -4));
    expect(back(tensor([1], [1, -2], "DT_COMPLEX128")).getValues("y")).toEqual(Float64Array.of(1, -2));
    // A scalar is also a pair.
    expect(feed([], "DT_COMPLEX64", [1, 2])).toBe("0808" + "1200" + "1a08" + "0000803f" + "00000040");
  });

  test("small and quantized integers are sent in int_val, negative integers in ten bytes", () => {
    expect(feed([2], "DT_QUINT8", Uint8Array.of(0, 255))).toBe("080c" + "12030a0102" + "2a03" + "00" + "ff01");
    expect(feed([1], "DT_QINT16", [-2])).toBe("080f" + "12030a0101" + "2a0a" + "feffffffffffffffff01");
    expect(feed([1], "DT_QUINT16", Uint8ClampedArray.of(7))).toBe("0810" + "12030a0101" + "2a01" + "07");
    expect(feed([1], "DT_INT32", [-0])).toBe("0803" + "12030a0101" + "2a01" + "00");
  });

  test("STRING is sent element by element; text is UTF-8", () => {
    expect(feed([3], "DT_STRING", ["é", "", Uint8Array.of(0xff)])).toBe(
      "0807" + "12030a0103" + "3202c3a9" + "3200" + "3201ff",
    );
  });

  test("BOOL accepts booleans, 0 and 1, and bytes", () => {
    const expected = "080a" + "12030a0102" + "4202" + "0100";
    for (const content of [[true, false], [1, 0], [true, 0], Uint8Array.of(1, 0)]) {
      expect(feed([2], "DT_BOOL", content)).toBe(expected);
    }
    expect(TFRequest.TF_BOOL).toBe("DT_BOOL");
    expect(onWire(new TFRequest().addFeed("x", [2], TFRequest.TF_BOOL, [true, false]))).toBe(expected);
  });

  test("FLOAT sends any number as the nearest float", () => {
    expect(feed([3], "DT_FLOAT", [1e39, 16_777_217, 2 ** -150])).toBe(
      "0801" + "12030a0103" + "1a0c" + "0000807f" + "0000804b" + "00000000",
    );
    expect(feed([1], "DT_FLOAT", Int16Array.of(-2))).toBe("0801" + "12030a0101" + "1a04" + "000000c0");
    expect(feed([1], "DT_FLOAT", Float64Array.of(0.1))).toBe("0801" + "12030a0101" + "1a04" + "cdcccc3d");
  });

  test("a shape can be a typed array", () => {
    expect(feed(Int32Array.of(1, 2) as unknown as number[], "DT_UINT8", [1, 2])).toBe(
      "0804" + "12040a020102" + "2a02" + "0102",
    );
  });
});

describe("views of larger buffers encode only the view", () => {
  const bytes = Uint8Array.from({ length: 64 }, (_, i) => i);
  const sameAsCopy = (dtype: TFDType, view: ArrayLike<unknown> & { slice(): unknown }) => {
    const shape = [view.length];
    expect(feed(shape, dtype, view)).toBe(feed(shape, dtype, view.slice()));
    expect(feed(shape, dtype, view)).toBe(feed(shape, dtype, Array.from(view)));
  };

  test("typed arrays", () => {
    sameAsCopy("DT_UINT8", bytes.subarray(5, 9));
    sameAsCopy("DT_FLOAT", new Float32Array(bytes.buffer, 12, 3));
    sameAsCopy("DT_DOUBLE", new Float64Array(bytes.buffer, 8, 2));
    sameAsCopy("DT_INT16", new Int16Array(bytes.buffer, 6, 4));
    sameAsCopy("DT_INT64", new BigInt64Array(bytes.buffer, 16, 3));
    sameAsCopy("DT_BOOL", bytes.subarray(0, 2));
    expect(feed([4], "DT_UINT8", bytes.subarray(5, 9))).toBe("0804" + "12030a0104" + "2a04" + "05060708");
  });

  test("bytes of a STRING, and Buffers, which are views of a pool", () => {
    const expected = "0807" + "12030a0101" + "3203" + "050607";
    expect(feed([1], "DT_STRING", [bytes.subarray(5, 8)])).toBe(expected);
    expect(feed([1], "DT_STRING", [Buffer.from([5, 6, 7])])).toBe(expected);
    expect(feed([3], "DT_UINT8", Buffer.from([5, 6, 7]))).toBe("0804" + "12030a0103" + "2a03" + "050607");
  });

  test("a response that is a view", () => {
    const response = new TFRequest().addFeed("y", [2], "DT_FLOAT", [1.5, -2]).toBinary();
    response[0] = 0x0a;
    for (const offset of [0, 1, 2, 3, 4]) {
      const larger = new Uint8Array(response.length + 9).fill(0xee);
      larger.set(response, offset);
      const view = new TFResponse(larger.subarray(offset, offset + response.length));
      expect(view.getValues("y", "DT_FLOAT")).toEqual(Float32Array.of(1.5, -2));
    }
  });
});

describe("tensor()", () => {
  test("infers the dtype from the array", () => {
    const dtypes = [
      tensor([1], new Float32Array(1)),
      tensor([1], new Float64Array(1)),
      tensor([1], new Int8Array(1)),
      tensor([1], new Int16Array(1)),
      tensor([1], new Int32Array(1)),
      tensor([1], new Uint8Array(1)),
      tensor([1], new Uint8ClampedArray(1)),
      tensor([1], new Uint16Array(1)),
      tensor([1], new BigInt64Array(1)),
      tensor([1], [true]),
      tensor([1], ["a"]),
      tensor([1], [Uint8Array.of(1)]),
      tensor([1], Buffer.from([1])),
    ].map(({ dtype }) => dtype);
    expect(dtypes).toEqual([
      "DT_FLOAT",
      "DT_DOUBLE",
      "DT_INT8",
      "DT_INT16",
      "DT_INT32",
      "DT_UINT8",
      "DT_UINT8",
      "DT_UINT16",
      "DT_INT64",
      "DT_BOOL",
      "DT_STRING",
      "DT_STRING",
      "DT_UINT8",
    ]);
  });

  test("a dtype argument overrides the dtype of the array", () => {
    expectTypeOf(tensor([1], new Float32Array(1)).dtype).toEqualTypeOf<"DT_FLOAT">();
    expectTypeOf(tensor([1], [1], "DT_HALF").dtype).toEqualTypeOf<"DT_HALF">();
    expect(tensor([1], new Float32Array(1), "DT_HALF").dtype).toBe("DT_HALF");
    expect(tensor([2], Float32Array.of(1, 2), "DT_INT8").dtype).toBe("DT_INT8");
  });

  test("keeps the caller's memory, and is accepted like its parts", () => {
    const data = Float32Array.of(1, 2);
    const made = tensor([1, 2], data);
    expect(made.data).toBe(data);
    expect(new TFRequest().addFeed("x", made).toBinary()).toEqual(
      new TFRequest().addFeed("x", [1, 2], "DT_FLOAT", [1, 2]).toBinary(),
    );
    expect(new TorchRequest().addFeed(0, made).addFeedMap("m", made).toBinary()).toEqual(
      new TorchRequest().addFeed(0, [1, 2], "DT_FLOAT", [1, 2]).addFeedMap("m", [1, 2], "DT_FLOAT", [1, 2]).toBinary(),
    );
  });
});

describe("adding an input twice replaces it", () => {
  test("TF, by name, in the position of the first", () => {
    const request = new TFRequest()
      .addFeed("a", [2], "DT_FLOAT", [1, 2])
      .addFeed("b", [1], "DT_INT32", [3])
      .addFeed("a", [1], "DT_INT64", [9n]);
    const expected = new TFRequest().addFeed("a", [1], "DT_INT64", [9n]).addFeed("b", [1], "DT_INT32", [3]);
    expect(request.toBinary()).toEqual(expected.toBinary());
  });

  test("Torch, by position and by name", () => {
    const request = new TorchRequest()
      .addFeed(0, [2], "DT_FLOAT", [1, 2])
      .addFeed(0, [1], "DT_INT64", [9n])
      .addFeedMap("a", [2], "DT_FLOAT", [1, 2])
      .addFeedMap("a", [1], "DT_INT64", [9n]);
    const expected = new TorchRequest().addFeed(0, [1], "DT_INT64", [9n]).addFeedMap("a", [1], "DT_INT64", [9n]);
    expect(request.toBinary()).toEqual(expected.toBinary());
  });

  test("the signature's name and the debug level", () => {
    expect(hex(new TFRequest("a").setSignatureName("b").toBinary())).toBe("0a0162");
    expect(hex(new TFRequest("a").setSignatureName("").toBinary())).toBe("");
    expect(hex(new TorchRequest().setDebugLevel(3).setDebugLevel().toBinary())).toBe("");
  });

  test("outputs are requested in the order and number of the calls", () => {
    expect(hex(new TFRequest().addFetch("b").addFetch("a").addFetch("b").toBinary())).toBe(
      "1a0162" + "1a0161" + "1a0162",
    );
    expect(hex(new TorchRequest().addFetch(2).addFetch(1).addFetch(2).toBinary())).toBe("1203020102");
  });
});

test("missing positions of Torch inputs are empty tensors", () => {
  const request = new TorchRequest().addFeed(2, [1], "DT_UINT8", [7]);
  expect(hex(request.toBinary())).toBe("0a00" + "0a00" + "0a0a" + "0804" + "12030a0101" + "2a0107");
});

describe("outputs", () => {
  const body = (() => {
    const bytes = new TFRequest()
      .addFeed("scores", [2], "DT_FLOAT", [1, 2])
      .addFeed("ids", [1], "DT_INT64", [5n])
      .toBinary();
    bytes[0] = 0x0a;
    bytes[2 + (bytes[1] as number)] = 0x0a;
    return bytes;
  })();
  // Inputs of a Torch request have the field of its outputs, and named inputs have field 3 instead of 2.
  const torchBody = (() => {
    const named = new TorchRequest().addFeedMap("m", [1], "DT_INT64", [2n ** 53n]).toBinary();
    named[0] = 0x12;
    const outputs = new TorchRequest().addFeed(0, [2], "DT_DOUBLE", [1, 2]).addFeed(1, [1], "DT_STRING", ["é"]);
    return new Uint8Array([...outputs.toBinary(), ...named]);
  })();

  test("the error for an unknown name lists the outputs", () => {
    const response = new TFResponse(body);
    expect(response.outputNames).toEqual(["scores", "ids"]);
    for (const read of [
      () => response.getTensorShape("score"),
      () => response.getValues("score"),
      () => response.getTensor("score"),
      () => response.getNumbers("score"),
      () => response.getStrings("score"),
    ]) {
      const error = thrownBy(read);
      expect(error).toMatchObject({ name: "RangeError", code: "ERR_EAS_ARG_OUTPUT" });
      expect(error.message).toBe('output "score" is not in the response: its outputs are "scores", "ids"');
    }
    expect(thrownBy(() => new TFResponse(new Uint8Array(0)).getValues("y")).message).toContain("it has no outputs");
  });

  test("names of Object.prototype are not outputs", () => {
    for (const name of ["constructor", "toString", "__proto__"]) {
      expect(thrownBy(() => new TFResponse(body).getValues(name)).code).toBe("ERR_EAS_ARG_OUTPUT");
    }
  });

  test("an unknown position or name in Torch", () => {
    const response = new TorchResponse(torchBody);
    for (const index of [2, -3, 0.5, Number.NaN, "0" as unknown as number]) {
      for (const read of [
        () => response.getTensorShape(index),
        () => response.getValues(index),
        () => response.getTensor(index),
        () => response.getNumbers(index),
        () => response.getStrings(index),
      ]) {
        const error = thrownBy(read);
        expect(error).toMatchObject({ name: "RangeError", code: "ERR_EAS_ARG_OUTPUT" });
        expect(error.message).toContain("its outputs are 0 to 1");
      }
    }
    expect(thrownBy(() => response.getValuesMap("n")).message).toBe(
      'output "n" is not in the response: its outputs are "m"',
    );
    expect(response.getValues(-1)).toEqual(response.getValues(1));
  });

  test("getValues rejects another dtype", () => {
    const response = new TFResponse(body);
    const error = thrownBy(() => response.getValues("scores", "DT_DOUBLE"));
    expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_DTYPE" });
    expect(error.message).toBe('output "scores" is DT_FLOAT, not DT_DOUBLE');
    const torch = new TorchResponse(torchBody);
    expect(thrownBy(() => torch.getValues(0, "DT_FLOAT")).message).toBe("output 0 is DT_DOUBLE, not DT_FLOAT");
    expect(thrownBy(() => torch.getValuesMap("m", "DT_INT32")).message).toBe('output "m" is DT_INT64, not DT_INT32');
    expectTypeOf(response.getValues("scores", "DT_FLOAT")).toExtend<Float32Array>();
  });

  test("getNumbers", () => {
    expect(new TFResponse(body).getNumbers("scores")).toEqual([1, 2]);
    expect(new TFResponse(body).getNumbers("ids")).toEqual([5]);
    const unsafe = thrownBy(() => back(tensor([3], [1n, 2n, 2n ** 53n], "DT_INT64")).getNumbers("y"));
    expect(unsafe).toMatchObject({ name: "RangeError", code: "ERR_EAS_ARG_OUTPUT" });
    expect(unsafe.message).toMatch(/^output "y": element 2 is 9007199254740992,.*bigints/);
    const least = back(tensor([1], [-(2n ** 53n) + 1n], "DT_INT64"));
    expect(least.getNumbers("y")).toEqual([Number.MIN_SAFE_INTEGER]);
    for (const sent of [tensor([1], [true]), tensor([1], ["a"])]) {
      const error = thrownBy(() => back(sent as Tensor).getNumbers("y"));
      expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_DTYPE" });
    }
    expect(new TorchResponse(torchBody).getNumbers(0)).toEqual([1, 2]);
  });

  test("getStrings", () => {
    const torch = new TorchResponse(torchBody);
    expect(torch.getStrings(1)).toEqual(["é"]);
    expect(torch.getValues(1)).toEqual([Uint8Array.of(0xc3, 0xa9)]);
    expect(back(tensor([2], [Uint8Array.of(0xff), "b"])).getStrings("y")).toEqual(["\ufffd", "b"]);
    expect(thrownBy(() => torch.getStrings(0))).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_DTYPE" });
  });

  test("BOOL is returned as booleans, INT64 as bigints", () => {
    expect(back(tensor([2], [true, false])).getValues("y", "DT_BOOL")).toEqual([true, false]);
    expect(back(tensor([1], [7], "DT_INT64")).getValues("y", "DT_INT64")).toEqual(BigInt64Array.of(7n));
  });
});

test("toString describes requests and responses for logs", () => {
  const request = new TFRequest("sig").addFeed("x", [1, 2], "DT_FLOAT", [1, 2]).addFetch("y");
  expect(`${request}`).toBe("TFRequest(sig) { x: DT_FLOAT [1, 2] } → y");
  const torch = new TorchRequest().addFeed(0, [1], "DT_UINT8", [1]).addFeedMap("m", [1], "DT_UINT8", [1]);
  expect(`${torch}`).toBe("TorchRequest { 0: DT_UINT8 [1]; m: DT_UINT8 [1] } → all outputs");
  expect(`${back(tensor([2], ["a", "b"]))}`).toBe('TFResponse { y: DT_STRING [2] "a", "b" }');
  expect(`${back(tensor([10], new Uint8Array(10)))}`).toBe("TFResponse { y: DT_UINT8 [10] 0, 0, 0, 0, 0, 0, 0, 0, … }");
});
