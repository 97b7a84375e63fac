/** The definition of an input: its type, or the list of allowed values, with limits as in ComfyUI's `/object_info`. */
export type InputConfig = readonly [type: string | readonly string[], limits?: Readonly<Record<string, unknown>>];

/** A node class. */
export interface NodeClass {
  readonly required: Readonly<Record<string, InputConfig>>;
  /** Types of the outputs. */
  readonly outputs: readonly string[];
  /** Directory to which the node writes images; undefined for nodes without files. */
  readonly writes?: "output" | "temp";
  /** Whether the node accepts any inputs and has outputs of any type. */
  readonly isCustom?: boolean;
}

/** Node classes by name. */
export type NodeClasses = ReadonlyMap<string, NodeClass>;

const SAMPLERS = [
  "euler",
  "euler_ancestral",
  "heun",
  "dpm_2",
  "dpm_2_ancestral",
  "lms",
  "dpmpp_2s_ancestral",
  "dpmpp_sde",
  "dpmpp_2m",
  "dpmpp_2m_sde",
  "dpmpp_3m_sde",
  "ddpm",
  "lcm",
  "ddim",
  "uni_pc",
];
const SCHEDULERS = ["normal", "karras", "exponential", "sgm_uniform", "simple", "ddim_uniform", "beta"];

const TEXT: InputConfig = ["STRING", { multiline: true }];
const SIDE: InputConfig = ["INT", { default: 512, min: 16, max: 16384, step: 8 }];
const STRENGTH: InputConfig = ["FLOAT", { default: 1, min: -100, max: 100, step: 0.01 }];
/** ComfyUI's largest seed is 2^64 - 1. */
const SEED: InputConfig = ["INT", { default: 0, min: 0, max: 2 ** 64 }];

/** Creates the known node classes. `models` are the allowed names of model files; undefined allows all names. */
export function createNodeClasses(models: readonly string[] | undefined, customNodes: readonly string[]): NodeClasses {
  const file: InputConfig = models === undefined ? ["STRING", {}] : [models];
  const classes: Record<string, NodeClass> = {
    CheckpointLoaderSimple: { required: { ckpt_name: file }, outputs: ["MODEL", "CLIP", "VAE"] },
    UNETLoader: { required: { unet_name: file, weight_dtype: ["STRING", {}] }, outputs: ["MODEL"] },
    CLIPLoader: { required: { clip_name: file, type: ["STRING", {}] }, outputs: ["CLIP"] },
    VAELoader: { required: { vae_name: file }, outputs: ["VAE"] },
    LoraLoader: {
      required: {
        model: ["MODEL"],
        clip: ["CLIP"],
        lora_name: file,
        strength_model: STRENGTH,
        strength_clip: STRENGTH,
      },
      outputs: ["MODEL", "CLIP"],
    },
    CLIPTextEncode: { required: { text: TEXT, clip: ["CLIP"] }, outputs: ["CONDITIONING"] },
    EmptyLatentImage: {
      required: { width: SIDE, height: SIDE, batch_size: ["INT", { default: 1, min: 1, max: 4096 }] },
      outputs: ["LATENT"],
    },
    KSampler: {
      required: {
        model: ["MODEL"],
        seed: SEED,
        steps: ["INT", { default: 20, min: 1, max: 10000 }],
        cfg: ["FLOAT", { default: 8, min: 0, max: 100, step: 0.1 }],
        sampler_name: [SAMPLERS],
        scheduler: [SCHEDULERS],
        positive: ["CONDITIONING"],
        negative: ["CONDITIONING"],
        latent_image: ["LATENT"],
        denoise: ["FLOAT", { default: 1, min: 0, max: 1, step: 0.01 }],
      },
      outputs: ["LATENT"],
    },
    VAEDecode: { required: { samples: ["LATENT"], vae: ["VAE"] }, outputs: ["IMAGE"] },
    SaveImage: {
      required: { images: ["IMAGE"], filename_prefix: ["STRING", { default: "ComfyUI" }] },
      outputs: [],
      writes: "output",
    },
    PreviewImage: { required: { images: ["IMAGE"] }, outputs: [], writes: "temp" },
  };
  const custom = customNodes.map((name) => [name, { required: {}, outputs: [], isCustom: true }] as const);
  return new Map<string, NodeClass>([...Object.entries(classes), ...custom]);
}
