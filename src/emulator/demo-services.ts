import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ArrayDataType, PredictRequestSchema, PredictResponseSchema } from "../gen/eas/tf/tf_pb.js";
import {
  ArrayDataType as TorchDataType,
  PredictRequestSchema as TorchRequestSchema,
  PredictResponseSchema as TorchResponseSchema,
} from "../gen/eas/torch/torch_pb.js";
import type { Bytes } from "../request.js";
import { classifyDigits } from "./models/digits.js";
import { scoreApplicants } from "./models/scorecard.js";
import type { EmulatorHandler } from "./service.js";

const PIXELS = 64;
const CLASSES = 10;
/** The digits model's signatures, besides none. */
const SIGNATURES: readonly string[] = ["", "serving_default", "predict_images"];

/**
 * The services that every emulator has. They read and write by the generated code and not by the SDK's own tensor codec,
 * so that the two check each other.
 */
export const demoServices: Readonly<Record<string, EmulatorHandler>> = {
  /** Answers with the body that it was sent. */
  echo: ({ body, headers }) =>
    new Response(body, {
      headers: {
        "content-type": headers.get("content-type") ?? "application/octet-stream",
        "content-length": String(body.length),
      },
    }),

  /** JSON text in, `[{"mean_radius": 14.1, …}]`; JSON text out, `[{"probability": 0.98, "score": 612, "label": "benign"}]`. */
  scorecard: ({ body }) => {
    const rows: unknown = JSON.parse(new TextDecoder().decode(body));
    if (!Array.isArray(rows)) throw new TypeError('the body must be a JSON array of rows: [{"mean_radius": 14.1, …}]');
    return JSON.stringify(scoreApplicants(rows));
  },

  /**
   * TF: input `images` [n, 64] FLOAT, outputs `scores` [n, 10] FLOAT and `labels` [n] INT64. Torch: the same as input 0
   * and outputs 0 and 1.
   */
  digits: ({ body }) => classifyTf(body) ?? classifyTorch(body),
};

interface FloatArray {
  readonly dtype: number;
  readonly arrayShape?: { readonly dim: readonly bigint[] } | undefined;
  readonly floatVal: readonly number[];
}

function classifyTf(body: Bytes): Bytes | undefined {
  let request: ReturnType<typeof fromBinary<typeof PredictRequestSchema>>;
  try {
    request = fromBinary(PredictRequestSchema, body);
  } catch {
    // Torch's first field is no text.
    return undefined;
  }
  const { signatureName, inputs, outputFilter } = request;
  if (Object.keys(inputs).length === 0) return undefined;
  if (!SIGNATURES.includes(signatureName)) throw new Error(`no signature "${signatureName}"`);
  if (!Object.hasOwn(inputs, "images")) throw new Error('the input must be named "images"');
  const { count, scores, labels } = classify(inputs.images as FloatArray);
  const outputs = {
    scores: {
      dtype: ArrayDataType.DT_FLOAT,
      arrayShape: { dim: [BigInt(count), BigInt(CLASSES)] },
      floatVal: Array.from(scores),
    },
    labels: { dtype: ArrayDataType.DT_INT64, arrayShape: { dim: [BigInt(count)] }, int64Val: labels },
  };
  const unknown = outputFilter.find((name) => !Object.hasOwn(outputs, name));
  if (unknown !== undefined) throw new Error(`no output "${unknown}": there are scores and labels`);
  const wanted = Object.entries(outputs).filter(([name]) => outputFilter.length === 0 || outputFilter.includes(name));
  return toBinary(PredictResponseSchema, create(PredictResponseSchema, { outputs: Object.fromEntries(wanted) }));
}

function classifyTorch(body: Bytes): Bytes {
  const { inputs, outputFilter } = fromBinary(TorchRequestSchema, body);
  const [images] = inputs;
  if (images === undefined || inputs.length !== 1) throw new Error(`${inputs.length} inputs: the model takes one`);
  const { count, scores, labels } = classify(images);
  const outputs = [
    {
      dtype: TorchDataType.DT_FLOAT,
      arrayShape: { dim: [BigInt(count), BigInt(CLASSES)] },
      floatVal: Array.from(scores),
    },
    { dtype: TorchDataType.DT_INT64, arrayShape: { dim: [BigInt(count)] }, int64Val: labels },
  ];
  const unknown = outputFilter.find((index) => outputs[index] === undefined);
  if (unknown !== undefined) throw new Error(`no output ${unknown}: there are 0 and 1`);
  const wanted = outputFilter.length === 0 ? outputs : outputFilter.map((index) => outputs[index]!);
  return toBinary(TorchResponseSchema, create(TorchResponseSchema, { outputs: wanted }));
}

function classify({ dtype, arrayShape, floatVal }: FloatArray): {
  count: number;
  scores: Float32Array;
  labels: bigint[];
} {
  const dims = (arrayShape?.dim ?? []).map(Number);
  if (dtype !== ArrayDataType.DT_FLOAT) throw new Error(`dtype ${dtype}: the images must be DT_FLOAT`);
  if (dims.length !== 2 || dims[1] !== PIXELS || (dims[0] as number) * PIXELS !== floatVal.length) {
    throw new Error(`shape [${dims.join(", ")}] with ${floatVal.length} values: the images must be [n, ${PIXELS}]`);
  }
  const count = dims[0] as number;
  const scores = classifyDigits(Float32Array.from(floatVal), count);
  const labels = Array.from({ length: count }, (_, image) => {
    const row = scores.subarray(image * CLASSES, (image + 1) * CLASSES);
    return BigInt(row.indexOf(Math.max(...row)));
  });
  return { count, scores, labels };
}
