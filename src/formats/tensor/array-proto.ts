import { argumentTypeError, show } from "../../util/argument-errors.js";
import { type EncodedField, int32, joined, message, packedSizes, text } from "../protobuf/encoded-field.js";
import { countVarints } from "../protobuf/varints.js";
import { FIXED32, FIXED64, LENGTH_DELIMITED, MAP_KEY, MAP_VALUE, VARINT } from "../protobuf/wire.js";
import type { WireReader } from "../protobuf/wire-reader.js";
import { checkTensor, formatOf, type TensorFormat } from "./check-values.js";
import { byNumber, type DType, type TFDType, type TorchDType, traitsOf, type ValueField } from "./dtype.js";
import { encodeValues } from "./encode-values.js";
import { RawTensor } from "./raw-tensor.js";
import type { Tensor } from "./tensor.js";

/** Field numbers of `ArrayProto` in the official SDKs' `tf_predict` and `pytorch_predict` schemas. */
const DTYPE = 1;
const SHAPE = 2;
const FIELD_NUMBERS: Readonly<Record<ValueField, number>> = {
  float: 3,
  double: 4,
  int: 5,
  string: 6,
  int64: 7,
  bool: 8,
};

/** The only field of `ArrayShape` (TF, Torch, Caffe) and of `Shape` (Blade). */
const DIM = 1;

/** The `ArrayDataType` enum, with the same numbers as in TensorFlow. */
const DTYPE_NUMBERS: Readonly<Record<TFDType, number>> = {
  DT_FLOAT: 1,
  DT_DOUBLE: 2,
  DT_INT32: 3,
  DT_UINT8: 4,
  DT_INT16: 5,
  DT_INT8: 6,
  DT_STRING: 7,
  DT_COMPLEX64: 8,
  DT_INT64: 9,
  DT_BOOL: 10,
  DT_QINT8: 11,
  DT_QUINT8: 12,
  DT_QINT32: 13,
  DT_BFLOAT16: 14,
  DT_QINT16: 15,
  DT_QUINT16: 16,
  DT_UINT16: 17,
  DT_COMPLEX128: 18,
  DT_HALF: 19,
};
const DTYPES: ReadonlyMap<number, DType> = /* @__PURE__ */ (() => byNumber(DTYPE_NUMBERS))();

/** The TensorFlow format. */
export const TF: TensorFormat<TFDType> = /* @__PURE__ */ formatOf(DTYPE_NUMBERS);

/** The PyTorch format. Has the same dtypes as the TensorFlow format except booleans. */
export const TORCH: TensorFormat<TorchDType> = {
  checkDType(dtype, of) {
    if (dtype === "DT_BOOL") {
      throw argumentTypeError(
        "ERR_EAS_ARG_DTYPE",
        `${of}: the Torch format has no field for DT_BOOL: feed DT_UINT8 with 0 and 1, and let the model convert`,
      );
    }
    return TF.checkDType(dtype, of) as TorchDType;
  },
};

/** Checks a tensor and encodes it as an `ArrayProto` in `field`. `of` is the name of the input in error messages. */
export function encodeArray(format: TensorFormat<TFDType>, field: number, tensor: Tensor, of: string): EncodedField {
  const dtype = checkTensor(format, tensor, of);
  return message(field, [
    int32(DTYPE, DTYPE_NUMBERS[dtype]),
    encodeShape(SHAPE, tensor.shape),
    encodeValues(FIELD_NUMBERS[traitsOf(dtype).field as ValueField], tensor.data, dtype),
  ]);
}

/** Checks named tensors and encodes them as a `map<string, ArrayProto>` in `field`. */
export function encodeTensorMap(
  format: TensorFormat<TFDType>,
  field: number,
  feeds: ReadonlyMap<string, Tensor>,
): EncodedField {
  return joined(
    Array.from(feeds, ([name, tensor]) =>
      message(field, [text(MAP_KEY, name), encodeArray(format, MAP_VALUE, tensor, `input ${show(name)}`)]),
    ),
  );
}

/**
 * Encodes a shape. The shape of a scalar has no dimensions and is encoded as an empty message, as in the official SDKs.
 */
export function encodeShape(field: number, shape: readonly number[]): EncodedField {
  return message(field, [packedSizes(DIM, shape)]);
}

const FIELDS: ReadonlyMap<number, ValueField> = /* @__PURE__ */ (() => byNumber(FIELD_NUMBERS))();

/** The wire type of an unpacked element and the size of a packed element in bytes (0 for varints), by kind of field. */
const ELEMENTS: Readonly<Record<ValueField, { readonly alone: number; readonly width: number }>> = {
  float: { alone: FIXED32, width: 4 },
  double: { alone: FIXED64, width: 8 },
  int: { alone: VARINT, width: 0 },
  int64: { alone: VARINT, width: 0 },
  bool: { alone: VARINT, width: 0 },
  string: { alone: LENGTH_DELIMITED, width: 0 },
};

/**
 * Reads an `ArrayProto` and merges it into `raw`, as protobuf requires. Records the positions of the values and checks
 * that they are complete; `RawTensor` copies them on request. Skips values in the field `unsupported`.
 */
export function readArray(reader: WireReader, raw: RawTensor, unsupported?: ValueField): void {
  while (reader.tag()) {
    const { field: number, wireType } = reader;
    if (number === DTYPE && wireType === VARINT) {
      raw.dtypeNumber = reader.varint();
      raw.dtype = DTYPES.get(raw.dtypeNumber);
    } else if (number === SHAPE && wireType === LENGTH_DELIMITED) {
      reader.nested(() => readShape(reader, raw.dimensions));
    } else {
      const field = FIELDS.get(number);
      if (field === undefined || field === unsupported || !readArrayValues(reader, raw, field)) {
        reader.skip();
      }
    }
  }
}

/**
 * Records the position of the values in the current field, which may be packed or unpacked, and skips them. Returns
 * false if the field has a different wire type.
 */
export function readArrayValues(reader: WireReader, raw: RawTensor, field: ValueField): boolean {
  const { alone, width } = ELEMENTS[field];
  const tagEnd = reader.position;
  if (reader.wireType === LENGTH_DELIMITED) {
    const end = reader.delimitedEnd();
    const start = reader.position;
    if (field !== "string" && width > 0 && (end - start) % width !== 0) {
      reader.fail(`the length of packed values is not a multiple of ${width}`, start);
    }
    const count = field === "string" ? 1 : width > 0 ? (end - start) / width : countVarints(reader, end);
    raw.add(field, start, end, count);
    reader.position = end;
    return true;
  }
  if (reader.wireType !== alone) return false;
  reader.skip();
  raw.add(field, tagEnd, reader.position, 1);
  return true;
}

/**
 * Reads an entry of a `map<string, tensor>`. If several entries have the same key, the last one is used. A missing key
 * is treated as the empty string. The key and the value can be in either order.
 */
export function readTensorMap(
  reader: WireReader,
  into: Map<string, RawTensor>,
  readValue: (raw: RawTensor) => void,
): void {
  reader.nested(() => {
    let key = "";
    const values: { position: number }[] = [];
    while (reader.tag()) {
      if (reader.field === MAP_KEY && reader.wireType === LENGTH_DELIMITED) key = reader.name();
      else {
        if (reader.field === MAP_VALUE && reader.wireType === LENGTH_DELIMITED) {
          values.push({ position: reader.position });
        }
        reader.skip();
      }
    }
    // Read the value after the key, because error messages contain the key.
    const raw = new RawTensor(reader.bytes, `output ${show(key)}`);
    const { position } = reader;
    for (const value of values) {
      reader.position = value.position;
      reader.nested(() => readValue(raw));
    }
    reader.position = position;
    into.set(key, raw);
  });
}

/** Reads a shape and appends its dimensions to `dimensions`. */
export function readShape(reader: WireReader, dimensions: bigint[]): void {
  while (reader.tag()) if (reader.field !== DIM || !readSizes(reader, dimensions)) reader.skip();
}

/** Reads dimensions, which may be packed or unpacked. Returns false if the field has a different wire type. */
export function readSizes(reader: WireReader, dimensions: bigint[]): boolean {
  if (reader.wireType === VARINT) dimensions.push(reader.int64());
  else if (reader.wireType === LENGTH_DELIMITED) {
    reader.nested(() => {
      while (reader.position < reader.end) dimensions.push(reader.int64());
    });
  } else return false;
  return true;
}
