/**
 * Messages of the queue service, to read stored or relayed frames; `QueueClient` speaks them on its own.
 *
 * @example
 * ```ts
 * import { create } from "@bufbuild/protobuf";
 * import { ProtoRequest } from "eas-prediction";
 * import { DataFrameListProtoSchema } from "eas-prediction/proto/queue";
 *
 * // A service that takes and returns frame lists:
 * const message = create(DataFrameListProtoSchema, { index: [{ index: 1n, tags: { k: "v" }, data: new Uint8Array([1]) }] });
 * const request = new ProtoRequest(DataFrameListProtoSchema, message, DataFrameListProtoSchema);
 * for (const frame of (await client.predict(request)).index) console.log(frame.index, frame.tags);
 * ```
 */
export type { AttributesProto, DataFrameListProto, DataFrameProto } from "../gen/eas/queue/queue_pb.js";
export { AttributesProtoSchema, DataFrameListProtoSchema, DataFrameProtoSchema } from "../gen/eas/queue/queue_pb.js";
