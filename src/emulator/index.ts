/**
 * A local EAS gateway with demo services that run real models. Use it to try the SDK without an account and to test
 * programs that use the SDK. Web pages cannot listen on a port: they use `eas-prediction/emulator/memory`.
 */

export { loadCassette, type Recorder, type RecorderOptions, startRecorder } from "./cassettes/recorder/recorder.js";
export * from "./memory.js";
export { fileLog, type RunningEmulator, type StartEmulatorOptions, startEmulator } from "./server/server.js";
