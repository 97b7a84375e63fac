/**
 * Messages of the queue service. Use them to parse frames that were stored or relayed unchanged; a `QueueClient` parses
 * its own frames. Do not send these messages with `ProtoRequest`: the queue service has its own URLs.
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
