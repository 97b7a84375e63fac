import OpenAI, { toFile } from "openai";
import { describe, expect, onTestFinished, test } from "vitest";
import { PredictClient } from "../../src/index.js";
import { clientOf, errorOf, TOKEN } from "../support/calls.js";
import { type Exchange, startStreamServer } from "../support/stream-server.js";

// Runs with both majors of the package "openai": see test/libraries/run.mjs.

const asJson =
  (value: unknown, status = 200, type = "application/json") =>
  ({ response }: Exchange) => {
    response.writeHead(status, { "content-type": type }).end(typeof value === "string" ? value : JSON.stringify(value));
  };

/** Starts a server that responds with the same JSON, and creates a client and the library. */
async function openaiFor(answer: (exchange: Exchange) => unknown, options = {}, library = {}) {
  const server = await startStreamServer(answer);
  const client = clientOf(server, options);
  const openai = new OpenAI({ ...client.openai(), maxRetries: 0, ...library });
  return { server, client, openai };
}

const CHAT = { model: "qwen", messages: [{ role: "user" as const, content: "hi" }] };
const MODELS = { object: "list", data: [{ id: "qwen", object: "model", created: 1, owned_by: "vllm" }] };

type ApiError = InstanceType<typeof OpenAI.APIError> & { error?: unknown };

async function apiErrorOf(answer: (exchange: Exchange) => unknown): Promise<ApiError> {
  const { openai } = await openaiFor(answer);
  const error = (await errorOf(openai.chat.completions.create(CHAT))) as unknown as ApiError;
  expect(error).toBeInstanceOf(OpenAI.APIError);
  return error;
}

describe("errors", () => {
  test.each([
    [
      "OpenAI's form",
      401,
      { error: { message: "Incorrect key", type: "invalid_request_error", param: null, code: "invalid_api_key" } },
      /^401 Incorrect key \(EAS: the token is missing.*"bearer".*\)$/,
      { message: expect.any(String), type: "invalid_request_error", param: null, code: "invalid_api_key" },
    ],
    [
      "vLLM's form",
      404,
      { object: "error", message: "The model `x` does not exist.", type: "NotFoundError", param: null, code: 404 },
      /^404 The model `x` does not exist\. \(EAS: GET \/v1\/models .*\)$/,
      { message: expect.any(String), type: "NotFoundError", param: null, code: 404 },
    ],
    [
      "FastAPI's form",
      404,
      { detail: "Not Found" },
      /^404 Not Found \(EAS: the service .*\)$/,
      { message: expect.any(String), type: "not_found_error", code: 404 },
    ],
    [
      "FastAPI's list of faults",
      422,
      { detail: [{ type: "missing", loc: ["body", "messages"], msg: "Field required", input: {} }] },
      /^422 body messages Field required \(EAS: .*\)$/,
      { message: expect.any(String), type: "invalid_request_error", code: 422 },
    ],
    [
      "the LLM gateway's form",
      503,
      { error: { code: 503, message: "no available inference worker" } },
      /^503 no available inference worker \(EAS: .*\)$/,
      { message: expect.any(String), code: 503 },
    ],
    ["an error that is a text", 500, { error: "CUDA" }, /^500 CUDA \(EAS: .*\)$/, { code: 500, type: "api_error" }],
    ["a list", 500, [1, 2], /^500 Internal Server Error: .*\[1,2\]$/, { code: 500 }],
    ["what is not JSON", 502, "<html>", /^502 Bad Gateway: .*<html>$/, { code: 502 }],
  ])("%s: the message ends with a hint, and the fields are kept", async (_, status, body, message, fields) => {
    const error = await apiErrorOf(asJson(body, status));
    expect(error.status).toBe(status);
    expect(error.message).toMatch(message);
    expect(error.error).toEqual(expect.objectContaining(fields));
  });

  test("parses an error that the LLM gateway sends as an event", async () => {
    const framed = 'data: {"error": {"code": 429, "message": "rate limit exceeded"}}\n\ndata: [DONE]\n\n';
    const error = await apiErrorOf(asJson(framed, 429, "text/event-stream; charset=utf-8"));
    expect(error).toBeInstanceOf(OpenAI.RateLimitError);
    expect(error.message).toMatch(/^429 rate limit exceeded \(EAS: /);
    const empty = await apiErrorOf(asJson("data: \n\ndata: [DONE]\n\n", 503, "text/event-stream"));
    expect(empty.message).toMatch(/^503 Service Unavailable: no instance is ready/);
  });

  test("a client without an endpoint rejects immediately with what is missing", async () => {
    const client = new PredictClient();
    const error = (await errorOf(new OpenAI(client.openai()).models.list())) as unknown as ApiError;
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error).toMatchObject({ code: "ERR_EAS_ARG_SERVICE_NAME" });
    await client.close();
    expect(await errorOf(new OpenAI(client.openai()).models.list())).toMatchObject({ code: "ERR_EAS_CLOSED" });
  });

  test("retries after a full queue, and not after a timeout", async () => {
    const statuses: Record<string, number> = { 450: 2, 503: 2, 408: 1, 504: 1, 400: 1 };
    for (const [status, requests] of Object.entries(statuses)) {
      const answer = ({ response }: Exchange) => {
        response.writeHead(Number(status), { "retry-after-ms": "1" }).end("no");
      };
      const { openai, server } = await openaiFor(answer, {}, { maxRetries: 1 });
      expect(await errorOf(openai.models.list())).toMatchObject({ status: Number(status) });
      expect([status, server.exchanges.length]).toEqual([status, requests]);
    }
  });
});

describe("a client that is configured later", () => {
  test("is read again for each request", async () => {
    const first = await startStreamServer(asJson(MODELS));
    const second = await startStreamServer(asJson(MODELS));
    const client = new PredictClient();
    onTestFinished(() => client.close());
    const openai = new OpenAI(client.openai());
    client.setEndpoint(first.origin).setServiceName("a").setToken(TOKEN);
    expect((await openai.models.list()).data[0]?.id).toBe("qwen");
    client.setEndpoint(second.origin).setServiceName("b");
    await openai.models.list();
    const [{ request: one }, { request: two }] = [first.exchanges[0] as Exchange, second.exchanges[0] as Exchange];
    expect([one.url, two.url]).toEqual(["/api/predict/a/v1/models", "/api/predict/b/v1/models"]);
    expect([one.headers.authorization, two.headers.authorization]).toEqual([TOKEN, TOKEN]);
  });

  test("sets baseURL when it is configured", async () => {
    const client = new PredictClient();
    expect(client.openai().baseURL).toBe("http://unconfigured.invalid/v1");
    client.setEndpoint("gateway.example").setServiceName("a");
    expect(client.openai().baseURL).toBe("http://gateway.example/api/predict/a/v1");
    // The token is sent to the client's service only.
    expect((await client.openai().fetch("http://other.example/v1/models")).status).toBe(400);
  });
});

describe("authorization", () => {
  const authOf = async (options: object, library: object, path: string) => {
    const server = await startStreamServer(asJson({ object: "list", data: [], has_more: false }));
    const openai = new OpenAI(clientOf(server, options).openai(library));
    await openai.get(path, {});
    return server.exchanges[0]?.request.headers.authorization;
  };

  test.each<[string, object, object, string, string]>([
    ["the raw token", {}, {}, "/models", TOKEN],
    ["Bearer for files", {}, {}, "/files?limit=1", `Bearer ${TOKEN}`],
    ["Bearer for batches", {}, {}, "/batches/batch_1", `Bearer ${TOKEN}`],
    ["no Bearer for other paths", {}, {}, "/batchesx", TOKEN],
    ["the option of the client", { auth: "bearer" }, {}, "/models", `Bearer ${TOKEN}`],
    ["the option of the client for files, too", { auth: "token" }, {}, "/files", TOKEN],
    ["the option of openai()", { auth: "token" }, { auth: "bearer" }, "/models", `Bearer ${TOKEN}`],
    ["the option of openai() for files, too", { auth: "bearer" }, { auth: "token" }, "/files", TOKEN],
    ["a client that signs predictions", { auth: "signature" }, {}, "/files", `Bearer ${TOKEN}`],
  ])("sends %s", async (_, options, library, path, authorization) => {
    expect(await authOf(options, library, path)).toBe(authorization);
  });

  test("refuses other options", () => {
    const client = new PredictClient();
    expect(() => client.openai({ token: "x" } as object)).toThrow(/token/);
  });

  test("refuses an invalid auth", async () => {
    const client = clientOf(await startStreamServer(asJson(MODELS)));
    expect(() => client.openai({ auth: "basic" as "bearer" })).toThrow(/^auth must be one of auto, token, bearer;/);
  });
});

describe("embeddings", () => {
  test("are numbers, although the library requests base64", async () => {
    const vector = new Float32Array([0.5, -1, 2]);
    const { openai, server } = await openaiFor(({ body, response }) => {
      const { encoding_format } = JSON.parse(`${body}`);
      const embedding = encoding_format === "base64" ? Buffer.from(vector.buffer).toString("base64") : [...vector];
      asJson({
        object: "list",
        model: "bge",
        data: [{ object: "embedding", index: 0, embedding }],
        usage: { prompt_tokens: 2, total_tokens: 2 },
      })({ response } as Exchange);
    });
    const { data } = await openai.embeddings.create({ model: "bge", input: ["text"] });
    expect([...(data[0]?.embedding ?? [])]).toEqual([0.5, -1, 2]);
    expect(JSON.parse(`${server.exchanges[0]?.body}`)).toMatchObject({ model: "bge", input: ["text"] });
  });
});

describe("files and batches", () => {
  const FILE = {
    bytes: 3,
    created_at: 1765868482,
    filename: "input.jsonl",
    id: "batch_input_11fb297e",
    object: "file",
    purpose: "batch",
  };

  test("uploads a file as multipart, with Bearer", async () => {
    const { openai, server } = await openaiFor(asJson(FILE));
    const line = '{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{}}\n';
    const file = await openai.files.create({ file: await toFile(Buffer.from(line), "input.jsonl"), purpose: "batch" });
    expect(file.id).toBe(FILE.id);
    const { request, body } = server.exchanges[0] as Exchange;
    expect([request.method, request.url]).toEqual(["POST", "/api/predict/svc/v1/files"]);
    expect(request.headers.authorization).toBe(`Bearer ${TOKEN}`);
    const form = await new Response(new Uint8Array(body), {
      headers: { "content-type": request.headers["content-type"] as string },
    }).formData();
    expect(form.get("purpose")).toBe("batch");
    expect(await (form.get("file") as File).text()).toBe(line);
    expect((form.get("file") as File).name).toBe("input.jsonl");
  });

  test("reads the content of a file, at once and as a stream", async () => {
    const { openai } = await openaiFor(asJson("line 1\nline 2\n", 200, "application/octet-stream"));
    expect(await (await openai.files.content("batch_output_1")).text()).toBe("line 1\nline 2\n");
  });

  test("creates, reads and cancels a batch", async () => {
    const { openai, server } = await openaiFor(asJson({ id: "batch_1", object: "batch", status: "pending" }));
    const created = await openai.batches.create({
      input_file_id: FILE.id,
      endpoint: "/v1/chat/completions",
      completion_window: "24h",
    });
    expect(created.status).toBe("pending");
    await openai.batches.retrieve("batch_1");
    await openai.batches.cancel("batch_1");
    const seen = server.exchanges.map(({ request: { method, url, headers } }) => [method, url, headers.authorization]);
    expect(seen).toEqual(
      [
        ["POST", "/api/predict/svc/v1/batches"],
        ["GET", "/api/predict/svc/v1/batches/batch_1"],
        ["POST", "/api/predict/svc/v1/batches/batch_1/cancel"],
      ].map((each) => [...each, `Bearer ${TOKEN}`]),
    );
  });
});

describe("tools", () => {
  const TOOL = { type: "function" as const, function: { name: "weather", parameters: { type: "object" } } };
  const CALL = { index: 0, id: "call_1", type: "function", function: { name: "weather", arguments: "" } };
  const chunk = (delta: object, finish_reason: string | null = null) =>
    `data: ${JSON.stringify({ id: "1", object: "chat.completion.chunk", created: 1, model: "qwen", choices: [{ index: 0, delta, finish_reason }] })}\n\n`;

  test("reads a call with and without streaming", async () => {
    const { openai } = await openaiFor(({ body, response }) => {
      if (!JSON.parse(`${body}`).stream) {
        const function_ = { name: "weather", arguments: '{"city":"杭州"}' };
        const message = { role: "assistant", content: null, tool_calls: [{ ...CALL, function: function_ }] };
        return asJson({
          id: "1",
          object: "chat.completion",
          created: 1,
          model: "qwen",
          choices: [{ index: 0, message, finish_reason: "tool_calls" }],
        })({ response } as Exchange);
      }
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(chunk({ role: "assistant", tool_calls: [CALL] }));
      for (const text of ['{"ci', 'ty":"杭', '州"}']) {
        response.write(chunk({ tool_calls: [{ index: 0, function: { arguments: text } }] }));
      }
      response.end(`${chunk({}, "tool_calls")}data: [DONE]\n\n`);
    });
    const whole = await openai.chat.completions.create({ ...CHAT, tools: [TOOL] });
    expect(whole.choices[0]?.message.tool_calls?.[0]).toMatchObject({ function: { arguments: '{"city":"杭州"}' } });
    const final = await openai.chat.completions.stream({ ...CHAT, tools: [TOOL] }).finalChatCompletion();
    expect(final.choices[0]?.message.tool_calls?.[0]).toMatchObject({
      function: { name: "weather", arguments: '{"city":"杭州"}' },
    });
  });
});

describe("timeouts", () => {
  test("uses the library's timeout, without one of the client", async () => {
    const { openai, server } = await openaiFor(() => {}, { timeout: 1, totalTimeout: 1 });
    const error = await errorOf(openai.models.list({ timeout: 200 }));
    expect(error).toBeInstanceOf(OpenAI.APIConnectionTimeoutError);
    expect(server.exchanges).toHaveLength(1);
    await server.exchanges[0]?.closed;
  });
});
