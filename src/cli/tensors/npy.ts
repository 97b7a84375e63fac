import { type DType, fromFloat16, type Tensor, tensor, toFloat16, type ValuesOf } from "eas-prediction";
import { CommandError, usageError } from "../exit-codes.js";
import { STORAGE, type Storage } from "./dtypes.js";

const MAGIC = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59);
/** Length of the magic bytes and the version. */
const PREFIX = 8;
/** The header of a .npy file ends at a multiple of this number of bytes. */
const ALIGNMENT = 64;

/** Whether the bytes start as a .npy file does. */
export function isNpy(bytes: Uint8Array): boolean {
  return bytes.length >= PREFIX && MAGIC.every((byte, i) => bytes[i] === byte);
}

/**
 * Reads a .npy file. `dtype` overrides the dtype of the file with another dtype of the same storage, such as DT_QINT8 for
 * int8. `file` is the name for error messages. Throws a usage error for files that cannot be sent unchanged: other dtypes,
 * Fortran order, big-endian numbers, and damaged files.
 */
export function readNpy(bytes: Uint8Array, file: string, dtype?: DType): Tensor {
  const { header, start } = readHeader(bytes, file);
  const shape = shapeOf(header, file);
  const actual = dtypeOf(header, file, dtype);
  const elements = shape.reduce((product, size) => product * size, 1);
  if (/'fortran_order':\s*True/.test(header) && shape.filter((size) => size > 1).length > 1) {
    throw usageError(
      `${file} is in Fortran order: save it in C order, with np.save(file, np.ascontiguousarray(array))`,
    );
  }
  const { array, entries } = STORAGE[actual];
  const length = elements * entries * array.BYTES_PER_ELEMENT;
  if (bytes.length - start !== length) {
    throw usageError(
      `${file} is damaged: the shape [${shape.join(", ")}] needs ${length} bytes of data, and the file has ${bytes.length - start}`,
    );
  }
  return storedTensor(bytes.subarray(start), shape, actual);
}

/** Creates a tensor from the memory of its elements, which is copied. */
export function storedTensor(memory: Uint8Array, shape: readonly number[], dtype: Exclude<DType, "DT_STRING">): Tensor {
  const { array } = STORAGE[dtype];
  const { buffer } = new Uint8Array(memory); // A copy is needed because a typed array requires aligned memory.
  const values = new array(buffer);
  return tensor(shape, dtype === "DT_HALF" ? fromFloat16(values as Uint16Array) : (values as Float32Array), dtype);
}

/** Returns a tensor as a .npy file of version 1.0. Throws a `CommandError` for text, which NumPy stores differently. */
export function writeNpy({ dtype, shape, data }: Tensor<DType, ValuesOf<DType>>, name: string): Uint8Array {
  if (dtype === "DT_STRING") {
    throw new CommandError(`output ${name} contains text, which .npy cannot represent: write it to a .json file`);
  }
  const { npy, array }: Storage = STORAGE[dtype];
  const order = array.BYTES_PER_ELEMENT === 1 ? "|" : "<";
  const dimensions = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const header = `{'descr': '${order}${npy}', 'fortran_order': False, 'shape': (${dimensions}), }`;
  const length = Math.ceil((PREFIX + 2 + header.length + 1) / ALIGNMENT) * ALIGNMENT;
  const values = dtype === "DT_HALF" ? toFloat16(data as Float32Array) : new array(data as never);
  const file = new Uint8Array(length + values.byteLength);
  file.set(MAGIC);
  file[6] = 1;
  new DataView(file.buffer).setUint16(PREFIX, length - PREFIX - 2, true);
  file.set(new TextEncoder().encode(`${header.padEnd(length - PREFIX - 3)}\n`), PREFIX + 2);
  file.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), length);
  return file;
}

function readHeader(bytes: Uint8Array, file: string): { header: string; start: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = bytes[6] as number;
  const sizeBytes = version === 1 ? 2 : 4;
  if (version < 1 || version > 3) throw usageError(`${file} has version ${version} of .npy: it must be 1, 2 or 3`);
  const size =
    bytes.length < PREFIX + sizeBytes
      ? Number.POSITIVE_INFINITY
      : version === 1
        ? view.getUint16(PREFIX, true)
        : view.getUint32(PREFIX, true);
  const start = PREFIX + sizeBytes + size;
  if (start > bytes.length) throw usageError(`${file} is damaged: it ends within its header`);
  return { header: new TextDecoder().decode(bytes.subarray(PREFIX + sizeBytes, start)), start };
}

function shapeOf(header: string, file: string): number[] {
  const [, list] = /'shape':\s*\(([\d,\s]*)\)/.exec(header) ?? [];
  if (list === undefined) throw usageError(`${file} is damaged: its header has no shape`);
  return list
    .split(",")
    .filter((size) => size.trim() !== "")
    .map(Number);
}

function dtypeOf(header: string, file: string, wanted: DType | undefined): Exclude<DType, "DT_STRING"> {
  const [, order = "", npy = ""] = /'descr':\s*'([<>|=])([^']+)'/.exec(header) ?? [];
  const found = (Object.keys(STORAGE) as (keyof typeof STORAGE)[]).find((dtype) => STORAGE[dtype].npy === npy);
  if (found === undefined) {
    const [, described = "an unknown dtype"] = /'descr':\s*('[^']*'|\[[^\]]*\])/.exec(header) ?? [];
    throw usageError(
      `${file} has the dtype ${described}, which cannot be sent: convert it, for example with array.astype("float32")`,
    );
  }
  if (order === ">") {
    throw usageError(`${file} is big-endian (>${npy}): convert it with array.astype("<${npy}")`);
  }
  if (wanted === undefined) return found;
  if (wanted !== "DT_STRING" && STORAGE[wanted].npy === npy) return wanted;
  const advice = wanted === "DT_STRING" ? "" : `: convert it with array.astype("${STORAGE[wanted].npy}")`;
  throw usageError(`${file} has the dtype ${npy} (${found}), not ${wanted}${advice}`);
}
