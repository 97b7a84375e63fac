import { PredictClient } from "eas-prediction";
import { createEmulator, llmGateway } from "eas-prediction/emulator/memory";
import { demoClient, openQueue, openService } from "./clients.js";
import { Counterpart } from "./counterpart.js";
import { expect, rejection } from "./expect.js";
import { test } from "./harness.js";

for (const maxConnectionCount of [undefined, 6]) {
  const limit = maxConnectionCount ?? "as many as are usual";
  test("limits", `excludes the wait for a connection from the timeout: 100 calls, ${limit} at a time`, async (test) => {
    // With six connections there are seventeen rounds of 100 ms, as in a browser's queue. The timeout must not include
    // this wait.
    const options = { maxConnectionCount, timeout: 1000, retryCount: 0 };
    const { client, requests } = await openService(test, "slow", options);
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => client.predict(`call ${i}`)));
    expect(answers.map(String)).to.deep.equal(Array.from({ length: 100 }, (_, i) => `call ${i}`));
    expect(await requests()).to.have.length(100);
  });
}

test("limits", "does not delay a short call behind six long polls", async (test) => {
  const { client, name, counterpart } = await openQueue(test, {}, { maxConnectionCount: 6 });
  const counted = test.signal();
  let ended = 0;
  const polls = Array.from({ length: 6 }, () =>
    client
      .get({ timeout: "10s", signal: counted.signal })
      .catch((reason) => reason)
      .finally(() => ended++),
  );
  await counterpart.arrived(name, 3);
  // Browsers serialize requests of one URL, unless caching is disabled.
  expect(ended).to.equal(0);
  expect(await client.count()).to.equal(0);
  expect(String(await demoClient(test, "echo").predict("x"))).to.equal("x");
  counted.abort("done");
  expect(await Promise.all(polls)).to.deep.equal(Array.from({ length: 6 }, () => "done"));
});

test("pool", "reuses four connections for 64 concurrent calls", async (test) => {
  // Imported here because bundles for other runtimes cannot contain it.
  const { nodeTransport } = await import("eas-prediction/node");
  const counterpart = new Counterpart(test);
  const transport = test.closing(nodeTransport({ connections: 4 }));
  const serviceName = await counterpart.service("slow");
  const client = test.closing(
    new PredictClient({
      endpoint: test.countedEndpoint,
      serviceName,
      token: test.token,
      maxConnectionCount: 64,
      transport,
    }),
  );
  await Promise.all(Array.from({ length: 64 }, () => client.predict("x")));
  expect(await counterpart.connections()).to.equal(4);
});

test("memory", "tests a program without a network", async (test) => {
  const emulator = createEmulator({
    services: { 倍: ({ body }) => String(Number(new TextDecoder().decode(body)) * 2) },
  });
  emulator.fault({ service: "倍", status: 503 });
  const client = test.closing(
    new PredictClient({
      endpoint: "emulator",
      serviceName: "倍",
      token: emulator.token,
      transport: emulator.transport,
    }),
  );
  const { response, attempts } = await client.predictDetailed("21");
  expect([String(response), attempts]).to.deep.equal(["42", 2]);
  expect(emulator.requests).to.have.length(2);
});

test("memory", "replays a cassette, chunk by chunk and with a fault before it", async (test) => {
  const question = "6f4b6612125fb3a0daecd2799dfd6c9c299424fd920f9b308110a2c1fbd8f443.txt";
  const answer = "8fe9a473a68b312552bbf36301a4f6bb9ff9807eb4f77d31fbec2ec328b13634.txt";
  const cassettes = {
    format: "eas-prediction-cassette",
    version: 1,
    interactions: [
      {
        request: { method: "POST", url: "/api/predict/recorded", body: question },
        response: {
          status: 200,
          statusText: "OK",
          headers: [["content-type", "text/plain"]],
          delay: 3,
          body: answer,
          chunks: [
            [0, 6],
            [5, 6],
          ],
          end: "complete",
        },
      },
    ],
    bodies: { [question]: "21", [answer]: { base64: "5Zub5Y2B5LqM5aSp" } },
  };
  const { transport, token, fault, requests } = createEmulator({ cassettes, replay: { speed: 1 } });
  const client = test.closing(new PredictClient({ endpoint: "emulator", serviceName: "recorded", token, transport }));
  fault({ service: "recorded", status: 503, body: "no healthy upstream" });
  const chunks: string[] = [];
  const stream = await client.stream("21");
  for await (const chunk of stream) chunks.push(new TextDecoder().decode(chunk));
  expect(chunks.join("")).to.equal("四十二天");
  const error = await rejection(client.predict("22"));
  expect(error).to.have.property("status", 501);
  expect(String(error)).to.contain('the body differs at byte 1: "22", recorded "21"');
  expect(requests.map(({ status }) => status)).to.deep.equal([503, 200, 501]);
});

test("memory", "simulates the LLM gateway in front of failing engines", async () => {
  const request = JSON.stringify({
    model: "eas-ngram",
    messages: [{ role: "user", content: "学而时习之" }],
    stream: true,
  });
  for (const [generation, end] of [
    ["2026-01", "Bad Request\n"],
    ["2026-04", "\n\n"],
  ] as const) {
    const gateway = llmGateway(generation);
    const emulator = createEmulator({ services: { gateway } });
    const chat = () =>
      emulator.fetch(
        new Request("http://emulator/api/predict/gateway/v1/chat/completions", {
          method: "POST",
          headers: { authorization: emulator.token, "content-type": "application/json" },
          body: request,
        }),
      );
    expect((await (await chat()).text()).endsWith("data: [DONE]\n\n")).to.equal(true);
    gateway.engines[0]?.fault({ reset: "in-body", chunks: 3 });
    const broken = await (await chat()).text();
    expect(broken.endsWith(end)).to.equal(true);
    expect(broken).not.to.contain("[DONE]");
    await gateway.engines[0]?.stop();
    const refused = await chat();
    expect(refused.status).to.equal(400);
    expect(await refused.text()).to.contain("dial tcp 127.0.0.1:8000: connect: connection refused");
  }
});
