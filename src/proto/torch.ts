/**
 * Messages of the PyTorch processor, for requests built by hand. `TorchRequest` is simpler to use.
 *
 * @example
 * ```ts
 * import { create } from "@bufbuild/protobuf";
 * import { ProtoRequest } from "eas-prediction/proto";
 * import { ArrayDataType, PredictRequestSchema, PredictResponseSchema } from "eas-prediction/proto/torch";
 *
 * const message = create(PredictRequestSchema, {
 *   inputs: [{ dtype: ArrayDataType.DT_FLOAT, arrayShape: { dim: [2n] }, floatVal: [1, 2] }],
 * });
 * const { outputs } = await client.predict(new ProtoRequest(PredictRequestSchema, message, PredictResponseSchema));
 * ```
 */
export type { ArrayProto, ArrayShape, PredictRequest, PredictResponse } from "../gen/eas/torch/torch_pb.js";
export {
  ArrayDataType,
  ArrayDataTypeSchema,
  ArrayProtoSchema,
  ArrayShapeSchema,
  PredictRequestSchema,
  PredictResponseSchema,
} from "../gen/eas/torch/torch_pb.js";
