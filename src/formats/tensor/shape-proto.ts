import { type EncodedField, message, packedSizes } from "../protobuf/encoded-field.js";
import { LENGTH_DELIMITED, VARINT } from "../protobuf/wire.js";
import type { WireReader } from "../protobuf/wire-reader.js";

/** `ArrayShape` of TF, Torch and Caffe, and `Shape` of Blade: the same message. */
const DIM = 1;

/** A shape; written also for a scalar, which has no dimension. */
export function encodeShape(field: number, shape: readonly number[]): EncodedField {
  return message(field, [packedSizes(DIM, shape)]);
}

/** Reads the message of a shape and appends its dimensions. */
export function readShape(reader: WireReader, dimensions: bigint[]): void {
  while (reader.tag()) if (reader.field !== DIM || !readSizes(reader, dimensions)) reader.skip();
}

/** Reads dimensions, packed or alone; false when the wire type is neither. */
export function readSizes(reader: WireReader, dimensions: bigint[]): boolean {
  if (reader.wireType === VARINT) dimensions.push(reader.int64());
  else if (reader.wireType === LENGTH_DELIMITED) {
    reader.nested(() => {
      while (reader.position < reader.end) dimensions.push(reader.int64());
    });
  } else return false;
  return true;
}
