import { Readable } from "node:stream";
import { runInNewContext } from "node:vm";
import { gunzipSync, inflateSync } from "node:zlib";
import { describe, expect, expectTypeOf, test } from "vitest";
import {
  type Bytes,
  batch,
  JsonRequest,
  type PredictClient,
  StringRequest,
  StringResponse,
} from "../../../src/index.js";
import { clientOf, collect, errorOf, startServer } from "../../support/calls.js";
import { answer, type SeenRequest } from "../../support/misbehaving-server.js";
import { startStreamServer } from "../../support/stream-server.js";

const bytes = (text: string) => new TextEncoder().encode(text);

async function sent(call: (client: PredictClient) => Promise<unknown>, options = {}): Promise<SeenRequest> {
  const server = await startServer();
  await call(clientOf(server, options));
  expect(server.requests).toHaveLength(1);
  return server.requests[0] as SeenRequest;
}

/** Parses a multipart body with the runtime's own parser. */
async function formOf({ headers, body }: SeenRequest): Promise<[string, unknown][]> {
  const type = headers["content-type"] as string;
  const form = await new Response(new Uint8Array(body), { headers: { "content-type": type } }).formData();
  return Promise.all(
    [...form].map(
      async ([name, value]): Promise<[string, unknown]> => [
        name,
        typeof value === "string" ? value : [value.name, value.type, await value.text()],
      ],
    ),
  );
}

describe("inputs of predict and stream", () => {
  const form = new FormData();
  form.append("a", "1");
  const OCTETS = "application/octet-stream";

  test.each<[string, string | object, string | RegExp, string | RegExp, string]>([
    ["text", "héllo", "héllo", OCTETS, "text"],
    ["bytes", bytes("b"), "b", OCTETS, "bytes"],
    ["a Buffer", Buffer.from("b"), "b", OCTETS, "bytes"],
    ["bytes of another realm", runInNewContext("new Uint8Array([98])") as object, "b", OCTETS, "bytes"],
    ["an ArrayBuffer", bytes("b").buffer, "b", OCTETS, "bytes"],
    ["an ArrayBuffer of another realm", runInNewContext("new Uint8Array([98]).buffer") as object, "b", OCTETS, "bytes"],
    ["a Blob", new Blob(["b"]), "b", OCTETS, "bytes"],
    ["a Blob with a type", new Blob(["b"], { type: "image/png" }), "b", "image/png", "bytes"],
    ["a File", new File(["b"], "f", { type: "audio/wav" }), "b", "audio/wav", "bytes"],
    ["an object", { a: [1] }, '{"a":[1]}', "application/json", "text"],
    ["an array", [1], "[1]", "application/json", "text"],
    [
      "parameters",
      new URLSearchParams({ a: "1 2" }),
      "a=1+2",
      "application/x-www-form-urlencoded;charset=UTF-8",
      "text",
    ],
    ["a form", form, /name="a"\r\n\r\n1\r\n/, /^multipart\/form-data; boundary=/, "text"],
    ["a request object", new JsonRequest(), '{"inputs":[]}', OCTETS, ""],
  ])("%s", async (_, input, body, type, answered) => {
    const server = await startServer();
    server.always(answer(200, {}, answered === "" ? '{"outputs":[]}' : "ok"));
    const client = clientOf(server);
    const result = await client.predict(input);
    if (answered === "text") expect(result).toBeInstanceOf(StringResponse);
    if (answered === "bytes") expect(result).toEqual(bytes("ok"));
    const detailed = await client.predictDetailed(input);
    expect(detailed.response).toEqual(result);
    await (await client.stream(input)).bytes();
    expect(server.requests).toHaveLength(3);
    for (const request of server.requests) {
      expect(request.method).toBe("POST");
      expect(request.body.toString()).toMatch(
        body instanceof RegExp ? body : new RegExp(`^${body.replace(/[[\]+{}.]/g, "\\$&")}$`),
      );
      expect(request.headers["content-type"]).toMatch(
        type instanceof RegExp ? type : new RegExp(`^${type.replaceAll("+", "\\+")}$`),
      );
    }
  });

  test("the type of the response follows from the input", () => {
    const client = {} as PredictClient;
    interface Body {
      readonly model: string;
    }
    const of = () => ({
      object: client.predict({} as Body),
      array: client.predict([] as readonly number[]),
      buffer: client.predict(new ArrayBuffer(0)),
      blob: client.predict(new File([], "f")),
      form: client.predict(new FormData()),
      none: client.predict(null),
      either: client.predict({} as Body | Blob),
      all: batch(client, [] as (Body | string)[]),
    });
    type Of = ReturnType<typeof of>;
    expectTypeOf<Of["object"]>().toEqualTypeOf<Promise<StringResponse>>();
    expectTypeOf<Of["array"]>().toEqualTypeOf<Promise<StringResponse>>();
    expectTypeOf<Of["buffer"]>().toEqualTypeOf<Promise<Bytes>>();
    expectTypeOf<Of["blob"]>().toEqualTypeOf<Promise<Bytes>>();
    expectTypeOf<Of["form"]>().toEqualTypeOf<Promise<StringResponse>>();
    expectTypeOf<Of["none"]>().toEqualTypeOf<Promise<StringResponse>>();
    expectTypeOf<Of["either"]>().toEqualTypeOf<Promise<StringResponse | Bytes>>();
    expectTypeOf<Of["all"]>().toEqualTypeOf<Promise<StringResponse[]>>();
  });

  test("null sends a GET without a body", async () => {
    for (const call of [
      (client: PredictClient) => client.predict(null, { query: { a: 1 } }),
      (client: PredictClient) => client.predictDetailed(null, { query: { a: 1 } }),
      async (client: PredictClient) => (await client.stream(null, { query: { a: 1 } })).bytes(),
    ]) {
      const { method, path, headers, body } = await sent(call);
      expect([method, path, body.length]).toEqual(["GET", "/api/predict/svc?a=1", 0]);
      expect(headers).not.toHaveProperty("content-type");
      // Over http, a POST would be signed.
      expect(headers.authorization).not.toMatch(/^EAS /);
    }
  });

  test("refuses a stream", async () => {
    const npmForm = Object.assign(new Readable(), { [Symbol.toStringTag]: "FormData" });
    for (const input of [new ReadableStream(), Readable.from(["a"]), npmForm]) {
      const server = await startServer();
      const error = await errorOf(clientOf(server).predict(input));
      expect([error.name, error.code]).toEqual(["TypeError", "ERR_EAS_ARG_REQUEST"]);
      expect(error.message).toMatch(/ Read a stream first, or send it with client\.fetch\(path, \{ method, body \}\)$/);
      expect(server.requests).toHaveLength(0);
    }
  });
});

describe("a FormData", () => {
  test("is encoded like in browsers", async () => {
    const form = new FormData();
    form.append("prompt", "línea\nzwei\r\n");
    form.append('a"b\n', "");
    form.append("file", new File([new Uint8Array([0, 13, 10, 255])], 'n"ä\n.bin', { type: "image/png" }));
    form.append("blob", new Blob(["x"]));
    form.append("file", "again");
    const seen = await sent((client) => client.predict(form));
    const expected = await new Response(form).formData();
    const asText = async (each: FormData) =>
      Promise.all([...each].map(async ([n, x]) => [n, typeof x === "string" ? x : [x.name, x.type, await x.text()]]));
    expect(await formOf(seen)).toEqual(await asText(expected));
    expect((await formOf(seen)).map(([name]) => name)).toEqual(["prompt", 'a"b\r\n', "file", "blob", "file"]);
  });

  test("may change after the call", async () => {
    const form = new FormData();
    form.append("a", "1");
    const seen = await sent((client) => {
      const call = client.predict(form);
      form.set("a", "2");
      return call;
    });
    expect(await formOf(seen)).toEqual([["a", "1"]]);
  });

  test("is sent with the same boundary in a retry", async () => {
    const form = new FormData();
    form.append("f", new Blob(["x"]));
    const server = await startServer();
    server.play(answer(503), answer(200));
    await clientOf(server).predict(form);
    const [first, second] = server.requests;
    expect(second?.body).toEqual(first?.body);
    expect(second?.headers["content-type"]).toBe(first?.headers["content-type"]);
  });

  test("refuses a field that was a stream or an object", async () => {
    const form = new FormData();
    form.append("f", new ReadableStream() as never);
    const error = await errorOf(sent((client) => client.predict(form)));
    expect([error.name, error.code, error.message]).toEqual([
      "TypeError",
      "ERR_EAS_ARG_REQUEST",
      'form field "f" is "[object ReadableStream]", which FormData cannot represent: append text or a Blob; read a stream into a Blob first',
    ]);
  });

  test("rejects with the name of a file that cannot be read", async () => {
    const broken = Object.assign(new Blob(["x"]), {
      arrayBuffer: () => Promise.reject(new Error("the file has changed")),
    });
    const error = await errorOf(sent((client) => client.predict(broken)));
    expect([error.name, error.code, error.message]).toEqual([
      "TypeError",
      "ERR_EAS_ARG_REQUEST",
      "input cannot be read: the file has changed",
    ]);
  });

  test("overrides the client's content type and refuses a multipart type of the caller", async () => {
    const form = new FormData();
    form.append("a", "1");
    const seen = await sent((client) => client.predict(form), { contentType: "application/json" });
    expect(await formOf(seen)).toEqual([["a", "1"]]);
    for (const call of [
      { contentType: "multipart/form-data" },
      { headers: { "Content-Type": "Multipart/form-data; boundary=x" } },
    ]) {
      const error = await errorOf(sent((client) => client.predict(form, call)));
      expect([error.code, error.message]).toEqual([
        "ERR_EAS_ARG_HEADER",
        "content-type is set to a multipart type, which does not have the boundary of this FormData: leave it out",
      ]);
    }
  });

  test("supports size limits, compression and batches", async () => {
    const form = new FormData();
    form.append("a", "x".repeat(1000));
    const error = await errorOf(sent((client) => client.predict(form), { maxRequestBytes: 900 }));
    expect(error.code).toBe("ERR_EAS_ARG_BODY_SIZE");
    const packed = await sent((client) => client.predict(form), { maxRequestBytes: 900, compression: "gzip" });
    expect(await formOf({ ...packed, body: gunzipSync(packed.body) as Buffer })).toEqual([["a", "x".repeat(1000)]]);
    const server = await startServer();
    await batch(clientOf(server), [form, { a: 1 }, new Blob(["b"], { type: "image/png" }), "t", null] as const, {
      concurrency: 1,
    });
    expect(server.requests.map(({ method, headers }) => [method, headers["content-type"]?.split(";")[0]])).toEqual([
      ["POST", "multipart/form-data"],
      ["POST", "application/json"],
      ["POST", "image/png"],
      ["POST", "application/octet-stream"],
      ["GET", undefined],
    ]);
  });
});

describe("the content type", () => {
  test.each<[string, object, object, string]>([
    ["of an input", {}, {}, "application/json"],
    ["of the client", { contentType: "a/client" }, {}, "a/client"],
    ["of the client's headers", { headers: { "Content-Type": "a/header" } }, {}, "a/header"],
    ["of the call", { contentType: "a/client" }, { contentType: "a/call" }, "a/call"],
    ["of the call's headers", { contentType: "a/client" }, { headers: { "content-type": "a/header" } }, "a/header"],
    ["of the call before its headers", {}, { contentType: "a/call", headers: { "content-type": "a/h" } }, "a/call"],
  ])("%s", async (_, client, call, expected) => {
    const seen = await sent((each) => each.predict({ a: 1 }, call), client);
    expect(seen.headers["content-type"]).toBe(expected);
  });

  test.each<[string, string, object, object, string]>([
    ["text", "", {}, {}, "application/octet-stream"],
    ["text below /v1/", "", {}, { path: "/v1/chat/completions" }, "application/json"],
    ["text at /v1", "", {}, { path: "v1", query: { a: 1 } }, "application/json"],
    ["text below the request path /v1", "", { requestPath: "/v1" }, {}, "application/json"],
    ["text below /v10", "", {}, { path: "/v10/x" }, "application/octet-stream"],
    ["text with /v1/ in the query", "", {}, { path: "/x?y=/v1/" }, "application/octet-stream"],
    ["text to a service that is named v1", "", { serviceName: "v1" }, {}, "application/octet-stream"],
    ["text to a custom URL", "/v1/", {}, { path: "/completions" }, "application/json"],
    ["text with the client's type", "", { contentType: "text/csv" }, { path: "/v1/x" }, "text/csv"],
    ["text with the call's type", "", {}, { path: "/v1/x", contentType: "text/csv" }, "text/csv"],
  ])("of %s", async (_, customPath, options, call, expected) => {
    for (const input of ["{}", new StringRequest("{}")]) {
      const server = await startServer();
      const client = clientOf(server, {
        ...options,
        ...(customPath && { customUrl: server.origin + customPath, endpoint: "", serviceName: "" }),
      });
      await client.predict(input, call);
      await batch(client, [input], call);
      expect(server.requests.map(({ headers }) => headers["content-type"])).toEqual([expected, expected]);
    }
  });

  test("bytes keep their content type below /v1/", async () => {
    const seen = await sent((client) => client.predict(bytes("x"), { path: "/v1/x" }));
    expect(seen.headers["content-type"]).toBe("application/octet-stream");
  });

  test("refuses a value that is not a valid header", async () => {
    const error = await errorOf(sent((client) => client.predict("", { contentType: "a\r\nb: c" })));
    expect(error.code).toBe("ERR_EAS_ARG_HEADER");
  });
});

describe("the method", () => {
  test.each(["POST", "PUT", "PATCH", "DELETE"] as const)("%s sends the expected body", async (method) => {
    const seen = await sent((client) => client.predict({ a: 1 }, { method }));
    expect([seen.method, seen.body.toString()]).toEqual([method, '{"a":1}']);
    const empty = await sent((client) => client.predict(null, { method }));
    expect([empty.method, empty.body.length]).toEqual([method, 0]);
    const stream = await sent(async (client) => collect(await client.stream([1], { method })));
    expect([stream.method, stream.body.toString()]).toEqual([method, "[1]"]);
  });

  test("refuses a GET with a body", async () => {
    for (const input of ["", "x", {}, bytes("")]) {
      const error = await errorOf(sent((client) => client.predict(input, { method: "GET" })));
      expect([error.name, error.code, error.message]).toEqual([
        "TypeError",
        "ERR_EAS_ARG_REQUEST",
        'a GET has no body: pass null as the input and the values in the query option, or set method to "POST"',
      ]);
    }
  });

  test.each(["HEAD", "get", "", 1, null])("refuses %o", async (method) => {
    const error = await errorOf(sent((client) => client.predict("", { method: method as never })));
    expect([error.code, error.message]).toEqual([
      "ERR_EAS_ARG_OPTION",
      expect.stringMatching(/^method is .*: it must be one of GET, POST, PUT, PATCH, DELETE$/),
    ]);
  });

  test("signs only POST by default, and includes the method in signatures", async () => {
    const { createEmulator } = await import("../../../src/emulator/index.js");
    const emulator = createEmulator({
      token: "t0ken",
      strictSignatures: true,
      services: { svc: { handle: ({ method }) => method, methods: ["GET", "POST", "PUT", "DELETE"] } },
    });
    const options = { transport: emulator.transport, token: "t0ken" };
    for (const auth of ["auto", "signature"] as const) {
      const client = clientOf({ origin: "http://h" }, { ...options, auth });
      for (const method of ["POST", "PUT", "DELETE"] as const) {
        expect(String(await client.predict({ a: 1 }, { method }))).toBe(method);
      }
      expect(String(await client.predict(null))).toBe("GET");
    }
    expect(emulator.requests.map(({ auth }) => auth)).toEqual([
      ...["signature", "token", "token", "token"],
      ...["signature", "signature", "signature", "signature"],
    ]);
  });

  test("passes the method to hooks", async () => {
    const methods: string[] = [];
    await sent((client) => client.predict(null), {
      hooks: { start: ({ method }: { method: string }) => methods.push(method) },
    });
    expect(methods).toEqual(["GET"]);
  });
});

describe("announceCompression", () => {
  test("sends the name of the compression in Content-Encoding", async () => {
    const options = { compression: "gzip", announceCompression: true } as const;
    const seen = await sent((client) => client.predict({ a: 1 }), options);
    expect(seen.headers).toMatchObject({ "content-encoding": "gzip", "content-type": "application/json" });
    expect(gunzipSync(seen.body).toString()).toBe('{"a":1}');
    const zlib = await sent((client) => client.setAnnounceCompression(true).setCompression("zlib").predict("x"));
    expect(zlib.headers["content-encoding"]).toBe("deflate");
    expect(inflateSync(zlib.body).toString()).toBe("x");
    const own = { name: "own", compress: (data: Uint8Array) => data.slice(), contentCodings: ["x-own", "x"] };
    const request = new StringRequest("x", { compression: own });
    expect(
      (await sent((client) => client.predict(request), { announceCompression: true })).headers["content-encoding"],
    ).toBe("x-own");
  });

  test("is off by default, and has no effect without compression or body", async () => {
    for (const [input, options] of [
      ["x", { compression: "gzip" }],
      ["x", { announceCompression: true }],
      [null, { compression: "gzip", announceCompression: true }],
    ] as const) {
      expect((await sent((client) => client.predict(input), options)).headers).not.toHaveProperty("content-encoding");
    }
  });

  test("keeps a Content-Encoding of the caller", async () => {
    const options = {
      compression: "gzip",
      announceCompression: true,
      headers: { "content-encoding": "x-gzip" },
    } as const;
    expect((await sent((client) => client.predict("x"), options)).headers["content-encoding"]).toBe("x-gzip");
  });

  test("refuses a codec without contentCodings", async () => {
    const codec = { name: "own", compress: (data: Uint8Array) => data.slice() };
    const error = await errorOf(
      sent((client) => client.predict("x"), { compression: codec, announceCompression: true }),
    );
    expect([error.name, error.code]).toEqual(["TypeError", "ERR_EAS_ARG_OPTION"]);
    expect(error.message).toMatch(/^announceCompression needs .* "own" has no contentCodings: add them/);
    expect(
      (await errorOf(sent((client) => Promise.resolve(client.setAnnounceCompression(1 as never))))).message,
    ).toMatch(/^announceCompression is 1: it must be true or false/);
  });
});

test("refuses a Blob above maxRequestBytes before reading it", async () => {
  const read = { arrayBuffer: () => Promise.reject(new Error("it was read")) };
  const blob = Object.assign(new Blob(["xy"]), read) as Blob;
  const error = await errorOf(clientOf(await startServer(), { maxRequestBytes: 1 }).predict(blob));
  expect(error.message).toContain("the request body is 2 bytes, but the limit is 1");
});

test("an abort ends the reading of an input", async () => {
  const server = await startStreamServer(({ response }) => response.end("ok"));
  const controller = new AbortController();
  const never = Object.assign(new Blob(["x"]), { arrayBuffer: () => new Promise(() => {}) });
  const call = clientOf(server).predict(never as Blob, { signal: controller.signal });
  controller.abort(new Error("enough"));
  expect((await errorOf(call)).message).toBe("enough");
  expect(server.exchanges).toHaveLength(0);
});
