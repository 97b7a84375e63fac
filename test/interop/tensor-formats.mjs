// Random requests and responses of the formats of tensors. A request is what both ends build by: `new`, the arguments of
// the Python class, and `steps`, calls of its methods. A response is `fields`, which Python's protobuf classes are filled
// with, and `holds`, what our response class is to give.
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
/** What a service may answer with beside those: the Python classes give None for these, the schema has them. */
export const TF_ANSWERS = [...TF_DTYPES, "DT_HALF", "DT_BFLOAT16", "DT_COMPLEX64", "DT_COMPLEX128"];
/** Torch has no field for booleans. */
export const TORCH_ANSWERS = TF_ANSWERS.filter((dtype) => dtype !== "DT_BOOL");

const dtypeTag = (dtype) => ({ dtype });

/** A step that feeds a tensor, after what comes before shape, dtype and content. */
const feed = (step, first, { shape, dtype, values }) => [step, ...first, shape, dtypeTag(dtype), values];

/** Calls a method of ours as a step says, whose last three arguments are shape, dtype and content. */
function feedOurs(request, method, args, typed) {
  const [dims, { dtype }, values] = args.slice(-3);
  request[method](...args.slice(0, -3), dims, dtype, contentOf(dtype, values, typed));
}

/** How the steps of the tensor formats are called by ours. */
const STEPS = {
  add_feed: (request, args, typed) => feedOurs(request, "addFeed", args, typed),
  add_feed_map: (request, args, typed) => feedOurs(request, "addFeedMap", args, typed),
  // Ours says "unknown" by saying nothing.
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

/** An `ArrayProto` for Python. */
export const arrayProto = ({ shape, dtype, values }) => ({
  dtype: dtypeTag(dtype),
  array_shape: { message: { dim: shape } },
  [VALUE_FIELDS[dtype] ?? "int_val"]: values,
});

/** What ours gave for an output, in the form of `tensor`. */
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
    // In any order and with gaps, which both fill with empty tensors.
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

/** Torch with the body compressed, which in Python is a flag of the constructor. */
export const torchSnappy = {
  class: "torch",
  schema: TorchMessage,
  request: (random) => ({ ...torch.request(random), new: [true] }),
  ours: build(() => new TorchRequest({ compression: snappy })),
  /** A compressor is free in what it finds, so what comes out again is compared, and each side must read the other's. */
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

/** Both Blade classes answer with the same message. */
const bladeResponse = (Response) => ({
  response(random) {
    const outputs = fullNames(random, 4).map((name) => ({
      name: name.trim(),
      batchSize: Math.max(1, int32(random)),
      tensor: tensor(random, BLADE_DTYPES),
    }));
    return {
      fields: {
        // Blanks around names do not count.
        outputs: { messages: outputs.map((o) => bladeArray(o.batchSize, `b${o.name}`, ` ${o.name}\n`, o.tensor)) },
      },
      holds: outputs,
    };
  },
  read(body, { holds }) {
    const response = new Response(body);
    return response.outputNames.map((name, i) => {
      // Without values an output has no dtype but what its reader says.
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
        // The first dimension is the batch size: ours refuses 0.
        if (input.shape[0] > 0) return feed("add_feed", [name], input);
      }
    });
    return { new: [text(random)], steps: [...feeds, ...fullNames(random, 3).map((name) => ["add_fetch", name])] };
  },
  ours: build((signature) => new BladeTFRequest(signature)),
  ...bladeResponse(BladeTFResponse),
};

/** ONNX's dtypes: the name in its schema, numpy's name, our name, and the array whose memory is random. */
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

/** A tensor as memory, in which any bits may be, also those of a signalling NaN. */
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
  // Halves are fed by their bits, which a list cannot be told from.
  request.addTensor(name, dims, dtype, typed || dtype === "DT_HALF" ? values : asList(values));
}

export const onnx = {
  schema: DataProtoSchema,
  dtypes: ONNX_DTYPES.map(([, numpy]) => numpy),
  request(random) {
    const inputs = fullNames(random, 4);
    // Fed again, an input is replaced at its place by both.
    if (inputs.length > 0 && random.once(5)) inputs.push(inputs[0]);
    const steps = inputs.map((name) => {
      const { shape, onnx, numpy, memory } = onnxTensor(random);
      // FLOAT16 only by hand; the others mostly by the helper.
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

/** The memory of the values that ours gives: that which came, but halves as floats. */
function onnxValues(dtype, memory) {
  if (dtype !== "DT_HALF") return memory;
  return base64(Float32Array.from(new Uint16Array(memoryOf(memory)), floatOfHalf));
}

/** A half's NaN has no bits that a float must have. */
const oneNaN = (floats) => floats.map((value) => (Number.isNaN(value) ? Number.NaN : value));

/** By the format's definition (IEEE 754 binary16), in a way that ours does not go. */
function floatOfHalf(bits) {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** Pairs in the order of their names: maps come in any. */
export function sorted(pairs) {
  return [...pairs].sort(([a], [b]) => (a < b ? -1 : 1));
}
