import Anthropic from "@anthropic-ai/sdk";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type RunningEmulator, startEmulator } from "../../src/emulator/index.js";
import { PredictClient } from "../../src/index.js";
import { clientOf, errorOf, TOKEN } from "../support/calls.js";
import { type Exchange, startStreamServer } from "../support/stream-server.js";

let emulator: RunningEmulator;
let client: PredictClient;
let anthropic: Anthropic;
beforeAll(async () => {
  emulator = await startEmulator();
  client = new PredictClient({ endpoint: emulator.endpoint, serviceName: "llm", token: emulator.token });
  anthropic = new Anthropic({ ...client.anthropic(), maxRetries: 0 });
});
afterAll(async () => {
  await client.close();
  await emulator.close();
});

const request = {
  model: "eas-ngram",
  max_tokens: 16,
  temperature: 0,
  messages: [{ role: "user" as const, content: "学而时习之" }],
};

async function anthropicFor(answer: (exchange: Exchange) => unknown, options = {}) {
  const server = await startStreamServer(answer);
  const anthropic = new Anthropic({ ...clientOf(server, options).anthropic(), maxRetries: 0 });
  return { server, anthropic };
}

const textOf = ({ content }: Anthropic.Message) => content.map((block) => (block.type === "text" ? block.text : ""));

describe("messages", () => {
  test("completes a message with and without streaming", async () => {
    const whole = await anthropic.messages.create(request);
    expect(textOf(whole).join("")).toMatch(/\p{Script=Han}/u);
    expect(whole.usage.output_tokens).toBeGreaterThan(0);
    const stream = anthropic.messages.stream(request);
    let text = "";
    stream.on("text", (piece) => {
      text += piece;
    });
    const final = await stream.finalMessage();
    expect([textOf(final), text]).toEqual([textOf(whole), textOf(whole).join("")]);
    const types: string[] = [];
    for await (const { type } of await anthropic.messages.create({ ...request, stream: true })) types.push(type);
    expect([types[0], types.at(-1)]).toEqual(["message_start", "message_stop"]);
  });

  test("tools", async () => {
    const tools = [
      {
        name: "get_weather",
        description: "The weather in a city",
        input_schema: { type: "object" as const, properties: { city: { type: "string" } }, required: ["city"] },
      },
    ];
    const messages = [{ role: "user" as const, content: "What is the weather in Paris, please?" }];
    const { content } = await anthropic.messages.create({ ...request, messages, tools });
    expect(content).toMatchObject([{ type: "tool_use", name: "get_weather", input: { city: "Paris" } }]);
  });

  test("count tokens", async () => {
    const { model, messages } = request;
    expect((await anthropic.messages.countTokens({ model, messages })).input_tokens).toBeGreaterThan(0);
  });
});

describe("authorization", () => {
  test.each<[string, object, object, string]>([
    ["the raw token", {}, {}, TOKEN],
    ["Bearer, as the client says", { auth: "bearer" }, {}, `Bearer ${TOKEN}`],
    ["Bearer, as anthropic() says", {}, { auth: "bearer" }, `Bearer ${TOKEN}`],
  ])("sends %s in place of the placeholder", async (_, options, library, authorization) => {
    const server = await startStreamServer(({ response }) => response.writeHead(500).end());
    const anthropic = new Anthropic({ ...clientOf(server, options).anthropic(library), maxRetries: 0 });
    await errorOf(anthropic.messages.create(request));
    const { headers, url } = (server.exchanges[0] as Exchange).request;
    expect(url).toBe("/api/predict/svc/v1/messages");
    expect(headers.authorization).toBe(authorization);
    expect(headers).toHaveProperty("anthropic-version");
    expect(Object.keys(headers).filter((name) => /x-api-key|x-stainless|browser-access/.test(name))).toEqual([]);
  });

  test("the library never contains the token, and sends no other", async () => {
    vi.stubEnv("ANTHROPIC_API_KEY", "sk-from-env");
    vi.stubEnv("ANTHROPIC_AUTH_TOKEN", "token-from-env");
    vi.stubEnv("ANTHROPIC_BASE_URL", "http://elsewhere.example");
    try {
      const { anthropic, server } = await anthropicFor(({ response }) => response.writeHead(500).end());
      await errorOf(anthropic.messages.create(request));
      const { rawHeaders } = (server.exchanges[0] as Exchange).request;
      expect(rawHeaders.join()).not.toMatch(/from-env/);
      expect(rawHeaders).toContain(TOKEN);
      expect([anthropic.apiKey, anthropic.authToken, anthropic.baseURL].join()).not.toMatch(/from-env|test-token/);
    } finally {
      vi.unstubAllEnvs();
    }
  });
});

describe("errors", () => {
  test.each([
    [401, "no token", "authentication_error", /the token is missing.*no token/],
    [404, { detail: "Not Found" }, "not_found_error", /Not Found \(EAS: /],
    [
      404,
      { type: "error", error: { type: "not_found_error", message: "The model `x` does not exist." } },
      "not_found_error",
      /does not exist\. \(EAS: GET \/v1\/models/,
    ],
    [
      400,
      { object: "error", message: "too long", type: "BadRequestError", code: 400 },
      "BadRequestError",
      /too long \(EAS: /,
    ],
    [503, "no healthy upstream", "overloaded_error", /no instance is ready/],
  ])("%i: has the type and a message with a hint", async (status, body, type, message) => {
    const { anthropic } = await anthropicFor(({ response }) => {
      response.writeHead(status).end(typeof body === "string" ? body : JSON.stringify(body));
    });
    const error = (await errorOf(anthropic.messages.create(request))) as InstanceType<typeof Anthropic.APIError>;
    expect(error).toBeInstanceOf(Anthropic.APIError);
    expect(error).toMatchObject({ status, type });
    expect(error.message).toMatch(message);
  });

  test("an error within a stream, and a stream that is cut off", async () => {
    const event = (data: { type: string }) => `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
    const start = { id: "1", type: "message", role: "assistant", model: "m", content: [], usage: { input_tokens: 1 } };
    const begun = event({ type: "message_start", message: start } as never);
    const failed = event({ type: "error", error: { type: "overloaded_error", message: "Overloaded" } } as never);
    for (const [rest, message] of [
      [failed, /Overloaded/],
      ["", /message_stop/],
    ] as const) {
      const { anthropic } = await anthropicFor(({ response }) => {
        response.writeHead(200, { "content-type": "text/event-stream" }).end(begun + rest);
      });
      const stream = await anthropic.messages.create({ ...request, stream: true });
      const reading = (async () => {
        for await (const _ of stream);
      })();
      expect((await errorOf(reading)).message).toMatch(message);
    }
  });

  test("a client without a service rejects immediately", async () => {
    const unset = new PredictClient();
    const error = await errorOf(new Anthropic(unset.anthropic()).messages.create(request));
    expect(error).toMatchObject({ status: 400 });
    expect(error.message).toContain("serviceName");
    await unset.close();
  });
});
