/**
 * Messages of the Blade processor (proto2), for requests built by hand. `BladeRequest` is simpler to use.
 *
 * @example
 * ```ts
 * import { create } from "@bufbuild/protobuf";
 * import { ProtoRequest } from "eas-prediction/proto";
 * import { DataType, RequestSchema, ResponseSchema } from "eas-prediction/proto/blade";
 *
 * const message = create(RequestSchema, {
 *   inputs: [{ nameInDlModel: "x", batchsize: 1, shape: { dim: [1n, 2n] }, floatVal: [1, 2] }],
 *   outputInfo: [{ nameInDlModel: "y", dataType: DataType.DT_FLOAT }],
 * });
 * const { outputs } = await client.predict(new ProtoRequest(RequestSchema, message, ResponseSchema));
 * ```
 */
export type { Array, OutputInfo, Request, Response, Shape } from "../gen/eas/blade/blade_pb.js";
export {
  ArraySchema,
  DataType,
  DataTypeSchema,
  OutputInfoSchema,
  RequestSchema,
  ResponseSchema,
  ShapeSchema,
} from "../gen/eas/blade/blade_pb.js";
