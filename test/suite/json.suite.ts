import * as v from "valibot";
import * as z from "zod";
import { openService } from "./clients.js";
import { expect, expectError, rejection } from "./expect.js";
import { test } from "./harness.js";

/** The parts of a request that the service received. */
interface Seen {
  readonly method: string;
  readonly path: string;
  readonly type: string | null;
  readonly accept: string | null;
  readonly body: string;
  /** Fields of a form. Files are represented by name, type and text. */
  readonly form?: readonly (readonly [name: string, value: string | readonly string[]])[];
}

const CHINESE = "你好，世界 🌏";

test("json", "sends an object as JSON and parses the response", async (test) => {
  const { client } = await openService(test, "reflect");
  const seen = await client.json<Seen>({ text: CHINESE, list: [1, null] }, { path: "/v1/x" });
  expect(seen).to.include({ method: "POST", path: "/v1/x", type: "application/json" });
  expect(seen.accept).to.equal("application/json");
  expect(JSON.parse(seen.body)).to.deep.equal({ text: CHINESE, list: [1, null] });
  const answer = await client.predict([{ a: 1 }]);
  expect(answer.json<Seen>()).to.include({ type: "application/json", body: '[{"a":1}]' });
});

test("json", "sends the type of a Blob or File, and application/octet-stream for bytes", async (test) => {
  const { client } = await openService(test, "reflect");
  const seen = async (input: Blob | ArrayBuffer) =>
    JSON.parse(new TextDecoder().decode(await client.predict(input))) as Seen;
  expect(await seen(new Blob(["x"], { type: "image/png" }))).to.include({ type: "image/png", body: "x" });
  expect(await seen(new Blob(["x"]))).to.include({ type: "application/octet-stream", body: "x" });
  const buffer = new TextEncoder().encode("x").buffer;
  expect(await seen(buffer)).to.include({ type: "application/octet-stream", body: "x" });
});

test("json", "sends a form with its files, and URL parameters", async (test) => {
  const { client } = await openService(test, "reflect");
  const form = new FormData();
  form.append("prompt", CHINESE);
  form.append("file", new Blob(["png"], { type: "image/png" }), "图.png");
  const seen = (await client.predict(form)).json<Seen>();
  expect(seen.type).to.match(/^multipart\/form-data; boundary=/);
  expect(seen.form).to.deep.equal([
    ["prompt", CHINESE],
    ["file", ["图.png", "image/png", "png"]],
  ]);
  const parameters = (await client.predict(new URLSearchParams({ q: "a b" }))).json<Seen>();
  expect(parameters).to.include({ type: "application/x-www-form-urlencoded;charset=UTF-8", body: "q=a+b" });
});

test("json", "sends other methods, and no body for null", async (test) => {
  const { client } = await openService(test, "reflect");
  expect(await client.json(null)).to.include({ method: "GET", type: null, body: "" });
  for (const method of ["PUT", "PATCH", "DELETE"] as const) {
    expect(await client.json({ a: 1 }, { method })).to.include({ method, body: '{"a":1}' });
  }
  const stream = await client.stream(null);
  expect(JSON.parse(await stream.text())).to.include({ method: "GET" });
});

test("json", "keeps integers beyond 2^53 exact", async (test) => {
  const { client } = await openService(test, "echo");
  const sent = new TextEncoder().encode('{"id":9007199254740993}');
  expect(await client.json(sent, { bigint: true })).to.deep.equal({ id: 9007199254740993n });
  const answer = await client.predict('{"id":9007199254740993}');
  expect(answer.json({ bigint: true })).to.deep.equal({ id: 9007199254740993n });
});

test("json", "refuses values that JSON cannot represent, with their path, and sends nothing", async (test) => {
  const { client, requests } = await openService(test, "echo");
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  for (const [input, message] of [
    [{ a: [{ b: undefined }] }, "input.a[0].b is undefined"],
    [{ id: 5n }, "input.id is 5n"],
    [{ x: Number.NaN }, "input.x is NaN"],
    [{ m: new Map() }, "Object.fromEntries(map)"],
    [cycle, "input.self is the same object as input"],
  ] as const) {
    const error = await rejection(client.json(input));
    expectError(error, { name: "TypeError", code: "ERR_EAS_ARG_REQUEST" });
    expect(error.message).to.include(message);
  }
  expect(await requests()).to.have.length(0);
});

test("json", "shows a response that is not JSON", async (test) => {
  const { client } = await openService(test, "echo");
  const error = await rejection(client.json(new TextEncoder().encode("<html>")));
  expectError(error, { name: "EasDecodeError", code: "ERR_EAS_DECODE", format: "json" });
  expect(error.message).to.include("is not JSON: <html>");
});

const SCHEMAS = [
  ["zod", z.object({ list: z.array(z.object({ id: z.string().transform(Number) })) })],
  ["valibot", v.object({ list: v.array(v.object({ id: v.pipe(v.string(), v.transform(Number)) })) })],
  ["asynchronous valibot", v.objectAsync({ list: v.array(v.object({ id: v.pipe(v.string(), v.transform(Number)) })) })],
] as const;

for (const [name, schema] of SCHEMAS) {
  test("schema", `returns the output of ${name}, or where a response does not match`, async (test) => {
    const { client } = await openService(test, "echo");
    const answer = await client.json({ list: [{ id: "7" }] }, { schema });
    expect(answer.list[0]?.id).to.equal(7);
    const error = await rejection(client.json({ list: [{ id: "7" }, { id: 8 }] }, { schema }));
    expectError(error, { name: "EasSchemaError", code: "ERR_EAS_SCHEMA", value: 8, text: "8" });
    expect(error.path).to.deep.equal(["list", 1, "id"]);
    expect(error.message).to.include("response.list[1].id does not match the schema");
  });
}

test("schema", "refuses a value that is not a schema and sends nothing", async (test) => {
  const { client, requests } = await openService(test, "echo");
  const error = await rejection(client.json({}, { schema: { type: "object" } as never }));
  expectError(error, { name: "TypeError", code: "ERR_EAS_ARG_OPTION" });
  expect(error.message).to.include("Standard Schema");
  expect(await requests()).to.have.length(0);
});
