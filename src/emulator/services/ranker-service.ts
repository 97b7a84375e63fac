import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Bytes } from "../../formats/request.js";
import { PBResponseSchema as EasyRecResponseSchema } from "../../gen/eas/easyrec/easyrec_pb.js";
import { ArrayDataType as TFDataType } from "../../gen/eas/tf/tf_pb.js";
import { ArrayDataType as TorchDataType } from "../../gen/eas/torch/torch_pb.js";
import { PBRequestSchema, PBResponseSchema as TorchRecResponseSchema } from "../../gen/eas/torchrec/torchrec_pb.js";
import { classifyDigits } from "../models/digits.js";

const PIXELS = 64;
const ITEMS: readonly string[] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/** Ranks digits for an image with the digits model. */
export function rankDigits(body: Bytes): Bytes {
  // Parse EasyRec requests as TorchRec too, because they have the same field numbers and a subset of the feature types.
  const { userFeatures, itemIds, metaData } = fromBinary(PBRequestSchema, body);
  const feature = Object.hasOwn(userFeatures, "pixels") ? userFeatures.pixels?.value : undefined;
  const items = itemIds.length === 0 ? ITEMS : itemIds;
  const unknown = items.find((item) => !ITEMS.includes(item));
  if (unknown !== undefined) throw new Error(`unknown item "${unknown}": the items are ${ITEMS.join(", ")}`);
  switch (feature?.case) {
    case "stringFeature": {
      const probabilities = rank(feature.value.split(",").map(Number), items);
      return toBinary(
        EasyRecResponseSchema,
        create(EasyRecResponseSchema, {
          results: Object.fromEntries(items.map((item, i) => [item, { scores: [probabilities[i] as number] }])),
          itemIds: [...items],
          outputs: ["probs"],
          tfOutputs: {
            probs: {
              dtype: TFDataType.DT_FLOAT,
              arrayShape: { dim: [BigInt(items.length)] },
              floatVal: probabilities,
            },
          },
        }),
      );
    }
    case "floatList": {
      const probabilities = rank(feature.value.features, items);
      return toBinary(
        TorchRecResponseSchema,
        create(TorchRecResponseSchema, {
          mapOutputs: {
            probs: {
              dtype: TorchDataType.DT_FLOAT,
              arrayShape: { dim: [BigInt(items.length)] },
              floatVal: probabilities,
            },
          },
          itemIds: [...items],
          passThroughData: metaData,
        }),
      );
    }
    default:
      throw new Error(
        'the user feature "pixels" is missing or has another type: it must be a STRING "0,0,5,…" (EasyRec) or a LIST<FLOAT> (TorchRec)',
      );
  }
}

function rank(pixels: readonly number[], items: readonly string[]): number[] {
  if (pixels.length !== PIXELS || pixels.some(Number.isNaN)) {
    throw new Error(`pixels has ${pixels.length} numbers: it must have ${PIXELS}`);
  }
  const scores = classifyDigits(Float32Array.from(pixels), 1);
  return items.map((item) => scores[Number(item)] as number);
}
