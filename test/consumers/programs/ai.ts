// Checks the types of the provider for the AI SDK. Compiled with the optional peer installed.
import { PredictClient } from "eas-prediction";
import { createEas, type EasProvider, type EasProviderOptions, type LanguageModel } from "eas-prediction/ai";

const options: EasProviderOptions = { client: new PredictClient(), auth: "bearer", includeUsage: false };
const eas: EasProvider = createEas(options);
export const models: LanguageModel[] = [eas("a"), eas.chat("a"), eas.languageModel("a"), eas.completionModel("a")];
export const reranked: PromiseLike<{ ranking: { index: number; relevanceScore: number }[] }> = eas
  .rerankingModel("a")
  .doRerank({ query: "q", documents: { type: "text", values: ["a"] } });
// @ts-expect-error No client.
createEas({ auth: "bearer" });
// @ts-expect-error Not an authorization of libraries.
createEas({ client: new PredictClient(), auth: "signature" });
