import { show } from "../../util/argument-errors.js";
import { LENGTH_DELIMITED } from "../protobuf/wire.js";
import { WireReader } from "../protobuf/wire-reader.js";
import type { Bytes } from "../request.js";
import { readArrayValues, readShape } from "../tensor/array-proto.js";
import { RawTensor } from "../tensor/raw-tensor.js";
import { listOutputs, NamedTensorResponse } from "../tensor/tensor-response.js";

/** Field numbers of the official Java SDK's `caffe_predict` schema (github.com/pai-eas/eas-java-sdk). */
const OUTPUT_NAME = 1;
const OUTPUT_DATA = 2;
const SHAPE = 1;
const DATA = 2;

/**
 * The response from a Caffe model, whose outputs contain floats. If two outputs have the same name, the first one is
 * used.
 *
 * @example
 * const response = await client.predict(request);
 * response.getValues("prob", "DT_FLOAT"); // Float32Array
 */
export class CaffeResponse extends NamedTensorResponse {
  /** Parses a response body and keeps a reference to it. Throws `EasDecodeError` if the body is invalid. */
  constructor(body: Bytes) {
    super();
    const reader = new WireReader(body, "caffe");
    const names: string[] = [];
    const blobs: RawTensor[] = [];
    while (reader.tag()) {
      if (reader.field === OUTPUT_NAME && reader.wireType === LENGTH_DELIMITED) names.push(reader.name());
      else if (reader.field === OUTPUT_DATA && reader.wireType === LENGTH_DELIMITED) {
        const raw = new RawTensor(body, `output ${blobs.length}`);
        reader.nested(() => readBlob(reader, raw));
        blobs.push(raw);
      } else reader.skip();
    }
    if (names.length !== blobs.length) reader.fail(`${names.length} names for ${blobs.length} outputs`);
    for (const [index, raw] of blobs.entries()) {
      const name = names[index] as string;
      raw.name = `output ${show(name)}`;
      if (!this.outputs.has(name)) this.outputs.set(name, raw);
    }
  }

  /** Describes the outputs with their first values, for logs. */
  override toString(): string {
    return `CaffeResponse { ${listOutputs(this.outputs)} }`;
  }
}

function readBlob(reader: WireReader, raw: RawTensor): void {
  raw.dtype = "DT_FLOAT";
  while (reader.tag()) {
    if (reader.field === SHAPE && reader.wireType === LENGTH_DELIMITED) {
      reader.nested(() => readShape(reader, raw.dimensions));
    } else if (reader.field !== DATA || !readArrayValues(reader, raw, "float")) reader.skip();
  }
}
