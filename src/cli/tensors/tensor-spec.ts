import { basename } from "node:path";
import { type DType, type Tensor, tensor } from "eas-prediction";
import { readInputFile } from "../arguments/input.js";
import { usageError } from "../exit-codes.js";
import { readDType, STORAGE } from "./dtypes.js";
import { type ImageFlags, imageTensor, isImage } from "./image.js";
import { isNpy, readNpy, storedTensor } from "./npy.js";

/** Description of the option `--tensor`, for help texts. */
export const TENSOR_HELP = "input as name=value:shape:dtype; the value is @file (.png, .jpg, .npy, .json) or numbers";

/** An input of a request. */
export interface NamedTensor {
  readonly name: string;
  readonly tensor: Tensor;
}

interface TensorSpec {
  readonly name: string;
  /** The text, or the name of a file after `@`. */
  readonly value: string;
  readonly shape: readonly number[] | undefined;
  readonly dtype: DType | undefined;
}

/** The shape at the end of a tensor argument: `1,64`, `-1,64`, or `[]` for a single value. */
const SHAPE = /^(?:-?\d+(?:,-?\d+)*|\[\])$/;

/**
 * Reads the value of `--tensor`, such as `images=@digit.png:1,64:DT_FLOAT`. Throws a usage error if the argument, the file
 * or its content is invalid.
 */
export async function readTensor(argument: string, flags: ImageFlags): Promise<NamedTensor> {
  const spec = parseSpec(argument);
  const { name, value } = spec;
  if (!value.startsWith("@")) return { name, tensor: textTensor(value, spec, `--tensor ${name}`) };
  const path = value.slice(1);
  return { name, tensor: fileTensor(await readInputFile(path), path, spec, flags) };
}

function parseSpec(argument: string): TensorSpec {
  const equals = argument.indexOf("=");
  if (equals < 1) {
    throw usageError(
      `--tensor ${JSON.stringify(argument)} has no name: write it as name=value:shape:dtype, such as images=@digit.png:1,64:DT_FLOAT`,
    );
  }
  let value = argument.slice(equals + 1);
  const takeLast = <T>(read: (text: string) => T | undefined): T | undefined => {
    const colon = value.lastIndexOf(":");
    const found = colon === -1 ? undefined : read(value.slice(colon + 1));
    if (found !== undefined) value = value.slice(0, colon);
    return found;
  };
  const dtype = takeLast(readDType);
  const shape = takeLast((text) => (SHAPE.test(text) ? numbersIn(text) : undefined));
  return { name: argument.slice(0, equals), value, shape, dtype };
}

function numbersIn(text: string): number[] {
  return text === "[]" ? [] : text.split(",").map(Number);
}

/** Returns the tensor of a file. The start of the file decides its format. */
function fileTensor(bytes: Uint8Array, path: string, { shape, dtype }: TensorSpec, flags: ImageFlags): Tensor {
  const file = basename(path);
  if (isNpy(bytes)) {
    const stored = readNpy(bytes, file, dtype);
    if (shape === undefined) return stored;
    return tensor(filled(shape, elementsOf(stored.shape)), stored.data, stored.dtype);
  }
  if (dtype === "DT_STRING") return tensor(shape ?? [1], [bytes], dtype);
  if (isImage(bytes)) {
    return imageTensor(bytes, file, { dtype: dtype ?? "DT_FLOAT", flags, ...(shape !== undefined && { shape }) });
  }
  if (/\.json$/i.test(path)) return textTensor(new TextDecoder().decode(bytes), { shape, dtype }, file);
  if (dtype === undefined) {
    throw usageError(
      `${file} is not a .png, .jpg, .npy or .json file: for raw little-endian numbers, add the dtype, such as :1,64:DT_FLOAT`,
    );
  }
  const { array, entries } = STORAGE[dtype];
  const elements = bytes.length / array.BYTES_PER_ELEMENT / entries;
  if (!Number.isInteger(elements)) {
    throw usageError(`${file} has ${bytes.length} bytes, which is not a whole number of ${dtype} values`);
  }
  return storedTensor(bytes, shape === undefined ? [elements] : filled(shape, elements), dtype);
}

/** Returns the tensor of numbers or text: JSON, or values that are separated by commas. */
function textTensor(text: string, { shape, dtype }: Pick<TensorSpec, "shape" | "dtype">, of: string): Tensor {
  const nested = jsonArray(text);
  if (dtype === "DT_STRING") {
    const strings = nested === undefined ? [text] : nested.flat(Number.POSITIVE_INFINITY).map(String);
    return tensor(shape === undefined ? shapeOf(nested ?? strings) : filled(shape, strings.length), strings, dtype);
  }
  const parts = (nested === undefined ? text : JSON.stringify(nested)) === "" ? [] : partsOf(text);
  const values = parts.map((part) => parseValue(part, dtype, of));
  const actual = dtype ?? (parts.some((part) => part === "true" || part === "false") ? "DT_BOOL" : "DT_FLOAT");
  const dimensions = shape === undefined ? shapeOf(nested ?? values) : filled(shape, elementsIn(values.length, actual));
  return tensor(dimensions, values as number[], actual);
}

function jsonArray(text: string): unknown[] | undefined {
  if (!text.trimStart().startsWith("[")) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Returns the values as text, because `JSON.parse` rounds large integers. */
function partsOf(text: string): string[] {
  return text
    .replaceAll(/[[\]]/g, " ")
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

function parseValue(part: string, dtype: DType | undefined, of: string): number | bigint | boolean {
  if (part === "true") return true;
  if (part === "false") return false;
  const is64Bit = dtype === "DT_INT64" || dtype === "DT_UINT64";
  if (is64Bit && /^-?\d+$/.test(part)) return BigInt(part);
  const value = Number(part);
  if (!Number.isNaN(value) || /^nan$/i.test(part)) return value;
  throw usageError(`${of}: ${JSON.stringify(part)} is not a number: for text, add :DT_STRING`);
}

/** Returns the shape of nested arrays. Ragged arrays are refused later, because their elements do not fill the shape. */
function shapeOf(nested: readonly unknown[]): number[] {
  const shape: number[] = [];
  for (let level: unknown = nested; Array.isArray(level); level = level[0]) shape.push(level.length);
  return shape;
}

function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function elementsIn(length: number, dtype: DType): number {
  return dtype === "DT_STRING" ? length : length / STORAGE[dtype].entries;
}

/** Replaces one dimension of -1 by the size that the number of elements leaves. */
function filled(shape: readonly number[], elements: number): number[] {
  const at = shape.indexOf(-1);
  if (at === -1) return [...shape];
  const others = elementsOf(shape.filter((_, i) => i !== at));
  return shape.map((size, i) => (i === at ? Math.floor(elements / others) : size));
}
