import { argumentRangeError, show } from "../errors.js";
import type { Bytes } from "../request.js";
import { readArray } from "./array-proto.js";
import type { DType, ValuesOf } from "./dtype.js";
import type { RawTensor } from "./raw-tensor.js";
import type { Tensor } from "./tensor.js";
import { readTensorMap } from "./tensor-map.js";
import { LENGTH_DELIMITED, WireReader } from "./wire.js";

/** Field number of `PredictResponse.outputs` in the official SDKs' `tf_predict` schema. */
const OUTPUTS = 1;

/** The outputs of a TensorFlow model. */
export class TFResponse {
  readonly #outputs = new Map<string, RawTensor>();

  /** Reads a response body. Keeps a reference to it. Throws `EasDecodeError` when it is no such message. */
  constructor(body: Bytes) {
    const reader = new WireReader(body, "tf");
    while (reader.tag()) {
      if (reader.field === OUTPUTS && reader.wireType === LENGTH_DELIMITED) {
        readTensorMap(reader, this.#outputs, (raw) => readArray(reader, raw, "tf"));
      } else {
        reader.skip();
      }
    }
  }

  /** Names of the outputs, as they came. */
  get outputNames(): string[] {
    return [...this.#outputs.keys()];
  }

  /** The shape of an output. Throws a `RangeError` that names the outputs there are, when there is none of this name. */
  getTensorShape(outputName: string): number[] {
    return this.#output(outputName).shape();
  }

  /**
   * The values of an output in its dtype's own array, the caller's own memory. With `dtype` the result is typed by it,
   * and an output of another dtype is a `TypeError`.
   */
  getValues<D extends DType>(outputName: string, dtype: D): ValuesOf<D>;
  getValues(outputName: string): ValuesOf<DType>;
  getValues(outputName: string, dtype?: DType): ValuesOf<DType> {
    return this.#output(outputName).values(dtype);
  }

  /** Dtype, shape and values of an output. */
  getTensor(outputName: string): Tensor<DType, ValuesOf<DType>> {
    return this.#output(outputName).tensor();
  }

  /** The values of an output as numbers. Throws a `RangeError` for an int64 that a number cannot hold. */
  getNumbers(outputName: string): number[] {
    return this.#output(outputName).numbers();
  }

  /** The values of a STRING output as text. */
  getStrings(outputName: string): string[] {
    return this.#output(outputName).strings();
  }

  /** For people: the outputs with their first values. */
  toString(): string {
    return `TFResponse { ${Array.from(this.#outputs, ([name, raw]) => `${name}: ${raw}`).join("; ")} }`;
  }

  #output(name: string): RawTensor {
    return findOutput(this.#outputs, name);
  }
}

/** The output `name`, or an error that names those there are. */
export function findOutput(outputs: ReadonlyMap<string, RawTensor>, name: string): RawTensor {
  const output = outputs.get(name);
  if (output !== undefined) return output;
  const names = [...outputs.keys()].map(show).join(", ");
  throw argumentRangeError(
    "ERR_EAS_ARG_OUTPUT",
    `there is no output ${show(name)} in the response: ${names === "" ? "it has none" : `it has ${names}`}`,
  );
}
