import { argumentRangeError, show } from "../../util/argument-errors.js";
import { isBytes } from "../../util/realms.js";
import { type EncodedField, int32, message, NOTHING, text } from "../protobuf/encoded-field.js";
import { LENGTH_DELIMITED, VARINT } from "../protobuf/wire.js";
import { readInt32, type WireReader } from "../protobuf/wire-reader.js";
import { encodeShape, readArrayValues, readShape } from "../tensor/array-proto.js";
import { checkTensor, formatOf } from "../tensor/check-values.js";
import type { BladeDType, ContentOf, DType } from "../tensor/dtype.js";
import { encodeValues } from "../tensor/encode-values.js";
import type { RawTensor } from "../tensor/raw-tensor.js";
import { toTensor } from "../tensor/request-inputs.js";
import type { Tensor } from "../tensor/tensor.js";

/** Field numbers of the official SDKs' `blade` schema (github.com/pai-eas/eas-python-sdk). */
const REQUEST = { signatureName: 1, inputs: 2, outputInfo: 3 } as const;
const ARRAY = { bladeBlobName: 1, nameInModel: 2, batchSize: 3, shape: 4 } as const;
const OUTPUT_INFO = { bladeBlobName: 1, nameInModel: 2, dataType: 3 } as const;

interface BladeTraits {
  /** Number of the dtype in Blade's `DataType` enum. */
  readonly number: number;
  /** Number of the field that contains the values, and the type of the values. */
  readonly field: number;
  readonly holds: "float" | "int" | "int64" | "string";
}

const TRAITS: Readonly<Record<BladeDType, BladeTraits>> = {
  DT_FLOAT: { number: 1, field: 5, holds: "float" },
  DT_INT32: { number: 2, field: 6, holds: "int" },
  DT_INT64: { number: 3, field: 7, holds: "int64" },
  DT_STRING: { number: 4, field: 8, holds: "string" },
};
/** `DataType` number for an output whose dtype is chosen by the model, as in the official SDKs. */
const DT_UNKNOWN = 0;

const BLADE = /* @__PURE__ */ formatOf(TRAITS);

/** A single value of a dtype, which is accepted as the content of a tensor with one element. */
export type BladeScalarOf<D extends BladeDType> = D extends "DT_STRING"
  ? string | Uint8Array
  : D extends "DT_INT64"
    ? number | bigint
    : number;

/** Options for the name of a Blade input or output inside the engine. */
export interface BladeNameOptions {
  /**
   * Name of the blob in the Blade engine, if it differs from the name in the model. Default: the same name, as in the
   * official Python SDK. With `null`, no name is sent, as in the Java SDK.
   */
  readonly bladeBlobName?: string | null | undefined;
}

/** An input in a Blade request. */
export interface BladeFeed {
  readonly blobName: string | null;
  /** If undefined, the batch size is the first dimension of the shape at the time of serialization. */
  readonly batchSize: number | undefined;
  readonly tensor: Tensor;
}

/**
 * Checks the arguments of an `addFeed` call and returns the tensor. A single value is converted to an array with one
 * element.
 */
export function toBladeTensor(
  first: readonly number[] | Tensor,
  dtype: DType | undefined,
  content: ContentOf<DType> | BladeScalarOf<BladeDType> | undefined,
  of: string,
): Tensor {
  const single =
    typeof content === "number" ||
    typeof content === "bigint" ||
    typeof content === "string" ||
    (dtype === "DT_STRING" && isBytes(content));
  return toTensor(BLADE, first, dtype, (single ? [content] : content) as ContentOf<DType>, of);
}

/** Checks an input and encodes it as a field of the request. */
export function encodeFeed(name: string, { blobName, batchSize, tensor }: BladeFeed): EncodedField {
  const of = `input ${show(name)}`;
  const dtype = checkTensor(BLADE, tensor, of);
  return message(REQUEST.inputs, [
    optionalText(ARRAY.bladeBlobName, blobName),
    text(ARRAY.nameInModel, name),
    int32(ARRAY.batchSize, batchSize ?? checkBatchSize(tensor.shape, of)),
    encodeShape(ARRAY.shape, tensor.shape),
    encodeValues(TRAITS[dtype].field, tensor.data, dtype),
  ]);
}

/** Checks the dtype of a requested output. Returns its number. */
export function outputDType(dtype: BladeDType | undefined, of: string): number {
  return dtype === undefined ? DT_UNKNOWN : TRAITS[BLADE.checkDType(dtype, of)].number;
}

/** An output that a Blade request asks for. */
export interface BladeFetch {
  readonly blobName: string | null;
  readonly dtype: number;
}

/** Encodes a requested output as a field of the request. */
export function encodeFetch(name: string, { blobName, dtype }: BladeFetch): EncodedField {
  return message(REQUEST.outputInfo, [
    optionalText(OUTPUT_INFO.bladeBlobName, blobName),
    text(OUTPUT_INFO.nameInModel, name),
    int32(OUTPUT_INFO.dataType, dtype),
  ]);
}

/** Encodes the signature. Omits the field if the signature is undefined, but not if it is empty. */
export function encodeSignature(signatureName: string | undefined): EncodedField {
  return signatureName === undefined ? NOTHING : text(REQUEST.signatureName, signatureName);
}

/** Returns the first dimension of a shape, which is its batch size, or throws a `RangeError` if it is not valid. */
export function checkBatchSize(shape: readonly number[], of: string): number {
  const [batchSize] = shape;
  if (batchSize === undefined || batchSize < 1 || (batchSize | 0) !== batchSize) {
    throw argumentRangeError(
      "ERR_EAS_ARG_SHAPE",
      `${of}: shape [${shape.join(", ")}] has no valid batch size: its first dimension must be an integer from 1 to 2147483647`,
    );
  }
  return batchSize;
}

function optionalText(field: number, value: string | null): EncodedField {
  return value === null ? NOTHING : text(field, value);
}

/** The fields of a Blade array other than its tensor. */
export interface BladeArray {
  readonly bladeBlobName: string;
  readonly nameInModel: string;
  /** Undefined if the service did not send this field, although the schema requires it. */
  readonly batchSize: number | undefined;
}

/**
 * Reads an array into `raw`. The array does not have a dtype field, so its dtype is inferred from the field that
 * contains the values.
 */
export function readBladeArray(reader: WireReader, raw: RawTensor): BladeArray {
  let bladeBlobName = "";
  let nameInModel = "";
  let batchSize: number | undefined;
  raw.dtypesToName = TRAITS;
  while (reader.tag()) {
    const { field, wireType } = reader;
    const traits = Object.entries(TRAITS).find((entry) => entry[1].field === field);
    if (wireType === LENGTH_DELIMITED && field === ARRAY.bladeBlobName) bladeBlobName = reader.text();
    else if (wireType === LENGTH_DELIMITED && field === ARRAY.nameInModel) nameInModel = reader.name();
    else if (wireType === VARINT && field === ARRAY.batchSize) batchSize = readInt32(reader);
    else if (wireType === LENGTH_DELIMITED && field === ARRAY.shape) {
      reader.nested(() => readShape(reader, raw.dimensions));
    } else if (traits === undefined || !readArrayValues(reader, raw, traits[1].holds)) reader.skip();
  }
  const filled = Object.entries(TRAITS).find(([, { holds }]) => raw.has(holds));
  raw.dtype = filled?.[0] as BladeDType | undefined;
  return { bladeBlobName, nameInModel, batchSize };
}
