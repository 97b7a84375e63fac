import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { afterAll, expect, onTestFinished, test, vi } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
// Inside the package, so that its name resolves to the built package.
const folder = `${root}test/.tmp/dev-servers`;

mkdirSync(folder, { recursive: true });
afterAll(() => rmSync(folder, { recursive: true }));

/** Returns the path of a module with the snippet below a heading of docs/dev-servers.md. */
function moduleOf(heading: string): string {
  const text = readFileSync(`${root}docs/dev-servers.md`, "utf8").split(`## ${heading}\n`)[1] as string;
  const [, code] = /^```ts\n([\s\S]*?)^```/m.exec(text) as unknown as [string, string];
  const { outputText } = ts.transpileModule(code, {
    compilerOptions: { target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.ESNext },
  });
  const file = `${folder}/${heading.replace(/\W/g, "-")}.mjs`;
  writeFileSync(file, outputText);
  return file;
}

test("the route of Next.js relays allowed requests with the token of the server", async () => {
  const { startEmulator } = await import("eas-prediction/emulator" as string);
  const { nodeListener } = await import("eas-prediction/node" as string);
  const { PredictClient } = await import("eas-prediction" as string);
  const emulator = await startEmulator();
  onTestFinished(() => emulator.close());
  onTestFinished(() => void vi.unstubAllEnvs());
  vi.stubEnv("EAS_ENDPOINT", `${emulator.endpoint}/api/predict/llm`);
  vi.stubEnv("EAS_TOKEN", emulator.token);
  const route: Record<string, unknown> = await import(moduleOf("Next.js"));
  expect(Object.keys(route).sort()).toEqual(["GET", "OPTIONS", "POST", "dynamic"]);
  // Next.js calls the export with the name of the method.
  const handle = (request: Request) => (route[request.method] as (request: Request) => Promise<Response>)(request);
  const server = createServer(nodeListener(handle)).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const page = new PredictClient({ customUrl: `${origin}/eas` });
  onTestFinished(() => page.close());
  const body = { model: "eas-ngram", messages: [{ role: "user", content: "学而时习之，" }], stream: true };
  const stream = await page.stream(body, { path: "/v1/chat/completions" });
  expect(await stream.chat().finalText()).not.toBe("");
  await expect(page.json({ input: "x" }, { path: "/v1/embeddings" })).rejects.toMatchObject({ status: 403 });
  const foreign = await fetch(`${origin}/eas/v1/models`, { headers: { origin: "https://evil.example" } });
  expect(foreign.status).toBe(403);
  expect(emulator.requests.map(({ auth }: { auth: string }) => auth)).toEqual(["token"]);
});
