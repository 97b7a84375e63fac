// Random requests and responses of the tensor formats. A request describes how both clients build it: `new`, the
// arguments of the Python class, and `steps`, calls of its methods. A response has `fields` for Python's protobuf
// classes, and `holds`, the values that the response class of this package must return.
import {
  BladeRequest,
  BladeResponse,
  BladeTFRequest,
  BladeTFResponse,
  OnnxRequest,
  OnnxResponse,
  TFRequest,
  TFResponse,
  TorchRequest,
  TorchResponse,
} from "eas-prediction";
import { snappy } from "eas-prediction/compression/snappy";
import { RequestSchema as BladeMessage } from "eas-prediction/proto/blade";
import { DataProtoSchema } from "eas-prediction/proto/onnx";
import { PredictRequestSchema as TFMessage } from "eas-prediction/proto/tf";
import { PredictRequestSchema as TorchMessage } from "eas-prediction/proto/torch";
import { elementsOf, fullNames, int32, names, shape, tensor, text } from "./random.mjs";
import { asList, base64, contentOf, memoryOf, tagged } from "./values.mjs";

/** The dtypes of the Python classes. */
const TORCH_DTYPES = ["DT_FLOAT", "DT_DOUBLE", "DT_UINT8", "DT_INT8", "DT_INT16", "DT_INT32", "DT_INT64"];
const TF_DTYPES = [
  ...TORCH_DTYPES,
  ...["DT_UINT16", "DT_QINT8", "DT_QUINT8", "DT_QINT16", "DT_QUINT16", "DT_QINT32", "DT_STRING", "DT_BOOL"],
];
const BLADE_DTYPES = ["DT_FLOAT", "DT_INT32", "DT_INT64", "DT_STRING"];
/** Further dtypes that a service can return. The Python classes return None for them, although the schema has them. */
export const TF_ANSWERS = [...TF_DTYPES, "DT_HALF", "DT_BFLOAT16", "DT_COMPLEX64", "DT_COMPLEX128"];
/** Torch has no field for booleans. */
export const TORCH_ANSWERS = TF_ANSWERS.filter((dtype) => dtype !== "DT_BOOL");

const dtypeTag = (dtype) => ({ dtype });

/** Returns a step that adds a tensor, with the arguments before shape, dtype and content. */
const feed = (step, first, { shape, dtype, values }) => [step, ...first, shape, dtypeTag(dtype), values];

/** Calls a method of this package for a step whose last three arguments are shape, dtype and content. */
function feedOurs(request, method, args, typed) {
  const [dims, { dtype }, values] = args.slice(-3);
  request[method](...args.slice(0, -3), dims, dtype, contentOf(dtype, values, typed));
}

/** By step of the tensor formats: the call in this package. */
const STEPS = {
  add_feed: (request, args, typed) => feedOurs(request, "addFeed", args, typed),
  add_feed_map: (request, args, typed) => feedOurs(request, "addFeedMap", args, typed),
  // In this package an omitted argument means "unknown".
  add_fetch: (request, [name, tag]) =>
    tag === undefined || tag.dtype === "DT_UNKNOWN" ? request.addFetch(name) : request.addFetch(name, tag.dtype),
  set_signature_name: (request, [name]) => request.setSignatureName(name),
  set_debug_level: (request, [level]) => request.setDebugLevel(level),
  onnx_array: (request, args, typed) => addTensor(request, args, typed),
  onnx_tensor: (request, args, typed) => addTensor(request, args, typed),
};

const build =
  (make) =>
  ({ new: args, steps, typed }) => {
    const request = make(...args);
    for (const [name, ...args] of steps) STEPS[name](request, args, typed);
    return request;
  };

const VALUE_FIELDS = {
  DT_FLOAT: "float_val",
  DT_HALF: "float_val",
  DT_BFLOAT16: "float_val",
  DT_COMPLEX64: "float_val",
  DT_DOUBLE: "double_val",
  DT_COMPLEX128: "double_val",
  DT_STRING: "string_val",
  DT_INT64: "int64_val",
  DT_BOOL: "bool_val",
};

/** Returns an `ArrayProto` for Python. */
export const arrayProto = ({ shape, dtype, values }) => ({
  dtype: dtypeTag(dtype),
  array_shape: { message: { dim: shape } },
  [VALUE_FIELDS[dtype] ?? "int_val"]: values,
});

/** Returns an output of this package in the form of `tensor`. */
export const held = (shape, { dtype, data }) => ({ shape, dtype, values: tagged(dtype, data) });

export const tf = {
  schema: TFMessage,
  dtypes: TF_DTYPES,
  request(random) {
    const inputs = names(random, 5).map((name) => feed("add_feed", [name], tensor(random, TF_DTYPES)));
    const fetches = random.list(3, () => ["add_fetch", text(random)]);
    // Python drops the signature of a request without inputs.
    const signature = inputs.length === 0 ? "" : text(random);
    if (random.once(4)) return { new: [""], steps: [["set_signature_name", signature], ...inputs, ...fetches] };
    return { new: [signature], steps: [...fetches, ...inputs] };
  },
  ours: build((signature) => new TFRequest(signature)),
  response(random) {
    const outputs = names(random, 4).map((name) => [name, tensor(random, TF_ANSWERS)]);
    return {
      fields: { outputs: { messageMap: outputs.map(([name, output]) => [name, arrayProto(output)]) } },
      holds: sorted(outputs),
    };
  },
  read(body) {
    const response = new TFResponse(body);
    return sorted(
      response.outputNames.map((name) => [name, held(response.getTensorShape(name), response.getTensor(name))]),
    );
  },
};

export const torch = {
  schema: TorchMessage,
  dtypes: TORCH_DTYPES,
  request(random) {
    // In any order and with gaps, which both clients fill with empty tensors.
    const indexes = [...new Set(random.list(4, () => random.between(0, 5)))];
    const steps = [
      ...indexes.map((index) => feed("add_feed", [index], tensor(random, TORCH_DTYPES))),
      ...names(random, 3).map((name) => feed("add_feed_map", [name], tensor(random, TORCH_DTYPES))),
      ...random.list(3, () => ["add_fetch", int32(random)]),
    ];
    if (random.once(2)) steps.push(["set_debug_level", int32(random)]);
    return { new: [], steps };
  },
  ours: build(() => new TorchRequest()),
  response(random) {
    const outputs = random.list(4, () => tensor(random, TORCH_ANSWERS));
    const named = names(random, 3).map((name) => [name, tensor(random, TORCH_ANSWERS)]);
    return {
      fields: {
        outputs: { messages: outputs.map(arrayProto) },
        map_outputs: { messageMap: named.map(([name, output]) => [name, arrayProto(output)]) },
      },
      holds: [outputs, sorted(named)],
    };
  },
  read(body) {
    const response = new TorchResponse(body);
    return [
      Array.from({ length: response.outputCount }, (_, i) => held(response.getTensorShape(i), response.getTensor(i))),
      sorted(
        response.outputNames.map((name) => [name, held(response.getTensorShapeMap(name), response.getTensorMap(name))]),
      ),
    ];
  },
};

/** Torch with a compressed body, for which Python has a flag in the constructor. */
export const torchSnappy = {
  class: "torch",
  schema: TorchMessage,
  request: (random) => ({ ...torch.request(random), new: [true] }),
  ours: build(() => new TorchRequest({ compression: snappy })),
  /**
   * Compressors may produce different bytes, so that the decompressed bytes are compared. Each client must
   * decompress the other's bytes.
   */
  async plain(body, { peer }) {
    const ours = snappy.decompress(body, { maxBytes: 2 ** 30, headers: new Headers() });
    const { bytes } = await peer.ask("unsnappy", { body: { bytes: base64(body) } });
    if (base64(ours) !== bytes) throw new Error(`the two Snappy decoders differ in ${base64(body)}`);
    return ours;
  },
};

const BLADE_FIELDS = {
  DT_FLOAT: "float_val",
  DT_INT32: "int_val",
  DT_INT64: "int64_val",
  DT_STRING: "string_val",
};

const bladeArray = (batchSize, blobName, name, { shape, dtype, values }) => ({
  batchsize: batchSize,
  blade_blob_name: blobName,
  name_in_dl_model: name,
  shape: { message: { dim: shape } },
  [BLADE_FIELDS[dtype]]: values,
});

/** Both Blade classes return the same message. */
const bladeResponse = (Response) => ({
  response(random) {
    const outputs = fullNames(random, 4).map((name) => ({
      name: name.trim(),
      batchSize: Math.max(1, int32(random)),
      tensor: tensor(random, BLADE_DTYPES),
    }));
    return {
      fields: {
        // Spaces around names are ignored.
        outputs: { messages: outputs.map((o) => bladeArray(o.batchSize, `b${o.name}`, ` ${o.name}\n`, o.tensor)) },
      },
      holds: outputs,
    };
  },
  read(body, { holds }) {
    const response = new Response(body);
    return response.outputNames.map((name, i) => {
      // An output without values has the dtype that its reader requests.
      const dtype = holds[i]?.tensor.dtype;
      const data = response.getValues(name, dtype);
      return {
        name,
        batchSize: response.getBatchSize(name),
        tensor: held(response.getTensorShape(name), { dtype, data }),
      };
    });
  },
});

export const blade = {
  schema: BladeMessage,
  dtypes: BLADE_DTYPES,
  request(random) {
    const feeds = fullNames(random, 4).map((name) =>
      feed("add_feed", [name, Math.max(1, int32(random))], tensor(random, BLADE_DTYPES, 1)),
    );
    const fetches = fullNames(random, 3).map((name) => [
      "add_fetch",
      name,
      dtypeTag(random.pick([...BLADE_DTYPES, "DT_UNKNOWN"])),
    ]);
    return { new: [text(random)], steps: [...feeds, ...fetches] };
  },
  ours: build((signature) => new BladeRequest(signature)),
  ...bladeResponse(BladeResponse),
};

export const bladeTf = {
  schema: BladeMessage,
  dtypes: BLADE_DTYPES,
  request(random) {
    const feeds = fullNames(random, 4).map((name) => {
      for (;;) {
        const input = tensor(random, BLADE_DTYPES, 1);
        // The first dimension is the batch size, which must not be 0 in this package.
        if (input.shape[0] > 0) return feed("add_feed", [name], input);
      }
    });
    return { new: [text(random)], steps: [...feeds, ...fullNames(random, 3).map((name) => ["add_fetch", name])] };
  },
  ours: build((signature) => new BladeTFRequest(signature)),
  ...bladeResponse(BladeTFResponse),
};

/** ONNX's dtypes: the names in its schema, in numpy and in this package, and the array with random bytes. */
const ONNX_DTYPES = [
  ["FLOAT", "float32", "DT_FLOAT", Float32Array],
  ["DOUBLE", "float64", "DT_DOUBLE", Float64Array],
  ["FLOAT16", "float16", "DT_HALF", Uint16Array],
  ["INT8", "int8", "DT_INT8", Int8Array],
  ["INT16", "int16", "DT_INT16", Int16Array],
  ["INT32", "int32", "DT_INT32", Int32Array],
  ["INT64", "int64", "DT_INT64", BigInt64Array],
  ["UINT8", "uint8", "DT_UINT8", Uint8Array],
  ["UINT16", "uint16", "DT_UINT16", Uint16Array],
  ["UINT32", "uint32", "DT_UINT32", Uint32Array],
  ["UINT64", "uint64", "DT_UINT64", BigUint64Array],
];

/** Returns a tensor as bytes, which can contain any bits, including those of a signaling NaN. */
function onnxTensor(random) {
  const [onnx, numpy, dtype, array] = random.pick(ONNX_DTYPES);
  const dims = shape(random);
  const length = elementsOf(dims) * array.BYTES_PER_ELEMENT;
  const memory = Uint8Array.from({ length }, () => random.between(0, 255));
  return { shape: dims, onnx, numpy, dtype, memory: base64(memory) };
}

function addTensor(request, [name, dims, pythonDType, { bytes }], typed) {
  const [, , dtype, array] = ONNX_DTYPES.find(([onnx, numpy]) => onnx === pythonDType || numpy === pythonDType);
  const values = new array(memoryOf(bytes));
  // Half floats are passed by their bits, because a list of bits looks like a list of numbers.
  request.addTensor(name, dims, dtype, typed || dtype === "DT_HALF" ? values : asList(values));
}

export const onnx = {
  schema: DataProtoSchema,
  dtypes: ONNX_DTYPES.map(([, numpy]) => numpy),
  request(random) {
    const inputs = fullNames(random, 4);
    // Both clients replace an input that is added again, at its position.
    if (inputs.length > 0 && random.once(5)) inputs.push(inputs[0]);
    const steps = inputs.map((name) => {
      const { shape, onnx, numpy, memory } = onnxTensor(random);
      // FLOAT16 only by its raw message, other dtypes mostly with the helper.
      if (onnx === "FLOAT16" || random.once(4)) return ["onnx_tensor", name, shape, onnx, { bytes: memory }];
      return ["onnx_array", name, shape, numpy, { bytes: memory }];
    });
    return { new: [], steps };
  },
  ours: build(() => new OnnxRequest()),
  response(random) {
    const outputs = names(random, 4).map((name) => ({ name, ...onnxTensor(random) }));
    return {
      fields: {
        tensors: {
          messages: outputs.map(({ name, shape, onnx, memory }) => ({
            name,
            dims: shape,
            data_type: ONNX_NUMBERS[onnx],
            raw_data: { bytes: memory },
          })),
        },
      },
      holds: outputs.map(({ name, shape, dtype, memory }) => [name, shape, dtype, onnxValues(dtype, memory)]),
    };
  },
  read(body) {
    const response = new OnnxResponse(body);
    return Array.from({ length: response.getSize() }, (_, i) => {
      const { dtype, data } = response.getTensor(i);
      return [
        response.getName(i),
        response.getTensorShape(i),
        dtype,
        base64(dtype === "DT_HALF" ? oneNaN(data) : data),
      ];
    });
  },
};

/** Numbers of the schema's `TensorProto.DataType`. */
const ONNX_NUMBERS = {
  FLOAT: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  FLOAT16: 10,
  DOUBLE: 11,
  UINT32: 12,
  UINT64: 13,
};

/** Returns the bytes of the values of this package: unchanged, but half floats as floats. */
function onnxValues(dtype, memory) {
  if (dtype !== "DT_HALF") return memory;
  return base64(Float32Array.from(new Uint16Array(memoryOf(memory)), floatOfHalf));
}

/** The bits of a NaN are not defined in the conversion from half float to float. */
const oneNaN = (floats) => floats.map((value) => (Number.isNaN(value) ? Number.NaN : value));

/** Converts by the format's definition (IEEE 754 binary16), independently of this package's code. */
function floatOfHalf(bits) {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** Sorts pairs by name, because maps have no defined order. */
export function sorted(pairs) {
  return [...pairs].sort(([a], [b]) => (a < b ? -1 : 1));
}
