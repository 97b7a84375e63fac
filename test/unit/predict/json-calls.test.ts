import * as v from "valibot";
import { describe, expect, expectTypeOf, test } from "vitest";
import * as z from "zod";
import { EasDecodeError, EasSchemaError, isEasError, type StandardSchema } from "../../../src/index.js";
import { clientOf, errorOf, startServer, TOKEN } from "../../support/calls.js";
import { answer } from "../../support/misbehaving-server.js";

const JSON_HEADERS = { "Content-Type": "application/json" };

/** Starts a server that responds to each call with this text. */
async function serverOf(text: string, headers: Record<string, string> = JSON_HEADERS, status = 200) {
  const server = await startServer();
  server.always(answer(status, headers, text));
  return server;
}

describe("client.json", () => {
  test("sends a value as JSON and resolves with the parsed response", async () => {
    const server = await serverOf('{"data":[1,2]}\n', { "Content-Type": "text/plain" });
    const client = clientOf(server);
    const answered = await client.json<{ data: number[] }>({ model: "m", input: ["é"] }, { path: "/v1/embeddings" });
    expectTypeOf(answered).toEqualTypeOf<{ data: number[] }>();
    expect(answered).toEqual({ data: [1, 2] });
    const [request] = server.requests;
    expect(request?.body.toString()).toBe('{"model":"m","input":["é"]}');
    expect(request?.headers).toMatchObject({ "content-type": "application/json", accept: "application/json" });
    expect(request).toMatchObject({ method: "POST", path: "/api/predict/svc/v1/embeddings" });
    expectTypeOf(() => client.json([])).returns.toEqualTypeOf<Promise<unknown>>();
  });

  test("null sends a GET without a body and without a content type", async () => {
    const server = await serverOf("[]");
    await expect(clientOf(server).json(null, { path: "/v1/models", query: { a: 1 } })).resolves.toEqual([]);
    const [request] = server.requests;
    expect(request).toMatchObject({ method: "GET", path: "/api/predict/svc/v1/models?a=1" });
    expect(request?.headers).not.toHaveProperty("content-type");
    expect(request?.headers).not.toHaveProperty("content-length");
  });

  test("keeps the Accept header of the caller", async () => {
    const server = await serverOf("1");
    await clientOf(server).json({}, { headers: { Accept: "application/x-a" } });
    await clientOf(server, { headers: { accept: "application/x-b" } }).json({});
    expect(server.requests.map(({ headers }) => headers.accept)).toEqual(["application/x-a", "application/x-b"]);
  });

  test("refuses text before anything is sent", async () => {
    const server = await serverOf("1");
    const error = await errorOf(clientOf(server).json('{"a":1}' as never));
    expect([error.name, error.code]).toEqual(["TypeError", "ERR_EAS_ARG_REQUEST"]);
    expect(error.message).toBe("json takes the value itself, not its JSON text: pass the object, or JSON.parse(text)");
    expect(server.requests).toHaveLength(0);
  });

  test("serializes its input before it returns", async () => {
    const server = await serverOf("1");
    const value = { list: [1] };
    const call = clientOf(server).json(value);
    value.list.push(2);
    await call;
    expect(server.requests[0]?.body.toString()).toBe('{"list":[1]}');
  });

  test("sends the same bytes in a retry", async () => {
    const server = await startServer();
    server.play(answer(503), answer(200, JSON_HEADERS, "1"));
    await expect(clientOf(server).json({ a: 1 })).resolves.toBe(1);
    expect(server.requests.map(({ body }) => body.toString())).toEqual(['{"a":1}', '{"a":1}']);
  });

  test("parses integers beyond 2^53 exactly with bigint", async () => {
    const server = await serverOf('{"id":9007199254740993,"n":1}');
    const client = clientOf(server);
    await expect(client.json({})).resolves.toEqual({ id: 9007199254740992, n: 1 });
    await expect(client.json({}, { bigint: true })).resolves.toEqual({ id: 9007199254740993n, n: 1 });
    expect((await client.predict({})).json({ bigint: true })).toEqual({ id: 9007199254740993n, n: 1 });
    expect(await errorOf(client.json({}, { bigint: 1 as never }))).toMatchObject({ code: "ERR_EAS_ARG_OPTION" });
  });

  test("shows an excerpt of a response that is not JSON, without the token", async () => {
    const page = `<!doctype html><title>${TOKEN}</title>${"x".repeat(300)}`;
    const server = await serverOf(page, { "Content-Type": "text/html" });
    const error = await errorOf(clientOf(server).json({}));
    expect(error).toBeInstanceOf(EasDecodeError);
    expect(error).toMatchObject({ code: "ERR_EAS_DECODE", format: "json", attempts: 1 });
    expect(error.message).toContain(
      "/api/predict/svc returned 200 with text/html, and its body of 345 bytes is not JSON: <!doctype html><title>***</title>xxx",
    );
    expect(error.message).toMatch(/x…\.$/);
    expect(error.message.length).toBeLessThan(400);
    expect(JSON.stringify(error)).not.toContain(TOKEN);
  });

  test("redacts a token that the excerpt cuts in two", async () => {
    for (let before = 180; before <= 205; before++) {
      const server = await serverOf(`${"x".repeat(before)}${TOKEN}${"y".repeat(300)}`, {});
      expect((await errorOf(clientOf(server).json({}))).message).not.toContain(TOKEN.slice(0, 4));
    }
  });

  test.each([
    ["an empty body", "", {}, "returned 200 with an empty body, which is not JSON; predict() accepts it."],
    ["no content type", "?", {}, "returned 200 with no content type, and its body of 1 bytes is not JSON: ?."],
    [
      "events",
      "data: {}\n\n",
      { "Content-Type": "text/event-stream" },
      "is not JSON: data: {}. To read events, call stream() instead of json().",
    ],
  ])("%s", async (_, text, headers, message) => {
    const server = await serverOf(text, headers);
    expect((await errorOf(clientOf(server).json({}))).message).toContain(message);
  });

  test("rejects with the error that a hook throws", async () => {
    const server = await serverOf("no");
    const seen: unknown[] = [];
    const client = clientOf(server, { hooks: { error: ({ error }) => seen.push(error) } });
    const error = await errorOf(client.json({}));
    expect(seen).toEqual([error]);
  });
});

test.each([
  [415, /accept only JSON; send an object, for example with client\.json/],
  [422, /do not match the service's schema \(FastAPI\): the response body lists them/],
])("includes the hint for the status %i", async (status, hint) => {
  const server = await serverOf('{"detail":[{"loc":["body","model"],"msg":"Field required"}]}', JSON_HEADERS, status);
  const error = await errorOf(clientOf(server).json({}));
  expect(error.hint).toMatch(hint);
  expect(error.message).toContain('Response: {"detail":');
});

describe("client.json with a schema", () => {
  const ANSWER = '{"choices":[{"message":{"content":null}}],"id":"7"}';
  const ZOD = z.object({ choices: z.array(z.object({ message: z.object({ content: z.string() }) })) });
  const VALIBOT = v.object({ choices: v.array(v.object({ message: v.object({ content: v.string() }) })) });

  test("supports zod, with its output type", async () => {
    const client = clientOf(await serverOf('{"id":"7","at":"2026-12-01","more":1}'));
    const schema = z.object({ id: z.string().transform(Number), at: z.coerce.date() });
    const value = await client.json({}, { schema });
    expectTypeOf(value).toEqualTypeOf<{ id: number; at: Date }>();
    expect(value).toEqual({ id: 7, at: new Date("2026-12-01") });
  });

  test("supports valibot, with its output type", async () => {
    const client = clientOf(await serverOf('{"id":"7"}'));
    const value = await client.json({}, { schema: v.object({ id: v.pipe(v.string(), v.transform(Number)) }) });
    expectTypeOf(value).toEqualTypeOf<{ id: number }>();
    expect(value).toEqual({ id: 7 });
  });

  test("supports asynchronous schemas", async () => {
    const client = clientOf(await serverOf('{"id":"7"}'));
    const ofZod = z.object({ id: z.string().refine(async (id) => id === "7") });
    await expect(client.json({}, { schema: ofZod })).resolves.toEqual({ id: "7" });
    const ofValibot = v.objectAsync({
      id: v.pipeAsync(
        v.string(),
        v.checkAsync(async (id) => id !== "7", "taken"),
      ),
    });
    const error = await errorOf(client.json({}, { schema: ofValibot }));
    expect(error).toMatchObject({ code: "ERR_EAS_SCHEMA", path: ["id"], value: "7" });
    expect(error.message).toMatch(/: response\.id does not match the schema: taken\. The value is "7"\.$/);
  });

  test.each<[string, StandardSchema]>([
    ["zod", ZOD],
    ["valibot", VALIBOT],
  ])("rejects with EasSchemaError for a mismatch, %s", async (_, schema) => {
    const client = clientOf(await serverOf(ANSWER, { ...JSON_HEADERS, "X-Request-Id": "r1" }));
    const error = await errorOf(client.json({}, { schema }));
    expect(error).toBeInstanceOf(EasSchemaError);
    expect(isEasError(error) && error.code === "ERR_EAS_SCHEMA" && error.path).toEqual([
      "choices",
      0,
      "message",
      "content",
    ]);
    expect(error).toMatchObject({
      name: "EasSchemaError",
      value: null,
      attempts: 1,
      requestId: "r1",
      retryable: false,
    });
    expect(error.message).toMatch(
      /^POST http:.*\/api\/predict\/svc: response\.choices\[0\]\.message\.content does not match the schema: .+\. The value is null\.$/,
    );
    expect(JSON.parse(JSON.stringify(error))).toMatchObject({
      name: "EasSchemaError",
      code: "ERR_EAS_SCHEMA",
      path: ["choices", 0, "message", "content"],
      text: "null",
      issues: [{ path: ["choices", 0, "message", "content"] }],
    });
  });

  test("reports the response itself, a missing value and several issues", async () => {
    const client = clientOf(await serverOf("[1]"));
    const error = await errorOf(client.json({}, { schema: z.object({}) }));
    expect(error).toMatchObject({ path: [], value: [1] });
    expect(error.message).toMatch(/: response does not match the schema: .*The value is \[1\]\.$/);
    const other = clientOf(await serverOf("{}"));
    const missing = await errorOf(other.json({}, { schema: z.object({ constructor: z.string(), "a b": z.string() }) }));
    expect(missing).toMatchObject({ path: ["constructor"], value: undefined });
    expect(missing.message).toMatch(/response\.constructor .*The value is undefined\. There are 1 more issues\.$/);
    expect((missing as unknown as EasSchemaError).issues[1]?.path).toEqual(["a b"]);
  });

  test("redacts the token in path, value, issues and message", async () => {
    const client = clientOf(await serverOf(`{"a":{"${TOKEN}":["${TOKEN} x"]}}`));
    const schema: StandardSchema = {
      "~standard": {
        version: 1,
        vendor: "own",
        validate: () => ({ issues: [{ message: `bad ${TOKEN}`, path: ["a", { key: TOKEN }] }] }),
      },
    };
    const error = await errorOf(client.json({}, { schema }));
    expect(error).toMatchObject({ path: ["a", "***"], value: ["*** x"], issues: [{ message: "bad ***" }] });
    for (const text of [error.message, JSON.stringify(error), String(error.stack)]) expect(text).not.toContain(TOKEN);
  });

  test("accepts schemas that freeze the value or add a cycle", async () => {
    const client = clientOf(await serverOf(`{"a":{"b":"c"}}`));
    const schema = (change: (value: Record<string, unknown>) => void): StandardSchema => ({
      "~standard": {
        version: 1,
        vendor: "own",
        validate: (value) => {
          change(value as Record<string, unknown>);
          return { issues: [{ message: "bad" }] };
        },
      },
    });
    const frozen = await errorOf(client.json({}, { schema: schema((value) => Object.freeze(value.a)) }));
    expect(frozen).toMatchObject({ code: "ERR_EAS_SCHEMA", value: { a: { b: "c" } } });
    const cyclic = await errorOf(client.json({}, { schema: schema((value) => Object.assign(value, { value })) }));
    expect(cyclic.code).toBe("ERR_EAS_SCHEMA");
  });

  test("shows bigints and large values in errors", async () => {
    const client = clientOf(await serverOf(`{"id":9007199254740993,"text":"${"x".repeat(5000)}"}`));
    const error = await errorOf(client.json({}, { bigint: true, schema: z.string() }));
    expect(error.message).toContain('The value is {"id":"9007199254740993","text":"xx');
    expect(error.message.length).toBeLessThan(500);
    expect(JSON.parse(JSON.stringify(error))).toMatchObject({ text: expect.stringMatching(/^.{1000}…$/) });
  });

  test.each([
    ["a class", {}],
    ["null", null],
    ["a version of the future", { "~standard": { version: 2, vendor: "x", validate: () => ({ value: 1 }) } }],
    ["a JSON Schema", { type: "object" }],
    ["text", "schema"],
  ])("refuses an invalid schema before anything is sent: %s", async (_, schema) => {
    const server = await serverOf("{}");
    const error = await errorOf(clientOf(server).json({}, { schema: schema as never }));
    expect([error.name, error.code]).toEqual(["TypeError", "ERR_EAS_ARG_OPTION"]);
    expect(error.message).toMatch(/^schema is .*: it must be a schema of Standard Schema v1, with "~standard"/);
    expect(server.requests).toHaveLength(0);
  });

  test("refuses the option schema in predict", async () => {
    const server = await serverOf("{}");
    const client = clientOf(server);
    const error = await errorOf(client.predict({}, { schema: ZOD } as never));
    expect(error.message).toContain("schema");
    const response = await client.predict({});
    expect(() => response.json({ schema: ZOD } as never)).toThrow(
      'json: unknown option "schema"; a schema is an option of client.json',
    );
  });

  test("an abort ends a pending validation", async () => {
    const client = clientOf(await serverOf("{}"));
    const controller = new AbortController();
    const schema: StandardSchema = {
      "~standard": {
        version: 1,
        vendor: "own",
        validate: () => {
          controller.abort(new Error("enough"));
          return new Promise(() => {});
        },
      },
    };
    expect((await errorOf(client.json({}, { schema, signal: controller.signal }))).message).toBe("enough");
  });
});

test("names a schema whose validate() returns nothing", async () => {
  const server = await startServer();
  server.play(answer(200, {}, "{}"));
  const schema = { "~standard": { version: 1, vendor: "own", validate: () => undefined } } as never;
  expect(await errorOf(clientOf(server).json({}, { schema }))).toMatchObject({
    code: "ERR_EAS_ARG_OPTION",
    message: "schema: its validate() must return { value } or { issues }, and not undefined",
  });
});
