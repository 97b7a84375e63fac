import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PredictRequestSchema as TFMessage } from "../../src/gen/eas/tf/tf_pb.js";
import {
  BladeRequest,
  type CompressionCodec,
  type HeaderPair,
  PredictClient,
  type PredictRequest,
  StringRequest,
  TFRequest,
  type TransportRequest,
} from "../../src/index.js";
import { errorOf, RecordingTransport, thrownBy } from "../support/calls.js";
import {
  atClock,
  BUILD_ERRORS,
  build,
  camelCase,
  capture,
  expectSame,
  fromHex,
  optionsOf,
  provingHeaders,
  REQUESTS,
  type RequestVector,
  replayRequest,
  SKIPPED_REQUESTS,
  send,
  toHex,
  vectorNamed,
} from "./replay.js";

test.each(REQUESTS)("$name", replayRequest);

// The same over a real connection, where the runtime adds and changes headers.
interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly HeaderPair[];
  readonly body: Uint8Array;
}

const seen: Seen[] = [];
const server = createServer(async (request: IncomingMessage, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const { method = "", url = "", rawHeaders } = request;
  const headers = rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [[name, rawHeaders[i + 1]] as [string, string]] : []));
  seen.push({ method, url, headers, body: Buffer.concat(chunks) });
  response.end();
});
let origin: string;
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => new Promise((resolve) => server.close(resolve)));

test.each([
  "string/ascii-json",
  "string/empty",
  "string/content-type",
  "string/extra-headers",
  "string/custom-url",
  "string/service-unicode",
  "string/endpoint-with-path",
  "tf/1000-floats",
  "tf/bool",
  "torch/feed-int64",
  "torch/empty",
  "blade/multi",
  "blade-tf/float",
  "onnx/two-tensors",
])("%s, over a real connection", async (name) => {
  const vector = vectorNamed<RequestVector>(name);
  const { client: record, steps } = vector.call;
  const here = (url: string) => url.replace("http://127.0.0.1:18080", origin);
  await atClock(record.clock, async () => {
    const client = new PredictClient({
      ...optionsOf(record),
      endpoint: here(record.endpoint),
      customUrl: here(record.custom_url ?? ""),
      retryCount: 0,
    });
    await client.predict(build(steps) as PredictRequest<unknown>);
    await client.close();
  });
  const [request, ...more] = seen.splice(0);
  expect(more).toEqual([]);
  const { method, url, headers, body } = request as Seen;
  expectSame(vector, {
    method,
    origin: "http://127.0.0.1:18080",
    path: url,
    headers: headers.map(([header, value]) => [header.toLowerCase(), value]),
    body,
  } as unknown as TransportRequest);
  const lengths = headers.filter(([header]) => header.toLowerCase() === "content-length");
  expect(lengths.map(([, length]) => length)).toEqual([`${vector.bodyHex.length / 2}`]);
  // No header is sent twice: a second Content-Type or Date would break the signature.
  const names = headers.map(([header]) => header.toLowerCase());
  expect(names).toEqual([...new Set(names)]);
});

/** Results of steps at which the official SDK fails: the error's class and code, or the content that is sent. */
const AT_BUILD: Readonly<Record<string, { name: string; code: string; message: RegExp } | { sends: string }>> = {
  // Strings are sent as UTF-8. Without a signature name, the service uses its default.
  "tf/string-from-str": {
    sends: "0a0e707265646963745f696d6167657312160a06696d61676573120c080712030a010132036162631a0673636f726573",
  },
  "tf/signature-none": { sends: "12120a0178120d080112030a01011a040000803f" },
  "tf/int32-overflow": {
    name: "RangeError",
    code: "ERR_EAS_ARG_CONTENT",
    message: /"images".*content\[0\] is 2147483648\b.*DT_INT32/,
  },
  "tf/int64-overflow": {
    name: "RangeError",
    code: "ERR_EAS_ARG_CONTENT",
    message: /"images".*content\[0\] is 9223372036854775808n.*DT_INT64/,
  },
  // A JavaScript typed array is flat for every shape.
  "tf/numpy-2d": { sends: "0a0173121f0a0178121a080112040a0202021a100000803f000000400000404000008040" },
  "tf/nested-list": {
    name: "TypeError",
    code: "ERR_EAS_ARG_CONTENT",
    message: /"x".*content\[0\].*must be one-dimensional/,
  },
  "blade/no-signature": { sends: "" },
  "blade/string-str": { sends: "0a0373696712140a02696e1202696e180122030a01014203616263" },
  "blade/batchsize-zero": { name: "RangeError", code: "ERR_EAS_ARG_FEED", message: /batchSize is 0:.*at least 1/ },
  // A scalar has a shape without dimensions.
  "blade/empty-shape": { sends: "0a03736967120f0a02696e1202696e18012200320101" },
  "blade/numpy-rejected": { sends: "0a0373696712150a02696e1202696e180122030a01012a040000803f" },
  "blade-tf/no-signature": { sends: "" },
  "blade-tf/empty-shape": {
    name: "RangeError",
    code: "ERR_EAS_ARG_SHAPE",
    message: /"in".*\[\] has no valid batch size/,
  },
  "onnx/bool-rejected": {
    name: "TypeError",
    code: "ERR_EAS_ARG_DTYPE",
    message: /"in": dtype is "DT_BOOL": it must be one of DT_FLOAT, /,
  },
  "torch/negative-index": { name: "RangeError", code: "ERR_EAS_ARG_FEED", message: /index is -1/ },
};

test.each(BUILD_ERRORS)("$name: throws a clear error or sends the correct bytes", async (vector) => {
  const ours = AT_BUILD[vector.name];
  if (ours === undefined) throw new Error(`what ours does for ${vector.name} is not written down`);
  const { client, steps } = vector.call;
  if ("sends" in ours) {
    const request = build(steps);
    expect(toHex((await capture(client, request)).body as Uint8Array)).toBe(ours.sends);
  } else {
    expect(thrownBy(() => build(steps))).toMatchObject({
      name: ours.name,
      code: ours.code,
      message: expect.stringMatching(ours.message),
    });
  }
});

// Behavior of this SDK for the vectors that are not replayed.

/** Everything except the content type equals the vector. */
async function expectContentTypeToo(vector: RequestVector, contentType: string): Promise<void> {
  const sent = await send(vector);
  expect(provingHeaders(vector.headers)).toEqual({});
  expect(provingHeaders(sent.headers)).toEqual({ "content-type": contentType });
  expect(new Map(sent.headers).has("date")).toBe(false);
  const withContentType = { ...vector, headers: [...vector.headers, ["Content-Type", contentType] as const] };
  expectSame(withContentType, sent);
}

/** The client cannot be created or cannot send, and nothing is sent. */
async function expectClientRefused({ call }: RequestVector, code: string, message: RegExp): Promise<void> {
  const transport = new RecordingTransport();
  const error = await errorOf(
    (async () => {
      const client = new PredictClient({ ...optionsOf(call.client), transport });
      await client.predict("abc");
    })(),
  );
  expect(error).toMatchObject({ name: "TypeError", code, message: expect.stringMatching(message) });
  expect(transport.requests).toEqual([]);
}

function expectFeedRefused({ call }: RequestVector, code: string, message: RegExp): void {
  expect(thrownBy(() => build(call.steps))).toMatchObject({
    name: "RangeError",
    code,
    message: expect.stringMatching(message),
  });
}

/** The compressed bytes are sent, hashed and signed: byte for byte like Python's. */
test.each(["torch/snappy", "torch/snappy-empty"])("%s: sends the same compressed bytes", async (name) => {
  const vector = vectorNamed<RequestVector>(name);
  const given: string[] = [];
  const compression: CompressionCodec = {
    name: "snappy",
    compress: (bytes) => {
      given.push(toHex(bytes));
      return fromHex(vector.bodyHex);
    },
  };
  const { uncompressedHex, ...compressed } = vector;
  expectSame(compressed, await capture(vector.call.client, build(vector.call.steps), { compression }));
  expect(given).toEqual([uncompressedHex]);
});

const INSTEAD: Readonly<Record<keyof typeof SKIPPED_REQUESTS, (vector: RequestVector) => void | Promise<void>>> = {
  "string/no-token": (vector) => expectContentTypeToo(vector, "application/octet-stream"),
  "string/content-type-no-token": (vector) => expectContentTypeToo(vector, "application/json"),
  "string/custom-url-no-token": (vector) => expectContentTypeToo(vector, "application/octet-stream"),
  "string/extra-header-authorization-overwritten": async (vector) => {
    await expectClientRefused(vector, "ERR_EAS_ARG_HEADER", /header authorization is set by the token/);
    // Without a token, the header is the user's own.
    const { client, steps } = vector.call;
    const sent = await capture({ ...client, token: "" }, build(steps));
    expect(new Map(sent.headers).get("authorization")).toBe("Bearer abc");
  },
  "string/service-with-query": async (vector) => {
    await expectClientRefused(vector, "ERR_EAS_ARG_SERVICE_NAME", /query/);
    // The query is a separate option.
    const { client } = vector.call;
    const sent = await capture({ ...client, service: "svc" }, new StringRequest("abc"), {
      requestPath: "?foo=1&bar=a b",
    });
    expect(sent.path).toBe(vector.url);
    expect(provingHeaders(sent.headers)).toEqual(provingHeaders(vector.headers));
  },
  "string/service-trailing-space": (vector) =>
    expectClientRefused(vector, "ERR_EAS_ARG_SERVICE_NAME", /spaces at its start or end/),
  "string/endpoint-double-trailing-slash": async (vector) => {
    const sent = await send(vector);
    expect(vector.url).toBe("//api/predict/svc");
    expectSame({ ...vector, url: "/api/predict/svc" }, sent);
  },
  "string/endpoint-https": async (vector) => {
    const sent = await send(vector);
    expect(sent.origin).toBe("https://127.0.0.1:18080");
    expect(sent.path).toBe("/api/predict/svc");
    // The raw token is sent, since TLS encrypts it.
    expect(provingHeaders(sent.headers)).toEqual({
      "content-type": "application/octet-stream",
      authorization: "test-token",
    });
  },
  "tf/float-overflow-boundary": async (vector) => {
    const [theirs, here] = [vector.bodyHex, toHex((await send(vector)).body as Uint8Array)];
    const values = (first: string, second: string) => `1a08${first}${second}`;
    expect(theirs).toContain(values("ffff7f7f", "ffff7f7f"));
    expect(here).toBe(theirs.replace(values("ffff7f7f", "ffff7f7f"), values("0000807f", "ffff7f7f")));
  },
  "tf/uint16-negative": (vector) =>
    expectFeedRefused(vector, "ERR_EAS_ARG_CONTENT", /"images".*content\[0\] is -1.*DT_UINT16.*from 0 to 65535/),
  "tf/empty-shape-and-content": (vector) => {
    expectFeedRefused(vector, "ERR_EAS_ARG_SHAPE", /"images".*\[\] has 1 elements.*length 0/);
    expect(toHex(new TFRequest().addFeed("x", [], "DT_FLOAT", [2.5]).toBinary())).toBe(
      "120f0a0178120a080112001a0400002040",
    );
  },
  "tf/shape-negative-dim": (vector) =>
    expectFeedRefused(vector, "ERR_EAS_ARG_SHAPE", /"images".*\[-1, 2\] has the dimension -1/),
  "tf/shape-large-dim": (vector) =>
    expectFeedRefused(
      vector,
      "ERR_EAS_ARG_SHAPE",
      /"images".*\[1099511627776, 1\] has 1099511627776 elements.*length 1/,
    ),
  "tf/no-feed": async (vector) => {
    const message = create(TFMessage, { signatureName: "predict_images" });
    expect(vector.bodyHex).toBe("");
    expect((await send(vector)).body).toEqual(toBinary(TFMessage, message));
  },
  "tf/no-feed-fetch": async (vector) => {
    const message = create(TFMessage, { signatureName: "predict_images", outputFilter: ["a", "b", "a"] });
    expect((await send(vector)).body).toEqual(toBinary(TFMessage, message));
    expect(vector.bodyHex).toBe(toHex(toBinary(TFMessage, create(TFMessage, { outputFilter: ["a", "b", "a"] }))));
  },
  "tf/same-name-twice-appends": async (vector) => {
    const second = new TFRequest("s").addFeed("x", [3], "DT_INT64", [9, 10, 11]);
    // The second feed of the vector has one value for three elements.
    expectFeedRefused(vector, "ERR_EAS_ARG_SHAPE", /"x".*\[3\] has 3 elements.*length 1/);
    const twice = new TFRequest("s")
      .addFeed("x", [1, 2], "DT_FLOAT", [1, 2])
      .addFeed("x", [3], "DT_INT64", [9, 10, 11]);
    expect((await capture(vector.call.client, twice)).body).toEqual(second.toBinary());
  },
  "blade/scalar-float-volume-mismatch": async (vector) => {
    expectFeedRefused(vector, "ERR_EAS_ARG_SHAPE", /"in".*\[2\] has 2 elements.*length 1/);
    // The value must be given for each element.
    const both = new BladeRequest("sig").addFeed("in", 1, [2], "DT_FLOAT", [2.5, 2.5]);
    // Python sends everything except the values.
    expect(toHex((await capture(vector.call.client, both)).body as Uint8Array)).toBe(
      `${vector.bodyHex.replace("120f0a02", "12190a02")}2a080000204000002040`,
    );
  },
};

test.each(Object.entries(INSTEAD))("%s: differs from the official SDK", async (name, act) => {
  await act(vectorNamed<RequestVector>(name));
});

const WITH_REQUEST = Object.keys(SKIPPED_REQUESTS)
  .map(vectorNamed<RequestVector>)
  .filter(({ kind }) => kind === "request");
test.each(WITH_REQUEST)("$name: still differs when replayed", async (vector) => {
  await expect(replayRequest(vector)).rejects.toThrow();
});

test("the classes have the official SDK's methods in camelCase", () => {
  const names = [...REQUESTS, ...BUILD_ERRORS].flatMap(({ call }) =>
    // ONNX tensors are created by a helper, whose name is in brackets.
    call.steps.slice(1).map(([name]) => camelCase(name.replace(/\(.*/, ""))),
  );
  expect([...new Set(names)].sort()).toEqual([
    "addFeed",
    "addFeedMap",
    "addFetch",
    "addTensor",
    "setDebugLevel",
    "setSignatureName",
  ]);
});
