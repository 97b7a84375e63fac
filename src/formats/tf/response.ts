import { LENGTH_DELIMITED } from "../protobuf/wire.js";
import { WireReader } from "../protobuf/wire-reader.js";
import type { Bytes } from "../request.js";
import { readArray, readTensorMap } from "../tensor/array-proto.js";
import { listOutputs, NamedTensorResponse } from "../tensor/tensor-response.js";

/** Field number of `PredictResponse.outputs` in the official SDKs' `tf_predict` schema. */
const OUTPUTS = 1;

/**
 * The response from a TensorFlow model.
 *
 * @example
 * const response = await client.predict(request);
 * response.outputNames; // ["scores"]
 * response.getValues("scores", "DT_FLOAT"); // Float32Array
 */
export class TFResponse extends NamedTensorResponse {
  /** Parses a response body and keeps a reference to it. Throws `EasDecodeError` if the body is invalid. */
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

  /** Describes the outputs with their first values, for logs. */
  override toString(): string {
    return `TFResponse { ${listOutputs(this.outputs)} }`;
  }
}
