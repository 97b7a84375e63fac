// Shapes and contents of a DT_FLOAT tensor that every format rejects.

export type Refused = readonly [
  what: string,
  feed: readonly [shape: unknown, content: unknown],
  kind: "TypeError" | "RangeError",
  code: string,
  message: RegExp,
];

const SHAPE = "ERR_EAS_ARG_SHAPE";
const CONTENT = "ERR_EAS_ARG_CONTENT";

/** Each causes an error of this class, code and message, after the input's name. */
export const FLOAT_REFUSALS: readonly Refused[] = [
  [
    "content too short",
    [
      [2, 3],
      [1, 2, 3],
    ],
    "RangeError",
    SHAPE,
    /\[2, 3\] has 6 elements.*length 3/,
  ],
  ["content too long", [[2], Float32Array.of(1, 2, 3)], "RangeError", SHAPE, /\[2\] has 2 elements.*length 3/],
  ["a scalar without content", [[], []], "RangeError", SHAPE, /\[\] has 1 elements.*length 0/],
  ["content for an empty shape", [[3, 0], [1]], "RangeError", SHAPE, /has 0 elements.*length 1/],
  ["a product beyond 2^53", [[2 ** 40, 2 ** 40], [1]], "RangeError", SHAPE, /length 1/],
  [
    "a negative dimension",
    [
      [2, -1],
      [1, 2],
    ],
    "RangeError",
    SHAPE,
    /has the dimension -1/,
  ],
  [
    "a fraction as a dimension",
    [
      [2, 1.5],
      [1, 2, 3],
    ],
    "RangeError",
    SHAPE,
    /has the dimension 1.5/,
  ],
  ["NaN as a dimension", [[1, Number.NaN], []], "RangeError", SHAPE, /has the dimension NaN/],
  ["a bigint as a dimension", [[1, 1n], [1]], "RangeError", SHAPE, /has the dimension 1n/],
  ["text as a dimension", [[1, "1"], [1]], "RangeError", SHAPE, /has the dimension "1"/],
  ["a number as the shape", [3, [1, 2, 3]], "TypeError", SHAPE, /shape is 3: it must be an array/],
  ["no shape", [undefined, [1]], "TypeError", SHAPE, /shape is undefined: it must be an array/],
  ["null as the shape", [null, [1]], "TypeError", SHAPE, /shape is null: it must be an array/],
  ["null as content", [[1], null], "TypeError", CONTENT, /content is null/],
  ["a boolean as content", [[1], true], "TypeError", CONTENT, /content is true/],
  ["a buffer as content", [[1], new ArrayBuffer(4)], "TypeError", CONTENT, /content is an instance of ArrayBuffer/],
  ["a DataView as content", [[1], new DataView(new ArrayBuffer(4))], "TypeError", CONTENT, /an instance of DataView/],
  ["nested arrays", [[2], [[1], [2]]], "TypeError", CONTENT, /content\[0\] is an array/],
  ["text in FLOAT", [[2], [1, "2"]], "TypeError", CONTENT, /content\[1\] is "2".*must be a number/],
  ["a hole in FLOAT", [[2], new Array(2)], "TypeError", CONTENT, /content\[0\] is undefined.*must be a number/],
  ["a boolean in FLOAT", [[1], [true]], "TypeError", CONTENT, /is true.*must be a number/],
  ["a symbol in FLOAT", [[1], [Symbol("a")]], "TypeError", CONTENT, /Symbol\(a\).*must be a number/],
  ["a bigint in FLOAT", [[1], [1n]], "RangeError", CONTENT, /content\[0\] is 1n.*must be a number/],
  ["64-bit integers in FLOAT", [[1], BigInt64Array.of(1n)], "RangeError", CONTENT, /is 1n.*must be a number/],
];
