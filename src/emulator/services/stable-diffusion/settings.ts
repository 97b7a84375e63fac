import { optionError } from "../../../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../../../util/option-names.js";
import { checkCount, checkNames } from "../pictures/options.js";
import { checkPace, type EmulatorStep, type StepPace } from "../pictures/steps.js";

/** Options for `stableDiffusion`. */
export interface StableDiffusionOptions {
  /** Milliseconds for each sampling step, from 0 to 2^31 - 1. Fake timers apply. Default 0: images are ready at once. */
  readonly stepTime?: number | undefined;
  /**
   * Called before each sampling step, which waits until the returned promise resolves. Tests use it to pause a request
   * at a known step. An error that it throws becomes a response with status 500.
   */
  readonly onStep?: ((step: EmulatorStep) => void | Promise<void>) | undefined;
  /** Names of the checkpoints that requests can choose. Default: every name is accepted. */
  readonly models?: readonly string[] | undefined;
  /** Maximum number of saved images that `outputFile` returns, from 1. Older images are removed. Default 100. */
  readonly maxFiles?: number | undefined;
  /**
   * Maximum number of pixels that one request may draw, from 1. Larger requests get status 500, as on a GPU that is out
   * of memory. Default 4,194,304.
   */
  readonly maxPixels?: number | undefined;
  /** Returns the current time in milliseconds, for `total_time` and the dates in paths. Default `Date.now`. */
  readonly now?: (() => number) | undefined;
}

const STABLE_DIFFUSION_OPTIONS: OptionNames<StableDiffusionOptions> = {
  stepTime: 1,
  onStep: 1,
  models: 1,
  maxFiles: 1,
  maxPixels: 1,
  now: 1,
};

/** The options of a service after validation, with defaults. */
export interface DiffusionSettings {
  readonly pace: StepPace;
  readonly models: readonly string[] | undefined;
  readonly maxFiles: number;
  readonly maxPixels: number;
  readonly now: () => number;
}

/** Validates the options of `stableDiffusion`. Throws a `TypeError` or a `RangeError`. */
export function checkDiffusionOptions(options: StableDiffusionOptions): DiffusionSettings {
  checkOptionNames("stableDiffusion", options, STABLE_DIFFUSION_OPTIONS);
  const { models, now = Date.now } = options;
  if (models !== undefined) checkNames("models", models);
  if (typeof now !== "function") throw optionError("now", now, "be a function");
  return {
    pace: checkPace(options),
    models: models && [...models],
    maxFiles: checkCount("maxFiles", options.maxFiles, 100),
    maxPixels: checkCount("maxPixels", options.maxPixels, 4 * 1024 * 1024),
    now,
  };
}
