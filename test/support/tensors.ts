import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import * as tf from "../../src/gen/eas/tf/tf_pb.js";
import * as torch from "../../src/gen/eas/torch/torch_pb.js";
import type { Tensor, TFDType, TorchDType } from "../../src/index.js";

// Random tensors, with the expected message of the generated code and the values that our code must return.

/** The value fields of `ArrayProto`, by their names in the generated code. */
export interface WireValues {
  floatVal?: number[];
  doubleVal?: number[];
  intVal?: number[];
  stringVal?: Uint8Array<ArrayBuffer>[];
  int64Val?: bigint[];
  boolVal?: boolean[];
}

/** A tensor, its expected encoding, and the values that our code returns for it. */
export interface Sample {
  readonly tensor: Tensor<TFDType>;
  readonly wire: WireValues;
  readonly values: unknown;
}

interface Kind {
  readonly number: number;
  /** Entries for each element. */
  readonly entries: 1 | 2;
  sample(length: number): fc.Arbitrary<{ data: unknown; wire: WireValues; values: unknown }>;
}

const exactly = (length: number) => ({ minLength: length, maxLength: length });

/** Floats of all kinds except NaN, which other tests cover. */
const float64 = fc.double({ noNaN: true });

const FLOATS = (length: number) =>
  fc.tuple(fc.array(float64, exactly(length)), fc.boolean()).map(([numbers, typed]) => {
    const values = Float32Array.from(numbers);
    return { data: typed ? values : numbers, wire: { floatVal: [...values] }, values };
  });

const DOUBLES = (length: number) =>
  fc.tuple(fc.array(float64, exactly(length)), fc.boolean()).map(([numbers, typed]) => {
    const values = Float64Array.from(numbers);
    return { data: typed ? values : numbers, wire: { doubleVal: numbers }, values };
  });

type IntegerArray = { from(numbers: number[]): ArrayLike<number> };

const INTEGERS = (min: number, max: number, array: IntegerArray) => (length: number) =>
  fc
    .tuple(fc.array(near(min, max), exactly(length)), fc.constantFrom("list", "own", "double"))
    .map(([numbers, as]) => ({
      data: as === "list" ? numbers : as === "own" ? array.from(numbers) : Float64Array.from(numbers),
      wire: { intVal: numbers },
      values: array.from(numbers),
    }));

/** Integers of a range, with preference for those near the limits of varint lengths. */
function near(min: number, max: number): fc.Arbitrary<number> {
  const edges = [0, 1, -1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455, 268_435_456, min, max];
  return fc.oneof(fc.integer({ min, max }), fc.constantFrom(...edges.filter((edge) => edge >= min && edge <= max)));
}

/** All 64-bit integers, with preference for the limits of varint lengths. */
export const int64: fc.Arbitrary<bigint> = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc
    .tuple(fc.bigInt({ min: 0n, max: 63n }), fc.constantFrom(-1n, 0n, 1n), fc.constantFrom(1n, -1n))
    .map(([bits, beside, sign]) => BigInt.asIntN(64, sign * (1n << bits) + beside)),
  fc.maxSafeInteger().map(BigInt),
);

const INT64S = (length: number) =>
  fc.tuple(fc.array(int64, exactly(length)), fc.constantFrom("list", "own", "mixed")).map(([bigints, as]) => {
    const values = BigInt64Array.from(bigints);
    const mixed = bigints.map((value) => (Number.isSafeInteger(Number(value)) ? Number(value) : value));
    return { data: as === "list" ? bigints : as === "own" ? values : mixed, wire: { int64Val: bigints }, values };
  });

const text = fc.string({ unit: "binary", maxLength: 12 });
const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Uint8Array.from(array));

const STRINGS = (length: number) =>
  fc.array(fc.oneof(text, bytes), exactly(length)).map((data) => {
    const values = data.map((value) => (typeof value === "string" ? new TextEncoder().encode(value) : value));
    return { data, wire: { stringVal: values }, values };
  });

const BOOLEANS = (length: number) =>
  fc.tuple(fc.array(fc.boolean(), exactly(length)), fc.constantFrom("list", "bytes", "mixed")).map(([values, as]) => {
    const mixed = values.map((value, i) => (i % 2 === 0 ? value : Number(value)));
    const data = as === "list" ? values : as === "bytes" ? Uint8Array.from(values, Number) : mixed;
    return { data, wire: { boolVal: values }, values };
  });

const INT32_RANGE = [-2_147_483_648, 2_147_483_647] as const;

/** All dtypes with a field for their values, listed independently of src/. */
export const KINDS: Readonly<Record<TFDType, Kind>> = {
  DT_FLOAT: { number: 1, entries: 1, sample: FLOATS },
  DT_DOUBLE: { number: 2, entries: 1, sample: DOUBLES },
  DT_INT32: { number: 3, entries: 1, sample: INTEGERS(...INT32_RANGE, Int32Array) },
  DT_UINT8: { number: 4, entries: 1, sample: INTEGERS(0, 255, Uint8Array) },
  DT_INT16: { number: 5, entries: 1, sample: INTEGERS(-32_768, 32_767, Int16Array) },
  DT_INT8: { number: 6, entries: 1, sample: INTEGERS(-128, 127, Int8Array) },
  DT_STRING: { number: 7, entries: 1, sample: STRINGS },
  DT_COMPLEX64: { number: 8, entries: 2, sample: FLOATS },
  DT_INT64: { number: 9, entries: 1, sample: INT64S },
  DT_BOOL: { number: 10, entries: 1, sample: BOOLEANS },
  DT_QINT8: { number: 11, entries: 1, sample: INTEGERS(-128, 127, Int8Array) },
  DT_QUINT8: { number: 12, entries: 1, sample: INTEGERS(0, 255, Uint8Array) },
  DT_QINT32: { number: 13, entries: 1, sample: INTEGERS(...INT32_RANGE, Int32Array) },
  DT_BFLOAT16: { number: 14, entries: 1, sample: FLOATS },
  DT_QINT16: { number: 15, entries: 1, sample: INTEGERS(-32_768, 32_767, Int16Array) },
  DT_QUINT16: { number: 16, entries: 1, sample: INTEGERS(0, 65_535, Uint16Array) },
  DT_UINT16: { number: 17, entries: 1, sample: INTEGERS(0, 65_535, Uint16Array) },
  DT_COMPLEX128: { number: 18, entries: 2, sample: DOUBLES },
  DT_HALF: { number: 19, entries: 1, sample: FLOATS },
};

export const DTYPES = Object.keys(KINDS) as TFDType[];
/** The dtypes of the Torch format. */
export const TORCH_DTYPES: TorchDType[] = DTYPES.filter((dtype) => dtype !== "DT_BOOL");

/** Shapes of few elements: scalars, empty shapes, and up to four dimensions. */
const shape = fc
  .array(fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 1, max: 6 }) }, { weight: 1, arbitrary: fc.constant(0) }), {
    maxLength: 4,
  })
  .filter((dimensions) => dimensions.reduce((a, b) => a * b, 1) <= 200);

/** A tensor of one dtype. */
export function sampleOf(dtype: TFDType): fc.Arbitrary<Sample> {
  const { entries, sample } = KINDS[dtype];
  return shape.chain((shape) =>
    sample(shape.reduce((a, b) => a * b, 1) * entries).map(({ data, wire, values }) => ({
      tensor: { dtype, shape, data: data as never },
      wire,
      values,
    })),
  );
}

/** A tensor of any of these dtypes. */
export const anySample = (dtypes: readonly TFDType[]): fc.Arbitrary<Sample> =>
  fc.constantFrom(...dtypes).chain(sampleOf);

/** Text for names. The generated code stores maps in objects, where `__proto__` is not an ordinary key. */
export const name: fc.Arbitrary<string> = fc
  .oneof(text, fc.constantFrom("", "1", "0", "constructor", "输入", "a".repeat(130)))
  // The generated code drops a byte order mark. Our code keeps it, which other tests cover.
  .filter((text) => text !== "__proto__" && !text.startsWith("\ufeff"));

/** Tensors by name. */
export const namedSamples = (dtypes: readonly TFDType[]): fc.Arbitrary<[name: string, sample: Sample][]> =>
  fc.uniqueArray(fc.tuple(name, anySample(dtypes)), { selector: ([name]) => name, maxLength: 4 });

/** The message of the generated TF code for a sample. */
export function tfArray({ tensor, wire }: Sample): tf.ArrayProto {
  return create(tf.ArrayProtoSchema, {
    dtype: KINDS[tensor.dtype].number as tf.ArrayDataType,
    arrayShape: create(tf.ArrayShapeSchema, { dim: tensor.shape.map(BigInt) }),
    ...wire,
  });
}

/** The message of the generated Torch code for a sample. */
export function torchArray({ tensor, wire }: Sample): torch.ArrayProto {
  return create(torch.ArrayProtoSchema, {
    dtype: KINDS[tensor.dtype].number as torch.ArrayDataType,
    arrayShape: create(torch.ArrayShapeSchema, { dim: tensor.shape.map(BigInt) }),
    ...wire,
  });
}

/** Returns the memory of values, for comparing them bit by bit. */
export function bits(values: unknown): string {
  if (ArrayBuffer.isView(values)) {
    return `${(values as Uint8Array)[Symbol.toStringTag]} ${hex(values)}`;
  }
  return (values as unknown[]).map((value) => (value instanceof Uint8Array ? hex(value) : `${value}`)).join(" ");
}

function hex({ buffer, byteOffset, byteLength }: ArrayBufferView): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString("hex");
}
