// A provider for the Vercel AI SDK. Requires the package `@ai-sdk/openai-compatible`.

export { createEas, type EasProvider, type EasProviderOptions } from "./create-eas.js";
export type { LanguageModel, RerankingModel } from "./sdk-types.js";
