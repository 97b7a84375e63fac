/**
 * Messages of the TensorFlow processor, for requests built by hand. `TFRequest` is simpler to use.
 *
 * @example
 * ```ts
 * import { create } from "@bufbuild/protobuf";
 * import { ProtoRequest } from "eas-prediction/proto";
 * import { ArrayDataType, PredictRequestSchema, PredictResponseSchema } from "eas-prediction/proto/tf";
 *
 * const message = create(PredictRequestSchema, {
 *   signatureName: "serving_default",
 *   inputs: { x: { dtype: ArrayDataType.DT_FLOAT, arrayShape: { dim: [2n] }, floatVal: [1, 2] } },
 * });
 * const { outputs } = await client.predict(new ProtoRequest(PredictRequestSchema, message, PredictResponseSchema));
 * ```
 */
export type { ArrayProto, ArrayShape, PredictRequest, PredictResponse } from "../gen/eas/tf/tf_pb.js";
export {
  ArrayDataType,
  ArrayDataTypeSchema,
  ArrayProtoSchema,
  ArrayShapeSchema,
  PredictRequestSchema,
  PredictResponseSchema,
} from "../gen/eas/tf/tf_pb.js";
