// Inputs for which the clients differ, because the official client is wrong or this package is stricter. The
// generators avoid them. Every run tries each row with both clients. `python` and `ours` match the bytes in hex, or
// the error.

const dtype = (name) => ({ dtype: name });
const floats = (...bits) => ({ floats: Buffer.from(Uint32Array.of(...bits).buffer).toString("base64") });
const bytes = (hex) => ({ bytes: Buffer.from(hex, "hex").toString("base64") });
/** The bits of the float 1. */
const ONE = 0x3f800000;
const feedFloat = (...first) => ["add_feed", ...first, [1], dtype("DT_FLOAT"), floats(ONE)];

export const PYTHON_FAULTS = [
  {
    name: "TF: a signature is lost when there is no input",
    format: "tf",
    new: ["s"],
    steps: [["add_fetch", "o"]],
    python: /^1a016f$/,
    ours: /^0a01731a016f$/,
  },
  {
    name: "TF: an input needs a signature",
    format: "tf",
    new: [],
    steps: [feedFloat("i")],
    python: /^TypeError: .*NoneType/,
    ours: /^12120a0169120d080112030a01011a040000803f$/,
  },
  {
    name: "TF: an input added twice has both shapes and both values; this package replaces it",
    format: "tf",
    new: [""],
    steps: [feedFloat("i"), feedFloat("i")],
    python: /^12170a01691212080112040a0201011a080000803f0000803f$/,
    ours: /^12120a0169120d080112030a01011a040000803f$/,
  },
  {
    name: "Torch: an input added twice at a position has both shapes and both values; this package replaces it",
    format: "torch",
    new: [],
    steps: [feedFloat(0), feedFloat(0)],
    python: /^0a12080112040a0201011a080000803f0000803f$/,
    ours: /^0a0d080112030a01011a040000803f$/,
  },
  ...Object.entries({ DT_HALF: "13", DT_BFLOAT16: "0e" }).map(([name, number]) => ({
    name: `TF: ${name} is sent without its values; this package sends them like the Java SDK`,
    format: "tf",
    new: [""],
    steps: [["add_feed", "i", [1], dtype(name), floats(ONE)]],
    python: new RegExp(`^120c0a0169120708${number}12030a0101$`),
    ours: new RegExp(`^12120a0169120d08${number}12030a01011a040000803f$`),
  })),
  {
    name: "Torch: DT_STRING is sent without its values; this package sends them",
    format: "torch",
    new: [],
    steps: [["add_feed", 0, [1], dtype("DT_STRING"), { bytesList: ["eA=="] }]],
    python: /^0a07080712030a0101$/,
    ours: /^0a0a080712030a0101320178$/,
  },
  {
    name: "TF: a signaling NaN becomes a quiet NaN; this package sends the bytes of a Float32Array unchanged",
    format: "tf",
    new: [""],
    steps: [["add_feed", "i", [1], dtype("DT_FLOAT"), floats(0x7fa00000)]],
    python: /1a040000e07f$/,
    ours: /1a040000a07f$/,
  },
  {
    name: "Blade: the constructor needs a signature",
    format: "blade",
    new: [],
    steps: [feedFloat("i", 1)],
    python: /^TypeError: .*NoneType/,
    ours: /^12130a0169/,
  },
  ...Object.entries({
    "Blade: one float for a shape of two elements is dropped without a word; ours refuses it": [
      [2],
      { double: "AAAAAAAA8D8=" },
      /^0a00120d0a016912016918012203.{6}$/,
      /^RangeError: input "i"/,
    ],
    "Blade: a shape without dimensions fails; ours sends the scalar": [
      [],
      floats(ONE),
      /^TypeError: reduce\(\)/,
      /^0a0012100a01691201691801220.2a040000803f$/,
    ],
  }).map(([name, [shape, content, python, ours]]) => ({
    name,
    format: "blade",
    new: [""],
    steps: [["add_feed", "i", 1, shape, dtype("DT_FLOAT"), content]],
    python,
    ours,
  })),
  {
    name: "Blade: one int64 instead of a list fails; this package accepts it",
    format: "blade",
    new: [""],
    steps: [["add_feed", "i", 1, [1], dtype("DT_INT64"), { int: "1" }]],
    python: /^AttributeError: .*in64_val/,
    ours: /3a0101$/,
  },
  {
    name: "Blade: text fails, strings must be bytes; this package accepts both",
    format: "blade",
    new: [""],
    steps: [["add_feed", "i", 1, [1], dtype("DT_STRING"), ["x"]]],
    python: /^TypeError: .*but expected one of/,
    ours: /420178$/,
  },
  {
    name: "Blade: the error handling of an unknown dtype fails itself; this package names the dtype",
    format: "blade",
    new: [""],
    steps: [["add_feed", "i", 1, [1], dtype("DT_UNKNOWN"), floats(ONE)]],
    python: /^NameError: name 'data_type'/,
    ours: /^TypeError: input "i": dtype is "DT_UNKNOWN"/,
  },
  {
    name: "Blade: an input added twice is sent twice; this package refuses the second",
    format: "blade",
    new: [""],
    steps: [feedFloat("i", 1), feedFloat("i", 1)],
    python: /^0a00(12130a0169120169180122030a01012a040000803f){2}$/,
    ours: /^RangeError: inputName "i" was already added/,
  },
  {
    name: "Blade-TF: a first dimension of 0 is a batch size of 0; this package refuses it",
    format: "bladeTf",
    new: [""],
    steps: [["add_feed", "i", [0], dtype("DT_FLOAT"), floats()]],
    python: /180022030a0100$/,
    ours: /^RangeError: input "i": shape \[0\]/,
  },
  {
    name: "ONNX: the helper for arrays does not support FLOAT16; this package has DT_HALF",
    format: "onnx",
    new: [],
    steps: [["onnx_array", "i", [1], "float16", bytes("003c")]],
    python: /^RuntimeError: Numpy data type not understood yet: float16$/,
    ours: /180a2a02003c$/,
  },
  {
    name: "TorchRec: -0 as a value of a map loses its sign in Python's protobuf",
    format: "torchrec",
    new: [],
    steps: [["add_user_fea", "f", { map: [["k", { float: "AAAAgA==" }]] }, "MAP<STRING,FLOAT>"]],
    python: /0a016b1500000000$/,
    ours: /0a016b1500000080$/,
  },
  ...["easyrec", "torchrec"].map((format) => ({
    name: `${format}: adding a message discards all earlier values; this package adds to them`,
    format,
    new: [],
    steps: [
      ["set_faiss_neigh_num", 1],
      ["add_feed", bytes("1a0162"), 2],
    ],
    python: /^08021a0162$/,
    ours: /^08021a01622801$/,
  })),
  ...Object.entries({
    "TorchRec: a negative number of neighbors is sent; ours refuses it": [
      [["set_faiss_neigh_num", -1]],
      /^28ffffffffffffffffff01$/,
      /^RangeError: neighbors is -1/,
    ],
    "TorchRec: a feature without a name is sent; ours refuses it": [
      [["add_user_fea", "", "x", "STRING"]],
      /^12070a0012031a0178$/,
      /^RangeError: name is ""/,
    ],
    "TorchRec: two values for three items are sent, which nothing can join; ours refuses them": [
      [
        ...["a", "b", "c"].map((id) => ["add_item_id", id]),
        ...["x", "y"].map((value) => ["add_item_fea", "f", value, "STRING"]),
      ],
      /^1a01611a01621a0163320f/,
      /^RangeError: item feature "f" has 2 values, but there are 3 item ids/,
    ],
  }).map(([name, [steps, python, ours]]) => ({ name, format: "torchrec", new: [], steps, python, ours })),
];

/** Checks of alipai.py that fail because of a fault of alipai, with the error. */
export const ALIPAI_FAULTS = [
  {
    check: "predict_pytorch_with_two_outputs",
    name: "the PyTorch serializer uses the list of outputs as their number",
    python: /TypeError: 'RepeatedCompositeFieldContainer' object cannot be interpreted as an integer\s*$/,
  },
  {
    check: "async_error_by_asyncio",
    name: "a failed prediction with asyncio raises its error with one of two arguments",
    python: /TypeError: PredictionException\.__init__\(\) missing 1 required positional argument: 'message'\s*$/,
  },
];

/** Tests of the wheel's own modules that fail because of their own faults. */
export const PYTHON_TEST_FAULTS = [];
