// Random requests and responses of EasyRec and TorchRec, in the form described in tensor-formats.mjs.
import { create, toBinary } from "@bufbuild/protobuf";
import { EasyRecRequest, EasyRecResponse, TorchRecRequest, TorchRecResponse } from "eas-prediction";
import { PBRequestSchema as EasyRecMessage } from "eas-prediction/proto/easyrec";
import { PBRequestSchema as TorchRecMessage } from "eas-prediction/proto/torchrec";
import { content, doubles, floats, fullNames, INT32, INT64, int32, integer, names, tensor, text } from "./random.mjs";
import { arrayProto, held, sorted, TF_ANSWERS, TORCH_ANSWERS } from "./tensor-formats.mjs";
import { base64, contentOf, decode, tagged } from "./values.mjs";

/** Returns an id or a value of metadata, usually text. Python converts it to text. */
const anyText = (random) => (random.once(3) ? { int: String(integer(random, ...INT64)) } : text(random));

/** Returns a number of neighbors, which must not be negative in this package. */
const neighbours = (random) => Math.max(0, int32(random));

/** Returns the bytes of a message to start from, with features collected elsewhere. */
function feedStep(random, schema) {
  const feature = () => ({ value: plainFeature(random) });
  // The generated code that creates the bytes stores maps in plain objects.
  const keys = (most) => names(random, most).filter((name) => name !== "__proto__");
  const itemIds = random.list(4, () => text(random));
  const message = create(schema, {
    debugLevel: int32(random),
    userFeatures: Object.fromEntries(keys(3).map((name) => [name, feature()])),
    itemIds,
    // One value per item, as this package requires.
    contextFeatures: Object.fromEntries(keys(2).map((name) => [name, { features: itemIds.map(feature) }])),
    faissNeighNum: random.once(2) ? int32(random) : 0,
  });
  return { items: itemIds.length, step: ["add_feed", { bytes: base64(toBinary(schema, message)) }, int32(random)] };
}

/** Returns a feature of a kind that both formats have, for the generated code. */
function plainFeature(random) {
  switch (random.between(1, 4)) {
    case 1:
      return { case: "intFeature", value: int32(random) };
    case 2:
      return { case: "longFeature", value: integer(random, ...INT64) };
    case 3:
      return { case: "stringFeature", value: text(random) };
    default:
      return { case: "floatFeature", value: decode(oneFloat(random)) };
  }
}

const USUAL_NAN = Float32Array.of(Number.NaN);

/** Returns a float that a JavaScript number represents: NaN only with the usual bits. */
function oneFloat(random) {
  const [value] = floats(random, 1);
  return { float: base64(Number.isNaN(value) ? USUAL_NAN : Float32Array.of(value)) };
}

function oneDouble(random) {
  const [value] = doubles(random, 1);
  return { double: base64(Float64Array.of(Number.isNaN(value) ? Number.NaN : value)) };
}

const EASYREC_FEATURES = [
  ["add_user_fea_flt", oneFloat, "FLOAT"],
  ["add_user_fea_int", int32, "INT"],
  ["add_user_fea_str", text, "STRING"],
  // Python's class has no method for this.
  ["easyrec_long", (random) => ({ int: String(integer(random, ...INT64)) }), "LONG"],
];

const EASYREC_DTYPES = Object.fromEntries(EASYREC_FEATURES.map(([step, , dtype]) => [step, dtype]));

export const easyrec = {
  schema: EasyRecMessage,
  request(random) {
    // This step comes first, because Python discards values that were set before.
    const feed = random.once(2) ? feedStep(random, EasyRecMessage) : undefined;
    const steps = feed === undefined ? [] : [feed.step];
    for (const name of fullNames(random, 5)) {
      const [step, value] = random.pick(EASYREC_FEATURES);
      steps.push([step, name, value(random)]);
    }
    // Not after context features, which have one value per item.
    const ids = feed === undefined ? random.list(5, () => ["easyrec_item_id", text(random)]) : [];
    steps.push(...ids);
    if (random.once(2)) steps.push(["set_faiss_neigh_num", neighbours(random)]);
    if (ids.length + (feed?.items ?? 0) > 0 && random.once(3)) steps.push(["keep_one_item_ids"]);
    return { new: [], steps };
  },
  ours({ steps }) {
    const request = new EasyRecRequest();
    for (const [step, ...args] of steps) {
      if (step === "add_feed") request.addFeed(decode(args[0]), args[1]);
      else if (step === "easyrec_item_id") request.addItemId(args[0]);
      else if (step === "set_faiss_neigh_num") request.setFaissNeighNum(args[0]);
      else if (step === "keep_one_item_ids") request.keepOneItemIds();
      else request.addUserFeature(args[0], decode(args[1]), EASYREC_DTYPES[step]);
    }
    return request;
  },
  response(random) {
    const results = names(random, 5).map((id) => [id, content(random, "DT_DOUBLE", random.between(0, 3))]);
    const context = names(random, 2).map((name) => [name, random.list(3, () => contextFeature(random))]);
    const outputs = names(random, 2).map((name) => [name, tensor(random, TF_ANSWERS)]);
    const debug = DEBUG_MAPS.easyrec.map(([field]) => [field, textMap(random)]);
    const [itemIds, targets] = [random.list(4, () => text(random)), random.list(3, () => text(random))];
    const [statusCode, errorMsg] = [random.between(0, 2), text(random)];
    return {
      fields: {
        results: { messageMap: results.map(([id, scores]) => [id, { scores }]) },
        ...Object.fromEntries(debug.map(([field, pairs]) => [field, { map: pairs }])),
        context_features: {
          messageMap: context.map(([name, list]) => [name, { features: { messages: list.map(([fields]) => fields) } }]),
        },
        error_msg: errorMsg,
        status_code: statusCode,
        item_ids: itemIds,
        outputs: targets,
        tf_outputs: { messageMap: outputs.map(([name, output]) => [name, arrayProto(output)]) },
      },
      holds: {
        results: sorted(results),
        outputs: sorted(outputs),
        debug: debug.map(([, pairs]) => sorted(pairs)),
        context: sorted(context.map(([name, list]) => [name, list.map(([, value]) => value)])),
        rest: [itemIds, targets, ["OK", "INPUT_EMPTY", "EXCEPTION"][statusCode], errorMsg],
      },
    };
  },
  read(body) {
    const response = new EasyRecResponse(body);
    return {
      results: sorted([...response.results].map(([id, scores]) => [id, tagged("DT_DOUBLE", scores)])),
      outputs: tensorsOf(response),
      debug: DEBUG_MAPS.easyrec.map(([, name]) => sorted(response[name])),
      context: sorted(response.contextFeatures),
      rest: [response.itemIds, response.targets, response.statusCode, response.errorMsg],
    };
  },
};

/** Maps of texts in the responses: their names in the schema and in this package. */
const DEBUG_MAPS = {
  easyrec: [
    ["item_features", "itemFeatures"],
    ["generate_features", "generateFeatures"],
    ["raw_features", "rawFeatures"],
  ],
  torchrec: [
    ["generate_features", "generateFeatures"],
    ["raw_features", "rawFeatures"],
  ],
};

const textMap = (random) => names(random, 4).map((name) => [name, text(random)]);

/** Returns the fields of Python's message, and the values that this package must return for it. */
function contextFeature(random) {
  switch (random.between(0, 4)) {
    case 0:
      return [{}, undefined];
    case 1:
      return one({ int_feature: { int: String(int32(random)) } });
    case 2: {
      const value = integer(random, ...INT64);
      return [{ long_feature: { int: String(value) } }, value];
    }
    case 3:
      return one({ string_feature: text(random) });
    default:
      return one({ float_feature: oneFloat(random) });
  }
}

const one = (fields) => [fields, decode(Object.values(fields)[0])];

const tensorsOf = (response) =>
  sorted(response.outputNames.map((name) => [name, held(response.getTensorShape(name), response.getTensor(name))]));

const SCALARS = ["STRING", "FLOAT", "DOUBLE", "BIGINT", "INT64", "INT"];
const MAP_KEYS = ["INT", "INT64", "BIGINT", "STRING"];
/** All names in the Python class. */
const TORCHREC_DTYPES = [
  ...SCALARS,
  ...["LIST", "ARRAY"].flatMap((list) => SCALARS.map((element) => `${list}<${element}>`)),
  "LIST<LIST<FLOAT>>",
  "ARRAY<ARRAY<FLOAT>>",
  ...MAP_KEYS.flatMap((key) => SCALARS.map((value) => `MAP<${key},${value}>`)),
];

const SCALAR_VALUES = {
  STRING: text,
  FLOAT: oneFloat,
  DOUBLE: oneDouble,
  INT: (random) => ({ int: String(integer(random, ...INT32)) }),
  INT64: (random) => ({ int: String(integer(random, ...INT64)) }),
  BIGINT: (random) => ({ int: String(integer(random, ...INT64)) }),
};

/** Tensor dtypes whose values are lists. */
const ELEMENTS = { FLOAT: "DT_FLOAT", DOUBLE: "DT_DOUBLE", INT: "DT_INT32", INT64: "DT_INT64", BIGINT: "DT_INT64" };

function list(random, element, least = 0) {
  const length = random.between(least, random.once(10) ? 150 : 5);
  if (element === "STRING") return Array.from({ length }, () => text(random));
  return content(random, ELEMENTS[element], length);
}

/** Returns a value of a dtype, sometimes null, which all dtypes allow. */
function featureValue(random, dtype) {
  if (random.once(12)) return random.pick([null, [], { map: [] }]);
  const [, outer, inner] = /^(\w+)(?:<(.+)>)?$/.exec(dtype);
  if (inner === undefined) return SCALAR_VALUES[outer](random);
  if (outer !== "MAP") {
    return inner.endsWith(">") ? random.list(4, () => list(random, "FLOAT")) : list(random, inner);
  }
  const [key, value] = inner.split(",");
  const pairs = new Map();
  // Also as text, like keys of JSON objects, which Python converts to integers.
  const asText = key !== "STRING" && random.once(2);
  for (const made of random.list(6, () => SCALAR_VALUES[key](random))) {
    pairs.set(JSON.stringify(made), [asText ? made.int : made, withoutMinusZero(SCALAR_VALUES[value](random))]);
  }
  return { map: [...pairs.values()] };
}

/** In Python -0 in a map loses its sign (see python-faults.mjs). */
function withoutMinusZero(value) {
  return Object.is(decode(value), -0) ? ("float" in value ? { float: "AAAAAA==" } : { double: "AAAAAAAAAAA=" }) : value;
}

const mixedCase = (random, dtype) =>
  random.once(2) ? dtype : [...dtype].map((letter) => (random.once(2) ? letter.toLowerCase() : letter)).join("");

const TORCHREC_FEATURES = {
  add_user_fea: "addUserFeature",
  add_context_fea: "addContextFeature",
  add_item_fea: "addItemFeature",
};

export const torchrec = {
  schema: TorchRecMessage,
  dtypes: TORCHREC_DTYPES,
  request(random) {
    const feed = random.once(4) ? feedStep(random, TorchRecMessage) : undefined;
    const steps = feed === undefined ? [] : [feed.step];
    const ids = feed === undefined ? random.list(4, () => ["add_item_id", anyText(random)]) : [];
    const items = ids.length + (feed?.items ?? 0);
    const feature = (step, name) => {
      const dtype = random.pick(TORCHREC_DTYPES);
      steps.push([step, name, featureValue(random, dtype), mixedCase(random, dtype)]);
    };
    const users = fullNames(random, 5);
    // Both clients replace a feature that is set again.
    if (users.length > 0 && random.once(5)) users.push(users[0]);
    for (const name of users) feature("add_user_fea", name);
    for (const step of ["add_context_fea", "add_item_fea"]) {
      for (const name of fullNames(random, 2)) {
        // One value per item, or a single value, as this package requires.
        const count = random.once(3) ? 1 : items;
        for (let i = 0; i < count; i++) feature(step, step === "add_item_fea" ? name : `c${name}`);
      }
    }
    steps.push(...ids);
    for (const key of fullNames(random, 3)) steps.push(["add_meta_data", key, anyText(random)]);
    if (random.once(2)) steps.push(["set_faiss_neigh_num", neighbours(random)]);
    if (random.once(2)) steps.push(["set_debug_level", int32(random)]);
    return { new: [], steps };
  },
  ours({ steps, typed }) {
    const request = new TorchRecRequest();
    for (const [step, ...args] of steps) {
      const [first, second, third] = args;
      if (step === "add_feed") request.addFeed(decode(first), second);
      else if (step === "add_item_id") request.addItemId(decode(first));
      else if (step === "add_meta_data") request.addMetaData(first, decode(second));
      else if (step === "set_faiss_neigh_num") request.setFaissNeighNum(first);
      else if (step === "set_debug_level") request.setDebugLevel(first);
      else request[TORCHREC_FEATURES[step]](first, ownValue(second, third.toUpperCase(), typed), third);
    }
    return request;
  },
  response(random) {
    const outputs = names(random, 4).map((name) => [name, tensor(random, TORCH_ANSWERS)]);
    const debug = DEBUG_MAPS.torchrec.map(([field]) => [field, textMap(random)]);
    const itemIds = random.list(4, () => text(random));
    return {
      fields: {
        map_outputs: { messageMap: outputs.map(([name, output]) => [name, arrayProto(output)]) },
        ...Object.fromEntries(debug.map(([field, pairs]) => [field, { map: pairs }])),
        item_ids: itemIds,
      },
      holds: { outputs: sorted(outputs), debug: debug.map(([, pairs]) => sorted(pairs)), itemIds },
    };
  },
  read(body) {
    const response = new TorchRecResponse(body);
    return {
      outputs: tensorsOf(response),
      debug: DEBUG_MAPS.torchrec.map(([, name]) => sorted(response[name])),
      itemIds: response.itemIds,
    };
  },
};

/** Returns a feature's value as passed to this package. `typed`: lists as typed arrays, and maps as a `Map`. */
function ownValue(value, dtype, typed) {
  if (value === null || typeof value !== "object") return value;
  if (Object.hasOwn(value, "map")) {
    const map = decode(value);
    return typed ? map : Object.fromEntries([...map].map(([key, element]) => [String(key), element]));
  }
  const [, element] = /<(\w+)>+$/.exec(dtype) ?? [];
  if (ELEMENTS[element] === undefined) return decode(value);
  if (Array.isArray(value)) return value.map((inner) => contentOf(ELEMENTS[element], inner, typed));
  return contentOf(ELEMENTS[element], value, typed);
}
