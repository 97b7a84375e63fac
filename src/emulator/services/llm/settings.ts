import { argumentRangeError, optionError, show } from "../../../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../../../util/option-names.js";
import { pause } from "../../../util/timing/abort.js";
import { type Fields, LlmRefusal } from "./interfaces/fields.js";
import type { Pace } from "./pace.js";

/** The model of a service that sets no names. */
export const LLM_MODEL = "eas-ngram";
/** The maximum number of tokens that a prompt and its answer may have together. */
export const LLM_CONTEXT_TOKENS = 8192;

/** Options for `llmService`. */
export interface LlmServiceOptions {
  /**
   * Tokens that each answer gets per second: a positive number. Every token waits for its turn, also in whole answers, batches
   * and over WebSocket. Default: no limit.
   */
  readonly tokensPerSecond?: number | undefined;
  /**
   * Names that callers may send as `model`. All of them are the same model; one whose name ends with `-reasoning` reasons in
   * every answer. Default `["eas-ngram"]`.
   */
  readonly models?: readonly string[] | undefined;
  /**
   * The form of error answers. `"flat"`: as vLLM before 0.10.1 answers, `{"object":"error","message":…,"type":…,"param":…,
   * "code":…}`, and 415 for a wrong content type. `"nested"`: as later releases answer, `{"error":{"message":…,"type":…,
   * "param":…,"code":…}}`, and 400 for a wrong content type. Default `"flat"`.
   */
  readonly errors?: "flat" | "nested" | undefined;
  /**
   * Milliseconds that a batch stays in each of the states `validating`, `pending` and `finalize`: 0 to 2^31 - 1. Default 0.
   */
  readonly batchDelay?: number | undefined;
}

const LLM_SERVICE_OPTIONS: OptionNames<LlmServiceOptions> = { tokensPerSecond: 1, models: 1, errors: 1, batchDelay: 1 };

/** Checked options, with defaults. */
export interface LlmSettings extends Pace {
  readonly models: readonly string[];
  readonly errors: "flat" | "nested";
  readonly batchDelay: number;
}

const MAX_DELAY_MS = 2 ** 31 - 1;

/** Checks the options of `llmService`. */
export function checkLlmOptions(options: LlmServiceOptions): LlmSettings {
  checkOptionNames("llmService", options, LLM_SERVICE_OPTIONS);
  const { tokensPerSecond, models = [LLM_MODEL], errors = "flat", batchDelay = 0 } = options;
  if (tokensPerSecond !== undefined && !(Number.isFinite(tokensPerSecond) && tokensPerSecond > 0)) {
    throw rangeError("tokensPerSecond", tokensPerSecond, "a positive number");
  }
  if (!Array.isArray(models) || models.length === 0 || !models.every((name) => typeof name === "string" && name)) {
    throw optionError("models", models, "be a list of one or more names");
  }
  if (errors !== "flat" && errors !== "nested") throw optionError("errors", errors, 'be "flat" or "nested"');
  if (!(batchDelay >= 0 && batchDelay <= MAX_DELAY_MS)) {
    throw rangeError("batchDelay", batchDelay, `milliseconds from 0 to ${MAX_DELAY_MS}`);
  }
  return { tokensPerSecond, pause, models: [...models], errors, batchDelay };
}

function rangeError(name: string, value: unknown, right: string): RangeError {
  return argumentRangeError("ERR_EAS_ARG_OPTION", `${name} is ${show(value)}: it must be ${right}`);
}

/** Returns the model that a request names. */
export function readModel({ model }: Fields, { models }: LlmSettings): string {
  if (typeof model === "string" && models.includes(model)) return model;
  const name = typeof model === "string" ? model : "";
  throw new LlmRefusal(`The model \`${name}\` does not exist.`, "model", 404, "NotFoundError");
}
