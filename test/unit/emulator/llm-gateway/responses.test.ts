import { describe, expect, test } from "vitest";
import { EasHttpError, type NotReadyReason } from "../../../../src/index.js";
import { clientOf, errorOf, startServer } from "../../../support/calls.js";
import { answer, type Behaviour, type HeaderLines } from "../../../support/misbehaving-server.js";

// Error responses of the LLM gateway itself, as observed from both public generations.

const PLAIN: HeaderLines = { "Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff" };
const ENGINE = "http://10.0.0.7:8000/v1/chat/completions";
const REFUSED = `Post "${ENGINE}": dial tcp 10.0.0.7:8000: connect: connection refused`;

const asEvent = (text: string) => `data: ${text}\n\ndata: [DONE]\n\n`;

describe("an error before the engine has started", () => {
  const cases: [NotReadyReason, number, string][] = [
    ["no healthy upstream", 503, "no healthy upstream"],
    ["no backend endpoint found", 404, "no backend endpoint found\n"],
    ["no available inference worker", 503, '{"error": {"code": 503, "message": "no available inference worker"}}'],
    ["no inference instance found", 404, '{"error": {"code": 404, "message": "no inference instance found"}}'],
    ["failed to get endpoint", 503, "failed to get endpoint\n"],
    ["engine unreachable", 400, `${REFUSED}\n`],
    ["engine unreachable", 400, `Get "http://engine:8000/": dial tcp: lookup engine: no such host\n`],
    ["engine unreachable", 400, `network error for request to ${ENGINE}: ${REFUSED}`],
    ["engine unreachable", 400, asEvent(`network error for request to ${ENGINE}: ${REFUSED}`)],
  ];

  test.each(cases)("is not ready and retried: %s, %i %j", async (reason, status, body) => {
    const server = await startServer();
    const client = clientOf(server);
    server.always(answer(200, {}, "answer"));
    const onWait = (_: number, why: NotReadyReason) => {
      throw new Error(why);
    };

    // Retried like "no healthy upstream", even for a request that must not be executed twice.
    server.play(answer(status, PLAIN, body));
    const stream = await client.stream("question");
    expect(await stream.text()).toBe("answer");
    server.play(answer(status, PLAIN, body));
    const error = await errorOf(client.stream("question", { retryCount: 0 }));
    expect(error).toMatchObject({ status, retryable: true });

    server.play(answer(status, PLAIN, body));
    expect(await client.diagnose()).toMatchObject({ ok: false, finding: "not-ready" });

    for (const wait of [
      () => client.ready({ onWait }),
      () => client.predict("question", { waitForReady: { onWait } }),
      () => client.stream("question", { waitForReady: { onWait } }),
    ]) {
      server.play(answer(status, PLAIN, body));
      expect((await errorOf(wait())).message).toBe(reason);
    }
  });

  test("has a hint that names the gateway", async () => {
    const server = await startServer();
    server.always(answer(400, PLAIN, `${REFUSED}\n`));
    const { hint } = await errorOf(clientOf(server, { retryCount: 0 }).predict("{}"));
    expect(hint).toBe("the LLM gateway could not connect to its engine, which is stopped, starting or crashed");
  });
});

describe("a connection that broke after the engine may have started", () => {
  const cases: [string, string][] = [
    ["reset", `Post "${ENGINE}": read tcp 10.0.0.1:41000->10.0.0.7:8000: read: connection reset by peer\n`],
    ["end", `Post "${ENGINE}": EOF\n`],
    ["reset, 2026-04", `network error for request to ${ENGINE}: Post "${ENGINE}": EOF`],
    ["reset in a body, 2026-04", "read tcp 127.0.0.1:44816->127.0.0.1:9101: read: connection reset by peer"],
    ["reset in a stream, 2026-04", asEvent("read tcp 127.0.0.1:48932->127.0.0.1:9101: read: connection reset by peer")],
  ];

  test.each(cases)("%s", async (_, body) => {
    const server = await startServer();
    const client = clientOf(server);
    server.always(answer(400, PLAIN, body));
    // Like a 502: a prediction may be retried, a stream may not.
    const failed = await errorOf(client.stream("question"));
    expect(failed).toMatchObject({ status: 400, attempts: 1, retryable: true });
    expect(failed.hint).toContain("the LLM gateway lost the connection to its engine");
    server.requests.length = 0;
    server.play(answer(400, PLAIN, body), answer(200, {}, "answer"));
    expect(String(await client.predict("question"))).toBe("answer");
    // A dead engine does not make the service ready.
    expect(await client.diagnose()).toMatchObject({ ok: false, finding: "service" });
    expect(await errorOf(client.ready())).toMatchObject({ status: 400 });
  });
});

describe("an error of the engine is not mistaken for one of the gateway", () => {
  const cases: [string, number, string][] = [
    ["text that does not start the body", 400, `the tool failed: ${REFUSED}`],
    ["text in JSON", 400, JSON.stringify({ error: { message: REFUSED, code: 400 } })],
    ["more lines", 400, `${REFUSED}\nprompt: hello`],
    ["a quoted word", 400, 'Post "x": dial tcp is not a city'],
    ["another status", 422, REFUSED],
    ["JSON with more fields", 503, '{"error": {"code": 503, "message": "no available inference worker", "id": 1}}'],
    ["JSON with another message", 503, '{"error": {"code": 503, "message": "Service is overloaded"}}'],
    ["a sentence", 404, "no backend endpoint found for the model m"],
    ["a sentence with a status", 503, "failed to get endpoint of the feature store"],
    ["a truncated request", 400, "unexpected EOF"],
    ["vLLM", 400, '{"error":{"message":"max_tokens must be at least 1, got 0.","type":"BadRequestError","code":400}}'],
  ];

  test.each(cases)("%s", async (_, status, body) => {
    const server = await startServer();
    server.always(answer(status, PLAIN, body));
    const client = clientOf(server, { retryCount: 0 });
    const onWait = () => {
      throw new Error("it must not wait");
    };
    const error = await errorOf(client.predict("{}", { waitForReady: { onWait } }));
    expect(error).toBeInstanceOf(EasHttpError);
    expect(error).toMatchObject({ status, retryable: status === 503 });
    expect(error.hint).not.toContain("LLM gateway");
    expect(server.requests).toHaveLength(1);
  });
});

describe("a gateway that refuses a path without calling an engine", () => {
  /** Refuses all paths but `/v1/models`. */
  const root = (models: Behaviour, refusal = answer(404, PLAIN, "404 page not found\n")): Behaviour => ({
    on: "request",
    run: (socket, request) => {
      const { on, run } = request.path.endsWith("/v1/models") ? models : refusal;
      if (on === "request") run(socket, request);
    },
  });

  test("is ready if an engine lists its models", async () => {
    const server = await startServer();
    server.always(root(answer(200, {}, '{"object":"list","data":[]}')));
    const client = clientOf(server);
    expect(await client.ready()).toMatchObject({ attempts: 1 });
    expect(await client.diagnose()).toMatchObject({ ok: true, finding: "ok", status: 200 });
    expect(server.requests.map(({ path }) => path.replace("/api/predict/svc", ""))).toEqual([
      "",
      "/v1/models",
      "",
      "/v1/models",
    ]);
  });

  test.each<[NotReadyReason, Behaviour]>([
    ["failed to get endpoint", answer(503, PLAIN, "failed to get endpoint\n")],
    ["failed to forward request", answer(502, PLAIN, "failed to forward request\n")],
  ])("is not ready: %s", async (reason, models) => {
    const server = await startServer();
    server.always(root(models));
    const client = clientOf(server, { retryCount: 0 });
    const onWait = (_: number, why: NotReadyReason) => {
      throw new Error(why);
    };
    expect((await errorOf(client.ready({ onWait }))).message).toBe(reason);
    expect(await client.diagnose()).toMatchObject({ ok: false, finding: "not-ready" });
  });

  test("is not ready if the model list is not JSON", async () => {
    const server = await startServer();
    server.always(root(answer(503), answer(400, PLAIN, "Invalid OpenAI request\n")));
    expect(await clientOf(server).diagnose()).toMatchObject({ ok: false, finding: "not-ready", status: 503 });
  });

  test("the first error is reported if the gateway does not list models", async () => {
    const server = await startServer();
    server.always(answer(404, PLAIN, "404 page not found\n"));
    const error = await errorOf(clientOf(server).ready());
    expect(error).toMatchObject({ status: 404 });
    expect(error.message).not.toContain("/v1/models returned");
    expect(server.requests).toHaveLength(2);
  });

  test("does not cause a retry if the request may have been executed", async () => {
    const server = await startServer();
    server.always(answer(502, PLAIN, "failed to forward request\n"));
    const error = await errorOf(clientOf(server).stream("{}", { waitForReady: true }));
    expect(error).toMatchObject({ status: 502, attempts: 1 });
    expect(server.requests).toHaveLength(1);
  });
});

describe("hints distinguish the gateway from the engine", () => {
  test.each<[number, string, RegExp]>([
    [429, "too many requests\n", /^all engines of the LLM gateway were busy/],
    [429, "requests buffer queue overflow\n", /^the queue of the LLM gateway is full/],
    [429, '{"error": {"code": 429, "message": "rate limit exceeded"}}', /^the rate limit of the LLM gateway/],
    [429, '{"error":{"message":"The server is overloaded","type":"RateLimitError"}}', /^the rate limit is reached/],
    [
      400,
      'cannot parse JSON: cannot parse empty string; unparsed tail: ""\n',
      /^the LLM gateway accepts only JSON requests/,
    ],
    [400, "Invalid OpenAI request\n", /^the LLM gateway accepts only .* OpenAI's API$/],
    [400, "wrong input name", /^the service could not read the request/],
    [404, "invalid model name\n", /^the LLM gateway has no engine for this model: .* GET \/v1\/models/],
    [404, "404 page not found\n", /an LLM gateway has only \/v1\/chat\/completions/],
    [404, '{"detail":"Not Found"}', /^the service is ready but does not have this path.*\/v1\//],
    [
      404,
      '{"object":"error","message":"The model `` does not exist.","type":"NotFoundError","param":null,"code":404}',
      /^the engine does not serve this model/,
    ],
    [
      404,
      '{"error":{"message":"The model `m` does not exist.","type":"NotFoundError","param":null,"code":404}}\n',
      /^the engine does not serve this model/,
    ],
    [404, "no such path", /^the service does not exist or does not have this path/],
    [450, "queue is full\n", /^the instance's request queue is full/],
    [502, "failed to forward request\n", /^the LLM gateway got no response from its engine/],
    [502, "<html>502</html>\n", /^the gateway received no valid response/],
    [503, "no healthy upstream", /^no instance is ready/],
    [503, "", /^no instance is ready/],
    [503, '{"error":{"message":"Service is overloaded","code":503}}', /^the service is not available at the moment/],
    [
      503,
      "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
      /^the gateway lost the instance/,
    ],
    [
      400,
      'Post "/v1/chat/completions//////////": stopped after 10 redirects\n',
      /^the engine redirects the LLM gateway/,
    ],
    [400, asEvent("failed to unmarshal response"), /^the LLM gateway could not read its engine's response/],
  ])("for %i %j", async (status, body, hint) => {
    const server = await startServer();
    server.always(answer(status, PLAIN, body));
    expect((await errorOf(clientOf(server, { retryCount: 0 }).predict("{}"))).hint).toMatch(hint);
  });
});
