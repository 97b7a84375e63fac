import { argumentRangeError, optionError, show } from "../../../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../../../util/option-names.js";
import { pause } from "../../../util/timing/abort.js";
import { type Fields, LlmRefusal } from "./interfaces/fields.js";
import type { Pace } from "./pace.js";

/** Default model name of a service. */
export const LLM_MODEL = "eas-ngram";
/** Maximum total number of tokens in a prompt and its reply. */
export const LLM_CONTEXT_TOKENS = 8192;

/** Options for `llmService`. */
export interface LlmServiceOptions {
  /**
   * Maximum number of tokens per second in each reply; must be positive. Also applies to replies that are not streamed,
   * to batches and to WebSockets. Default: no limit.
   */
  readonly tokensPerSecond?: number | undefined;
  /**
   * Names that callers may send as `model`. All names refer to the same model. If the name ends in `-reasoning`, every
   * reply includes reasoning. Default `["eas-ngram"]`.
   */
  readonly models?: readonly string[] | undefined;
  /**
   * Format of error responses. Default `"flat"`.
   *
   * - `"flat"`, as in vLLM before 0.10.1: `{"object":"error","message":…,"type":…,"param":…,"code":…}`. A wrong content
   *   type is refused with status 415.
   * - `"nested"`, as in later releases: `{"error":{"message":…,"type":…,"param":…,"code":…}}`. A wrong content type is
   *   refused with status 400.
   */
  readonly errors?: "flat" | "nested" | undefined;
  /**
   * Time that a batch stays in each of the states `validating`, `pending` and `finalize`, in milliseconds, from 0 to
   * 2^31 - 1. Default 0.
   */
  readonly batchDelay?: number | undefined;
}

const LLM_SERVICE_OPTIONS: OptionNames<LlmServiceOptions> = { tokensPerSecond: 1, models: 1, errors: 1, batchDelay: 1 };

/** A service's validated options, with defaults. */
export interface LlmSettings extends Pace {
  readonly models: readonly string[];
  readonly errors: "flat" | "nested";
  readonly batchDelay: number;
}

const MAX_DELAY_MS = 2 ** 31 - 1;

/** Validates the options of `llmService`. Throws a `TypeError` or a `RangeError`. */
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

function rangeError(name: string, value: unknown, expected: string): RangeError {
  return argumentRangeError("ERR_EAS_ARG_OPTION", `${name} is ${show(value)}: it must be ${expected}`);
}

/** Returns a request's model name. Throws an `LlmRefusal` with status 404 if the service does not have that model. */
export function readModel({ model }: Fields, { models }: LlmSettings): string {
  if (typeof model === "string" && models.includes(model)) return model;
  const name = typeof model === "string" ? model : "";
  throw new LlmRefusal(`The model \`${name}\` does not exist.`, "model", 404, "NotFoundError");
}
