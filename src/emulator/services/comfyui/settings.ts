import { optionError } from "../../../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../../../util/option-names.js";
import { checkCount, checkNames } from "../pictures/options.js";
import { checkPace, type EmulatorStep, type StepPace } from "../pictures/steps.js";
import { createNodeClasses, type NodeClasses } from "./nodes.js";

/** Options for `comfyUi`. */
export interface ComfyUiOptions {
  /** Milliseconds for each sampling step, from 0 to 2^31 - 1. Fake timers apply. Default 0: images are ready at once. */
  readonly stepTime?: number | undefined;
  /**
   * Called before each sampling step, which waits until the returned promise resolves. Tests use it to pause a workflow
   * at a known step. An error that it throws becomes the workflow's `execution_error`.
   */
  readonly onStep?: ((step: EmulatorStep) => void | Promise<void>) | undefined;
  /** Names of the model files that workflows can load. Default: every name is accepted. */
  readonly models?: readonly string[] | undefined;
  /** Names of custom node classes. Such nodes accept any inputs, have outputs of any type and do nothing. Default: none. */
  readonly customNodes?: readonly string[] | undefined;
  /** Maximum number of workflows in the history, from 1. The files of removed workflows are removed too. Default 100. */
  readonly historyLength?: number | undefined;
  /**
   * Maximum number of pixels that one workflow may draw, from 1. Larger workflows fail with `execution_error`, as on a
   * GPU that is out of memory. Default 4,194,304.
   */
  readonly maxPixels?: number | undefined;
  /** Returns the current time in milliseconds for the timestamps of messages. Default `Date.now`. */
  readonly now?: (() => number) | undefined;
}

const COMFY_UI_OPTIONS: OptionNames<ComfyUiOptions> = {
  stepTime: 1,
  onStep: 1,
  models: 1,
  customNodes: 1,
  historyLength: 1,
  maxPixels: 1,
  now: 1,
};

/** The options of a service after validation, with defaults. */
export interface ComfySettings {
  readonly pace: StepPace;
  readonly classes: NodeClasses;
  readonly historyLength: number;
  readonly maxPixels: number;
  readonly now: () => number;
}

/** Validates the options of `comfyUi`. Throws a `TypeError` or a `RangeError`. */
export function checkComfyOptions(options: ComfyUiOptions): ComfySettings {
  checkOptionNames("comfyUi", options, COMFY_UI_OPTIONS);
  const { models, customNodes = [], now = Date.now } = options;
  if (models !== undefined) checkNames("models", models);
  checkNames("customNodes", customNodes);
  if (typeof now !== "function") throw optionError("now", now, "be a function");
  return {
    pace: checkPace(options),
    classes: createNodeClasses(models && [...models], customNodes),
    historyLength: checkCount("historyLength", options.historyLength, 100),
    maxPixels: checkCount("maxPixels", options.maxPixels, 4 * 1024 * 1024),
    now,
  };
}
