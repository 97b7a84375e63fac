import { createHash } from "node:crypto";
import { deflateSync, gunzipSync, gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { lz4, lz4Frame } from "../../../src/compression/lz4.js";
import { snappy } from "../../../src/compression/snappy.js";
import { zstd } from "../../../src/compression/zstd.js";
import {
  createEmulator,
  type EmulatorService,
  type RunningEmulator,
  startEmulator,
} from "../../../src/emulator/index.js";
import {
  type Bytes,
  type Compression,
  type CompressionCodec,
  type Decompression,
  fetchTransport,
  PredictClient,
  type PredictClientOptions,
  type PredictRequest,
  TorchRequest,
} from "../../../src/index.js";
import { clientOf, errorOf, RecordingTransport, startServer, thrownBy } from "../../support/calls.js";
import { answer } from "../../support/misbehaving-server.js";

const TEXT = "EAS answers with what the model says. ".repeat(50);
const PLAIN = new TextEncoder().encode(TEXT);

async function emulatorOf(service: EmulatorService, options = {}): Promise<RunningEmulator> {
  const emulator = await startEmulator({ services: { svc: service }, ...options });
  onTestFinished(() => emulator.close());
  return emulator;
}

const clientFor = ({ endpoint, token }: RunningEmulator, options: PredictClientOptions = {}): PredictClient =>
  clientOf({ origin: endpoint }, { token, ...options });

async function pack(compression: Compression, bytes: Uint8Array): Promise<Uint8Array> {
  if (compression === "gzip") return new Uint8Array(gzipSync(bytes));
  return compression === "zlib" ? new Uint8Array(deflateSync(bytes)) : compression.compress(bytes);
}

/** A request of bytes with its own compression and a text response. */
const requestOf = (compression?: Compression): PredictRequest<string> => ({
  compression,
  toBinary: () => PLAIN.slice(),
  parseResponse: (body: Bytes) => new TextDecoder().decode(body),
});

type Case = readonly [name: string, Compression, EmulatorService["decompressor"], EmulatorService["compressor"]];
const CASES: readonly Case[] = [
  ["gzip", "gzip", "gzip", "gzip"],
  ["zlib", "zlib", "zlib", "zlib"],
  ["deflate", "zlib", "zlib", "deflate"],
  ["snappy", snappy, "snappy", "snappy"],
  ["lz4", lz4, "lz4", "lz4"],
  ["lz4-frame", lz4Frame, "lz4", "lz4-frame"],
  ["zstd", zstd, "zstd", "zstd"],
];
const CODECS: readonly CompressionCodec[] = [snappy, lz4, lz4Frame, zstd];

describe.each(CASES)("%s over a socket", (_, compression, decompressor, compressor) => {
  const echo: EmulatorService = { decompressor, compressor, handle: ({ body }) => body };

  test("compresses the request and decompresses the response for a compression of the request", async () => {
    const emulator = await emulatorOf(echo);
    const result = await clientFor(emulator).predictDetailed(requestOf(compression));
    expect(result.response).toBe(TEXT);
    expect(result.headers.get("content-encoding")).not.toBeNull();
    const [sent] = emulator.requests;
    expect(sent?.headers.has("content-encoding")).toBe(false);
    expect(sent?.body.length).toBeLessThan(PLAIN.length / 4);
    expect(sent?.headers.get("content-length")).toBe(String(sent?.body.length));
  });

  test("compresses the request for a compression of the client", async () => {
    const emulator = await emulatorOf(echo);
    const client = clientFor(emulator, { compression });
    expect((await client.predict(TEXT)).toString()).toBe(TEXT);
    expect(await client.predict(PLAIN)).toEqual(PLAIN);
    expect(await client.predict(requestOf())).toBe(TEXT);
    // At most once for each call.
    for (const { body } of emulator.requests) expect(body.length).toBeLessThan(PLAIN.length / 4);
  });

  test("signs the compressed bytes", async () => {
    const emulator = await emulatorOf(echo, { strictSignatures: true });
    expect(await clientFor(emulator, { auth: "signature" }).predict(requestOf(compression))).toBe(TEXT);
    const [sent] = emulator.requests;
    expect(sent?.auth).toBe("signature");
    expect(sent?.headers.get("content-md5")).toBe(
      createHash("md5")
        .update(sent?.body as Bytes)
        .digest("hex"),
    );
  });

  test("decompresses a response without a header with the option decompression", async () => {
    const server = await startServer();
    server.always(answer(200, {}, Buffer.from(await pack(compression, PLAIN))));
    expect((await clientOf(server, { decompression: compression }).predict("x")).toString()).toBe(TEXT);
    expect((await clientOf(server).setDecompression(compression).predict("x")).toString()).toBe(TEXT);
  });

  test("rejects a response that is not compressed as configured", async () => {
    const server = await startServer();
    const coding = compressor === "lz4-frame" ? "lz4" : (compressor as string);
    const packed = Buffer.from(await pack(compression, PLAIN));
    const cut = packed.subarray(0, packed.length - 9);
    for (const [headers, body] of [
      [{}, Buffer.from(TEXT)],
      [{ "Content-Encoding": coding }, Buffer.from(TEXT)],
      // A truncated block can be detected only with its length.
      ...(compression === lz4
        ? []
        : ([
            [{}, cut],
            [{ "Content-Encoding": coding }, cut],
          ] as const)),
    ] as const) {
      server.play(answer(200, headers, body));
      const error = await errorOf(clientOf(server, { decompression: compression }).predict("x"));
      expect(error).toMatchObject({
        code: "ERR_EAS_DECODE",
        format: "content-encoding",
        attempts: 1,
        retryable: false,
      });
      expect(error.cause).toBeInstanceOf(Error);
    }
  });

  test("limits a decompression bomb to maxResponseBytes", async () => {
    const emulator = await emulatorOf({ compressor, handle: () => new Uint8Array(8 << 20) });
    const codecs = typeof compression === "object" ? [compression] : [];
    const client = clientFor(emulator, { decompression: codecs, maxResponseBytes: 1 << 20 });
    const error = await errorOf(client.predict("x"));
    expect(error).toMatchObject({ code: "ERR_EAS_DECODE", format: "content-encoding", attempts: 1 });
    expect(error.message).toContain("larger than 1048576 bytes (maxResponseBytes)");
    const enough = clientFor(emulator, { decompression: codecs, maxResponseBytes: 8 << 20 });
    expect((await enough.predict(new Uint8Array(1))).length).toBe(8 << 20);
  });

  test("the emulator responds with 400 to a body in another format, and does not call the handler", async () => {
    let asked = 0;
    const emulator = await emulatorOf({ decompressor, handle: () => String(++asked) });
    const error = await errorOf(clientFor(emulator).predict(TEXT));
    expect(error).toMatchObject({ status: 400 });
    expect(error.message).toContain(`cannot be decompressed as ${decompressor}`);
    expect(asked).toBe(0);
    expect(emulator.requests[0]?.body).toEqual(PLAIN);
  });

  test("works with the emulator in memory", async () => {
    const emulator = createEmulator({ services: { svc: echo } });
    const client = new PredictClient({
      endpoint: "http://nowhere",
      serviceName: "svc",
      token: emulator.token,
      transport: emulator.transport,
    });
    expect(await client.predict(requestOf(compression))).toBe(TEXT);
  });
});

test("a TorchRequest accepts a compression", async () => {
  const bodies: Uint8Array[] = [];
  const handle: EmulatorService["handle"] = ({ body }) => {
    bodies.push(body);
    return new Uint8Array(0);
  };
  const emulator = await emulatorOf({ decompressor: "snappy", handle });
  const plain = await emulatorOf({ handle });
  const feed = (request: TorchRequest) => request.addFeed(0, [1, 1000], "DT_FLOAT", new Float32Array(1000));
  await clientFor(emulator).predict(feed(new TorchRequest({ compression: snappy })));
  await clientFor(plain).predict(feed(new TorchRequest()));
  expect(bodies[0]).toEqual(bodies[1]);
  expect(emulator.requests[0]?.body.length).toBeLessThan(500);
});

test("the compression of a request overrides that of the client", async () => {
  const transport = new RecordingTransport();
  const client = new PredictClient({ endpoint: "http://h", serviceName: "svc", transport, compression: "gzip" });
  await client.predict(requestOf(snappy));
  await client.predict(requestOf());
  await client.setCompression(null).predict(requestOf());
  const [first, second, third] = transport.requests.map(({ body }) => body as Uint8Array);
  expect(first).toEqual(await snappy.compress(PLAIN));
  expect(new Uint8Array(gunzipSync(second as Uint8Array))).toEqual(PLAIN);
  expect(third).toEqual(PLAIN);
});

test("maxRequestBytes applies after compression", async () => {
  const transport = new RecordingTransport();
  const options = { endpoint: "http://h", serviceName: "svc", transport, maxRequestBytes: 500 };
  await new PredictClient({ ...options, compression: snappy }).predict(requestOf());
  expect(await errorOf(new PredictClient(options).predict(requestOf()))).toMatchObject({
    code: "ERR_EAS_ARG_BODY_SIZE",
  });
});

describe("Content-Encoding", () => {
  const answered = async (coding: string, body: Uint8Array, options: PredictClientOptions = {}): Promise<string> => {
    const server = await startServer();
    server.always(answer(200, { "Content-Encoding": coding }, Buffer.from(body)));
    return (await clientOf(server, options).predict("x")).toString();
  };

  test("decodes several codings, the last one first", async () => {
    const decompression = CODECS;
    const zipped = gzipSync(TEXT);
    expect(await answered("gzip, snappy", await snappy.compress(zipped), { decompression })).toBe(TEXT);
    expect(await answered("zstd,GZIP , identity", gzipSync(await zstd.compress(PLAIN)), { decompression })).toBe(TEXT);
    expect(
      await answered(
        "deflate, gzip, lz4, zstd",
        await zstd.compress(await lz4Frame.compress(gzipSync(deflateSync(TEXT)))),
        { decompression },
      ),
    ).toBe(TEXT);
    const error = await errorOf(answered("snappy, gzip", await snappy.compress(zipped), { decompression }));
    expect(error).toMatchObject({ code: "ERR_EAS_DECODE", format: "content-encoding" });
  });

  test("rejects more than four codings", async () => {
    const error = await errorOf(answered("gzip,gzip,gzip,gzip,gzip", gzipSync(TEXT)));
    expect(error.message).toContain("5 content codings");
  });

  test.each([
    ["snappy", 'import { snappy } from "eas-prediction/compression/snappy"'],
    ["Snappy", 'import { snappy } from "eas-prediction/compression/snappy"'],
    ["lz4", 'import { lz4 } from "eas-prediction/compression/lz4"'],
    ["gzip, zstd", 'import { zstd } from "eas-prediction/compression/zstd"'],
    ["compress", "only gzip, deflate, br (on Node) and the codecs"],
    ["dcz", "only gzip, deflate, br (on Node) and the codecs"],
  ])("rejects the unknown coding %s", async (coding, advice) => {
    const error = await errorOf(answered(coding, await zstd.compress(PLAIN)));
    expect(error).toMatchObject({ code: "ERR_EAS_DECODE", format: "content-encoding", attempts: 1 });
    expect(error.message).toContain(advice);
  });

  test("uses the codec of a request for its response only", async () => {
    const server = await startServer();
    server.always(answer(200, { "Content-Encoding": "snappy" }, Buffer.from(await snappy.compress(PLAIN))));
    const client = clientOf(server, { compression: lz4 });
    expect(await client.predict(requestOf(snappy))).toBe(TEXT);
    expect((await errorOf(client.predict(requestOf()))).message).toContain("compression/snappy");
    expect(await client.setDecompression([zstd]).predict(requestOf(snappy))).toBe(TEXT);
    expect(await client.setDecompression("auto").setCompression(snappy).predict(requestOf())).toBe(TEXT);
  });

  test("rejects lz4 with a wrong length", async () => {
    const server = await startServer();
    const body = Buffer.from(await lz4.compress(PLAIN));
    const answerWith = (length: number) =>
      answer(200, { "Content-Encoding": "lz4", "X-LZ4-Original-Length": `${length}` }, body);
    const client = clientOf(server, { decompression: [lz4], maxResponseBytes: 5000 });
    server.play(answerWith(PLAIN.length), answerWith(PLAIN.length - 1), answerWith(5001));
    expect((await client.predict("x")).toString()).toBe(TEXT);
    expect((await errorOf(client.predict("x"))).message).toContain("x-lz4-original-length is 1899");
    expect((await errorOf(client.predict("x"))).message).toContain("larger than 5000 bytes (maxResponseBytes)");
  });

  test("keeps an empty response empty", async () => {
    for (const decompression of [snappy, [snappy], "gzip"] as const) {
      expect(await answered("snappy", new Uint8Array(0), { decompression })).toBe("");
    }
  });
});

describe("one compression for all responses", () => {
  const predict = async (headers: Record<string, string>, body: Uint8Array, options: PredictClientOptions) => {
    const server = await startServer();
    server.always(answer(200, headers, Buffer.from(body)));
    return (await clientOf(server, options).predict("x")).toString();
  };

  test("is decoded once if Content-Encoding names it", async () => {
    for (const [coding, compression] of [
      ["snappy", snappy],
      ["lz4", lz4],
      ["lz4", lz4Frame],
      ["zstd", zstd],
      ["gzip", "gzip"],
      ["x-gzip", "gzip"],
      ["deflate", "zlib"],
      ["zlib", "zlib"],
    ] as const) {
      const headers = { "Content-Encoding": coding };
      expect(await predict(headers, await pack(compression, PLAIN), { decompression: compression })).toBe(TEXT);
    }
  });

  test("is decoded after the codings in Content-Encoding", async () => {
    const body = gzipSync(await snappy.compress(PLAIN));
    expect(await predict({ "Content-Encoding": "gzip" }, body, { decompression: snappy })).toBe(TEXT);
    expect(await predict({ "Content-Encoding": "gzip" }, gzipSync(deflateSync(TEXT)), { decompression: "zlib" })).toBe(
      TEXT,
    );
  });

  test("is decoded once if fetch has decoded it and kept the header", async () => {
    const headers = { "Content-Encoding": "gzip" };
    for (const decompression of ["gzip", "auto"] as const) {
      expect(await predict(headers, gzipSync(TEXT), { decompression, transport: fetchTransport() })).toBe(TEXT);
    }
    const body = gzipSync(await snappy.compress(PLAIN));
    expect(await predict(headers, body, { decompression: snappy, transport: fetchTransport() })).toBe(TEXT);
  });

  test("does not apply to errors", async () => {
    const server = await startServer();
    const client = clientOf(server, { decompression: snappy });
    const packed = await snappy.compress(PLAIN);
    server.play(answer(400, {}, Buffer.from(packed)));
    expect((await errorOf(client.predict("x"))).body).toEqual(packed);
    server.play(
      answer(400, {}, "no such feature"),
      answer(400, { "Content-Encoding": "snappy" }, Buffer.from(await snappy.compress(PLAIN))),
      answer(400, { "Content-Encoding": "snappy" }, "no snappy at all"),
      answer(400, { "Content-Encoding": "zstd" }, "no codec"),
    );
    for (const text of ["no such feature", TEXT, "no snappy at all", "no codec"]) {
      const error = await errorOf(client.predict("x"));
      expect([error.status, new TextDecoder().decode(error.body)]).toEqual([400, text]);
    }
  });
});

describe("zstd and a fetch that may have decoded it", () => {
  const respond = async (body: Uint8Array, length: number | undefined, decompression: Decompression = "auto") => {
    const headers = new Headers({ "content-encoding": "zstd" });
    if (length !== undefined) headers.set("content-length", `${length}`);
    const transport = fetchTransport({ fetch: async () => new Response(body as Bytes, { headers }) });
    const client = new PredictClient({ endpoint: "http://h", serviceName: "svc", transport, decompression });
    return (await client.predict("x")).toString();
  };

  test("needs no codec if fetch has decoded the body", async () => {
    expect(await respond(PLAIN, 77)).toBe(TEXT);
    expect(await respond(PLAIN, 77, [zstd])).toBe(TEXT);
    expect(await respond(PLAIN, 77, zstd)).toBe(TEXT);
  });

  test("decodes the body if fetch has not", async () => {
    const packed = await zstd.compress(PLAIN);
    expect(await respond(packed, packed.length, [zstd])).toBe(TEXT);
    expect(await respond(packed, undefined, [zstd])).toBe(TEXT);
    expect((await errorOf(respond(packed, packed.length))).message).toContain("compression/zstd");
  });

  test("returns a body without a zstd frame unchanged", async () => {
    expect((await errorOf(respond(PLAIN, PLAIN.length, [zstd]))).message).toContain("does not begin with a zstd frame");
  });
});

describe("a custom codec", () => {
  const own: CompressionCodec = {
    name: "reverse",
    contentCodings: ["reverse"],
    compress: (bytes) => bytes.slice().reverse(),
    decompress: async (bytes) => bytes.slice().reverse(),
  };
  const call = async (codec: CompressionCodec, options: PredictClientOptions = {}) => {
    const server = await startServer();
    server.always(answer(200, { "Content-Encoding": "reverse" }, "abc"));
    return (await clientOf(server, { decompression: [codec], ...options }).predict("x")).toString();
  };

  test("is called", async () => {
    expect(await call(own)).toBe("cba");
  });

  test.each<[string, Partial<CompressionCodec>, string]>([
    ["throws nothing in particular", { decompress: () => Promise.reject("why not") }, "why not"],
    [
      "throws at once",
      {
        decompress: () =>
          (() => {
            throw new Error("broken");
          })(),
      },
      "broken",
    ],
    ["returns no bytes", { decompress: () => "text" as never }, "did not return bytes"],
    ["returns nothing", { decompress: () => undefined as never }, "did not return bytes"],
    ["ignores the limit", { decompress: () => new Uint8Array(11) }, "larger than 10 bytes (maxResponseBytes)"],
  ])("%s", async (_, change, message) => {
    const error = await errorOf(call({ ...own, ...change }, { maxResponseBytes: 10 }));
    expect(error).toMatchObject({ code: "ERR_EAS_DECODE", format: "content-encoding", attempts: 1 });
    expect(error.message).toContain(message);
  });

  test("without decompress it serves requests only", async () => {
    const { name, compress } = own;
    const emulator = await emulatorOf({ handle: ({ body }) => body });
    const answered = await clientFor(emulator, { compression: { name, compress } }).predict(new Uint8Array([1, 2]));
    expect(answered).toEqual(new Uint8Array([2, 1]));
  });
});

describe("options that are wrong", () => {
  const entry = (name: string, file: string) => `import { ${name} } from "eas-prediction/compression/${file}"`;

  test.each([
    ["snappy", entry("snappy", "snappy")],
    ["SNAPPY", entry("snappy", "snappy")],
    ["lz4", entry("lz4", "lz4")],
    ["lz4-frame", entry("lz4Frame", "lz4")],
    ["lz4frame", entry("lz4Frame", "lz4")],
    ["LZ4Frame", entry("lz4Frame", "lz4")],
    ["zstd", entry("zstd", "zstd")],
    ["brotli", "snappy, lz4, lz4Frame and zstd are objects to import"],
    ["constructor", '"gzip", "zlib"'],
    [{}, "a plain object"],
    [null, "is null"],
    [1, "is 1"],
  ])("%j", async (value, message) => {
    for (const act of [
      () => new PredictClient({ compression: value as Compression }),
      // null is not a codec.
      ...(value === null ? [] : [() => new PredictClient().setCompression(value as Compression)]),
      () => new PredictClient({ decompression: value as Decompression }),
      () => new PredictClient().setDecompression(value as Decompression),
    ]) {
      const error = thrownBy(act);
      expect(error).toBeInstanceOf(TypeError);
      expect(error.code).toBe("ERR_EAS_ARG_OPTION");
      expect(error.message).toMatch(/^(de)?compression is /);
      expect(error.message).toContain(message);
    }
  });

  test.each([
    [["snappy"], "decompression[0]"],
    [[snappy, {}], "decompression[1]"],
    [[null], "decompression[0]"],
  ])("a list of %j", (value, message) => {
    const error = thrownBy(() => new PredictClient({ decompression: value as never }));
    expect(error.message).toContain(message);
  });

  test("a codec that cannot decompress", () => {
    const codec = { name: "x", compress: () => new Uint8Array(0) };
    expect(thrownBy(() => new PredictClient({ decompression: codec })).message).toContain("decompress()");
  });

  test("a request's own", async () => {
    const client = new PredictClient({ endpoint: "http://h", serviceName: "svc", transport: new RecordingTransport() });
    const error = await errorOf(client.predict(requestOf("lz4" as never)));
    expect(error.message).toContain(entry("lz4", "lz4"));
  });

  test("what a list holds later does not count", async () => {
    const list: CompressionCodec[] = [snappy];
    const server = await startServer();
    server.always(answer(200, { "Content-Encoding": "snappy" }, Buffer.from(await snappy.compress(PLAIN))));
    const client = clientOf(server, { decompression: list });
    list.pop();
    expect((await client.predict("x")).toString()).toBe(TEXT);
  });

  test("the emulator's names", () => {
    const handle = () => "";
    for (const [service, message] of [
      [
        { handle, decompressor: "lz4-frame" },
        'decompressor is "lz4-frame": it must be one of gzip, zlib, snappy, lz4, zstd',
      ],
      [{ handle, compressor: "brotli" }, 'compressor is "brotli"'],
    ] as const) {
      expect(thrownBy(() => createEmulator({ services: { svc: service as never } })).message).toContain(message);
    }
  });
});

describe("the emulator's compressor", () => {
  test("says the length of a block, and of nothing else", async () => {
    for (const compressor of ["lz4", "lz4-frame"] as const) {
      const emulator = createEmulator({ services: { svc: { compressor, token: "", handle: () => TEXT } } });
      const response = await emulator.fetch(new Request("http://h/api/predict/svc", { method: "POST", body: "x" }));
      expect(response.headers.get("content-encoding")).toBe("lz4");
      expect(response.headers.get("x-lz4-original-length")).toBe(compressor === "lz4" ? `${PLAIN.length}` : null);
      expect(response.headers.get("content-type")).toContain("text/plain");
    }
  });

  test("leaves errors, empty answers and what is compressed already", async () => {
    const answers = [
      new Response("no", { status: 400 }),
      new Response(null, { status: 204 }),
      new Response("x", { headers: { "content-encoding": "own" } }),
    ];
    const service: EmulatorService = { compressor: "snappy", token: "", handle: () => answers.shift() as Response };
    const emulator = createEmulator({ services: { svc: service } });
    const seen: unknown[] = [];
    for (let i = 0; i < 3; i++) {
      const response = await emulator.fetch(new Request("http://h/api/predict/svc", { method: "POST", body: "x" }));
      seen.push([response.status, response.headers.get("content-encoding"), await response.text()]);
    }
    expect(seen).toEqual([
      [400, null, "no"],
      [204, null, ""],
      [200, "own", "x"],
    ]);
  });
});
