import { readFileSync } from "node:fs";
import { create, fromBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import * as easyrec from "../../../../src/gen/eas/easyrec/easyrec_pb.js";
import * as torchrec from "../../../../src/gen/eas/torchrec/torchrec_pb.js";
import { EasyRecRequest, EasyRecResponse, TorchRecRequest, type TorchRecResponse } from "../../../../src/index.js";
import { thrownBy } from "../../../support/calls.js";

// Compares our requests and responses with those of the official Python SDK. The first element of the record explains
// the encodings.

type Step = readonly [name: string, ...args: unknown[]];

interface Vector {
  readonly name: string;
  readonly kind: "request" | "build-error" | "response";
  readonly call: { readonly steps: readonly Step[] };
  readonly bodyHex: string;
  readonly orderInsensitive?: true;
  readonly reads: readonly { readonly call: string; readonly result: unknown }[];
}

const RECORD = JSON.parse(
  readFileSync(new URL("../../../vectors/python-sdk.json", import.meta.url), "utf8"),
) as readonly Vector[];
const OURS = RECORD.filter(({ name }) => /^(resp\/)?(easyrec|torchrec)\//.test(name));

/** Vectors whose bytes differ from ours, and why. The tests below show what our code does instead. */
const SKIPPED: Readonly<Record<string, string>> = {
  "easyrec/flt-from-str": "Python makes a float of text; ours wants a number, since a float in text may be rounded",
  "easyrec/int-from-str": "Python makes an int of text; ours wants a number",
  "easyrec/str-from-int": "Python makes text of anything; ours wants a string",
  "easyrec/signature-not-sent": "Python takes a signature name that it never sends; ours refuses it",
  "torchrec/meta-true": "Python sends its own spelling, True; ours wants the text",
  "torchrec/meta-none": "Python sends the text None; ours wants the text",
  "torchrec/meta-list": "Python sends its own spelling of a list; ours wants the text",
};

const fromHex = (hex: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(hex, "hex"));
const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

function decode(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(decode);
  if (typeof value !== "object" || value === null) return value;
  const [[key, held]] = Object.entries(value) as [[string, unknown]];
  switch (key) {
    case "$int":
      return BigInt(held as string);
    case "$f":
      return Number(held);
    case "$bytes":
      return fromHex(held as string);
    case "$map":
      return new Map(decode(held) as [unknown, unknown][]);
    case "$pb":
      // Messages are passed as bytes.
      return fromHex((value as unknown as { hex: string }).hex);
    default:
      throw new Error(`no encoding ${key}`);
  }
}

type Call = (...args: never[]) => unknown;

/** Our method for each method of the Python SDK. */
const METHODS: Readonly<Record<string, (request: EasyRecRequest & TorchRecRequest) => Call>> = {
  add_feed: (request) => (data: never, level: never) => request.addFeed(data, level),
  add_user_fea: (request) => (name, value, dtype) => request.addUserFeature(name, value, dtype),
  add_user_fea_flt: (request) => (name, value) => request.addUserFeature(name, value, "FLOAT"),
  add_user_fea_int: (request) => (name, value) => request.addUserFeature(name, value, "INT"),
  add_user_fea_str: (request) => (name, value) => request.addUserFeature(name, value, "STRING"),
  add_context_fea: (request) => (name, value, dtype) => request.addContextFeature(name, value, dtype),
  add_item_fea: (request) => (name, value, dtype) => request.addItemFeature(name, value, dtype),
  add_item_id: (request) => (id) => request.addItemId(id),
  add_meta_data: (request) => (key, value) => request.addMetaData(key, value),
  set_faiss_neigh_num: (request) => (neighbors) => request.setFaissNeighNum(neighbors),
  set_debug_level: (request) => (level) => request.setDebugLevel(level),
  keep_one_item_ids: (request) => () => request.keepOneItemIds(),
};

function build({ call }: Vector): EasyRecRequest | TorchRecRequest {
  const [[, className, ...given], ...steps] = call.steps as [Step, ...Step[]];
  const Class = (className === "EasyRecRequest" ? EasyRecRequest : TorchRecRequest) as new (
    ...args: unknown[]
  ) => EasyRecRequest & TorchRecRequest;
  const request = new Class(...given);
  for (const [name, ...args] of steps) {
    const method = METHODS[name];
    if (method === undefined) throw new Error(`there is no method for ${name}`);
    method(request)(...(args.map(decode) as never[]));
  }
  return request;
}

const named = (name: string): Vector => {
  const vector = RECORD.find((vector) => vector.name === name);
  if (vector === undefined) throw new Error(`there is no vector ${name}`);
  return vector;
};

const REQUESTS = OURS.filter(({ kind, name }) => kind === "request" && !(name in SKIPPED));

test.each(REQUESTS)("$name", (vector) => {
  const body = build(vector).toBinary();
  if (!vector.orderInsensitive) return expect(toHex(body)).toBe(vector.bodyHex);
  const schema = vector.name.startsWith("easyrec/") ? easyrec.PBRequestSchema : torchrec.PBRequestSchema;
  const read = (bytes: Uint8Array) => fromBinary<typeof easyrec.PBRequestSchema>(schema as never, bytes);
  expect(body).toHaveLength(vector.bodyHex.length / 2);
  expect(read(body)).toEqual(read(fromHex(vector.bodyHex)));
});

test("all vectors are covered", () => {
  expect(OURS).toHaveLength(78);
  expect(REQUESTS).toHaveLength(61);
  expect(RESPONSES).toHaveLength(6);
  const errors = OURS.filter(({ kind }) => kind === "build-error").map(({ name }) => name);
  expect(Object.keys(BUILD_ERRORS).sort()).toEqual(errors.sort());
  expect(Object.keys(INSTEAD).sort()).toEqual(Object.keys(SKIPPED).sort());
});

interface Refusal {
  readonly name: "TypeError" | "RangeError";
  readonly code: string;
  readonly message: RegExp;
}

const INSTEAD: Readonly<Record<string, Refusal>> = {
  "easyrec/flt-from-str": {
    name: "TypeError",
    code: "ERR_EAS_ARG_CONTENT",
    message: /^user feature "k" is "1\.5", which does not fit FLOAT: it must be a number$/,
  },
  "easyrec/int-from-str": {
    name: "TypeError",
    code: "ERR_EAS_ARG_CONTENT",
    message: /^user feature "k" is "12", which does not fit INT: it must be an integer/,
  },
  "easyrec/str-from-int": {
    name: "TypeError",
    code: "ERR_EAS_ARG_CONTENT",
    message: /^user feature "k" is 5, which does not fit STRING: it must be a string$/,
  },
  "easyrec/signature-not-sent": {
    name: "TypeError",
    code: "ERR_EAS_ARG_REQUEST",
    message: /not "sig": the official Python SDK takes a signature name here, but never sends it$/,
  },
  "torchrec/meta-true": { name: "TypeError", code: "ERR_EAS_ARG_CONTENT", message: /metadata "m" is true: it must/ },
  "torchrec/meta-none": { name: "TypeError", code: "ERR_EAS_ARG_CONTENT", message: /metadata "m" is null: it must/ },
  "torchrec/meta-list": {
    name: "TypeError",
    code: "ERR_EAS_ARG_CONTENT",
    message: /metadata "m" is an array: it must/,
  },
};

test.each(Object.entries(INSTEAD))("%s: a clear error", (name, refusal) => {
  expect(named(name).kind).toBe("request");
  expect(thrownBy(() => build(named(name)))).toMatchObject({
    ...refusal,
    message: expect.stringMatching(refusal.message),
  });
});

const BUILD_ERRORS: Readonly<Record<string, Refusal | { readonly sends: object }>> = {
  "torchrec/user-string-given-int": {
    name: "TypeError",
    code: "ERR_EAS_ARG_CONTENT",
    message: /^user feature "k" is 5, which does not fit STRING: it must be a string$/,
  },
  "torchrec/user-int-given-str": {
    name: "TypeError",
    code: "ERR_EAS_ARG_CONTENT",
    message: /^user feature "k" is "5", which does not fit INT: it must be an integer/,
  },
  "torchrec/user-list-not-list": {
    name: "TypeError",
    code: "ERR_EAS_ARG_CONTENT",
    message: /^user feature "k" is 5, which does not fit LIST<INT>: it must be an array$/,
  },
  // The schema has it, but the official SDKs have no name for it.
  "torchrec/user-nested-array-int": {
    sends: {
      userFeatures: {
        k: { value: { case: "intLists", value: { lists: [{ features: [1] }] } } },
      },
    },
  },
};

test.each(Object.entries(BUILD_ERRORS))("%s: a clear error or the right bytes", (name, ours) => {
  if ("sends" in ours) {
    const message = fromBinary(torchrec.PBRequestSchema, build(named(name)).toBinary());
    expect(message).toEqual(create(torchrec.PBRequestSchema, ours.sends));
  } else {
    expect(thrownBy(() => build(named(name)))).toMatchObject({ ...ours, message: expect.stringMatching(ours.message) });
  }
});

/** Our result for each call of the Python SDK. */
const EASYREC_READS: Readonly<Record<string, (response: EasyRecResponse) => unknown>> = {
  "results['item_1'].scores": (response) => [...response.getScores("item_1")],
  "results keys": (response) => [...response.results.keys()],
  item_features: (response) => response.itemFeatures,
  generate_features: (response) => response.generateFeatures,
  raw_features: (response) => response.rawFeatures,
  "context_features['c'].features[*].WhichOneof('value')": (response) =>
    response.contextFeatures
      .get("c")
      ?.map(
        (value) =>
          ({ number: "int_feature", bigint: "long_feature", string: "string_feature" })[typeof value as "number"],
      ),
  "context_features['c'].features[*] value": (response) => response.contextFeatures.get("c"),
  error_msg: (response) => response.errorMsg,
  status_code: ({ statusCode }) =>
    typeof statusCode === "number" ? statusCode : ["OK", "INPUT_EMPTY", "EXCEPTION"].indexOf(statusCode),
  item_ids: (response) => response.itemIds,
  outputs: (response) => response.targets,
  "tf_outputs['y'].float_val": (response) => [...response.getValues("y", "DT_FLOAT")],
  "tf_outputs['y'].array_shape.dim": (response) => response.getTensorShape("y"),
};

const TORCHREC_READS: Readonly<Record<string, (response: TorchRecResponse) => unknown>> = {
  "map_outputs['probs'].float_val": (response) => [...response.getValues("probs", "DT_FLOAT")],
  "map_outputs['probs'].array_shape.dim": (response) => response.getTensorShape("probs"),
  "map_outputs['probs'].dtype": (response) => (response.getTensor("probs").dtype === "DT_FLOAT" ? 1 : 0),
  generate_features: (response) => response.generateFeatures,
  raw_features: (response) => response.rawFeatures,
  item_ids: (response) => response.itemIds,
};

const RESPONSES = OURS.filter(({ kind }) => kind === "response");

describe.each(RESPONSES)("$name", ({ name, bodyHex, reads }) => {
  const body = fromHex(bodyHex);
  const read = name.startsWith("resp/easyrec/")
    ? by(EASYREC_READS, new EasyRecRequest().parseResponse(body))
    : by(TORCHREC_READS, new TorchRecRequest().parseResponse(body));

  test.each(reads)("$call", ({ call, result }) => {
    expect(read(call)).toEqual(decode(result));
  });
});

function by<R>(table: Readonly<Record<string, (response: R) => unknown>>, response: R): (call: string) => unknown {
  return (call) => {
    const read = table[call];
    if (read === undefined) throw new Error(`there is no read for ${call}`);
    return read(response);
  };
}

test("a 64-bit integer stays exact, and the value of an unset member is undefined", () => {
  const { contextFeatures } = new EasyRecResponse(fromHex(named("resp/easyrec/all").bodyHex));
  expect(contextFeatures.get("c")).toEqual([0, 9_007_199_254_740_993n, ""]);
  expect(new EasyRecResponse(fromHex("22070a016312020a00")).contextFeatures.get("c")).toEqual([undefined]);
});
