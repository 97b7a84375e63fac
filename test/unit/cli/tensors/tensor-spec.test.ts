import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import jpeg from "jpeg-js";
import { PNG } from "pngjs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readTensor } from "../../../../src/cli/tensors/tensor-spec.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "eas-tensors-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function file(name: string, data: Uint8Array | string): Promise<string> {
  await writeFile(join(folder, name), data);
  return `@${join(folder, name)}`;
}

/** Red pixels with one green pixel in the upper right corner. */
function pixels(width: number, height: number): Buffer {
  const data = Buffer.from(Array.from({ length: width * height }, () => [255, 0, 0, 255]).flat());
  data.set([0, 255, 0, 255], (width - 1) * 4);
  return data;
}

describe("readTensor", () => {
  test.each([
    ["a=1,2,3", { dtype: "DT_FLOAT", shape: [3], data: [1, 2, 3] }],
    ["a=1,2,3,4:2,-1:float64", { dtype: "DT_DOUBLE", shape: [2, 2], data: [1, 2, 3, 4] }],
    ["a=[[1,2],[3,4]]:DT_INT32", { dtype: "DT_INT32", shape: [2, 2], data: [1, 2, 3, 4] }],
    ["a=7:[]:dt_float", { dtype: "DT_FLOAT", shape: [], data: [7] }],
    ["a=9007199254740993:DT_INT64", { dtype: "DT_INT64", shape: [1], data: [9007199254740993n] }],
    ["a=true,false", { dtype: "DT_BOOL", shape: [2], data: [true, false] }],
    ["a=NaN,-Infinity", { dtype: "DT_FLOAT", shape: [2], data: [Number.NaN, Number.NEGATIVE_INFINITY] }],
    ["a=x=1:y:DT_STRING", { dtype: "DT_STRING", shape: [1], data: ["x=1:y"] }],
    ['a=["x, y","z"]:2,1:string', { dtype: "DT_STRING", shape: [2, 1], data: ["x, y", "z"] }],
    ["a=1,2,3,4:2:DT_COMPLEX64", { dtype: "DT_COMPLEX64", shape: [2], data: [1, 2, 3, 4] }],
    ["a=[]", { dtype: "DT_FLOAT", shape: [0], data: [] }],
  ])("reads %s", async (argument, expected) => {
    const { name, tensor } = await readTensor(argument, {});
    expect(name).toBe("a");
    expect({ ...tensor }).toEqual(expected);
  });

  test("reads raw little-endian numbers with a dtype, and any file as text", async () => {
    const raw = await file("raw.bin", new Uint8Array(Int16Array.of(1, -1).buffer));
    expect((await readTensor(`a=${raw}:int16`, {})).tensor.data).toEqual(Int16Array.of(1, -1));
    expect((await readTensor(`a=${raw}:DT_STRING`, {})).tensor).toMatchObject({ dtype: "DT_STRING", shape: [1] });
    await expect(readTensor(`a=${raw}`, {})).rejects.toThrow("raw.bin is not a .png, .jpg, .npy or .json file");
    await expect(readTensor(`a=${raw}:int64`, {})).rejects.toThrow("4 bytes, which is not a whole number of DT_INT64");
  });

  test.each([
    [":1,3,2,3", [1, 3, 2, 3], [1, 1, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0]],
    [":1,2,3,3", [1, 2, 3, 3], [1, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0]],
    ["", [1, 3, 2, 3], [1, 1, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0]],
  ])("reads a PNG with the shape '%s'", async (shape, actual, first) => {
    const png = Object.assign(new PNG({ width: 3, height: 2 }), { data: pixels(3, 2) });
    const { tensor } = await readTensor(`a=${await file("a.png", PNG.sync.write(png))}${shape}`, {});
    expect(tensor.shape).toEqual(actual);
    expect(Array.from(tensor.data as Float32Array).slice(0, 12)).toEqual(first);
  });

  test("reads a JPEG as bytes, with the channels in reverse order", async () => {
    const data = Buffer.from(Array.from({ length: 64 }, () => [255, 0, 0, 255]).flat());
    const name = await file("a.jpg", jpeg.encode({ data, width: 8, height: 8 }, 100).data);
    const { tensor } = await readTensor(`a=${name}:1,8,8,3:DT_UINT8`, { color: "BGR" });
    const [blue, green, red] = tensor.data as Uint8Array;
    expect(red).toBeGreaterThan(250);
    expect(blue! + green!).toBeLessThan(5);
  });

  test("resizes an image with a fit, and applies scale, mean and std", async () => {
    const png = Object.assign(new PNG({ width: 2, height: 2 }), { data: Buffer.alloc(16, 255) });
    const name = await file("white.png", PNG.sync.write(png));
    const flags = { fit: "fill", scale: 1, mean: [55], std: [2] } as const;
    const { tensor } = await readTensor(`a=${name}:1,1,4,4`, flags);
    expect(tensor.data).toEqual(new Float32Array(16).fill(100));
  });

  test.each([
    ["damaged.png", [0x89, 0x50, 0x4e, 0x47, 0, 0], "damaged.png cannot be decoded as a PNG: "],
    ["damaged.jpg", [0xff, 0xd8, 0xff, 0, 0, 0], "damaged.jpg cannot be decoded as a JPEG: "],
  ])("refuses %s", async (name, bytes, message) => {
    await expect(readTensor(`a=${await file(name, Uint8Array.from(bytes))}`, {})).rejects.toThrow(message);
  });
});
