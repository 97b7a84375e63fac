import { argumentTypeError } from "../../util/argument-errors.js";
import { type EncodedField, int32, message } from "../protobuf/encoded-field.js";
import { countVarints } from "../protobuf/varints.js";
import { FIXED32, FIXED64, LENGTH_DELIMITED, VARINT } from "../protobuf/wire.js";
import type { WireReader } from "../protobuf/wire-reader.js";
import { byNumber, checkDTypeOf, type DType, type TFDType, traitsOf, type ValueField } from "./dtype.js";
import { encodeValues } from "./encode-values.js";
import type { RawTensor } from "./raw-tensor.js";
import { encodeShape, readShape } from "./shape-proto.js";
import { checkShape, type Tensor } from "./tensor.js";

/**
 * `ArrayProto`, the tensor of the TF and the Torch format. Numbers as in the official SDKs' `tf_predict` and
 * `pytorch_predict` schemas (github.com/pai-eas/eas-python-sdk).
 */
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

/** The enum `ArrayDataType`; the numbers are TensorFlow's own. */
export const DTYPE_NUMBERS: Readonly<Record<TFDType, number>> = {
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

/** The two formats that carry `ArrayProto`; Torch's has no field for booleans. */
export type ArrayFormat = "tf" | "torch";

/** Refuses a dtype that a format has no field for. */
function checkArrayDType(format: ArrayFormat, dtype: DType, of: string): TFDType {
  if (format === "torch" && dtype === "DT_BOOL") {
    throw argumentTypeError(
      "ERR_EAS_ARG_DTYPE",
      `${of}: the Torch format has no field for DT_BOOL: feed DT_UINT8 with 0 and 1, and let the model convert`,
    );
  }
  return checkDTypeOf(DTYPE_NUMBERS, dtype, of);
}

/**
 * Checks a tensor and makes it a field of a message, or the content of a map's entry; `of` names the feed in errors.
 */
export function encodeArray(format: ArrayFormat, field: number, tensor: Tensor, of: string): EncodedField {
  const { shape, data } = tensor;
  const dtype = checkArrayDType(format, tensor.dtype, of);
  // Again, since a feed refers to the caller's arrays, which may have changed.
  checkShape(shape, data, dtype, of);
  return message(field, [
    int32(DTYPE, DTYPE_NUMBERS[dtype]),
    // Also for a scalar, whose shape has no dimension: the official SDKs always write it.
    encodeShape(SHAPE, shape),
    encodeValues(FIELD_NUMBERS[traitsOf(dtype).field as ValueField], data, dtype, of),
  ]);
}

const FIELDS: ReadonlyMap<number, ValueField> = /* @__PURE__ */ (() => byNumber(FIELD_NUMBERS))();

/** Wire type of an element that comes alone, and bytes of an element in a packed field (0: varints). */
const ELEMENTS: Readonly<Record<ValueField, { readonly alone: number; readonly width: number }>> = {
  float: { alone: FIXED32, width: 4 },
  double: { alone: FIXED64, width: 8 },
  int: { alone: VARINT, width: 0 },
  int64: { alone: VARINT, width: 0 },
  bool: { alone: VARINT, width: 0 },
  string: { alone: LENGTH_DELIMITED, width: 0 },
};

/**
 * Reads one message into `raw`, which it merges with as protobuf wants it. Notes where the values are and checks that
 * they are whole; `RawTensor` copies them out when they are asked for.
 */
export function readArray(reader: WireReader, raw: RawTensor, format: ArrayFormat): void {
  while (reader.tag()) {
    const { field: number, wireType } = reader;
    if (number === DTYPE && wireType === VARINT) {
      raw.dtypeNumber = reader.varint();
      raw.dtype = DTYPES.get(raw.dtypeNumber);
    } else if (number === SHAPE && wireType === LENGTH_DELIMITED) {
      reader.nested(() => readShape(reader, raw.dimensions));
    } else {
      const field = FIELDS.get(number);
      if (field === undefined || (format === "torch" && field === "bool") || !readArrayValues(reader, raw, field)) {
        reader.skip();
      }
    }
  }
}

/** Notes the values of a field, packed or alone, and passes over them; false when the wire type is neither. */
export function readArrayValues(reader: WireReader, raw: RawTensor, field: ValueField): boolean {
  const { alone, width } = ELEMENTS[field];
  const tagEnd = reader.position;
  if (reader.wireType === LENGTH_DELIMITED) {
    const end = reader.delimitedEnd();
    const start = reader.position;
    if (field !== "string" && width > 0 && (end - start) % width !== 0) {
      reader.fail(`packed values whose length is not a multiple of ${width}`, start);
    }
    const count = field === "string" ? 1 : width > 0 ? (end - start) / width : countVarints(reader, end);
    raw.note(field, start, end, count);
    reader.position = end;
    return true;
  }
  if (reader.wireType !== alone) return false;
  reader.skip();
  raw.note(field, tagEnd, reader.position, 1);
  return true;
}
