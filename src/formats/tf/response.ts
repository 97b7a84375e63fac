import { LENGTH_DELIMITED } from "../protobuf/wire.js";
import { WireReader } from "../protobuf/wire-reader.js";
import type { Bytes } from "../request.js";
import { readArray, readTensorMap } from "../tensor/array-proto.js";
import { listOutputs, NamedTensorResponse } from "../tensor/tensor-response.js";

/** Field number of `PredictResponse.outputs` in the official SDKs' `tf_predict` schema. */
const OUTPUTS = 1;

/** The outputs of a TensorFlow model. */
export class TFResponse extends NamedTensorResponse {
  /** Reads a response body. Keeps a reference to it. Throws `EasDecodeError` when it is no such message. */
  constructor(body: Bytes) {
    super();
    const reader = new WireReader(body, "tf");
    while (reader.tag()) {
      if (reader.field === OUTPUTS && reader.wireType === LENGTH_DELIMITED) {
        readTensorMap(reader, this.outputs, (raw) => readArray(reader, raw));
      } else {
        reader.skip();
      }
    }
  }

  /** For people: the outputs with their first values. */
  override toString(): string {
    return `TFResponse { ${listOutputs(this.outputs)} }`;
  }
}
