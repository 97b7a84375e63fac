import { expect, test } from "vitest";
import {
  type BladeResponse,
  type BladeTFResponse,
  EasDecodeError,
  type OnnxResponse,
  type StringResponse,
  TFResponse,
  type TorchResponse,
} from "../../src/index.js";
import { thrownBy } from "../support/calls.js";
import {
  decoded,
  fromHex,
  RESPONSES,
  type ResponseVector,
  replayResponse,
  SKIPPED_RESPONSES,
  vectorNamed,
} from "./replay.js";

test.each(RESPONSES)("$name", replayResponse);

test("values are in an array of the dtype", () => {
  const tf = (name: string) => decoded<TFResponse>(vectorNamed(`resp/tf/${name}`)).getValues("y");
  expect(tf("split-packed")).toEqual(Float32Array.of(1, 2, 3));
  expect(tf("double")).toEqual(Float64Array.of(0.1, -0, Number.NaN, 5e-324));
  expect(tf("int8")).toEqual(Int8Array.of(-5, 0, 127));
  expect(tf("int16")).toEqual(Int16Array.of(-5, 0, 127));
  expect(tf("overlong-varint")).toEqual(Int32Array.of(1));
  expect(tf("mixed-packed-unpacked")).toEqual(BigInt64Array.of(1n, 2n, -3n));
  expect(tf("bool")).toEqual([true, false, true]);
  const torch = decoded<TorchResponse>(vectorNamed("resp/torch/uint8"));
  expect(torch.getValues(0)).toEqual(Uint8Array.of(0, 255));
});

const decodeError = (message: RegExp) => ({
  name: "EasDecodeError",
  code: "ERR_EAS_DECODE",
  message: expect.stringMatching(message),
});

/** Python warns and returns the values before the damage; this SDK throws with the position. */
function expectNoMessage(vector: ResponseVector, message: RegExp): void {
  const error = thrownBy(() => decoded(vector));
  expect(error).toBeInstanceOf(EasDecodeError);
  expect(error).toMatchObject({ ...decodeError(message), format: "tf" });
}

/** Python returns [] for a dtype that differs from the output's; all other reads are equal. */
function expectOtherDType(vector: ResponseVector, dtype: "DT_INT32" | "DT_INT64", last: number | bigint): void {
  const reads = vector.reads?.filter(({ result }) => !(Array.isArray(result) && result.length === 0)) ?? [];
  expect(reads).toHaveLength((vector.reads?.length ?? 0) - 1);
  replayResponse({ ...vector, reads });
  const response = decoded<BladeResponse>(vector);
  expect(thrownBy(() => response.getValues("out", "DT_FLOAT"))).toMatchObject({
    name: "TypeError",
    code: "ERR_EAS_ARG_DTYPE",
    message: `output "out" is ${dtype}, not DT_FLOAT`,
  });
  expect(response.getValues("out", dtype).at(-1)).toBe(last);
}

const INSTEAD: Readonly<Record<keyof typeof SKIPPED_RESPONSES, (vector: ResponseVector) => void>> = {
  "resp/tf/uint8": (vector) => {
    const response = decoded<TFResponse>(vector);
    expect(response.getTensorShape("y")).toEqual([3]);
    expect(thrownBy(() => response.getValues("y"))).toMatchObject(decodeError(/"y".* -5.*DT_UINT8/));
    // The same with 5 instead of -5, in an overlong varint of the same length.
    const hex = vector.bodyHex.replace("fbffffffffffffffff01", "85808080808080808000");
    expect(new TFResponse(fromHex(hex)).getValues("y", "DT_UINT8")).toEqual(Uint8Array.of(5, 0, 127));
  },
  "resp/tf/dtype-unknown-enum": (vector) => {
    const response = decoded<TFResponse>(vector);
    expect(response.getTensorShape("y")).toEqual([1]);
    expect(thrownBy(() => response.getValues("y"))).toMatchObject(decodeError(/"y" has the dtype 77,/));
  },
  "resp/tf/dtype-absent": (vector) => {
    const response = decoded<TFResponse>(vector);
    expect(response.getTensorShape("y")).toEqual([]);
    expect(thrownBy(() => response.getValues("y"))).toMatchObject(decodeError(/"y" has no dtype/));
  },
  "resp/tf/dim-large": (vector) => {
    const response = decoded<TFResponse>(vector);
    expect(thrownBy(() => response.getTensorShape("y"))).toMatchObject(
      decodeError(/"y" has the shape \[9007199254740993, -1\]/),
    );
    expect(response.getValues("y", "DT_FLOAT")).toEqual(Float32Array.of(1));
  },
  "resp/tf/field-zero": (vector) => expectNoMessage(vector, /a tag is not valid at byte 0/),
  "resp/tf/stray-end-group": (vector) => expectNoMessage(vector, /field 1 has the unexpected wire type 4/),
  "resp/torch/bool": (vector) => {
    const response = decoded<TorchResponse>(vector);
    expect(response.outputCount).toBe(1);
    expect(response.getTensorShape(0)).toEqual([1]);
    expect(thrownBy(() => response.getValues(0))).toMatchObject(decodeError(/output 0 is DT_BOOL, but its values/));
  },
  "resp/torch/map-bool": (vector) => {
    const response = decoded<TorchResponse>(vector);
    expect(response.outputNames).toEqual(["y"]);
    expect(response.getTensorShapeMap("y")).toEqual([1]);
    expect(thrownBy(() => response.getValuesMap("y"))).toMatchObject(decodeError(/"y" is DT_BOOL, but its values/));
  },
  "resp/torch/string": (vector) => {
    const response = decoded<TorchResponse>(vector);
    expect(response.getTensorShape(0)).toEqual([1]);
    expect(response.getValues(0, "DT_STRING")).toEqual([Uint8Array.of(0x61)]);
    expect(response.getStrings(0)).toEqual(["a"]);
  },
  "resp/torch/map-string": (vector) => {
    const response = decoded<TorchResponse>(vector);
    expect(response.getTensorShapeMap("y")).toEqual([1]);
    expect(response.getValuesMap("y", "DT_STRING")).toEqual([Uint8Array.of(0x61)]);
  },
  "resp/torch/empty": (vector) => {
    const response = decoded<TorchResponse>(vector);
    expect(response.outputCount).toBe(0);
    expect(response.outputNames).toEqual([]);
    for (const read of [
      () => response.getTensorShape(0),
      () => response.getValues(0),
      () => response.getTensorShapeMap("y"),
      () => response.getValuesMap("y"),
    ]) {
      expect(thrownBy(read)).toMatchObject({
        name: "RangeError",
        code: "ERR_EAS_ARG_OUTPUT",
        message: expect.stringMatching(/^output (0|"y") is not in the response: .*has no outputs/),
      });
    }
  },
  "resp/blade/int32": (vector) => expectOtherDType(vector, "DT_INT32", 7),
  "resp/blade/int64": (vector) => expectOtherDType(vector, "DT_INT64", -1n),
  "resp/blade-tf/no-values": (vector) => {
    const response = decoded<BladeTFResponse>(vector);
    expect(response.getTensorShape("out")).toEqual([0]);
    expect(thrownBy(() => response.getValues("out"))).toMatchObject(
      decodeError(/"out" has no values.*: pass the dtype/),
    );
    expect(response.getValues("out", "DT_INT64")).toEqual(new BigInt64Array(0));
  },
  "resp/onnx/float16": (vector) => {
    const response = decoded<OnnxResponse>(vector);
    expect(response.getTensor(0)).toEqual({ dtype: "DT_HALF", shape: [1], data: Float32Array.of(1) });
  },
  "resp/onnx/dims-minus-one": (vector) => {
    const response = decoded<OnnxResponse>(vector);
    for (const read of [() => response.getTensorShape(0), () => response.getValues(0), () => response.getTensor(0)]) {
      expect(thrownBy(read)).toMatchObject(decodeError(/"out" has the shape \[-1\], which is out of range/));
    }
  },
  "resp/string/utf8": (vector) => {
    const response = decoded<StringResponse>(vector);
    expect(response.toString()).toBe("hé");
    expect(`${response}`).toBe("hé");
    expect(response.bytes).toEqual(fromHex(vector.bodyHex));
  },
};

test.each(Object.entries(INSTEAD))("%s: differs from the official SDK", (name, act) => {
  act(vectorNamed<ResponseVector>(name));
});

test.each(Object.keys(SKIPPED_RESPONSES))("%s: still differs when replayed", (name) => {
  expect(() => replayResponse(vectorNamed<ResponseVector>(name))).toThrow();
});
