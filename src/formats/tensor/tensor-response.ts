import { argumentRangeError, show } from "../../util/argument-errors.js";
import { showAsText } from "../../util/inspect.js";
import type { DType, ValuesOf } from "./dtype.js";
import type { RawTensor } from "./raw-tensor.js";
import type { Tensor } from "./tensor.js";

/** What all responses of tensors can do. `K` is what an output is asked for by: its name, or its position. */
export abstract class TensorResponse<K = string> {
  constructor() {
    showAsText(this);
  }

  /** The shape of an output. Throws a `RangeError` that names the outputs there are, when there is no such. */
  getTensorShape(output: K): number[] {
    return this.find(output).shape();
  }

  /**
   * The values of an output in its dtype's own array, the caller's own memory. With `dtype` the result is typed by it,
   * and an output of another dtype is a `TypeError`.
   */
  getValues<D extends DType>(output: K, dtype: D): ValuesOf<D>;
  getValues(output: K): ValuesOf<DType>;
  getValues(output: K, dtype?: DType): ValuesOf<DType> {
    return this.find(output).values(dtype);
  }

  /** Dtype, shape and values of an output. */
  getTensor(output: K): Tensor<DType, ValuesOf<DType>> {
    return this.find(output).tensor();
  }

  /** The values of an output as numbers. Throws a `RangeError` for a 64-bit integer that a number cannot hold. */
  getNumbers(output: K): number[] {
    return this.find(output).numbers();
  }

  /** The values of a STRING output as text. */
  getStrings(output: K): string[] {
    return this.find(output).strings();
  }

  /**
   * Returns dtype, shape and data of each output by its name, or by its position, for `JSON.stringify`. 64-bit integers become
   * decimal text, STRING values become text, and JSON turns NaN and infinities into null. Throws `EasDecodeError` for an
   * output that cannot be read.
   */
  toJSON(): Record<string, unknown> {
    return Object.fromEntries(Array.from(this.all(), ([name, raw]) => [name, raw.toJSON()]));
  }

  /** @internal */
  protected abstract find(output: K): RawTensor;

  /** All outputs with their names or positions. @internal */
  protected abstract all(): Iterable<readonly [string | number, RawTensor]>;
}

/** A response whose outputs have names. */
export abstract class NamedTensorResponse extends TensorResponse {
  /** @internal */
  protected readonly outputs: Map<string, RawTensor> = new Map();

  /** Names of the outputs, as they came. */
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

/** The output `name`, or an error that names those there are. */
export function findOutput(outputs: ReadonlyMap<string, RawTensor>, name: string): RawTensor {
  const output = outputs.get(name);
  if (output !== undefined) return output;
  const names = [...outputs.keys()].map(show).join(", ");
  throw argumentRangeError(
    "ERR_EAS_ARG_OUTPUT",
    `output ${show(name)} is not in the response: ${names === "" ? "it has no outputs" : `its outputs are ${names}`}`,
  );
}

/** The output at a position, a negative one counted from the end, or an error that says how many there are. */
export function outputAt(outputs: readonly RawTensor[], index: number): RawTensor {
  const output = Number.isInteger(index) ? outputs.at(index) : undefined;
  if (output !== undefined) return output;
  const { length } = outputs;
  const there = length === 0 ? "it has no outputs" : `its outputs are 0 to ${length - 1}`;
  throw argumentRangeError("ERR_EAS_ARG_OUTPUT", `output ${show(index)} is not in the response: ${there}`);
}

/** Outputs for people: each with its first values. */
export function listOutputs(outputs: Iterable<readonly [unknown, RawTensor]>): string {
  return Array.from(outputs, ([name, raw]) => `${name}: ${raw}`).join("; ");
}
