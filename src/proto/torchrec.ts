/**
 * Messages of the TorchEasyRec processor, for requests built by hand. `TorchRecRequest` is simpler to use. The tensors
 * in `PBResponse.mapOutputs` are `ArrayProto` messages from `eas-prediction/proto/torch`.
 *
 * @example
 * ```ts
 * import { create } from "@bufbuild/protobuf";
 * import { ProtoRequest } from "eas-prediction/proto";
 * import { PBRequestSchema, PBResponseSchema } from "eas-prediction/proto/torchrec";
 *
 * const message = create(PBRequestSchema, {
 *   itemIds: ["item-1", "item-2"],
 *   userFeatures: { age: { value: { case: "intFeature", value: 30 } } },
 * });
 * const { mapOutputs } = await client.predict(new ProtoRequest(PBRequestSchema, message, PBResponseSchema));
 * ```
 */
export type {
  ContextFeatures,
  DoubleList,
  DoubleLists,
  FloatList,
  FloatLists,
  IntDoubleMap,
  IntFloatMap,
  IntIntMap,
  IntList,
  IntLists,
  IntLongMap,
  IntStringMap,
  LongDoubleMap,
  LongFloatMap,
  LongIntMap,
  LongList,
  LongLists,
  LongLongMap,
  LongStringMap,
  PBFeature,
  PBLogData,
  PBRequest,
  PBResponse,
  StringDoubleMap,
  StringFloatMap,
  StringIntMap,
  StringList,
  StringLists,
  StringLongMap,
  StringStringMap,
} from "../gen/eas/torchrec/torchrec_pb.js";
export {
  ContextFeaturesSchema,
  DoubleListSchema,
  DoubleListsSchema,
  FloatListSchema,
  FloatListsSchema,
  IntDoubleMapSchema,
  IntFloatMapSchema,
  IntIntMapSchema,
  IntListSchema,
  IntListsSchema,
  IntLongMapSchema,
  IntStringMapSchema,
  LongDoubleMapSchema,
  LongFloatMapSchema,
  LongIntMapSchema,
  LongListSchema,
  LongListsSchema,
  LongLongMapSchema,
  LongStringMapSchema,
  PBFeatureSchema,
  PBLogDataSchema,
  PBRequestSchema,
  PBResponseSchema,
  StringDoubleMapSchema,
  StringFloatMapSchema,
  StringIntMapSchema,
  StringListSchema,
  StringListsSchema,
  StringLongMapSchema,
  StringStringMapSchema,
} from "../gen/eas/torchrec/torchrec_pb.js";
