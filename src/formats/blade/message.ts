import { argumentRangeError, show } from "../../util/argument-errors.js";
import { checkRequestOptions } from "../../util/option-names.js";
import { isBytes } from "../../util/realms.js";
import { type EncodedField, int32, message, NOTHING, text } from "../protobuf/encoded-field.js";
import { LENGTH_DELIMITED, VARINT } from "../protobuf/wire.js";
import { readInt32, type WireReader } from "../protobuf/wire-reader.js";
import { readArrayValues } from "../tensor/array-proto.js";
import { type BladeDType, type ContentOf, checkDTypeOf, type DType } from "../tensor/dtype.js";
import { encodeValues } from "../tensor/encode-values.js";
import type { RawTensor } from "../tensor/raw-tensor.js";
import { checkName, checkUnused, toTensor } from "../tensor/request-inputs.js";
import { encodeShape, readShape } from "../tensor/shape-proto.js";
import { checkShape, type Tensor } from "../tensor/tensor.js";

/** Field numbers of the official SDKs' `blade` schema (github.com/pai-eas/eas-python-sdk). */
const REQUEST = { signatureName: 1, inputs: 2, outputInfo: 3 } as const;
const ARRAY = { bladeBlobName: 1, nameInModel: 2, batchSize: 3, shape: 4 } as const;
const OUTPUT_INFO = { bladeBlobName: 1, nameInModel: 2, dataType: 3 } as const;

interface BladeTraits {
  /** The number of the enum `DataType`, which is Blade's own. */
  readonly number: number;
  /** The number of the value field, and what it holds. */
  readonly field: number;
  readonly holds: "float" | "int" | "int64" | "string";
}

const TRAITS: Readonly<Record<BladeDType, BladeTraits>> = {
  DT_FLOAT: { number: 1, field: 5, holds: "float" },
  DT_INT32: { number: 2, field: 6, holds: "int" },
  DT_INT64: { number: 3, field: 7, holds: "int64" },
  DT_STRING: { number: 4, field: 8, holds: "string" },
};
/** Left to the model. The official SDKs write it all the same. */
const DT_UNKNOWN = 0;

/** A single value of a dtype, as the content of one element. */
export type BladeScalarOf<D extends BladeDType> = D extends "DT_STRING"
  ? string | Uint8Array
  : D extends "DT_INT64"
    ? number | bigint
    : number;

/** What a Blade input or output is called inside the engine. */
export interface BladeNameOptions {
  /**
   * Name of the blob in the Blade engine, where it differs from the model's. Default: the same name, as in the official
   * Python SDK; `null` leaves it out, as the Java SDK does.
   */
  readonly bladeBlobName?: string | null | undefined;
}

interface Feed {
  readonly blobName: string | null;
  /** Undefined: the first dimension, whatever it is when the feed is written. */
  readonly batchSize: number | undefined;
  readonly tensor: Tensor;
}

/** The message that both Blade requests fill. */
export class BladeMessage {
  readonly feeds: Map<string, Feed> = new Map();
  readonly fetches: Map<string, { readonly blobName: string | null; readonly dtype: number }> = new Map();

  feed(inputName: string, batchSize: number | undefined, tensor: Tensor, options: BladeNameOptions | undefined): void {
    checkUnused("inputName", inputName, this.feeds);
    const feed = { blobName: blobNameOf(inputName, options), batchSize, tensor };
    encodeFeed(inputName, feed);
    this.feeds.set(inputName, feed);
  }

  fetch(outputName: string, dtype: BladeDType | undefined, options: BladeNameOptions | undefined): void {
    checkUnused("outputName", outputName, this.fetches);
    const number =
      dtype === undefined ? DT_UNKNOWN : TRAITS[checkDTypeOf(TRAITS, dtype, `output ${show(outputName)}`)].number;
    this.fetches.set(outputName, { blobName: blobNameOf(outputName, options), dtype: number });
  }

  /** The fields; `undefined` sends no signature, while an empty one is written. */
  parts(signatureName: string | undefined): EncodedField[] {
    return [
      signatureName === undefined ? NOTHING : text(REQUEST.signatureName, signatureName),
      ...Array.from(this.feeds, ([name, feed]) => encodeFeed(name, feed)),
      ...Array.from(this.fetches, ([name, { blobName, dtype }]) =>
        message(REQUEST.outputInfo, [
          optionalText(OUTPUT_INFO.bladeBlobName, blobName),
          text(OUTPUT_INFO.nameInModel, name),
          int32(OUTPUT_INFO.dataType, dtype),
        ]),
      ),
    ];
  }
}

/** The tensor of an `addFeed` call; a single value stands for a content of one element. */
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
  return toTensor(TRAITS, first, dtype, (single ? [content] : content) as ContentOf<DType>, of);
}

function encodeFeed(name: string, { blobName, batchSize, tensor }: Feed): EncodedField {
  const of = `input ${show(name)}`;
  const dtype = checkDTypeOf(TRAITS, tensor.dtype, of);
  // Again, since a feed refers to the caller's arrays, which may have changed.
  checkShape(tensor.shape, tensor.data, dtype, of);
  return message(REQUEST.inputs, [
    optionalText(ARRAY.bladeBlobName, blobName),
    text(ARRAY.nameInModel, name),
    int32(ARRAY.batchSize, batchSize ?? firstDimension(tensor.shape, of)),
    encodeShape(ARRAY.shape, tensor.shape),
    encodeValues(TRAITS[dtype].field, tensor.data, dtype, of),
  ]);
}

function firstDimension(shape: readonly number[], of: string): number {
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

function blobNameOf(name: string, options: BladeNameOptions = {}): string | null {
  checkRequestOptions("the last argument", options, { bladeBlobName: 1 });
  const { bladeBlobName = name } = options;
  return bladeBlobName === null ? null : checkName(`bladeBlobName of ${show(name)}`, bladeBlobName);
}

/** What a Blade array carries beside its tensor. */
export interface BladeArray {
  readonly bladeBlobName: string;
  readonly nameInModel: string;
  /** Undefined when it did not come, though the schema requires it. */
  readonly batchSize: number | undefined;
}

/** Reads one array into `raw`. No dtype comes with it: it follows from the field that has values. */
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
