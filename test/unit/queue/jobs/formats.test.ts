import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, expectTypeOf, onTestFinished, test } from "vitest";
import { z } from "zod";
import { createEmulator, type EmulatorHandler } from "../../../../src/emulator/index.js";
import { ArrayDataType, PredictResponseSchema } from "../../../../src/gen/eas/tf/tf_pb.js";
import {
  AsyncInferenceClient,
  type AsyncInferenceClientOptions,
  DataFrame,
  StringRequest,
  type StringResponse,
  TFRequest,
  TFResponse,
} from "../../../../src/index.js";
import { errorOf, thrownBy, until } from "../../../support/calls.js";

interface Received {
  readonly body: string;
  readonly type: string | null;
}

/** Opens a client for a service that records its requests. */
function open(service: EmulatorHandler = ({ body }) => body, options: Partial<AsyncInferenceClientOptions> = {}) {
  const received: Received[] = [];
  const handler: EmulatorHandler = (call) => {
    received.push({ body: new TextDecoder().decode(call.body), type: call.headers.get("content-type") });
    return service(call);
  };
  const emulator = createEmulator({ token: "t", queues: { q: { service: handler }, other: {} } });
  const client = (own: Partial<AsyncInferenceClientOptions> = {}) => {
    const opened = new AsyncInferenceClient({
      endpoint: "http://emulator",
      serviceName: "q",
      token: "t",
      transport: emulator.transport,
      ...options,
      ...own,
    });
    onTestFinished(() => opened.close());
    return opened;
  };
  return { received, client, emulator, sink: emulator.queue("q")!.sink, input: emulator.queue("q")!.input };
}

const scores = toBinary(
  PredictResponseSchema,
  create(PredictResponseSchema, {
    outputs: { y: { dtype: ArrayDataType.DT_FLOAT, arrayShape: { dim: [2n] }, floatVal: [1, 2] } },
  }),
) as Uint8Array<ArrayBuffer>;

const request = () => new TFRequest("s").addFeed("x", [1], "DT_FLOAT", [1]);
const Answer = z.object({ n: z.number().transform((n) => n + 1) });

describe("the input of a job", () => {
  test.each<[string, object, string]>([
    ["a plain object", { prompt: "a 猫" }, '{"prompt":"a 猫"}'],
    ["an array", [1, { a: null }], '[1,{"a":null}]'],
  ])("%s is sent as JSON, and its result is a frame", async (_, input, body) => {
    const { client, received } = open();
    const job = await client().submit(input, { tags: { user: "1" } });
    const frame = await job.result();
    expectTypeOf(frame).toEqualTypeOf<DataFrame>();
    expect(frame).toBeInstanceOf(DataFrame);
    expect(frame.json()).toEqual(input);
    expect(frame.tags.user).toBe("1");
    expect(received).toEqual([{ body, type: "application/json" }]);
  });

  test("has the content type of the client or of the call if they set one", async () => {
    const { client, received } = open();
    const own = client({ contentType: "application/vnd.client+json" });
    await (await own.submit({ a: 1 })).result();
    await (await client().submit({ a: 1 }, { headers: { "Content-Type": "application/vnd.call+json" } })).result();
    expect(received.map(({ type }) => type)).toEqual(["application/vnd.client+json", "application/vnd.call+json"]);
  });

  test("text and bytes have no content type, and a Blob has its own", async () => {
    const { client, received } = open();
    const queue = client();
    for (const input of [
      "a",
      new Uint8Array([98]),
      new Uint8Array([99]).buffer,
      new Blob(["d"], { type: "image/png" }),
    ]) {
      await (await queue.submit(input)).result();
    }
    expect(received).toEqual([
      { body: "a", type: null },
      { body: "b", type: null },
      { body: "c", type: null },
      { body: "d", type: "image/png" },
    ]);
  });

  test("is serialized immediately, so that later changes do not affect it", async () => {
    const { client, received } = open();
    const input = { prompt: "before" };
    const submitted = client().submit(input);
    input.prompt = "after";
    await (await submitted).result();
    expect(received[0]?.body).toBe('{"prompt":"before"}');
  });

  test.each<[string, unknown, RegExp]>([
    ["a number", 7, /^input is 7: a job accepts text, bytes, a Blob, /],
    ["null", null, /^input is null: a job accepts /],
    ["a bigint in an object", { a: [1n] }, /input\.a\[0\] is 1n/],
    ["NaN in an object", { a: Number.NaN }, /input\.a is NaN/],
    ["a Map", new Map([["a", 1]]), /Object\.fromEntries/],
    ["a stream", new ReadableStream(), /ReadableStream/],
    ["a compressed request", new TFRequest("s", { compression: "gzip" }), /compression/],
  ])("%s is refused before anything is sent", async (_, input, message) => {
    const { client, emulator } = open();
    const error = await errorOf(client().submit(input as object));
    expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_REQUEST" });
    expect(error.message).toMatch(message);
    expect(emulator.requests).toEqual([]);
  });
});

describe("the result of a job", () => {
  test("has the type of the response of a request object", async () => {
    const { client } = open(() => scores);
    const job = await client().submit(request(), { tags: { user: "1" } });
    const response = await job.result();
    expectTypeOf(response).toEqualTypeOf<TFResponse>();
    expect(response).toBeInstanceOf(TFResponse);
    expect(response.getValues("y")).toEqual(new Float32Array([1, 2]));
    const text = await (await open().client().submit(new StringRequest("a"))).result();
    expectTypeOf(text).toEqualTypeOf<StringResponse>();
    expect(text.toString()).toBe("a");
  });

  test("is validated and transformed by the schema", async () => {
    const { client } = open(() => '{"n":1}');
    const answer = await (await client().submit({}, { schema: Answer })).result();
    expectTypeOf(answer).toEqualTypeOf<{ n: number }>();
    expect(answer).toEqual({ n: 2 });
  });

  test.each<[string, () => object, string | Uint8Array, object]>([
    ["the schema", () => ({ schema: Answer }), '{"n":"1"}', { code: "ERR_EAS_SCHEMA", path: ["n"] }],
    ["JSON", () => ({ schema: Answer }), "no JSON", { code: "ERR_EAS_DECODE", format: "json" }],
  ])("stays in the sink if it does not match %s", async (_, options, body, error) => {
    const { client, sink } = open(() => body as string);
    const job = await client().submit({}, options() as { schema: typeof Answer });
    expect(await errorOf(job.result())).toMatchObject(error);
    expect(sink.length).toBe(1);
    expect((await client().resume(job.toJSON()).result()).text()).toBe(body);
    expect(sink.length).toBe(0);
  });

  test("stays in the sink if the request object cannot parse it", async () => {
    const { client, sink } = open(() => new Uint8Array([255, 255]));
    const job = await client().submit(request());
    expect(await errorOf(job.result())).toMatchObject({ code: "ERR_EAS_DECODE", format: "tf" });
    await job.discard();
    expect(sink.length).toBe(0);
  });

  test("is an EasModelError if the model failed, whatever the format", async () => {
    const { client, sink } = open(() => new Response("out of memory", { status: 500 }));
    const job = await client().submit({}, { schema: Answer });
    expect(await errorOf(job.result())).toMatchObject({ code: "ERR_EAS_MODEL", status: 500 });
    expect(sink.length).toBe(0);
  });

  test.each<[string, object]>([
    ["a value that is not a schema", { schema: {} }],
    ["a schema and a request object", { schema: Answer }],
  ])("cannot be requested with %s", async (name, options) => {
    const { client, input } = open();
    const data = name.includes("request") ? request() : {};
    expect(await errorOf(client().submit(data, options as object))).toMatchObject({ code: "ERR_EAS_ARG_OPTION" });
    expect(input.pushes).toEqual([]);
  });
});

describe("a resumed job", () => {
  test("has the format of a class, of a request object or of a schema", async () => {
    const { client } = open(() => scores);
    for (const as of [TFRequest, request()]) {
      const stored = JSON.stringify(await client().submit(request()));
      const response = await client().resume(JSON.parse(stored), { as }).result();
      expectTypeOf(response).toEqualTypeOf<TFResponse>();
      expect(response.getValues("y")).toEqual(new Float32Array([1, 2]));
    }
    const json = open(() => '{"n":1}');
    const job = json.client().resume((await json.client().submit({})).toJSON(), { schema: Answer });
    expect(await job.result()).toEqual({ n: 2 });
  });

  test.each<[object, string]>([
    [{ as: 7 }, "as is 7: it must be a request class"],
    [{ as: Map }, "as is the function Map: it must be a request class"],
    [{ format: TFRequest }, "format"],
  ])("is refused with the options %o", (options, message) => {
    const { client } = open();
    const error = thrownBy(() => client().resume({ index: "1", tag: "x" }, options as object));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain(message);
  });

  test("is refused by the client of another service", async () => {
    const { client, sink } = open();
    const stored = (await client().submit("a")).toJSON();
    expect(stored.service).toBe("q");
    const error = thrownBy(() => client({ serviceName: "other" }).resume(stored));
    expect(error).toMatchObject({ code: "ERR_EAS_ARG_REQUEST" });
    expect(error.message).toBe(
      'job belongs to the service "q", and this client calls "other". Resume the job with a client of its own service',
    );
    await until(() => sink.length === 1);
    const { service: _, ...old } = stored;
    expect((await client().resume(old).result()).text()).toBe("a");
  });
});
