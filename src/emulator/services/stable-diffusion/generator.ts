import type { Bytes } from "../../../formats/request.js";
import { messageOf } from "../../../util/realms.js";
import { createGrid, drawPicture, type IndexedImage } from "../pictures/picture.js";
import { encodePng } from "../pictures/png.js";
import { runSteps } from "../pictures/steps.js";
import { ApiError } from "./api-error.js";
import type { GenerationRequest } from "./generation-request.js";
import type { DiffusionSettings } from "./settings.js";

/** An image with its seed. */
export interface GeneratedImage {
  readonly seed: number;
  readonly png: Bytes;
}

/** The images of a request. */
export interface Generation {
  readonly images: readonly GeneratedImage[];
  /** All images arranged in one; undefined for a single image. */
  readonly grid: Bytes | undefined;
  /** Duration in seconds. */
  readonly totalTime: number;
}

/** Progress of the running request, as `/sdapi/v1/progress` returns it. */
interface Job {
  readonly id: string;
  readonly count: number;
  readonly steps: number;
  readonly interrupted: AbortController;
  number: number;
  step: number;
}

/** Generates the images of one request at a time. */
export class Generator {
  readonly #settings: DiffusionSettings;
  #last: Promise<unknown> = Promise.resolve();
  #job: Job | undefined;

  constructor(settings: DiffusionSettings) {
    this.#settings = settings;
  }

  /**
   * Generates a request's images after all earlier requests have ended. Rejects if the signal fires or the request is
   * too large.
   */
  run(request: GenerationRequest, signal: AbortSignal): Promise<Generation> {
    const generation = this.#last.then(() => this.#generate(request, signal));
    this.#last = generation.catch(() => {});
    return generation;
  }

  /** Ends the running request early. Like the web UI, the service then responds with the images so far. */
  interrupt(): void {
    this.#job?.interrupted.abort();
  }

  /** The progress of the running request. */
  progress(): object {
    const job = this.#job;
    const done = job === undefined ? 0 : (job.number + job.step / job.steps) / job.count;
    return {
      progress: job === undefined ? 0 : Math.min(1, 0.01 + done),
      eta_relative: 0,
      state: {
        skipped: false,
        interrupted: job?.interrupted.signal.aborted ?? false,
        job: job?.id ?? "",
        job_count: job?.count ?? 0,
        job_timestamp: "0",
        job_no: job?.number ?? 0,
        sampling_step: job?.step ?? 0,
        sampling_steps: job?.steps ?? 0,
      },
      current_image: null,
      textinfo: null,
    };
  }

  async #generate(request: GenerationRequest, signal: AbortSignal): Promise<Generation> {
    const { width, height, batchSize, iterations, steps, taskId } = request;
    signal.throwIfAborted();
    this.#checkRequest(request);
    const start = this.#settings.now();
    const interrupted = new AbortController();
    const job: Job = { id: taskId, count: iterations, steps, interrupted, number: 0, step: 0 };
    const abort = () => interrupted.abort();
    signal.addEventListener("abort", abort, { once: true });
    this.#job = job;
    const pictures: { seed: number; picture: IndexedImage }[] = [];
    const prompt = request.initImage === undefined ? request.prompt : `${request.prompt}\n${request.initImage}`;
    try {
      for (; job.number < iterations && !interrupted.signal.aborted; job.number++) {
        job.step = 0;
        await this.#sample(job);
        for (let i = 0; i < batchSize; i++) {
          const seed = request.seed + pictures.length;
          pictures.push({ seed, picture: drawPicture({ seed, prompt, width, height }) });
        }
      }
      signal.throwIfAborted();
      const images = await Promise.all(
        pictures.map(async ({ seed, picture }) => ({ seed, png: await encodePng(picture) })),
      );
      const [first, ...others] = pictures.map(({ picture }) => picture);
      const hasGrid = request.saveDirectory !== undefined && first !== undefined && others.length > 0;
      const grid = hasGrid ? await encodePng(createGrid([first, ...others])) : undefined;
      return { images, grid, totalTime: (this.#settings.now() - start) / 1000 };
    } finally {
      signal.removeEventListener("abort", abort);
      this.#job = undefined;
    }
  }

  #checkRequest({ width, height, batchSize, iterations, model }: GenerationRequest): void {
    const { maxPixels, models } = this.#settings;
    const pixels = width * height * batchSize * iterations;
    if (pixels > maxPixels) {
      const reason = `CUDA out of memory: the request draws ${pixels} pixels, and the maximum is ${maxPixels}`;
      throw new ApiError(500, "OutOfMemoryError", "", reason);
    }
    if (model !== undefined && models !== undefined && !models.includes(model)) {
      throw new ApiError(500, "RuntimeError", "", `Unknown checkpoint: ${model}`);
    }
  }

  async #sample(job: Job): Promise<void> {
    const { signal } = job.interrupted;
    const { pace } = this.#settings;
    try {
      await runSteps({ id: job.id, steps: job.steps, pace }, signal, (step) => {
        job.step = step;
      });
    } catch (error) {
      if (!signal.aborted) throw new ApiError(500, "RuntimeError", "", messageOf(error));
    }
  }
}
