import { isRecord } from "../../../util/realms.js";
import type { EmulatorCall } from "../service.js";
import { ApiError, invalidField, invalidRequest } from "./api-error.js";

/** A request for images, with the web UI's defaults. */
export interface GenerationRequest {
  /** The fields as received. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly prompt: string;
  readonly seed: number;
  readonly steps: number;
  readonly width: number;
  readonly height: number;
  readonly batchSize: number;
  readonly iterations: number;
  readonly sampler: string;
  /** The image to start from; undefined for `txt2img`. */
  readonly initImage: string | undefined;
  /** Whether the response contains the images. */
  readonly sendsImages: boolean;
  readonly model: string | undefined;
  /** Directory in which EAS saves the images; undefined for a response with images. */
  readonly saveDirectory: string | undefined;
  readonly taskId: string;
}

const BASE_SAMPLERS = ["Euler a", "Euler", "LMS", "Heun", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ 2M", "DPM++ SDE"];
const KARRAS_SAMPLERS = ["LMS", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE"];

/** Names of the web UI's samplers. */
export const SAMPLERS: readonly string[] = [
  ...BASE_SAMPLERS,
  "DPM++ 2M SDE",
  "DPM++ 3M SDE",
  "DPM fast",
  "DPM adaptive",
  ...KARRAS_SAMPLERS.map((name) => `${name} Karras`),
  "DDIM",
  "PLMS",
  "UniPC",
  "LCM",
  "Restart",
];

/** Limits of the emulator. The web UI itself has no such limits. */
const MAX_STEPS = 10_000;
const MAX_COUNT = 100;
const MIN_SIDE = 8;
const MAX_SIDE = 16_384;
const MAX_SEED = 2 ** 32;

/** Reads a request. Throws an `ApiError` in the web UI's form. `seed` replaces a missing or negative seed. */
export function readGeneration(call: EmulatorCall, kind: "txt2img" | "img2img", seed: number): GenerationRequest {
  const fields = readFields(call);
  const scripts = recordOf(fields, "alwayson_scripts");
  const { sd_model_checkpoint: ownModel } = recordOf(fields, "override_settings");
  const given = integerOf(fields, "seed", -1, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  const saveDirectory = textOf(scripts, "save_dir", "");
  const sampler = textOf(fields, "sampler_name", "") || textOf(fields, "sampler_index", "") || "Euler";
  if (!SAMPLERS.includes(sampler)) throw new ApiError(404, "HTTPException", "Sampler not found");
  const model = scripts.sd_model_checkpoint ?? ownModel;
  return {
    fields,
    prompt: textOf(fields, "prompt", ""),
    seed: given < 0 ? seed % MAX_SEED : given,
    steps: integerOf(fields, "steps", 50, 1, MAX_STEPS),
    width: integerOf(fields, "width", 512, MIN_SIDE, MAX_SIDE),
    height: integerOf(fields, "height", 512, MIN_SIDE, MAX_SIDE),
    batchSize: integerOf(fields, "batch_size", 1, 1, MAX_COUNT),
    iterations: integerOf(fields, "n_iter", 1, 1, MAX_COUNT),
    sampler,
    initImage: kind === "img2img" ? initImageOf(fields, scripts) : undefined,
    sendsImages: fields.send_images !== false,
    model: typeof model === "string" ? model : undefined,
    saveDirectory: saveDirectory === "" ? undefined : saveDirectory.replace(/\/$/, ""),
    taskId: textOf(scripts, "id_task", "") || (call.query.get("task_id") ?? ""),
  };
}

function readFields({ body }: EmulatorCall): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(body));
  } catch (error) {
    throw invalidRequest(["body"], (error as Error).message, "value_error.jsondecode");
  }
  if (isRecord(value)) return value;
  throw invalidRequest(["body"], "value is not a valid dict", "type_error.dict");
}

function recordOf(fields: Readonly<Record<string, unknown>>, name: string): Readonly<Record<string, unknown>> {
  const value = fields[name] ?? {};
  if (isRecord(value)) return value;
  throw invalidField(name, "value is not a valid dict", "type_error.dict");
}

function textOf(fields: Readonly<Record<string, unknown>>, name: string, fallback: string): string {
  const value = fields[name] ?? fallback;
  if (typeof value === "string") return value;
  // A task id may be a number.
  if (typeof value === "number") return String(value);
  throw invalidField(name, "str type expected", "type_error.str");
}

function integerOf(
  fields: Readonly<Record<string, unknown>>,
  name: string,
  fallback: number,
  min: number,
  max: number,
): number {
  const value = fields[name] ?? fallback;
  const number = typeof value === "string" && /^\s*[+-]?\d+\s*$/.test(value) ? Number(value) : value;
  if (typeof number !== "number" || !Number.isInteger(Math.trunc(number))) {
    throw invalidField(name, "value is not a valid integer", "type_error.integer");
  }
  const integer = Math.trunc(number);
  if (integer < min) {
    const message = `ensure this value is greater than or equal to ${min}`;
    throw invalidField(name, message, "value_error.number.not_ge");
  }
  if (integer > max) {
    const message = `ensure this value is less than or equal to ${max}`;
    throw invalidField(name, message, "value_error.number.not_le");
  }
  return integer;
}

/** Returns the base64 text of the first image, or the link that EAS's worker downloads. */
function initImageOf(fields: Readonly<Record<string, unknown>>, scripts: Readonly<Record<string, unknown>>): string {
  const link = textOf(scripts, "image_link", "");
  if (link !== "") return link;
  const images: unknown = fields.init_images ?? [];
  if (!Array.isArray(images)) throw invalidField("init_images", "value is not a valid list", "type_error.list");
  const [image] = images as unknown[];
  if (image === undefined) throw new ApiError(404, "HTTPException", "Init image not found");
  const base64 = typeof image === "string" ? image.replace(/^data:image\/[^,]*,/, "") : "";
  if (/^https?:\/\//.test(base64)) return base64;
  if (base64 === "" || !/^[A-Za-z0-9+/\s]+={0,2}\s*$/.test(base64)) {
    throw new ApiError(500, "HTTPException", "Invalid encoded image");
  }
  return base64;
}
