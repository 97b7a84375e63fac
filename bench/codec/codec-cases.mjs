// The cases of the codec. A case has a format and the tensors of one message, or frames. It produces one table per
// direction.

import { ELEMENTS, floats, INPUT, random, SHAPE } from "../data.mjs";

/** Returns seeded random numbers, as many as an image has. */
function list(Type, seed, make) {
  const next = random(seed);
  return Type.from({ length: ELEMENTS }, () => make(next));
}

const word = (next) => BigInt(Math.floor(next() * 2 ** 32));
/** Each number of bits up to 31 is equally likely. */
const anySize = (next) => 2 ** (next() * 31);

/** The values of a tensor, and its dtype. */
const VALUES = {
  float32: ["DT_FLOAT", () => floats(1)],
  // One byte each on the wire: classes.
  "int32 small": ["DT_INT32", () => list(Int32Array, 3, (next) => next() * 128)],
  // Five bytes each: hashed features.
  "int32 large": ["DT_INT32", () => list(Int32Array, 4, (next) => 2 ** 28 + next() * (2 ** 31 - 2 ** 28))],
  // Ten bytes each: protobuf extends the sign to 64 bits.
  "int32 negative": ["DT_INT32", () => list(Int32Array, 8, (next) => -anySize(next))],
  // One to five bytes, and ten for the negative half.
  "int32 mixed": ["DT_INT32", () => list(Int32Array, 5, (next) => (next() < 0.5 ? -1 : 1) * anySize(next))],
  "int64 small": ["DT_INT64", () => list(BigInt64Array, 6, (next) => BigInt(Math.floor(next() * 128)))],
  // Nine bytes each: ids.
  "int64 large": ["DT_INT64", () => list(BigInt64Array, 7, (next) => (1n << 62n) | ((word(next) << 30n) ^ word(next)))],
  // One or two bytes each on the wire: pixels.
  uint8: ["DT_UINT8", () => list(Uint8Array, 9, (next) => next() * 256)],
};

function image(name) {
  const [dtype, make] = VALUES[name];
  return () => [{ name: INPUT, dtype, shape: SHAPE, values: make() }];
}

function flat(length) {
  return () => [{ name: INPUT, dtype: "DT_FLOAT", shape: [1, length], values: floats(1, length) }];
}

/** Words of 1 to 24 characters. Every tenth is in Chinese, whose characters take three bytes. */
function strings() {
  const next = random(10);
  const values = Array.from({ length: 10_000 }, (_, i) =>
    (i % 10 === 9 ? "推荐" : "feature ").repeat(3).slice(0, 1 + next() * 23),
  );
  return [{ name: INPUT, dtype: "DT_STRING", shape: [values.length], values }];
}

/** As in a ranking model: one value or a few per feature. */
function features() {
  const all = floats(11, 8000);
  return Array.from({ length: 1000 }, (_, i) => ({
    name: `feature_${i}`,
    dtype: "DT_FLOAT",
    shape: [1, 8],
    values: all.slice(8 * i, 8 * i + 8),
  }));
}

const CPP = "Python SDK, C++";
const PIP = "Python SDK, pip";

/**
 * `full`: each contender's most expensive way is measured next to its best, in enough rounds for a bar. `python`:
 * compares with these installations of the official SDK. `slow`: the generated code takes seconds and gigabytes.
 * `alone`: the generated code is left out.
 */
export const CASES = {
  float32: { format: "TF", tensors: image("float32"), full: true, python: [CPP, PIP] },
  ...Object.fromEntries(
    Object.keys(VALUES)
      .filter((name) => name.startsWith("int"))
      .map((name) => [name, { format: "TF", tensors: image(name), full: true, python: [CPP] }]),
  ),
  uint8: { format: "TF", tensors: image("uint8") },
  "784 floats": { format: "TF", tensors: flat(784), python: [CPP, PIP] },
  "10,000 strings": { format: "TF", tensors: strings },
  "map of 1,000 tensors": { format: "TF", tensors: features },
  "5,000,000 floats": { format: "TF", tensors: flat(5_000_000), slow: true },
  ...ofFormat("Torch", ["float32", "int32 mixed", "int64 large"], { "10,000 strings": strings }),
  ...ofFormat("ONNX", ["float32", "int32 mixed", "int64 large", "uint8"], {}),
  "DataFrame: 100 of 1 KB": { format: "DataFrame", count: 100, bytes: 1024 },
  "DataFrame: 10 of 100 KB": { format: "DataFrame", count: 10, bytes: 102_400 },
};

function ofFormat(format, images, others) {
  const all = {
    ...Object.fromEntries(images.map((name) => [name, image(name)])),
    "784 floats": flat(784),
    ...others,
    "5,000,000 floats": flat(5_000_000),
  };
  const alone = (name) => format === "Torch" && name === "5,000,000 floats";
  return Object.fromEntries(
    Object.entries(all).map(([name, tensors]) => [`${format}: ${name}`, { format, tensors, alone: alone(name) }]),
  );
}
