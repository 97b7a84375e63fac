import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readNpy, writeNpy } from "../../../../src/cli/tensors/npy.js";
import { type DType, fromFloat16, tensor } from "../../../../src/index.js";

/** A file of NumPy: `header` is the dictionary as NumPy writes it. */
function npy(header: string, data: Uint8Array, version = 1): Uint8Array {
  const size = version === 1 ? Uint8Array.of(header.length, 0) : Uint8Array.of(header.length, 0, 0, 0);
  return Buffer.concat([
    Buffer.from("\x93NUMPY", "latin1"),
    Uint8Array.of(version, 0),
    size,
    Buffer.from(header),
    data,
  ]);
}
const header = (descr: string, shape: string, fortran = "False") =>
  `{'descr': ${descr}, 'fortran_order': ${fortran}, 'shape': ${shape}, }\n`;

describe("readNpy", () => {
  test.each([
    ["'<f4'", Float32Array.of(0.5, -2), "DT_FLOAT"],
    ["'<f8'", Float64Array.of(0.5, -2), "DT_DOUBLE"],
    ["'|i1'", Int8Array.of(1, -1), "DT_INT8"],
    ["'<i2'", Int16Array.of(1, -1), "DT_INT16"],
    ["'<i4'", Int32Array.of(1, -1), "DT_INT32"],
    ["'<i8'", BigInt64Array.of(2n ** 62n, -1n), "DT_INT64"],
    ["'|u1'", Uint8Array.of(1, 255), "DT_UINT8"],
    ["'<u2'", Uint16Array.of(1, 65_535), "DT_UINT16"],
    ["'<u4'", Uint32Array.of(1, 2 ** 32 - 1), "DT_UINT32"],
    ["'<u8'", BigUint64Array.of(1n, 2n ** 64n - 1n), "DT_UINT64"],
    ["'|b1'", Uint8Array.of(1, 0), "DT_BOOL"],
  ])("reads %s", (descr, data, dtype) => {
    const read = readNpy(npy(header(descr, "(2,)"), new Uint8Array(data.buffer)), "a.npy");
    expect(read).toMatchObject({ dtype, shape: [2] });
    expect(read.data).toEqual(data);
  });

  test("reads half precision as floats, complex numbers, and a header of version 2", () => {
    const halves = readNpy(npy(header("'<f2'", "(1,)"), Uint8Array.of(0, 0x3e)), "a.npy");
    expect(halves).toMatchObject({ dtype: "DT_HALF", data: Float32Array.of(1.5) });
    const complex = readNpy(npy(header("'<c8'", "(1, 1)"), new Uint8Array(8), 2), "a.npy");
    expect(complex).toMatchObject({ dtype: "DT_COMPLEX64", shape: [1, 1], data: Float32Array.of(0, 0) });
  });

  test("reads a scalar, an empty array, and Fortran order of one dimension", () => {
    expect(readNpy(npy(header("'|u1'", "()"), Uint8Array.of(7)), "a.npy").shape).toEqual([]);
    expect(readNpy(npy(header("'<f4'", "(0, 3)"), new Uint8Array(0)), "a.npy").shape).toEqual([0, 3]);
    expect(readNpy(npy(header("'|u1'", "(1, 2)", "True"), Uint8Array.of(1, 2)), "a.npy").data.length).toBe(2);
  });

  test("reads int8 as the quantized dtype of the same storage", () => {
    expect(readNpy(npy(header("'|i1'", "(1,)"), Uint8Array.of(7)), "a.npy", "DT_QINT8").dtype).toBe("DT_QINT8");
  });

  test.each([
    [npy(header("'<f4'", "(2, 2)", "True"), new Uint8Array(16)), "a.npy is in Fortran order: save it in C order"],
    [npy(header("'>f4'", "(1,)"), new Uint8Array(4)), 'a.npy is big-endian (>f4): convert it with array.astype("<f4")'],
    [npy(header("'|O'", "(1,)"), new Uint8Array(9)), "a.npy has the dtype '|O', which cannot be sent"],
    [npy(header("'<U5'", "(1,)"), new Uint8Array(20)), "a.npy has the dtype '<U5', which cannot be sent"],
    [
      npy(header("[('x', '<f4')]", "(1,)"), new Uint8Array(4)),
      "a.npy has the dtype [('x', '<f4')], which cannot be sent",
    ],
    [npy(header("'<f4'", "(3,)"), new Uint8Array(8)), "the shape [3] needs 12 bytes of data, and the file has 8"],
    [npy(header("'<f4'", "(3,)"), new Uint8Array(16)), "the shape [3] needs 12 bytes of data, and the file has 16"],
    [npy(header("'<f4'", "(999999999999, 999999999999)"), new Uint8Array(8)), "a.npy is damaged"],
    [npy("{'descr': '<f4'}", new Uint8Array(8)), "a.npy is damaged: its header has no shape"],
    [npy("", new Uint8Array(0), 9), "a.npy has version 9 of .npy: it must be 1, 2 or 3"],
    [npy(header("'<f4'", "(1,)"), new Uint8Array(4)).subarray(0, 20), "a.npy is damaged: it ends within its header"],
    [npy("", new Uint8Array(0)).subarray(0, 8), "a.npy is damaged: it ends within its header"],
  ])("refuses file %#", (file, message) => {
    expect(() => readNpy(file, "a.npy")).toThrow(message);
  });

  test("refuses a file of another dtype than requested, and says how to convert it", () => {
    const file = npy(header("'<f8'", "(1,)"), new Uint8Array(8));
    const message = 'a.npy has the dtype f8 (DT_DOUBLE), not DT_FLOAT: convert it with array.astype("f4")';
    expect(() => readNpy(file, "a.npy", "DT_FLOAT")).toThrow(message);
  });
});

describe("writeNpy", () => {
  test("writes files that readNpy reads, aligned to 64 bytes", () => {
    const shapes = fc.array(fc.nat(4), { maxLength: 5 });
    fc.assert(
      fc.property(shapes, fc.constantFrom("DT_FLOAT", "DT_INT64", "DT_UINT8", "DT_HALF"), (shape, dtype) => {
        const length = shape.reduce((product, size) => product * size, 1);
        const bits = Uint16Array.from({ length }, (_, i) => i);
        const data =
          dtype === "DT_INT64"
            ? BigInt64Array.from(bits, BigInt)
            : dtype === "DT_UINT8"
              ? Uint8Array.from(bits)
              : dtype === "DT_HALF"
                ? fromFloat16(bits)
                : Float32Array.from(bits);
        const file = writeNpy({ dtype: dtype as DType, shape, data }, "y");
        const { byteLength } = dtype === "DT_HALF" ? bits : data;
        expect((file.length - byteLength) % 64).toBe(0);
        expect(readNpy(file, "y.npy")).toEqual({ dtype, shape, data });
      }),
    );
  });

  test("refuses text", () => {
    const text = tensor([1], [new Uint8Array(1)], "DT_STRING");
    expect(() => writeNpy({ ...text, data: [new Uint8Array(1)] }, "names")).toThrow(
      "output names contains text, which .npy cannot represent: write it to a .json file",
    );
  });
});
