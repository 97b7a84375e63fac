// The tensor codec against a copy into fresh memory, which is the least that can be done, and against the codec that Buf
// generates from the same schema.

import { deepStrictEqual, ok } from "node:assert/strict";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { TFRequest, TFResponse } from "eas-prediction";
import { ArrayDataType, PredictRequestSchema, PredictResponseSchema } from "eas-prediction/proto/tf";
import { ELEMENTS, floats, INPUT, OUTPUT, random, SHAPE, SIGNATURE } from "./data.mjs";
import { loop, measure, ratio } from "./measure.mjs";

const ROUNDS = 15;
const BUDGET_MS = 3500;

const next = random(7);
const signed = (value) => (next() < 0.5 ? -value : value);
/** Any number of bits up to `bits`, so that varints of all lengths come. */
const ofAnyWidth = (bits) => Math.floor(2 ** (next() * bits));
const int32 = (value) => Int32Array.from({ length: ELEMENTS }, value);
const int64 = (value) => BigInt64Array.from({ length: ELEMENTS }, value);
const word = () => BigInt(Math.floor(next() * 2 ** 32));

/** What is encoded and decoded: the dtype, the field of the schema that holds it, and the values. */
const TENSORS = [
  { name: "float32", dtype: "DT_FLOAT", field: "floatVal", values: () => floats(1) },
  // One byte each on the wire: classes, pixels.
  { name: "int32 small", dtype: "DT_INT32", field: "intVal", values: () => int32(() => Math.floor(next() * 128)) },
  // Five bytes each: hashed features.
  {
    name: "int32 large",
    dtype: "DT_INT32",
    field: "intVal",
    values: () => int32(() => 2 ** 28 + Math.floor(next() * (2 ** 31 - 2 ** 28))),
  },
  // One to five bytes, and ten for the negative half.
  { name: "int32 mixed", dtype: "DT_INT32", field: "intVal", values: () => int32(() => signed(ofAnyWidth(31))) },
  {
    name: "int64 small",
    dtype: "DT_INT64",
    field: "int64Val",
    values: () => int64(() => BigInt(Math.floor(next() * 128))),
  },
  // Nine bytes each: ids.
  {
    name: "int64 large",
    dtype: "DT_INT64",
    field: "int64Val",
    values: () => int64(() => (1n << 62n) | ((word() << 30n) ^ word())),
  },
];

/** All figures of the codec whose name is `wanted`, in milliseconds for one tensor. */
export async function run(wanted, report) {
  const results = [];
  for (const tensor of TENSORS) {
    for (const [name, make] of [
      [`encode ${tensor.name}`, encoding],
      [`decode ${tensor.name}`, decoding],
    ]) {
      if (!wanted(name)) continue;
      const contenders = Object.entries(make(tensor)).map(([name, run]) => loop(name, run));
      const group = { name, unit: "ms", ceiling: ["copy"], contenders };
      results.push(await measure({ ...group, rounds: ROUNDS, budget: BUDGET_MS, processes: [process.pid] }));
      report(results.at(-1));
    }
  }
  return results;
}

/** Verified ways to encode. */
function encoding({ dtype, field, values: make }) {
  const values = make();
  const build = () => new TFRequest(SIGNATURE).addFeed(INPUT, SHAPE, dtype, values);
  const message = (numbers) =>
    create(PredictRequestSchema, { signatureName: SIGNATURE, inputs: { [INPUT]: array(dtype, field, numbers) } });
  const ready = build();
  const readyMessage = message(Array.from(values));
  const bytes = toBinary(PredictRequestSchema, readyMessage);
  const runs = {
    copy: copying(bytes),
    ours: () => build().toBinary(),
    "ours, toBinary only": () => ready.toBinary(),
    // The generated codec at its best: the numbers are a plain array already, and the message is there.
    "generated, toBinary only": () => toBinary(PredictRequestSchema, readyMessage),
    generated: () => toBinary(PredictRequestSchema, message(Array.from(values))),
  };
  for (const encode of Object.values(runs)) ok(Buffer.compare(encode(), bytes) === 0, "all give the same bytes");
  return runs;
}

/** Verified ways to decode. */
function decoding({ dtype, field, values: make }) {
  const values = make();
  const List = values.constructor;
  const message = create(PredictResponseSchema, { outputs: { [OUTPUT]: array(dtype, field, Array.from(values)) } });
  const bytes = toBinary(PredictResponseSchema, message);
  const generated = () => fromBinary(PredictResponseSchema, bytes).outputs[OUTPUT][field];
  const runs = {
    copy: copying(bytes),
    ours: () => new TFResponse(bytes).getValues(OUTPUT, dtype),
    // At its best: the caller is content with a plain array.
    "generated, to a plain array": generated,
    generated: () => new List(generated()),
  };
  ok(Buffer.compare(runs.copy(), bytes) === 0);
  deepStrictEqual(runs.ours(), values);
  deepStrictEqual(runs.generated(), values);
  return runs;
}

function array(dtype, field, numbers) {
  return { dtype: ArrayDataType[dtype], arrayShape: { dim: SHAPE.map(BigInt) }, [field]: numbers };
}

/** What is before the elements, and the elements in one piece, into fresh memory. */
function copying(bytes) {
  const elements = bytes.slice(64);
  const head = bytes.slice(0, 64);
  return () => {
    const copy = new Uint8Array(head.length + elements.length);
    copy.set(head);
    copy.set(elements, head.length);
    return copy;
  };
}

/** Times that ours is faster than the generated codec where both go from a typed array to bytes, or back to one. */
export const likeRatio = (group) => ratio(group, "generated", "ours");

/** The same against the generated codec at its best, for a caller who has, or wants, plain arrays. */
export function bestRatio(group) {
  return group.name.startsWith("encode")
    ? ratio(group, "generated, toBinary only", "ours, toBinary only")
    : ratio(group, "generated, to a plain array", "ours");
}
