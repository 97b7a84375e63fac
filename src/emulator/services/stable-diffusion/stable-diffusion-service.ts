import { base64Encode } from "@bufbuild/protobuf/wire";
import type { Bytes } from "../../../formats/request.js";
import type { EmulatorCall, EmulatorHandler, EmulatorService } from "../service.js";
import { ApiError, jsonResponse } from "./api-error.js";
import { type GenerationRequest, readGeneration, SAMPLERS } from "./generation-request.js";
import { type Generation, Generator } from "./generator.js";
import { checkDiffusionOptions, type DiffusionSettings, type StableDiffusionOptions } from "./settings.js";

/** An emulated Stable Diffusion web UI, for use as a service of the emulator and as the service of a queue. */
export interface EmulatorStableDiffusion extends EmulatorService {
  /**
   * Returns the bytes of an image by its path in `image_url`, as if it were read from the mounted storage. Returns
   * undefined for unknown paths.
   */
  outputFile(path: string): Bytes | undefined;
}

/**
 * Creates a service that behaves like the API of the Stable Diffusion web UI on EAS. It draws small images. An image
 * depends only on the seed, the prompt and the size. The service runs on every runtime.
 *
 * - `POST /sdapi/v1/txt2img` and `/sdapi/v1/img2img` return images as base64. If the request has
 *   `alwayson_scripts.save_dir`, the response contains no images, and `parameters.image_url` contains their paths.
 * - `GET /sdapi/v1/progress`, `POST /sdapi/v1/interrupt`, `GET /sdapi/v1/samplers` and `GET /sdapi/v1/sd-models`.
 * - Behind a queue, put requests to `/sdapi/v1/txt2img?task_id=…`. The item in the sink has the tag `task_id`.
 *
 * @throws TypeError or RangeError for invalid options.
 *
 * @example
 * const sd = stableDiffusion();
 * createEmulator({ services: { sd }, queues: { "sd-async": { service: sd } } });
 */
export function stableDiffusion(options: StableDiffusionOptions = {}): EmulatorStableDiffusion {
  return new StableDiffusion(checkDiffusionOptions(options));
}

const PREFIX = "/sdapi/v1/";
/** Number of digits in the web UI's file names. */
const NAME_DIGITS = 5;
const GRID_DIGITS = 4;

class StableDiffusion implements EmulatorStableDiffusion {
  readonly methods: readonly string[] = ["GET", "POST"];
  readonly handle: EmulatorHandler = (call) => this.#handle(call);
  readonly #settings: DiffusionSettings;
  readonly #generator: Generator;
  /** Saved images by path, oldest first. */
  readonly #files = new Map<string, Bytes>();
  #fileCount = 0;
  #gridCount = 0;

  constructor(settings: DiffusionSettings) {
    this.#settings = settings;
    this.#generator = new Generator(settings);
  }

  outputFile(path: string): Bytes | undefined {
    return this.#files.get(path)?.slice();
  }

  async #handle(call: EmulatorCall): Promise<Response> {
    const path = call.path.replace(/\/$/, "");
    const name = path.startsWith(PREFIX) ? path.slice(PREFIX.length) : "";
    try {
      switch (`${call.method} ${name}`) {
        case "POST txt2img":
        case "POST img2img":
          return await this.#generate(call, name as "txt2img" | "img2img");
        case "GET progress":
          return jsonResponse(200, this.#generator.progress());
        case "POST interrupt":
          this.#generator.interrupt();
          return jsonResponse(200, {});
        case "GET samplers":
          return jsonResponse(
            200,
            SAMPLERS.map((sampler) => ({ name: sampler, aliases: [], options: {} })),
          );
        case "GET sd-models":
          return jsonResponse(
            200,
            (this.#settings.models ?? []).map((model) => {
              const model_name = model.replace(/\.[^.]*$/, "");
              return { title: model, model_name, hash: null, sha256: null, filename: model, config: null };
            }),
          );
        default:
          return jsonResponse(404, { detail: "Not Found" });
      }
    } catch (error) {
      if (error instanceof ApiError) return error.response;
      throw error;
    }
  }

  async #generate(call: EmulatorCall, kind: "txt2img" | "img2img"): Promise<Response> {
    const [random] = crypto.getRandomValues(new Uint32Array(1));
    const request = readGeneration(call, kind, random as number);
    const generation = await this.#generator.run(request, call.signal);
    return jsonResponse(
      200,
      request.saveDirectory === undefined
        ? imageResult(request, generation)
        : this.#save(request, generation, `${request.saveDirectory}/${kind}`),
    );
  }

  /** Saves the images and returns the result in EAS's form. The grid comes first. */
  #save({ taskId }: GenerationRequest, { images, grid, totalTime }: Generation, directory: string): object {
    const date = new Date(this.#settings.now()).toISOString().slice(0, "2026-12-01".length);
    const paths: string[] = [];
    const save = (path: string, png: Bytes) => {
      this.#files.set(path, png);
      paths.push(path);
    };
    if (grid !== undefined) {
      const number = String(this.#gridCount++).padStart(GRID_DIGITS, "0");
      save(`${directory}-grids/${date}/grid-${number}.png`, grid);
    }
    for (const { seed, png } of images) {
      const number = String(this.#fileCount++).padStart(NAME_DIGITS, "0");
      save(`${directory}-images/${date}/${number}-${seed}.png`, png);
    }
    for (const path of this.#files.keys()) {
      if (this.#files.size <= this.#settings.maxFiles) break;
      this.#files.delete(path);
    }
    const parameters = {
      id_task: taskId,
      status: 0,
      image_url: paths.join(","),
      seed: images.map(({ seed }) => seed).join(","),
      error_msg: "",
      total_time: totalTime,
    };
    return { images: [], parameters, info: "" };
  }
}

/** Returns the result in the web UI's form. */
function imageResult(request: GenerationRequest, { images }: Generation): object {
  const { fields, prompt, seed, width, height, sampler, steps, batchSize } = request;
  const { negative_prompt = "", cfg_scale = 7 } = fields;
  const info = {
    prompt,
    all_prompts: images.map(() => prompt),
    negative_prompt,
    seed,
    all_seeds: images.map((image) => image.seed),
    width,
    height,
    sampler_name: sampler,
    cfg_scale,
    steps,
    batch_size: batchSize,
    index_of_first_image: 0,
  };
  const sent = request.sendsImages ? images.map(({ png }) => base64Encode(png)) : [];
  return { images: sent, parameters: fields, info: JSON.stringify(info) };
}
