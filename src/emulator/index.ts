/**
 * A local EAS gateway with demo services that have real models behind them, to try the SDK without an account and to
 * test programs that use it.
 */

export type { AuthForm, AuthForm } from "./authorization.js";
export {
  createEmulator,
  createEmulator,
  type Emulator,
  type Emulator,
  type EmulatorAnswer,
  type EmulatorCall,
  type EmulatorHandler,
  type EmulatorLogEntry,
  type EmulatorLogEntry,
  type EmulatorOptions,
  type EmulatorOptions,
  type EmulatorService,
} from "./emulator.js";
export type { Fault } from "./faults.js";
export { DIGITS_HELD_OUT_ACCURACY } from "./models/digits.js";
export { heldOutDigits } from "./models/digits-held-out.js";
export { SCORECARD_FEATURES, type ScorecardSample, scorecardSamples } from "./models/scorecard.js";
export { type RunningEmulator, type StartEmulatorOptions, startEmulator } from "./server.js";
export type { EmulatorAnswer, EmulatorCall, EmulatorHandler, EmulatorService } from "./service.js";
