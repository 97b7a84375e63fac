/**
 * Messages of the ONNX processor, for requests built by hand. `OnnxRequest` is simpler to use. Request and response
 * are both a `DataProto`.
 *
 * @example
 * ```ts
 * import { create } from "@bufbuild/protobuf";
 * import { ProtoRequest } from "eas-prediction/proto";
 * import { DataProtoSchema, TensorProto_DataType } from "eas-prediction/proto/onnx";
 *
 * const x = { name: "x", dims: [2n], dataType: TensorProto_DataType.UINT8, rawData: new Uint8Array([1, 2]) };
 * const message = create(DataProtoSchema, { tensors: [x] });
 * const { tensors } = await client.predict(new ProtoRequest(DataProtoSchema, message, DataProtoSchema));
 * ```
 */
export type { DataProto, TensorProto } from "../gen/eas/onnx/onnx_pb.js";
export {
  DataProtoSchema,
  TensorProto_DataType,
  TensorProto_DataTypeSchema,
  TensorProtoSchema,
} from "../gen/eas/onnx/onnx_pb.js";
