import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { describe, expect, test } from "vitest";
import * as easyrec from "../../../src/gen/eas/easyrec/easyrec_pb.js";
import * as tf from "../../../src/gen/eas/tf/tf_pb.js";
import {
  BladeResponse,
  CaffeResponse,
  EasyRecResponse,
  JsonResponse,
  OnnxResponse,
  PredictClient,
  QueueClient,
  TFRequest,
  TFResponse,
  TorchRecResponse,
  TorchResponse,
} from "../../../src/index.js";
import { readAttributes } from "../../../src/queue/attributes.js";
import { readFrame, readFrames } from "../../../src/queue/frame-codec.js";
import { startServer, TOKEN } from "../../support/calls.js";
import type { MisbehavingServer, SeenRequest } from "../../support/misbehaving-server.js";

// Text from untrusted users must not inject a header or a request, nor change the path or the host. Responses of
// services must not change a prototype.

const HOSTILE = [
  "\r\nX-Injected: 1",
  "\r\n\r\nGET /injected HTTP/1.1\r\nHost: x\r\n\r\n",
  "\nX-Injected: 1",
  "\rX-Injected: 1",
  "\0",
  "\u000b",
  "\u007f",
  "\u0085X-Injected: 1",
  "\u2028X-Injected: 1",
  "\u2029",
  // Truncated to one byte per UTF-16 unit, these characters are CR and LF.
  "\u010d\u010aX-Injected: 1",
  "嘊嘍X-Injected: 1",
  "%0d%0aX-Injected: 1",
  "/..",
  "/../..",
  "../",
  "/%2e%2e/",
  "/.%2e/%2E./x",
  "%2f..%2f..",
  "%5c..%5c",
  "\\..\\",
  "//127.0.0.2/",
  "\\\\127.0.0.2\\x",
  "/\\127.0.0.2",
  "@127.0.0.2",
  ":x@127.0.0.2/",
  "#",
  "#@127.0.0.2",
  "?x=1",
  "&_index_=7",
  ";x",
  " HTTP/1.1",
  "\t",
  " ",
  "/．．/",
  "／..／",
  "＠127.0.0.2",
  "。。/",
  "\ud800",
  "\u{1f600}",
  "%",
  "%zz",
  "%00",
  "\ufeff",
  "__proto__",
  "constructor",
  "toString",
];

type Call = (hostile: string, origin: string) => Promise<unknown>;

const predict =
  (options: object, call?: object, body = "x") =>
  async (origin: string) => {
    const client = new PredictClient({ endpoint: origin, serviceName: "svc", token: TOKEN, auth: "token", ...options });
    return client.predict(body, call).finally(() => client.close());
  };
const queue = (options: object, use: (client: QueueClient) => Promise<unknown>) => async (origin: string) => {
  const client = new QueueClient({ endpoint: origin, queueName: "q", token: TOKEN, logger: null, ...options });
  return use(client).finally(() => client.close());
};

/** Places that accept text. */
const PLACES: Readonly<Record<string, Call>> = {
  serviceName: (x, origin) => predict({ serviceName: `svc${x}` })(origin),
  "the first characters of serviceName": (x, origin) => predict({ serviceName: `${x}svc` })(origin),
  requestPath: (x, origin) => predict({ requestPath: `/v1${x}` })(origin),
  "path of a call": (x, origin) => predict({}, { path: x })(origin),
  "a query's key": (x, origin) => predict({}, { query: Object.fromEntries([[x, "1"]]) })(origin),
  "a query's value": (x, origin) => predict({}, { query: { a: x } })(origin),
  "a header's name": (x, origin) => predict({}, { headers: [[`x-a${x}`, "1"]] })(origin),
  "a header's value": (x, origin) => predict({}, { headers: { "x-a": `1${x}` } })(origin),
  token: (x, origin) => predict({ token: `${TOKEN}${x}` })(origin),
  "token as a bearer": (x, origin) => predict({ token: `${TOKEN}${x}`, auth: "bearer" })(origin),
  "token of a signature": (x, origin) => predict({ token: `${TOKEN}${x}`, auth: "signature" })(origin),
  "token of a function": (x, origin) => predict({ token: async () => `${TOKEN}${x}` })(origin),
  contentType: (x, origin) => predict({ contentType: `text/plain${x}` })(origin),
  body: (x, origin) => predict({}, {}, x)(origin),
  customUrl: (x, origin) =>
    predict({ customUrl: `${origin}/api/predict/svc${x}`, serviceName: "", endpoint: "" })(origin),
  "endpoint's path": (x, origin) => predict({ endpoint: `${origin}/api/predict/svc${x}`, serviceName: "" })(origin),
  queueName: (x, origin) => queue({ queueName: `q${x}` }, (client) => client.attributes())(origin),
  uid: (x, origin) => queue({ uid: `u${x}` }, (client) => client.attributes())(origin),
  gid: (x, origin) => queue({ gid: `g${x}` }, (client) => client.attributes())(origin),
  "a tag's key": (x, origin) =>
    queue({}, (client) => client.count({ tags: Object.fromEntries([[`a${x}`, "1"]]) }))(origin),
  "a tag's value": (x, origin) => queue({}, (client) => client.count({ tags: { a: x } }))(origin),
  requestId: (x, origin) => queue({}, (client) => client.get({ requestId: x }))(origin),
  index: (x, origin) => queue({}, (client) => client.truncate(`1${x}`))(origin),
  "the reason of a negative commit": (x, origin) => queue({}, (client) => client.negative(1n, { reason: x }))(origin),
  "the code of a negative commit": (x, origin) => queue({}, (client) => client.negative(1n, { code: `A${x}` }))(origin),
  "timeout of a get": (x, origin) => queue({}, (client) => client.get({ timeout: `1s${x}` }))(origin),
};

const HEADERS = new Set([
  "accept",
  "authorization",
  "connection",
  "content-length",
  "content-md5",
  "content-type",
  "date",
  "host",
  "x-a",
  "x-eas-queueservice-redis-gid",
  "x-eas-queueservice-redis-uid",
]);

/** Checks that the server received one request of the client, for the expected host and below the expected path. */
function check({ path, rawHeaders, headers }: SeenRequest, server: MisbehavingServer, place: string): void {
  expect(headers.host).toBe(`127.0.0.1:${server.port}`);
  expect(path).toMatch(place === "customUrl" ? /^\/[\x21-\x7e]*$/ : /^\/api\/predict\/[\x21-\x7e]*$/);
  expect(path).not.toContain("#");
  const names = rawHeaders.map(([name]) => name.toLowerCase());
  // Callers that set headers may set a valid header name.
  const added = names.filter((name) => !HEADERS.has(name) && !(place === "a header's name" && name.startsWith("x-a")));
  expect(added).toEqual([]);
  expect(new Set(names).size).toBe(names.length);
  const pathname = path.split("?", 1)[0] as string;
  // The path as the most lenient proxy could read it.
  const plain = pathname.replace(/%2e/gi, ".").replace(/%2f|%5c|\\/gi, "/");
  // The caller controls the whole custom URL.
  if (place !== "customUrl")
    expect(plain.split("/").filter((segment) => segment === ".." || segment === ".")).toEqual([]);
  if (!/^(serviceName|the first|customUrl|endpoint|queueName)/.test(place)) {
    expect(pathname).toMatch(/^\/api\/predict\/(svc|q)(\/|$)/);
  }
}

describe.each(Object.entries(PLACES))("%s", (place, call) => {
  test.each(HOSTILE.map((text) => [JSON.stringify(text), text] as const))("%s", async (_, hostile) => {
    const server = await startServer();
    let error: { code?: string } | undefined;
    await call(hostile, server.origin).catch((caught) => {
      error = caught;
    });
    if (server.requests.length === 0) {
      // Refused before anything was sent, with an error that names the argument.
      expect(error?.code).toMatch(/^ERR_EAS_ARG_/);
    } else {
      expect(server.requests).toHaveLength(1);
      check(server.requests[0] as SeenRequest, server, place);
      // The server's response is not that of a queue, which this test ignores.
      if (error !== undefined) expect(error.code).toBe("ERR_EAS_DECODE");
    }
  });
});

test.each([
  ["http://127.0.0.1@127.0.0.2", "user information"],
  ["127.0.0.1:80@127.0.0.2", "user information without a scheme"],
  ["http://a\n.example", "a line break"],
  ["http://a\t.example", "a tab"],
  ["http:\\\\127.0.0.2\\x", "backslashes instead of slashes"],
  ["http://127.0.0.1\\@127.0.0.2", "a backslash before the host"],
  ["http:/127.0.0.2", "one slash"],
  ["https:///127.0.0.2", "three slashes"],
  ["http:127.0.0.2", "no slash"],
  ["javascript:alert(1)", "a script URL"],
  ["file:///etc/passwd", "a file"],
  ["data:text/plain,x", "data"],
])("refuses an endpoint: %j, %s", (endpoint) => {
  const make = () => new PredictClient({ endpoint, serviceName: "svc" });
  expect(make).toThrow(expect.objectContaining({ code: "ERR_EAS_ARG_ENDPOINT" }));
  expect(() => new PredictClient({ customUrl: endpoint })).toThrow(
    expect.objectContaining({ code: "ERR_EAS_ARG_ENDPOINT" }),
  );
});

describe("names of object properties", () => {
  const NAMES = ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf"];
  const before = Reflect.ownKeys(Object.prototype);
  const unchanged = () => {
    expect(Reflect.ownKeys(Object.prototype)).toEqual(before);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect(Reflect.ownKeys(Array.prototype)).not.toContain("polluted");
  };

  const array = { dtype: tf.ArrayDataType.DT_FLOAT, arrayShape: { dim: [1n] }, floatVal: [1] };
  /** A message with one map entry: the generated classes use names as property names. */
  const mapOf = (field: number, name: string, value: Uint8Array) =>
    new BinaryWriter()
      .tag(field, WireType.LengthDelimited)
      .fork()
      .tag(1, WireType.LengthDelimited)
      .string(name)
      .tag(2, WireType.LengthDelimited)
      .bytes(value)
      .join()
      .finish();
  const ARRAY = toBinary(tf.ArrayProtoSchema, create(tf.ArrayProtoSchema, array));
  const named = (name: string, data: number, write: (writer: BinaryWriter) => BinaryWriter) =>
    write(new BinaryWriter().tag(1, WireType.LengthDelimited).fork().tag(data, WireType.LengthDelimited).string(name))
      .join()
      .finish();

  const READS: Readonly<Record<string, (name: string) => unknown>> = {
    TF: (name) => new TFResponse(mapOf(1, name, ARRAY)).getValues(name),
    Torch: (name) => new TorchResponse(mapOf(2, name, ARRAY)).getValuesMap(name),
    TorchRec: (name) => new TorchRecResponse(mapOf(1, name, ARRAY)).getValues(name),
    EasyRec: (name) => new EasyRecResponse(mapOf(10, name, ARRAY)).getValues(name),
    Blade: (name) =>
      new BladeResponse(
        named(name, 2, (writer) => writer.tag(5, WireType.LengthDelimited).bytes(new Uint8Array([0, 0, 128, 63]))),
      ).getValues(name),
    Caffe: (name) =>
      new CaffeResponse(
        new BinaryWriter()
          .tag(1, WireType.LengthDelimited)
          .string(name)
          .tag(2, WireType.LengthDelimited)
          .bytes(new Uint8Array([0x12, 4, 0, 0, 128, 63]))
          .finish(),
      ).getValues(name),
    ONNX: (name) =>
      new OnnxResponse(
        named(name, 1, (writer) =>
          writer
            .tag(2, WireType.Varint)
            .int64(1n)
            .tag(3, WireType.Varint)
            .int32(1)
            .tag(5, WireType.LengthDelimited)
            .bytes(new Uint8Array([0, 0, 128, 63])),
        ),
      ).getValues(name),
  };

  test.each(Object.entries(READS))("are plain keys in outputs of %s", (_, read) => {
    for (const name of NAMES) {
      expect(read(name)).toEqual(Float32Array.of(1));
      unchanged();
    }
  });

  test("do not find inherited properties for missing outputs", () => {
    for (const name of NAMES) {
      expect(() => new TFResponse(new Uint8Array(0)).getValues(name)).toThrow(/is not in the response/);
      expect(() => new EasyRecResponse(new Uint8Array(0)).getScores(name)).toThrow(/no scores/);
    }
  });

  test("are plain keys in maps of EasyRec written by generated code", () => {
    const body = toBinary(
      easyrec.PBResponseSchema,
      create(easyrec.PBResponseSchema, { itemFeatures: Object.fromEntries(NAMES.map((name) => [name, "x"])) }),
    );
    expect([...new EasyRecResponse(body).itemFeatures.keys()].sort()).toEqual([...NAMES].sort());
    unchanged();
  });

  const OWNER = { commit: async () => {}, negative: async () => {}, release: () => {} };
  const utf8 = (text: string) => new TextEncoder().encode(text);
  const hostileJson = NAMES.map((name) => `${JSON.stringify(name)}:"polluted"`).join();

  test("are plain keys in tags of frames, in protobuf, JSON and stored frames", () => {
    const writer = new BinaryWriter().tag(1, WireType.Varint).uint64(1n);
    const parts = [writer.finish(), ...NAMES.map((name) => mapOf(2, name, utf8("polluted")))];
    const frames = [
      readFrame(new Uint8Array(Buffer.concat(parts)), OWNER),
      ...readFrames(utf8(`[{"index":1,"tags":{${hostileJson}}}]`), "application/json", OWNER),
    ];
    for (const frame of frames) {
      for (const name of NAMES) expect(frame.tags[name]).toBe("polluted");
      expect(frame.tags.polluted).toBeUndefined();
      const stored = frame.toJSON();
      expect(Object.getPrototypeOf(stored.tags)).toBe(Object.prototype);
      expect(Object.keys(stored.tags).sort()).toEqual([...NAMES].sort());
      unchanged();
    }
  });

  test("are plain keys in attributes of a queue", () => {
    const attributes = readAttributes(utf8(`{${hostileJson}}`));
    for (const name of NAMES) expect(attributes[name]).toBe("polluted");
    unchanged();
  });

  test("are plain keys in JSON responses, also with exact integers", () => {
    const hostile = '{"__proto__":{"polluted":9007199254740993},"constructor":{"prototype":{"polluted":1}}}';
    const { outputs } = new JsonResponse(utf8(`{"outputs":[{"outputValue":${hostile}},${hostile}]}`));
    const value = outputs[0]?.outputValue.get("__proto__");
    expect(value).toEqual({ polluted: 9007199254740993n });
    unchanged();
    expect((outputs[0] as { polluted?: unknown }).polluted).toBeUndefined();
  });

  test("are not read as options from parsed JSON", async () => {
    const server = await startServer();
    const parsed = JSON.parse('{"__proto__":"x","constructor":"y"}') as Record<string, string>;
    const client = new PredictClient({ endpoint: server.origin, serviceName: "svc", token: TOKEN, headers: parsed });
    await client.predict("x", { query: parsed });
    await client.close();
    const [request] = server.requests;
    expect(request?.path).toBe("/api/predict/svc?__proto__=x&constructor=y");
    expect(request?.rawHeaders.filter(([name]) => NAMES.includes(name))).toEqual([
      ["__proto__", "x"],
      ["constructor", "y"],
    ]);
    unchanged();
  });

  test("are plain keys in inputs of a request", () => {
    const request = new TFRequest();
    for (const name of NAMES) request.addFeed(name, [1], "DT_FLOAT", [1]);
    const sent = Buffer.from(request.toBinary()).toString("latin1");
    for (const name of NAMES) expect(sent).toContain(name);
    unchanged();
  });
});
