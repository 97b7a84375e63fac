import { argumentRangeError, optionError, show } from "../../../util/argument-errors.js";
import { pause, raceAbort } from "../../../util/timing/abort.js";
import { yieldToEventLoop } from "../llm/pace.js";

/** A sampling step that is about to run. */
export interface EmulatorStep {
  /** The `prompt_id` of ComfyUI, or the `id_task` of Stable Diffusion. */
  readonly id: string;
  /** Number of the step, starting at 1. */
  readonly step: number;
  /** Number of steps in this sampling run. */
  readonly steps: number;
}

/** The speed at which images are generated. */
export interface StepPace {
  /** Milliseconds for each sampling step. */
  readonly stepTime: number;
  /** Called before each step. The step waits until the returned promise resolves. */
  readonly onStep: ((step: EmulatorStep) => void | Promise<void>) | undefined;
}

const MAX_STEP_TIME = 2 ** 31 - 1;
/** Number of steps after which other work can run, even if `stepTime` is 0. */
const STEPS_PER_TURN = 256;

/** Validates the options of `StepPace`. Throws a `TypeError` or a `RangeError`. */
export function checkPace({
  stepTime = 0,
  onStep,
}: {
  stepTime?: number | undefined;
  onStep?: StepPace["onStep"];
}): StepPace {
  if (!(typeof stepTime === "number" && stepTime >= 0 && stepTime <= MAX_STEP_TIME)) {
    throw argumentRangeError(
      "ERR_EAS_ARG_OPTION",
      `stepTime is ${show(stepTime)}: it must be milliseconds from 0 to ${MAX_STEP_TIME}`,
    );
  }
  if (onStep !== undefined && typeof onStep !== "function") throw optionError("onStep", onStep, "be a function");
  return { stepTime, onStep };
}

/** Runs sampling steps and calls `report` after each. Rejects with the signal's reason when the signal fires. */
export async function runSteps(
  { id, steps, pace }: { id: string; steps: number; pace: StepPace },
  signal: AbortSignal,
  report: (step: number) => void,
): Promise<void> {
  for (let step = 1; step <= steps; step++) {
    signal.throwIfAborted();
    await raceAbort(Promise.resolve(pace.onStep?.({ id, step, steps })), signal);
    if (pace.stepTime > 0) await pause(pace.stepTime, signal);
    else if (step % STEPS_PER_TURN === 0) await yieldToEventLoop();
    report(step);
  }
}
