import { argumentRangeError, show } from "../../util/argument-errors.js";
import { showAsText } from "../../util/inspect.js";
import type { DType, ValuesOf } from "./dtype.js";
import type { RawTensor } from "./raw-tensor.js";
import type { Tensor } from "./tensor.js";

/** Base class for responses that contain tensors. `K` identifies an output: its name or its position. */
export abstract class TensorResponse<K = string> {
  constructor() {
    showAsText(this);
  }

  /** Returns an output's shape. Throws a `RangeError` that lists the outputs if the output does not exist. */
  getTensorShape(output: K): number[] {
    return this.find(output).shape();
  }

  /**
   * Returns an output's values in the array type that corresponds to `dtype`. The array is a copy that belongs to the
   * caller. Throws a `TypeError` if the output has a different dtype, a `RangeError` if the output does not exist, and
   * an `EasDecodeError` if the values are invalid.
   */
  getValues<D extends DType>(output: K, dtype: D): ValuesOf<D>;
  /** Returns the values of an output of any dtype. The array is a copy that belongs to the caller. */
  getValues(output: K): ValuesOf<DType>;
  getValues(output: K, dtype?: DType): ValuesOf<DType> {
    return this.find(output).values(dtype);
  }

  /** Returns an output's dtype, shape and values. */
  getTensor(output: K): Tensor<DType, ValuesOf<DType>> {
    return this.find(output).tensor();
  }

  /**
   * Returns an output's values as numbers. Throws a `RangeError` for a 64-bit integer that a number cannot represent
   * exactly, and a `TypeError` for a STRING or BOOL output.
   */
  getNumbers(output: K): number[] {
    return this.find(output).numbers();
  }

  /** Returns a STRING output's values as text. */
  getStrings(output: K): string[] {
    return this.find(output).strings();
  }

  /**
   * Returns each output's dtype, shape and data, by name or position, for `JSON.stringify`. 64-bit integers become
   * decimal strings, and STRING values become text. NaN and infinities become null. Throws `EasDecodeError` if an
   * output is invalid.
   */
  toJSON(): Record<string, unknown> {
    return Object.fromEntries(Array.from(this.all(), ([name, raw]) => [name, raw.toJSON()]));
  }

  /** @internal */
  protected abstract find(output: K): RawTensor;

  /** Returns all outputs with their names or positions. @internal */
  protected abstract all(): Iterable<readonly [string | number, RawTensor]>;
}

/** Base class for responses with named outputs. */
export abstract class NamedTensorResponse extends TensorResponse {
  /** @internal */
  protected readonly outputs: Map<string, RawTensor> = new Map();

  /** Output names, in response order. */
  get outputNames(): string[] {
    return [...this.outputs.keys()];
  }

  /** @internal */
  protected override all(): Iterable<readonly [string, RawTensor]> {
    return this.outputs;
  }

  /** @internal */
  protected override find(name: string): RawTensor {
    return findOutput(this.outputs, name);
  }
}

/** Returns the output `name`, or throws a `RangeError` that lists the outputs. */
export function findOutput(outputs: ReadonlyMap<string, RawTensor>, name: string): RawTensor {
  const output = outputs.get(name);
  if (output !== undefined) return output;
  const names = [...outputs.keys()].map(show).join(", ");
  throw argumentRangeError(
    "ERR_EAS_ARG_OUTPUT",
    `output ${show(name)} is not in the response: ${names === "" ? "it has no outputs" : `its outputs are ${names}`}`,
  );
}

/** Returns the output at a position, or throws a `RangeError`. A negative position counts from the end. */
export function outputAt(outputs: readonly RawTensor[], index: number): RawTensor {
  const output = Number.isInteger(index) ? outputs.at(index) : undefined;
  if (output !== undefined) return output;
  const { length } = outputs;
  const there = length === 0 ? "it has no outputs" : `its outputs are 0 to ${length - 1}`;
  throw argumentRangeError("ERR_EAS_ARG_OUTPUT", `output ${show(index)} is not in the response: ${there}`);
}

/** Formats each output with its first values for logs. */
export function listOutputs(outputs: Iterable<readonly [unknown, RawTensor]>): string {
  return Array.from(outputs, ([name, raw]) => `${name}: ${raw}`).join("; ");
}
