import { createHash, createHmac } from "node:crypto";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  BladeRequest,
  CaffeRequest,
  OnnxRequest,
  type PredictRequest,
  TFRequest,
  TFResponse,
  TorchRequest,
} from "../../../../src/index.js";
import { clientOf, errorOf, RecordingTransport, startServer, TOKEN } from "../../../support/calls.js";
import { answer, answerEarly, resetBeforeHeaders, stallBeforeHeaders } from "../../../support/misbehaving-server.js";

/** Number of elements of a Float32Array of 64 KiB, the minimum size that is sent without a copy. */
const LEAST = 16_384;

const floats = (length: number, from = 0) => Float32Array.from({ length }, (_, i) => i + from);

const FORMATS: readonly (readonly [
  name: string,
  build: (arrays: readonly Float32Array[]) => Required<PredictRequest<unknown>>,
])[] = [
  [
    "TF",
    (arrays) =>
      fed(new TFRequest("serving_default").addFetch("y"), arrays, (request, i, array) =>
        request.addFeed(`x${i}`, [array.length], "DT_FLOAT", array),
      ),
  ],
  [
    "Torch",
    (arrays) =>
      fed(new TorchRequest().setDebugLevel(2), arrays, (request, i, array) =>
        request.addFeed(i, [array.length], "DT_FLOAT", array),
      ),
  ],
  [
    "ONNX",
    (arrays) =>
      fed(new OnnxRequest(), arrays, (request, i, array) =>
        request.addTensor(`x${i}`, [array.length], "DT_FLOAT", array),
      ),
  ],
  [
    "Caffe",
    (arrays) =>
      fed(new CaffeRequest().addFetch("y"), arrays, (request, i, array) =>
        request.addFeed(`x${i}`, [array.length], array),
      ),
  ],
  [
    "Blade",
    (arrays) =>
      fed(new BladeRequest().setSignatureName("s"), arrays, (request, i, array) =>
        request.addFeed(`x${i}`, 1, [array.length], "DT_FLOAT", array),
      ),
  ],
];

function fed<R>(
  request: R,
  arrays: readonly Float32Array[],
  feed: (request: R, index: number, array: Float32Array) => unknown,
) {
  for (const [i, array] of arrays.entries()) feed(request, i, array);
  return request as unknown as Required<PredictRequest<unknown>>;
}

describe.each(FORMATS)("the chunks of a %s request", (_, build) => {
  test("equal the bytes of toBinary, and contain large arrays themselves", () => {
    const lengths = fc.array(fc.oneof(fc.nat(50), fc.integer({ min: LEAST - 1, max: LEAST + 1 })), { maxLength: 4 });
    fc.assert(
      fc.property(lengths, fc.nat(3), (lengths, skipped) => {
        // The views start at any position in their memory.
        const arrays = lengths.map((length, i) => floats(length + skipped, i).subarray(skipped));
        const request = build(arrays);
        const chunks = request.toChunks();
        expect(Buffer.compare(Buffer.concat(chunks), request.toBinary())).toBe(0);
        const large = arrays.filter(({ length }) => length >= LEAST);
        const lent = chunks.filter(({ buffer }) => large.some((array) => array.buffer === buffer));
        expect(lent.map(({ byteOffset, byteLength }) => [byteOffset, byteLength])).toEqual(
          large.map(({ byteOffset, byteLength }) => [byteOffset, byteLength]),
        );
      }),
      { numRuns: 30 },
    );
  });
});

test("content of another type is converted once, and does not refer to the caller's memory", () => {
  const numbers = Array.from({ length: LEAST }, (_, i) => i);
  const request = new TFRequest().addFeed("x", [LEAST], "DT_FLOAT", numbers).addFeed("i", [LEAST], "DT_INT32", numbers);
  expect(Buffer.compare(Buffer.concat(request.toChunks()), request.toBinary())).toBe(0);
});

/** A server that responds with an empty response. */
async function startService() {
  const server = await startServer();
  server.always(answer(200));
  return server;
}

describe("a call with zeroCopy", () => {
  const array = floats(200_000);
  const request = () => new TFRequest("s").addFeed("x", [array.length], "DT_FLOAT", array).addFetch("y");
  const bytes = Buffer.from(request().toBinary());

  test("sends the same bytes as a copy, with their length and no content coding", async () => {
    const server = await startService();
    const client = clientOf(server, { zeroCopy: true, auth: "token" });
    expect(await client.predict(request())).toBeInstanceOf(TFResponse);
    const [seen] = server.requests;
    expect(seen?.body.equals(bytes)).toBe(true);
    expect(seen?.headers["content-length"]).toBe(String(bytes.length));
    expect(seen?.headers["transfer-encoding"]).toBeUndefined();
  });

  test("signs all chunks", async () => {
    const server = await startService();
    await clientOf(server, { auth: "signature" }).predict(request(), { zeroCopy: true });
    const { headers } = await server.seen();
    const md5 = createHash("md5").update(bytes).digest("hex");
    expect(headers["content-md5"]).toBe(md5);
    const text = `POST\n${md5}\napplication/octet-stream\n${headers.date}\n/api/predict/svc`;
    expect(headers.authorization).toBe(`EAS ${createHmac("sha1", TOKEN).update(text).digest("base64")}`);
  });

  test("sends all chunks again in each attempt", async () => {
    const server = await startService();
    server.play(resetBeforeHeaders, answer(503), answer(200));
    const { attempts } = await clientOf(server, { zeroCopy: true }).predictDetailed(request(), { retryCount: 3 });
    expect(attempts).toBe(3);
    expect(server.requests.map(({ body }) => body.equals(bytes))).toEqual([true, true, true]);
  });

  test("accepts a response that arrives before the end of the request", async () => {
    const server = await startService();
    server.play(answerEarly(413, "too large"));
    const error = await errorOf(clientOf(server, { zeroCopy: true, retryCount: 0 }).predict(request()));
    // The service may have closed the connection before its response was read.
    expect(["ERR_EAS_HTTP", "ERR_EAS_NETWORK"]).toContain(error.code);
    expect(await clientOf(server, { zeroCopy: true }).predict(request())).toBeInstanceOf(TFResponse);
  });

  test("ends immediately when it is aborted or times out", async () => {
    const server = await startService();
    server.always(stallBeforeHeaders);
    const client = clientOf(server, { zeroCopy: true, retryCount: 0 });
    const reason = new Error("enough");
    const controller = new AbortController();
    const aborted = errorOf(client.predict(request(), { signal: controller.signal }));
    await server.seen();
    controller.abort(reason);
    expect(await aborted).toBe(reason);
    expect((await errorOf(client.predict(request(), { timeout: 50 }))).code).toBe("ERR_EAS_TIMEOUT");
  });

  test("is rejected if the body is too large, before anything is sent", async () => {
    const server = await startService();
    const client = clientOf(server, { zeroCopy: true, maxRequestBytes: bytes.length - 1 });
    expect((await errorOf(client.predict(request()))).message).toContain(`the request body is ${bytes.length} bytes`);
    expect(server.requests).toEqual([]);
  });

  test("reports the number of sent bytes to hooks", async () => {
    const server = await startService();
    const sizes: unknown[] = [];
    const hooks = {
      request: ({ requestBytes }: { requestBytes?: number | undefined }) => void sizes.push(requestBytes),
    };
    await clientOf(server, { zeroCopy: true, hooks }).predict(request());
    expect(sizes).toEqual([bytes.length]);
  });

  test.each([
    ["compresses a copy", { compression: "gzip" as const }],
    [
      "hands a transport of one's own a whole body",
      {
        transport: new RecordingTransport(() => ({
          status: 200,
          headers: new Headers(),
          body: new Uint8Array(0),
          contentEncoding: undefined,
        })),
      },
    ],
  ])("%s", async (_, options) => {
    const server = await startService();
    expect(await clientOf(server, { zeroCopy: true, ...options }).predict(request())).toBeInstanceOf(TFResponse);
    const sent = "transport" in options ? options.transport.requests[0]?.body : server.requests[0]?.body;
    expect(sent?.length).toBe("transport" in options ? bytes.length : sent?.length);
    if ("transport" in options) expect(options.transport.requests[0]?.chunks).toBeUndefined();
  });

  test("affects only its own call: the arrays of other calls can change after predict has returned", async () => {
    const server = await startService();
    const client = clientOf(server);
    const own = floats(200_000);
    const call = client.predict(new TFRequest("s").addFeed("x", [own.length], "DT_FLOAT", own).addFetch("y"));
    own.fill(0);
    await call;
    expect(server.requests[0]?.body.equals(bytes)).toBe(true);
  });

  test.each([true, false])("is not confused by bytes of another realm: %s", async (zeroCopy) => {
    const server = await startService();
    const foreign = runInNewContext("new Uint8Array(100_000).fill(7)") as Uint8Array<ArrayBuffer>;
    expect(foreign).not.toBeInstanceOf(Uint8Array);
    const own = { toBinary: () => foreign, parseResponse: (body: Uint8Array) => body.length };
    expect(await clientOf(server, { zeroCopy, auth: "signature" }).predict(own)).toBe(0);
    const { body, headers } = await server.seen();
    expect(body.equals(Buffer.alloc(100_000, 7))).toBe(true);
    expect(headers["content-md5"]).toBe(createHash("md5").update(body).digest("hex"));
  });

  test("accepts only true and false", async () => {
    const server = await startService();
    expect((await errorOf(clientOf(server).predict("x", { zeroCopy: 1 as never }))).message).toBe(
      "zeroCopy is 1: it must be true or false",
    );
    expect(() => clientOf(server, { zeroCopy: "yes" as never })).toThrow(/zeroCopy is "yes"/);
  });
});
