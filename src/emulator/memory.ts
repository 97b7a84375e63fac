/**
 * The emulator without a server: a function from `Request` to `Response` and a client transport. Runs on every runtime,
 * including in web pages.
 */

export type {
  Cassette,
  CassetteInteraction,
  CassetteRequest,
  CassetteResponse,
  CassetteSocket,
} from "./cassettes/cassette.js";
export { readCassette } from "./cassettes/load.js";
export type { ReplayMatch } from "./cassettes/matching.js";
export type { ReplayOptions } from "./cassettes/player.js";
export type { EmulatorControl, EmulatorControlOptions } from "./control/control-plane.js";
export { createEmulator, type Emulator, type EmulatorLogEntry, type EmulatorOptions } from "./emulator.js";
export type { Fault } from "./faults.js";
export type { AuthForm } from "./gateway/authorization.js";
export type { EmulatorCors } from "./gateway/cors.js";
export type { EmulatorDiscoveryPath, EmulatorInstance, EmulatorInstances } from "./instances.js";
export {
  type EmulatorLlmGateway,
  type LlmGatewayGeneration,
  type LlmGatewayOptions,
  llmGateway,
} from "./llm-gateway/llm-gateway.js";
export { DIGITS_HELD_OUT_ACCURACY } from "./models/digits.js";
export { heldOutDigits } from "./models/digits-held-out.js";
export {
  SCORECARD_FEATURES,
  type ScorecardResult,
  type ScorecardSample,
  scorecardSamples,
} from "./models/scorecard.js";
export type { EmulatorQueueItem } from "./queue/consumers.js";
export type {
  EmulatorCommit,
  EmulatorDeadItem,
  EmulatorNegativeCommit,
  EmulatorPush,
  EmulatorTakeover,
} from "./queue/entries/history.js";
export type { EmulatorQueue, EmulatorQueueSide } from "./queue/handle.js";
export {
  type EmulatorQueueLog,
  type EmulatorQueueOptions,
  QUEUE_DEFAULTS,
  type QueueSettings,
} from "./queue/options.js";
export type { EmulatorConnection } from "./queue/watch.js";
export type { AcceptedSocket, EmulatorServiceSocket, EmulatorSocket, SocketHandlers } from "./server/socket.js";
export { comfyUi, type EmulatorComfyUi } from "./services/comfyui/comfyui-service.js";
export type { ComfyUiOptions } from "./services/comfyui/settings.js";
export type { LlmServiceOptions } from "./services/llm/settings.js";
export { llmService } from "./services/llm-service.js";
export type { EmulatorStep } from "./services/pictures/steps.js";
export type {
  EmulatorCall,
  EmulatorCompressor,
  EmulatorContentEncoding,
  EmulatorDecompressor,
  EmulatorHandler,
  EmulatorResult,
  EmulatorService,
  UpgradeResult,
} from "./services/service.js";
export type { StableDiffusionOptions } from "./services/stable-diffusion/settings.js";
export {
  type EmulatorStableDiffusion,
  stableDiffusion,
} from "./services/stable-diffusion/stable-diffusion-service.js";
