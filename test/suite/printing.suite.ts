import { PredictClient, QueueClient, TFRequest, tensor } from "eas-prediction";
import { demoClient, openQueue, openService } from "./clients.js";
import { expect, rejection } from "./expect.js";
import { test } from "./harness.js";

/** Returns the console's text for a value; undefined if the console shows objects as trees. */
async function consoleText(value: unknown): Promise<string | undefined> {
  const { Deno, Bun, process } = globalThis as {
    Deno?: { inspect(value: unknown): string };
    Bun?: { inspect(value: unknown): string };
    process?: { getBuiltinModule?(name: string): { inspect(value: unknown): string } | undefined };
  };
  return (Deno ?? Bun ?? process?.getBuiltinModule?.("node:util"))?.inspect(value);
}

/** Checks that the runtime's console shows the same text as `String`, also for an object inside another. */
async function expectShown(value: object, token: string): Promise<void> {
  const text = String(value);
  expect(text).not.to.include(token);
  const shown = await consoleText(value);
  if (shown === undefined) return;
  expect(shown).to.equal(text);
  expect(await consoleText([value])).to.include(text);
}

test("predict", "prints clients, streams, tensors and responses as text, without the token", async (test) => {
  const { client } = await openService(test, "echo");
  expect(String(client)).to.match(/^PredictClient { service: ".+", endpoint: "http/);
  await expectShown(client, test.token);
  await expectShown(new PredictClient({ endpoint: "h", serviceName: "s", token: test.token }), test.token);
  await expectShown(new QueueClient({ endpoint: "h", queueName: "s", token: test.token }), test.token);
  const stream = await client.stream("x");
  await expectShown(stream, test.token);
  expect(await stream.text()).to.equal("x");
  await expectShown(stream, test.token);
  const request = new TFRequest("predict_images").addFeed("images", tensor([1, 64], new Float32Array(64)));
  await expectShown(request, test.token);
  const answer = await demoClient(test, "digits").predict(request);
  expect(String(answer)).to.match(/^TFResponse { .*scores: DT_FLOAT \[1, 10\] /);
  await expectShown(answer, test.token);
  await expectShown(answer.getTensor("scores"), test.token);
  expect(JSON.parse(JSON.stringify(answer)).scores.shape).to.deep.equal([1, 10]);
});

test("failures", "prints stack, fields and text of errors, without headers, bytes and the token", async (test) => {
  const { client, service, counterpart } = await openService(test, "echo");
  await counterpart.fault({ service, status: 400, body: "no such input" });
  const error = await rejection(client.predict("x"));
  expect(JSON.parse(JSON.stringify(error))).to.include({ code: "ERR_EAS_HTTP", status: 400, text: "no such input" });
  const shown = await consoleText(error);
  if (shown === undefined) return;
  expect(shown).to.match(/^EasHttpError: POST .* returned 400/);
  for (const part of ["ERR_EAS_HTTP", "no such input", "status: 400"]) expect(shown).to.include(part);
  for (const part of [test.token, "Uint8Array", "Headers"]) expect(shown).not.to.include(part);
});

test("queue", "prints put results and frames as text, and converts them to JSON", async (test) => {
  const { client } = await openQueue(test);
  const put = await client.put("data", { tags: { a: "b" } });
  await expectShown(put, test.token);
  expect(JSON.parse(JSON.stringify(put)).index).to.equal(String(put.index));
  const [frame] = await client.get();
  if (frame === undefined) throw new Error("the queue is empty");
  await expectShown(frame, test.token);
  expect(JSON.parse(JSON.stringify(frame)).index).to.equal(String(put.index));
});
