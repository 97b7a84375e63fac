import { create } from "@bufbuild/protobuf";
import { type BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import * as blade from "../../src/gen/eas/blade/blade_pb.js";
import * as caffe from "../../src/gen/eas/caffe/caffe_pb.js";
import * as onnx from "../../src/gen/eas/onnx/onnx_pb.js";
import type { BladeDType, OnnxDType, Tensor } from "../../src/index.js";
import { FLOAT16, numberOf } from "./halves.js";
import {
  chunks,
  DIM,
  type Freedom,
  type Gen,
  message,
  nested,
  VALUE_FIELDS,
  type ValueField,
  type Write,
} from "./layout.js";
import { int64, name, type Sample, sampleOf, type WireValues } from "./tensors.js";

// Random tensors for Blade, Caffe and ONNX, as messages of the generated code and in any layout.

type Bytes = Uint8Array<ArrayBuffer>;

/** Names that can be sent. */
export const fullName: fc.Arbitrary<string> = name.filter((text) => text !== "");

const int32 = (min: number) => fc.integer({ min, max: 2 ** 31 - 1 });
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

/** A single length-delimited field. */
const field =
  (number: number, bytes: Uint8Array): Write =>
  (writer) =>
    nested(writer, number, bytes);
const textField = (number: number, text: string): Write => field(number, new TextEncoder().encode(text));
const intField =
  (number: number, value: number): Write =>
  (writer) =>
    writer.tag(number, WireType.Varint).int32(value);

/** A field that can occur twice, of which the last counts. */
const lastOf = (g: Gen, earlier: Write, last: Write): Write[] =>
  g(fc.nat, { max: 4 }) === 0 ? [earlier, last] : [last];

/** A shape in two messages, which are merged. */
function shapes(g: Gen, number: number, shape: readonly number[]): Write[] {
  const dims = shape.map(BigInt);
  const cut = g(fc.nat, { max: dims.length });
  return [dims.slice(0, cut), dims.slice(cut)].map((part) => field(number, message(g, [chunks(g, DIM, part)], 2)));
}

/** Known field numbers with other wire types, which are unknown fields. */
const otherTypes = (g: Gen, freedom: Freedom, fields: readonly (readonly [number, WireType])[]): Write[] =>
  freedom.asGenerated || g(fc.boolean)
    ? []
    : fields.map(([number, type]) => (writer) => {
        const tagged = writer.tag(number, type);
        if (type === WireType.Varint) tagged.uint32(7);
        else if (type === WireType.Bit32) tagged.fixed32(7);
        else if (type === WireType.Bit64) tagged.fixed64(7);
        else tagged.bytes(Uint8Array.of(7));
      });

/** Blade's dtypes with the numbers of its enum, listed independently of src/. */
export const BLADE_NUMBERS = { DT_FLOAT: 1, DT_INT32: 2, DT_INT64: 3, DT_STRING: 4 } as const;
export const BLADE_DTYPES = Object.keys(BLADE_NUMBERS) as BladeDType[];

/** An array of a Blade message. */
export interface BladeSample {
  readonly sample: Sample;
  readonly bladeBlobName: string | undefined;
  readonly nameInDlModel: string | undefined;
  readonly batchsize: number | undefined;
}

const blanks = fc.constantFrom("", "", "", " ", "\t\n");
const padded = fc.tuple(blanks, name, blanks).map((parts) => parts.join(""));

/** Arrays that a service can send: names with blanks, and any part left out. */
export const bladeSample: fc.Arbitrary<BladeSample> = fc.record({
  sample: fc.constantFrom(...BLADE_DTYPES).chain(sampleOf),
  bladeBlobName: maybe(padded),
  nameInDlModel: maybe(padded),
  batchsize: maybe(int32(-(2 ** 31))),
});

/** The message of the generated code. */
export function bladeArray({ sample: { tensor, wire }, ...scalars }: BladeSample): blade.Array {
  const present = Object.fromEntries(Object.entries(scalars).filter(([, value]) => value !== undefined));
  const shape = create(blade.ShapeSchema, { dim: tensor.shape.map(BigInt) });
  return create(blade.ArraySchema, { ...present, shape, ...wire });
}

const BLADE_FIELDS: Readonly<Partial<Record<keyof WireValues, number>>> = {
  floatVal: 5,
  intVal: 6,
  int64Val: 7,
  stringVal: 8,
};

/** The body of a Blade response in any layout. */
export function bladeBody(g: Gen, outputs: readonly BladeSample[], freedom: Freedom): Bytes {
  const arrays = outputs.map(({ sample, bladeBlobName, nameInDlModel, batchsize }) => {
    const values = Object.entries(sample.wire).flatMap(([key, list]) => {
      const known = VALUE_FIELDS[key as keyof WireValues];
      const number = BLADE_FIELDS[key as keyof WireValues] as number;
      return chunks(g, { ...known, number, element: known.element.bind(known) } as ValueField, list as unknown[]);
    });
    const lists = [
      bladeBlobName === undefined ? [] : lastOf(g, textField(1, "earlier"), textField(1, bladeBlobName)),
      nameInDlModel === undefined ? [] : lastOf(g, textField(2, "earlier"), textField(2, nameInDlModel)),
      batchsize === undefined ? [] : lastOf(g, intField(3, 77), intField(3, batchsize)),
      shapes(g, 4, sample.tensor.shape),
      values,
      otherTypes(g, freedom, [
        [1, WireType.Varint],
        [3, WireType.LengthDelimited],
        [4, WireType.Varint],
        [5, WireType.Bit64],
        [8, WireType.Varint],
      ]),
    ];
    return field(1, message(g, lists, 9));
  });
  return message(g, [arrays, otherTypes(g, freedom, [[1, WireType.Varint]])], 2);
}

export interface CaffeSample {
  readonly name: string;
  readonly sample: Sample;
}

export const caffeSample: fc.Arbitrary<CaffeSample> = fc.record({ name, sample: sampleOf("DT_FLOAT") });

export const caffeArray = ({ sample: { tensor, wire } }: CaffeSample): caffe.ArrayProto =>
  create(caffe.ArrayProtoSchema, {
    shape: create(caffe.ArrayShapeSchema, { dim: tensor.shape.map(BigInt) }),
    data: wire.floatVal ?? [],
  });

/** Writes the body of a Caffe response in any layout, with names and data as two lists in order. */
export function caffeBody(g: Gen, outputs: readonly CaffeSample[], freedom: Freedom): Bytes {
  const names = outputs.map(({ name }) => textField(1, name));
  const arrays = outputs.map(({ sample: { tensor, wire } }) => {
    const { floatVal } = VALUE_FIELDS;
    const values = chunks(g, { number: 2, type: floatVal.type, element: floatVal.element }, wire.floatVal ?? []);
    const others = otherTypes(g, freedom, [
      [1, WireType.Varint],
      [2, WireType.Bit64],
    ]);
    return field(2, message(g, [shapes(g, 1, tensor.shape), values, others], 3));
  });
  const others = otherTypes(g, freedom, [
    [1, WireType.Bit32],
    [2, WireType.Varint],
  ]);
  return message(g, [names, arrays, others], 3);
}

interface OnnxKind {
  readonly number: number;
  readonly width: number;
  readonly array: { from(values: never[]): ArrayLike<number | bigint>; new (memory: ArrayBuffer, at: number): object };
  /** Array types for the values, besides a list and the dtype's own array. */
  readonly forms: readonly ("list" | "own" | "view" | "double" | "mixed" | "Buffer" | "clamped")[];
  readonly value: fc.Arbitrary<number> | fc.Arbitrary<bigint>;
  /** Writes an element to memory with the standard library. */
  put(view: DataView, at: number, value: never): void;
}

const FORMS = ["list", "own", "view", "double"] as const;
const integers = (bits: number, signed: boolean) =>
  signed
    ? fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 })
    : fc.integer({ min: 0, max: 2 ** bits - 1 });
const float = fc.double({ noNaN: true });
/** All bit patterns except NaN, which other tests cover. */
const halfBits = fc.integer({ min: 0, max: 0xffff }).filter((bits) => !Number.isNaN(numberOf(FLOAT16, bits)));

/** ONNX's dtypes with the numbers of its enum, listed independently of src/. */
export const ONNX_KINDS: Readonly<Record<OnnxDType, OnnxKind>> = {
  DT_FLOAT: kind(1, 4, Float32Array, FORMS, float, (v, at, x: number) => v.setFloat32(at, x, true)),
  DT_UINT8: kind(2, 1, Uint8Array, [...FORMS, "Buffer", "clamped"], integers(8, false), (v, at, x: number) =>
    v.setUint8(at, x),
  ),
  DT_INT8: kind(3, 1, Int8Array, FORMS, integers(8, true), (v, at, x: number) => v.setInt8(at, x)),
  DT_UINT16: kind(4, 2, Uint16Array, FORMS, integers(16, false), (v, at, x: number) => v.setUint16(at, x, true)),
  DT_INT16: kind(5, 2, Int16Array, FORMS, integers(16, true), (v, at, x: number) => v.setInt16(at, x, true)),
  DT_INT32: kind(6, 4, Int32Array, FORMS, integers(32, true), (v, at, x: number) => v.setInt32(at, x, true)),
  DT_INT64: kind(7, 8, BigInt64Array, ["list", "own", "view", "mixed"], int64, (v, at, x: bigint) =>
    v.setBigInt64(at, x, true),
  ),
  DT_HALF: kind(10, 2, Uint16Array, ["own", "view"], halfBits, (v, at, x: number) => v.setUint16(at, x, true)),
  DT_DOUBLE: kind(11, 8, Float64Array, FORMS, float, (v, at, x: number) => v.setFloat64(at, x, true)),
  DT_UINT32: kind(12, 4, Uint32Array, FORMS, integers(32, false), (v, at, x: number) => v.setUint32(at, x, true)),
  DT_UINT64: kind(
    13,
    8,
    BigUint64Array,
    ["list", "own", "view", "mixed"],
    int64.map((value) => BigInt.asUintN(64, value)),
    (v, at, x: bigint) => v.setBigUint64(at, x, true),
  ),
};
export const ONNX_DTYPES = Object.keys(ONNX_KINDS) as OnnxDType[];

function kind<T extends number | bigint>(
  number: number,
  width: number,
  array: unknown,
  forms: OnnxKind["forms"],
  value: fc.Arbitrary<T>,
  put: (view: DataView, at: number, value: T) => void,
): OnnxKind {
  return { number, width, array: array as never, forms, value: value as never, put: put as never };
}

/** An ONNX tensor, its memory, and the values that our code returns for it. */
export interface OnnxSample {
  readonly tensor: Tensor<OnnxDType>;
  readonly memory: Bytes;
  readonly values: unknown;
}

const onnxShape = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 3 });

/** A tensor of one dtype, with content of any accepted type. */
export function onnxSampleOf(dtype: OnnxDType): fc.Arbitrary<OnnxSample> {
  const { array, forms, put, value, width } = ONNX_KINDS[dtype];
  return onnxShape.chain((shape) => {
    const length = shape.reduce((a, b) => a * b, 1);
    const list = fc.array(value as fc.Arbitrary<never>, { minLength: length, maxLength: length });
    return fc.tuple(list, fc.constantFrom(...forms)).map(([elements, form]) => {
      const memory = new Uint8Array(length * width);
      const view = new DataView(memory.buffer);
      for (const [i, element] of elements.entries()) put(view, i * width, element);
      const own = () => array.from(elements);
      const data = {
        list: () => elements,
        own,
        view: () => inLarger(own() as Uint8Array, width),
        double: () => Float64Array.from(elements),
        mixed: () => elements.map((x) => (Number.isSafeInteger(Number(x)) ? Number(x) : x)),
        Buffer: () => Buffer.from(elements),
        clamped: () => Uint8ClampedArray.from(elements),
      }[form]();
      const values =
        dtype === "DT_HALF" ? Float32Array.from(elements, (bits) => numberOf(FLOAT16, bits)) : array.from(elements);
      return { tensor: { dtype, shape, data: data as never }, memory, values };
    });
  });
}

/** Copies values into a larger buffer, one element after its start. */
export function inLarger<T extends Uint8Array>(values: T, width: number): T {
  const larger = new Uint8Array(values.byteLength + 2 * width).fill(0xee);
  larger.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), width);
  const Own = values.constructor as new (memory: ArrayBuffer, at: number, length: number) => T;
  return new Own(larger.buffer, width, values.length);
}

export const anyOnnxSample: fc.Arbitrary<OnnxSample> = fc.constantFrom(...ONNX_DTYPES).chain(onnxSampleOf);

/** The message of the generated code. */
export const onnxTensor = (name: string, { tensor, memory }: OnnxSample): onnx.TensorProto =>
  create(onnx.TensorProtoSchema, {
    name,
    dims: tensor.shape.map(BigInt),
    dataType: ONNX_KINDS[tensor.dtype].number,
    rawData: memory,
  });

/** The body of an ONNX response in any layout. */
export function onnxBody(g: Gen, outputs: readonly (readonly [string, OnnxSample])[], freedom: Freedom): Bytes {
  const tensors = outputs.map(([name, { tensor, memory }]) => {
    const dims: ValueField = { number: 2, type: WireType.Varint, element: (w: BinaryWriter, x) => w.int64(x) };
    const lists = [
      lastOf(g, textField(1, "earlier"), textField(1, name)),
      chunks(g, dims, tensor.shape.map(BigInt)),
      lastOf(g, intField(3, 99), intField(3, ONNX_KINDS[tensor.dtype].number)),
      lastOf(g, field(5, Uint8Array.of(1, 2, 3)), field(5, memory)),
      otherTypes(g, freedom, [
        [1, WireType.Varint],
        [2, WireType.Bit64],
        [3, WireType.Bit32],
        [5, WireType.Varint],
      ]),
    ];
    return field(1, message(g, lists, 6));
  });
  return message(g, [tensors, otherTypes(g, freedom, [[1, WireType.Varint]])], 2);
}
