/**
 * A local EAS gateway with demo services that have real models behind them, to try the SDK without an account and to
 * test programs that use it. Web pages, which cannot listen, take `eas-prediction/emulator/memory`.
 */
export * from "./memory.js";
export { fileLog, type RunningEmulator, type StartEmulatorOptions, startEmulator } from "./server/server.js";
