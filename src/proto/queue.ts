/**
 * Messages of the queue service, to read frames that were stored or relayed unchanged. `QueueClient` reads frames
 * itself. They are sent to queue URLs, not with `ProtoRequest`.
 *
 * @example
 * ```ts
 * import { fromBinary } from "@bufbuild/protobuf";
 * import { DataFrameListProtoSchema } from "eas-prediction/proto/queue";
 *
 * // The field of the frames is called index.
 * for (const frame of fromBinary(DataFrameListProtoSchema, bytes).index) console.log(frame.index, frame.tags);
 * ```
 */
export type { AttributesProto, DataFrameListProto, DataFrameProto } from "../gen/eas/queue/queue_pb.js";
export { AttributesProtoSchema, DataFrameListProtoSchema, DataFrameProtoSchema } from "../gen/eas/queue/queue_pb.js";
