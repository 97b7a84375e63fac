/**
 * Messages of the EasyRec processor, for requests built by hand. `EasyRecRequest` is simpler to use. The tensors in
 * `PBResponse.tfOutputs` are `ArrayProto` messages from `eas-prediction/proto/tf`.
 *
 * @example
 * ```ts
 * import { create } from "@bufbuild/protobuf";
 * import { ProtoRequest } from "eas-prediction/proto";
 * import { PBRequestSchema, PBResponseSchema } from "eas-prediction/proto/easyrec";
 *
 * const message = create(PBRequestSchema, {
 *   itemIds: ["item-1", "item-2"],
 *   userFeatures: { age: { value: { case: "intFeature", value: 30 } } },
 * });
 * const { results } = await client.predict(new ProtoRequest(PBRequestSchema, message, PBResponseSchema));
 * ```
 */
export type { ContextFeatures, PBFeature, PBRequest, PBResponse, Results } from "../gen/eas/easyrec/easyrec_pb.js";
export {
  ContextFeaturesSchema,
  PBFeatureSchema,
  PBRequestSchema,
  PBResponseSchema,
  ResultsSchema,
  StatusCode,
  StatusCodeSchema,
} from "../gen/eas/easyrec/easyrec_pb.js";
