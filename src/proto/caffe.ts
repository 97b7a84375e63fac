/**
 * Messages of the Caffe processor (proto2), for requests built by hand. `CaffeRequest` is simpler to use.
 *
 * @example
 * ```ts
 * import { create } from "@bufbuild/protobuf";
 * import { ProtoRequest } from "eas-prediction/proto";
 * import { PredictRequestSchema, PredictResponseSchema } from "eas-prediction/proto/caffe";
 *
 * const message = create(PredictRequestSchema, {
 *   inputName: ["data"],
 *   inputData: [{ shape: { dim: [1n, 2n] }, data: [1, 2] }],
 * });
 * const { outputData } = await client.predict(new ProtoRequest(PredictRequestSchema, message, PredictResponseSchema));
 * ```
 */
export type { ArrayProto, ArrayShape, PredictRequest, PredictResponse } from "../gen/eas/caffe/caffe_pb.js";
export {
  ArrayProtoSchema,
  ArrayShapeSchema,
  PredictRequestSchema,
  PredictResponseSchema,
} from "../gen/eas/caffe/caffe_pb.js";
