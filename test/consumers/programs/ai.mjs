// Loads the provider for the AI SDK with `import`.
import { PredictClient } from "eas-prediction";
import { createEas } from "eas-prediction/ai";
import { startEmulator } from "eas-prediction/emulator";

async function main() {
  const emulator = await startEmulator();
  const client = new PredictClient({ endpoint: emulator.endpoint, serviceName: "llm", token: emulator.token });
  const model = createEas({ client })("eas-ngram");
  const prompt = [{ role: "user", content: [{ type: "text", text: "学而时习之" }] }];
  const { content, usage } = await model.doGenerate({ prompt, temperature: 0, maxOutputTokens: 8 });
  console.log(model.provider, model.modelId, usage.outputTokens.total, content[0].text.length > 0);
  await Promise.all([client.close(), emulator.close()]);
}

main();
